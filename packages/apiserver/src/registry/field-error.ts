/** `field.Error` of apimachinery: one function for each way in which a field can be wrong, in apimachinery's words. */
import type { FieldError } from '../status-error.ts'

export function required(field: string, detail = ''): FieldError {
  return { type: 'FieldValueRequired', field, message: withDetail('Required value', detail) }
}

export function invalidValue(field: string, value: unknown, detail: string): FieldError {
  return { type: 'FieldValueInvalid', field, message: withDetail(`Invalid value: ${printed(value)}`, detail) }
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
  return { type: 'FieldValueDuplicate', field, message: `Duplicate value: ${printed(value)}` }
}

export function notFound(field: string, value: unknown): FieldError {
  return { type: 'FieldValueNotFound', field, message: `Not found: ${printed(value)}` }
}

/** `supported` in the order in which they are to be listed. */
export function notSupported(field: string, value: unknown, supported: readonly string[]): FieldError {
  const detail = supported.length ? `supported values: ${supported.map(goQuote).join(', ')}` : ''
  return {
    type: 'FieldValueNotSupported',
    field,
    message: withDetail(`Unsupported value: ${printed(value)}`, detail),
  }
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

/** Strings as Go quotes them, everything else as Go's JSON. */
function printed(value: unknown): string {
  return typeof value === 'string' ? goQuote(value) : goJson(value)
}

/** Go's `encoding/json` escapes the characters that HTML cares for. */
export function goJson(value: unknown): string {
  return (JSON.stringify(value) ?? 'null').replace(
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
