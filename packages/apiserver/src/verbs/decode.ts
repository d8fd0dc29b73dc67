/**
 * From the JSON of a body to a value. Keys that occur twice are reported, because the field validation that clients ask
 * for has to warn of them or to refuse them. YAML: see http/decode-yaml.ts.
 */
import { below } from '../shown-path.ts'
import { badRequest, tooManyValues } from './errors.ts'
import { jsonSyntaxError } from './json-syntax-error.ts'

export interface Decoded {
  value: unknown
  /** Such as `duplicate field "spec.replicas"`. */
  duplicates: readonly string[]
  /** The same as Go's YAML decoder says them, `line 9: key "replicas" already set in map`, where that has read it. */
  repeatedLines?: readonly string[]
}

const NONE: readonly string[] = []
/** Deeper than this is no object but an attack on the stack of whoever walks it. */
const MAX_DEPTH = 500
/** Of one body, said to its client; also Kubernetes' limit. Each is made of the keys above it, which can be megabytes. */
export const MOST_PROBLEMS = 100
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

function addDuplicate(duplicates: string[], path: string): void {
  if (duplicates.length < MOST_PROBLEMS) duplicates.push(`duplicate field "${path}"`)
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
      const here = below(path, key)
      if (seen.has(key)) addDuplicate(duplicates, here)
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
      readValue(below(path, `[${index}]`, ''))
      if (text[position] === ',') position++
      skipSpace()
    }
    position++
  }
  readValue('')
  return duplicates
}
