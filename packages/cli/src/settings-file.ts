/** Files in the data directory in which an administrator says how things are to be. */
import { existsSync, readFileSync } from 'node:fs'
import { yamlProblem } from '@caisson/api'
import { CliError } from './cli-error.ts'

export type Fields = Record<string, unknown>

/** The fields of a YAML file; undefined where it is not there. Throws a CliError where it has others than those known. */
export async function readSettings(file: string, known: string[]): Promise<Fields | undefined> {
  if (!existsSync(file)) return undefined
  const { parse } = await import('yaml')
  const next = 'correct it, or take it away'
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new CliError('usage', `${file} cannot be read (${(cause as Error).message}): ${next}`, { cause })
  }
  let content: unknown
  try {
    content = parse(text) ?? {}
  } catch (cause) {
    throw new CliError('usage', `${yamlProblem(cause as Error, file)}: ${next}`, { cause })
  }
  return fields(content, { file, where: 'the file', known })
}

/** Of a mapping at a place of the file. */
export function fields(
  value: unknown,
  { file, where, known }: { file: string; where: string; known?: string[] },
): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CliError('usage', `${file}: ${where} is no mapping`)
  const unknown = Object.keys(value).find((name) => known && !known.includes(name))
  if (unknown !== undefined)
    throw new CliError(
      'usage',
      `${file}: ${where} has no field ${JSON.stringify(unknown)}: it may have ${known?.join(', ')}`,
    )
  return value as Fields
}
