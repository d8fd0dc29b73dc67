/**
 * `field.Error` of apimachinery: one function for each way in which a field can be wrong, in apimachinery's words. Those that
 * show a value print it when they are told: a list of thirty thousand items, each of which is wrong, is shown with each.
 */
import { isObject, type JsonObject } from '../patch/json-value.ts'
import type { FieldError } from '../status-error.ts'

/** Of a value, in characters: whoever sent it knows the rest. */
export const LONGEST_SHOWN = 16 << 10

export function required(field: string, detail = ''): FieldError {
  return { type: 'FieldValueRequired', field, message: withDetail('Required value', detail) }
}

export function invalidValue(field: string, value: unknown, detail: string): FieldError {
  return withValue('FieldValueInvalid', field, { said: 'Invalid value', value, detail })
}

/** The same error of another field. */
export function renamed(error: FieldError, field: string): FieldError {
  const { type } = error
  return {
    type,
    field,
    get message() {
      return error.message
    },
  }
}

function withValue(
  type: FieldError['type'],
  field: string,
  { said, value, detail = '' }: { said: string; value: unknown; detail?: string },
): FieldError {
  return {
    type,
    field,
    get message() {
      return withDetail(`${said}: ${printed(value)}`, detail)
    },
  }
}

/** Of a value that is too much to be shown. */
export function omittedValue(field: string, detail: string): FieldError {
  return { type: 'FieldValueInvalid', field, message: withDetail('Invalid value', detail) }
}

export function forbidden(field: string, detail = ''): FieldError {
  return { type: 'FieldValueForbidden', field, message: withDetail('Forbidden', detail) }
}

export function internalError(field: string, detail: string): FieldError {
  return { type: 'InternalError', field, message: withDetail('Internal error', detail) }
}

export function duplicate(field: string, value: unknown): FieldError {
  return withValue('FieldValueDuplicate', field, { said: 'Duplicate value', value })
}

export function notFound(field: string, value: unknown, detail = ''): FieldError {
  return withValue('FieldValueNotFound', field, { said: 'Not found', value, detail })
}

/** `supported` in the order in which they are to be listed. */
export function notSupported(field: string, value: unknown, supported: readonly string[]): FieldError {
  const detail = supported.length ? `supported values: ${supported.map(goQuote).join(', ')}` : ''
  return withValue('FieldValueNotSupported', field, { said: 'Unsupported value', value, detail })
}

export function tooLong(field: string, maximumBytes: number): FieldError {
  const unit = maximumBytes === 1 ? 'byte' : 'bytes'
  return { type: 'FieldValueTooLong', field, message: `Too long: may not be more than ${maximumBytes} ${unit}` }
}

export function tooMany(field: string, actual: number, maximum: number): FieldError {
  const unit = maximum === 1 ? 'item' : 'items'
  return { type: 'FieldValueTooMany', field, message: `Too many: ${actual}: must have at most ${maximum} ${unit}` }
}

function withDetail(said: string, detail: string): string {
  return detail ? `${said}: ${detail}` : said
}

/** Strings as Go quotes them, everything else as Go's JSON; no more of it than is shown. */
function printed(value: unknown): string {
  const text = typeof value === 'string' ? goQuote(value.slice(0, LONGEST_SHOWN)) : escapedForHtml(beginning(value))
  return text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text
}

/** JSON, or so much of it that there is more than is shown. */
function beginning(value: unknown): string {
  let text = ''
  for (const part of jsonParts(value)) {
    text += part
    if (text.length > LONGEST_SHOWN) break
  }
  return text
}

function* jsonParts(value: unknown): Generator<string, void> {
  if (Array.isArray(value)) yield* listParts(value)
  else if (isObject(value)) yield* objectParts(value)
  else yield JSON.stringify(typeof value === 'string' ? value.slice(0, LONGEST_SHOWN) : value) ?? 'null'
}

function* listParts(list: readonly unknown[]): Generator<string, void> {
  yield '['
  for (const [index, item] of list.entries()) {
    if (index > 0) yield ','
    yield* jsonParts(item)
  }
  yield ']'
}

function* objectParts(object: JsonObject): Generator<string, void> {
  let before = ''
  yield '{'
  for (const key of Object.keys(object)) {
    if (object[key] === undefined) continue
    yield `${before}${JSON.stringify(key)}:`
    yield* jsonParts(object[key])
    before = ','
  }
  yield '}'
}

export function goJson(value: unknown): string {
  return escapedForHtml(JSON.stringify(value) ?? 'null')
}

/** As Go's `encoding/json` does it. */
function escapedForHtml(json: string): string {
  return json.replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
}

/** What is not printed as it is. Only the space is printed, of the characters that are blank. */
const NOT_PRINTED = /["\\]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu

/** `strconv.Quote`: printable characters as they are, the others escaped. */
export function goQuote(text: string): string {
  return `"${text.replace(NOT_PRINTED, escaped)}"`
}

function escaped(character: string): string {
  const escape = ESCAPES[character]
  if (escape !== undefined) return escape
  const code = character.codePointAt(0) as number
  if (code < 0x20 || code === 0x7f) return `\\x${code.toString(16).padStart(2, '0')}`
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, '0')}`
  return `\\U${code.toString(16).padStart(8, '0')}`
}
