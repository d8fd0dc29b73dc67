/** `format` of strings: its clauses, as they are checked beforehand and as values print by them. */
import { goQuote } from '../../registry/field-error.ts'
import { goNumber } from '../go-value.ts'
import { fixedPoint, grouped, scientific } from './decimal.ts'
import { formatDuration, formatTimestamp } from './time.ts'
import {
  Duration,
  EvaluationError,
  ListValue,
  MapValue,
  Timestamp,
  TypeValue,
  typeName,
  Uint,
  type Value,
} from './values.ts'
import { spend } from './work.ts'

export interface Clause {
  verb: Verb
  precision: number | undefined
  /** Of the argument. */
  index: number
}

export type Verb = 's' | 'd' | 'f' | 'e' | 'b' | 'o' | 'x' | 'X'

const DIGITS = 6
const MAXIMUM_PRECISION = 1_000

/** `'%s is %d'.format([name, count])`. */
export function format(template: string, args: ListValue): string {
  let text = ''
  for (const part of formatParts(template, args.length)) {
    text += typeof part === 'string' ? part : printed(part, args.at(part.index))
  }
  return text
}

/** Text as it is, and clauses for the arguments, of which there are `count`. */
export function* formatParts(template: string, count: number): Generator<string | Clause> {
  let index = 0
  for (let at = 0; at < template.length; ) {
    const next = template.indexOf('%', at)
    if (next < 0) {
      yield template.slice(at)
      return
    }
    yield template.slice(at, next)
    if (template[next + 1] === '%') {
      yield '%'
      at = next + 2
      continue
    }
    if (index >= count) throw new EvaluationError(`index ${index} out of range`)
    if (next + 1 >= template.length) throw new EvaluationError('unexpected end of string')
    const [clause, end] = parseClause(template, next + 1, index++)
    yield clause
    at = end
  }
}

function parseClause(template: string, start: number, index: number): [Clause, end: number] {
  const [, digits] = /^\.(\d*)/.exec(template.slice(start, start + 20)) ?? []
  const at = digits === undefined ? start : start + 1 + digits.length
  if (digits !== undefined) {
    const fail = (said: string): EvaluationError =>
      new EvaluationError(`could not parse formatting clause: error while parsing precision: ${said}`)
    if (at >= template.length) throw fail('could not find end of precision specifier')
    const conversion = `error while converting precision to integer: strconv.Atoi: parsing ${goQuote(digits)}`
    if (digits === '') throw fail(`${conversion}: invalid syntax`)
    if (Number(digits) > MAXIMUM_PRECISION) throw fail(`${conversion}: value out of range`)
  }
  const verb = String.fromCodePoint(template.codePointAt(at) as number)
  if (!isVerb(verb)) {
    throw new EvaluationError(`could not parse formatting clause: unrecognized formatting clause "${verb}"`)
  }
  return [{ verb, precision: digits === undefined ? undefined : Number(digits), index }, at + 1]
}

function isVerb(text: string): text is Verb {
  return /^[sdfeboxX]$/.test(text)
}

const REFUSALS: Readonly<Record<Verb, string>> = {
  s: 'string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps',
  d: 'decimal clause can only be used on integers',
  f: 'fixed-point clause can only be used on doubles',
  e: 'scientific clause can only be used on doubles',
  b: 'only integers and bools can be formatted as binary',
  o: 'octal clause can only be used on integers',
  x: 'only integers, byte buffers, and strings can be formatted as hex',
  X: 'only integers, byte buffers, and strings can be formatted as hex',
}

/** What is said of an argument that the clause cannot print. */
export function refusal(verb: Verb, type: string): string {
  return `error during formatting: ${REFUSALS[verb]}, was given ${type}`
}

function printed({ verb, precision }: Clause, value: Value): string {
  const text = byVerb(verb, precision, value)
  if (text === undefined) throw new EvaluationError(refusal(verb, typeName(value)))
  spend(text.length / 50)
  return text
}

function byVerb(verb: Verb, precision: number | undefined, value: Value): string | undefined {
  switch (verb) {
    case 's':
      return formatAny(value)
    case 'd':
      return integer(value)?.toString()
    case 'f': {
      const number = double(value)
      if (number === undefined || Number.isFinite(number)) {
        return number === undefined ? undefined : grouped(fixedPoint(number, precision ?? DIGITS))
      }
      return infinite(number)
    }
    case 'e': {
      const number = double(value)
      if (number === undefined || Number.isFinite(number)) return number === undefined ? undefined : scientific(number)
      return infinite(number).padStart(DIGITS)
    }
    case 'b':
      return typeof value === 'boolean' ? String(Number(value)) : integer(value)?.toString(2)
    case 'o':
      return integer(value)?.toString(8)
    case 'X':
      return hexadecimal(value)?.toUpperCase()
    default:
      return hexadecimal(value)
  }
}

const INFINITE: ReadonlyMap<string, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
])

function double(value: Value): number | undefined {
  return typeof value === 'string' ? INFINITE.get(value) : typeof value === 'number' ? value : undefined
}

function infinite(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  return value > 0 ? '∞' : '-∞'
}

function integer(value: Value): bigint | undefined {
  return value instanceof Uint ? value.value : typeof value === 'bigint' ? value : undefined
}

function hexadecimal(value: Value): string | undefined {
  if (typeof value === 'string' || value instanceof Uint8Array) return Buffer.from(value as string).toString('hex')
  return integer(value)?.toString(16)
}

/** Undefined for what has no text. */
function formatAny(value: Value): string | undefined {
  if (value === null) return 'null'
  if (typeof value === 'string') return value
  if (typeof value === 'number') return goNumber(value, false)
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value)
  if (value instanceof Uint) return String(value.value)
  if (value instanceof Uint8Array) return Buffer.from(value).toString()
  if (value instanceof Timestamp) return formatTimestamp(value)
  if (value instanceof Duration) return formatDuration(value)
  if (value instanceof TypeValue) return value.name
  if (value instanceof ListValue) return `[${Array.from(value, formatInner).join(', ')}]`
  return value instanceof MapValue ? formatMap(value) : undefined
}

/** As CEL would write it. */
function formatInner(value: Value): string {
  spend(0.5)
  if (typeof value === 'string') return goQuote(value)
  if (typeof value === 'number') {
    return Number.isFinite(value) ? fixedPoint(value, DIGITS) : goQuote(goNumber(value, false))
  }
  if (value instanceof Uint8Array) return `b${goQuote(Buffer.from(value).toString())}`
  if (value instanceof Timestamp) return `timestamp(${goQuote(formatTimestamp(value))})`
  if (value instanceof Duration) return `duration(${goQuote(formatDuration(value))})`
  const text = formatAny(value)
  if (text === undefined) throw unformattable(`for ${typeName(value)}`)
  return text
}

function formatMap(map: MapValue): string {
  const entries = Array.from(map.keys(), (key): readonly [string, string] => {
    if (!['string', 'boolean', 'bigint'].includes(typeof key) && !(key instanceof Uint)) {
      throw unformattable(`for map key of type ${typeName(key)}`)
    }
    return [formatInner(key), formatInner(map.find(key) as Value)]
  })
  entries.sort(([a], [b]) => (a < b ? -1 : Number(a > b)))
  return `{${entries.map(([key, value]) => `${key}:${value}`).join(', ')}}`
}

function unformattable(what: string): EvaluationError {
  return new EvaluationError(`error during formatting: no formatting function ${what}`)
}
