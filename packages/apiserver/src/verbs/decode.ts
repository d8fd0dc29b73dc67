/**
 * From the bytes of a body to a JSON value. JSON and YAML; keys that occur twice are reported, because the field
 * validation that clients ask for has to warn of them or to refuse them.
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
import { badRequest, tooManyValues } from './errors.ts'
import { jsonSyntaxError } from './json-syntax-error.ts'

export interface Decoded {
  value: unknown
  /** Such as `duplicate field "spec.replicas"`. */
  duplicates: readonly string[]
}

const NONE: readonly string[] = []
/** Deeper than this is no object but an attack on the stack of whoever walks it. */
const MAX_DEPTH = 500
/** Of one body, said to its client; also Kubernetes' limit. Each is made of the keys above it, which can be megabytes. */
export const MOST_PROBLEMS = 100
const LONGEST_PATH = 1024
/**
 * Fields and list items of one body: what is done with a value costs up to ten microseconds for each of them, on the event
 * loop that everybody shares. The largest CustomResourceDefinitions that people use have some 30,000.
 */
export const MOST_VALUES = 50_000

/** Throws an Error with the message of Go's decoder; the caller knows how to tell the client. */
export function decodeJson(text: string): Decoded {
  const value = parseJson(text)
  const keys = checkShape(value)
  const members = countMembers(text)
  // Repeated ones too cost what they cost, though the value has none of them.
  if (members > MOST_VALUES) throw tooManyValues(MOST_VALUES)
  // Where the text has as many members as the value, no key occurs twice in any object.
  const duplicates = members === keys ? NONE : findDuplicates(text)
  return { value, duplicates }
}

function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return hasSurrogates(text) ? JSON.parse(withoutLoneSurrogates(text)) : value
  } catch (error) {
    throw new Error(jsonSyntaxError(Buffer.from(text)), { cause: error })
  }
}

/** After an even number of backslashes, which escape each other. */
const SURROGATE = /(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]/

/** Whether JSON has a character in two halves, or half of one, which YAML does not know. */
export function hasSurrogates(text: string): boolean {
  return SURROGATE.test(text)
}

/** Half of a character, which no text on disk or on the wire can hold, is read as Go reads it: as U+FFFD. */
function withoutLoneSurrogates(text: string): string {
  return text.replaceAll(
    /\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)/g,
    (escape) => (/^\\u[dD][89a-fA-F]..$/.test(escape) ? '\\ufffd' : escape),
  )
}

/**
 * The first of what YAML documents there are, as Kubernetes reads it, without aliases that multiply: a body of 3 MiB must not
 * become gigabytes.
 */
export function decodeYaml(text: string): Decoded {
  const { document, lines } = parseYaml(text)
  const [error] = document.errors
  if (error) throw new Error(yamlProblem({ message: error.message, linePos: placeOf(error, lines) }, 'yaml'))
  refuseKeys(document)
  const duplicates: string[] = []
  visitRepeated(document, (key, { path, pair }) => addDuplicate(duplicates, () => yamlPath([...path, pair], key)))
  const value: unknown = document.toJS({ maxAliasCount: 100 })
  checkShape(value)
  return { value, duplicates }
}

/** Longer ones are not parsed again, only to tell which line it was. */
const LONGEST_PARSED_TWICE = 16 << 10

/** The keys that occur twice as Go's YAML decoder says them, `line 9: key "foo" already set in map`; as they were said where it would take too long. */
export function repeatedLines({
  text,
  duplicates,
}: {
  text: string
  duplicates: readonly string[]
}): readonly string[] {
  if (text.length > LONGEST_PARSED_TWICE) return duplicates
  const { document, lines } = parseYaml(text)
  const said: string[] = []
  visitRepeated(document, (key, { pair }) => {
    if (said.length >= MOST_PROBLEMS || !isNode(pair.key)) return
    const { line } = lines.linePos(pair.key.range?.[0] ?? 0)
    said.push(`line ${line}: key ${JSON.stringify(key.slice(0, LONGEST_PATH))} already set in map`)
  })
  return said
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
  return names.join('.')
}

/** Colons outside of strings: in valid JSON there is one for each member. */
function countMembers(text: string): number {
  let count = 0
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code === 58) count++
    else if (code === 34) {
      // indexOf runs at memory speed where this loop runs a character at a time.
      index = text.indexOf('"', index + 1)
      while (isEscaped(text, index)) index = text.indexOf('"', index + 1)
    }
  }
  return count
}

function isEscaped(text: string, quote: number): boolean {
  let backslashes = 0
  while (text.charCodeAt(quote - 1 - backslashes) === 92) backslashes++
  return backslashes % 2 === 1
}

/**
 * Where every value from outside is looked at once: one that is too deep or has too many members goes no further. Returns
 * how many fields its objects have.
 */
export function checkShape(value: unknown): number {
  const seen = { keys: 0, items: 0 }
  count(value, 0, seen)
  return seen.keys
}

function count(value: unknown, depth: number, seen: { keys: number; items: number }): void {
  if (typeof value !== 'object' || value === null) return
  if (depth > MAX_DEPTH) throw badRequest(`the body is nested deeper than ${MAX_DEPTH} levels`)
  if (Array.isArray(value)) {
    seen.items += value.length
    refuseTooMany(seen)
    for (const item of value) count(item, depth + 1, seen)
    return
  }
  for (const key in value) {
    seen.keys++
    refuseTooMany(seen)
    count((value as Record<string, unknown>)[key], depth + 1, seen)
  }
}

function refuseTooMany({ keys, items }: { keys: number; items: number }): void {
  if (keys + items > MOST_VALUES) throw tooManyValues(MOST_VALUES)
}

function addDuplicate(duplicates: string[], path: () => string): void {
  if (duplicates.length < MOST_PROBLEMS) duplicates.push(`duplicate field "${path().slice(0, LONGEST_PATH)}"`)
}

/** The slow way, only for texts that are known to have one. `text` is valid JSON. */
function findDuplicates(text: string): readonly string[] {
  const duplicates: string[] = []
  let position = 0

  function skipSpace(): void {
    while (/\s/.test(text[position] ?? '')) position++
  }
  function readString(): string {
    const start = position
    position = text.indexOf('"', position + 1)
    while (isEscaped(text, position)) position = text.indexOf('"', position + 1)
    position++
    return JSON.parse(text.slice(start, position)) as string
  }
  function readValue(path: string): void {
    skipSpace()
    if (text[position] === '{') readObject(path)
    else if (text[position] === '[') readArray(path)
    else if (text[position] === '"') readString()
    else while (position < text.length && !',]}'.includes(text[position] as string)) position++
    skipSpace()
  }
  function readObject(path: string): void {
    const seen = new Set<string>()
    position++
    skipSpace()
    while (text[position] !== '}') {
      skipSpace()
      const key = readString()
      const here = path === '' ? key : `${path}.${key}`
      if (seen.has(key)) addDuplicate(duplicates, () => here)
      seen.add(key)
      skipSpace()
      position++
      readValue(here)
      if (text[position] === ',') position++
      skipSpace()
    }
    position++
  }
  function readArray(path: string): void {
    position++
    skipSpace()
    for (let index = 0; text[position] !== ']'; index++) {
      readValue(`${path}[${index}]`)
      if (text[position] === ',') position++
      skipSpace()
    }
    position++
  }
  readValue('')
  return duplicates
}
