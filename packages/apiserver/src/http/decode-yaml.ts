/**
 * From the YAML of a body to a value, as Kubernetes reads it. It takes about two milliseconds for a kilobyte: what comes
 * from outside is decoded on a thread of its own, by yaml-thread.ts.
 */
import { KUBERNETES_YAML, yamlProblem } from '@caisson/api'
import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  Lexer,
  LineCounter,
  type Pair,
  Parser,
  visit,
  type YAMLError,
} from 'yaml'
import { below, LONGEST_PATH } from '../shown-path.ts'
import { checkShape, type Decoded, MOST_PROBLEMS, MOST_VALUES } from '../verbs/decode.ts'
import { tooManyValues } from '../verbs/errors.ts'

export type DecodedYaml = Required<Decoded>

/**
 * The first of what YAML documents there are, as Kubernetes reads it, without aliases that multiply: a body of 3 MiB must not
 * become gigabytes.
 */
export function decodeYaml(text: string): DecodedYaml {
  const { document, lines } = parseYaml(text)
  const [error] = document.errors
  if (error) throw new Error(yamlProblem({ message: error.message, linePos: placeOf(error, lines) }, 'yaml'))
  refuseKeys(document)
  const duplicates: string[] = []
  const repeatedLines: string[] = []
  visitRepeated(document, (key, { path, pair }) => {
    if (duplicates.length >= MOST_PROBLEMS) return
    duplicates.push(`duplicate field "${yamlPath([...path, pair], key)}"`)
    const { line } = lines.linePos(isNode(pair.key) ? (pair.key.range?.[0] ?? 0) : 0)
    repeatedLines.push(`line ${line}: key ${JSON.stringify(key.slice(0, LONGEST_PATH))} already set in map`)
  })
  const value: unknown = document.toJS({ maxAliasCount: 100 })
  checkShape(value)
  return { value, duplicates, repeatedLines }
}

function parseYaml(text: string): { document: Document.Parsed; lines: LineCounter } {
  const lines = new LineCounter()
  // `prettyErrors` would quote the line at each of its errors, of which one long line can have a hundred thousand.
  const composer = new Composer({ ...KUBERNETES_YAML, uniqueKeys: false, prettyErrors: false })
  const [document] = composer.compose(syntaxOf(text, lines), true, text.length)
  return { document: document as Document.Parsed, lines }
}

/**
 * A value with its key has some seven, a comment three. What they are parsed into, and the values that are counted in the
 * end, take twenty times as long as reading them does.
 */
const MOST_LEXEMES = 20 * MOST_VALUES

function* syntaxOf(text: string, lines: LineCounter): Generator<CST.Token, void> {
  lines.addNewLine(0)
  const parser = new Parser(lines.addNewLine)
  let count = 0
  for (const lexeme of new Lexer().lex(text)) {
    if (++count > MOST_LEXEMES) throw tooManyValues(MOST_VALUES)
    yield* parser.next(lexeme)
  }
  yield* parser.end()
}

function placeOf({ pos: [at] }: YAMLError, lines: LineCounter): YAMLError['linePos'] {
  return at < 0 ? undefined : [lines.linePos(at)]
}

/** Maps and lists are none. */
function refuseKeys(document: Document.Parsed): void {
  /** What an alias stands for at this place: looked up by itself, each would walk all that is before it. */
  const anchored = new Map<string, unknown>()
  visit(document, {
    Value(_, node) {
      if (node.anchor !== undefined) anchored.set(node.anchor, node)
    },
    Pair(_, { key }) {
      const held = isAlias(key) ? anchored.get(key.source) : key
      if (isCollection(held)) throw new Error(`yaml: invalid map key: ${String(key).slice(0, LONGEST_PATH)}`)
    },
  })
}

function visitRepeated(
  document: Document.Parsed,
  tell: (key: string, at: { pair: Pair; path: readonly unknown[] }) => void,
): void {
  visit(document, {
    Map(_, node, path) {
      const seen = new Set<string>()
      for (const pair of node.items) {
        const key = String(isScalar(pair.key) ? pair.key.value : pair.key)
        if (seen.has(key)) tell(key, { pair, path })
        seen.add(key)
      }
    },
  })
}

function yamlPath(path: readonly unknown[], last: string): string {
  const names = path.flatMap((node) =>
    typeof node === 'object' && node !== null && 'key' in node && !isMap(node)
      ? [String(isScalar(node.key) ? node.key.value : node.key)]
      : [],
  )
  names[names.length - 1] = last
  return names.reduce((text, name) => below(text, name), '')
}
