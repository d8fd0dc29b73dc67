import type { YAMLError } from 'yaml'

/**
 * What the `yaml` package says of a text that is no YAML, in one line and without the lines of the text:
 * `images.yaml, line 2, column 1: Map keys must be unique`.
 *
 * @param error what its `parse` threw, or one of a document's `errors`
 * @param name of the text, as messages have it
 */
export function yamlProblem(
  { message, linePos }: { message: string; linePos?: YAMLError['linePos'] },
  name: string,
): string {
  const [start] = linePos ?? []
  const at = start ? `, line ${start.line}, column ${start.col}` : ''
  return `${name}${at}: ${message.replace(/ at line \d+, column \d+:[^]*$/, '')}`
}
