/** `format` of strings: its verbs, and how values print. */
import { goNumber } from '../go-value.ts'
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

/** `'%s is %d'.format([name, count])`. */
export function format(template: string, args: ListValue): string {
  let next = 0
  return template.replace(/%(?:(%)|(?:\.(\d+))?([a-zA-Z]?))/g, (whole, percent, precision, verb) => {
    if (percent) return '%'
    if (!verb) throw new EvaluationError('unexpected end of string')
    if (next >= args.length) throw new EvaluationError(`index ${next} out of range`)
    const value = args.at(next++)
    return formatted(
      verb as string,
      value,
      precision === undefined ? undefined : Math.min(Number(precision), 100),
      whole,
    )
  })
}

function formatted(verb: string, value: Value, precision: number | undefined, clause: string): string {
  switch (verb) {
    case 's':
      return formatAny(value)
    case 'd':
      return formatDecimal(value)
    case 'f':
      return fraction(value, clause).toFixed(precision ?? 6)
    case 'e': {
      const [digits, exponent] = fraction(value, clause)
        .toExponential(precision ?? 6)
        .split('e') as [string, string]
      return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, '0')}`
    }
    case 'b':
      return typeof value === 'boolean' ? String(Number(value)) : integer(value, clause).toString(2)
    case 'o':
      return integer(value, clause).toString(8)
    case 'x':
      return hexadecimal(value, clause)
    case 'X':
      return hexadecimal(value, clause).toUpperCase()
    default:
      throw new EvaluationError(`could not parse formatting clause: unrecognized formatting clause "${verb}"`)
  }
}

function wrongType(value: Value, clause: string): EvaluationError {
  return new EvaluationError(`error during formatting: ${typeName(value)} given to clause ${clause}`)
}

function fraction(value: Value, clause: string): number {
  if (typeof value === 'number') return value
  if (typeof value === 'bigint') return Number(value)
  if (value instanceof Uint) return Number(value.value)
  throw wrongType(value, clause)
}

function integer(value: Value, clause: string): bigint {
  if (typeof value === 'bigint') return value
  if (value instanceof Uint) return value.value
  throw wrongType(value, clause)
}

function hexadecimal(value: Value, clause: string): string {
  if (typeof value === 'string') return Buffer.from(value).toString('hex')
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  return integer(value, clause).toString(16)
}

function formatDecimal(value: Value): string {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Uint) return String(value.value)
  if (typeof value === 'number' && !Number.isFinite(value)) return formatDouble(value)
  throw new EvaluationError(
    `error during formatting: decimal clause can only be used on integers, was given ${typeName(value)}`,
  )
}

function formatDouble(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity'
  return goNumber(value, false)
}

function formatAny(value: Value): string {
  if (value === null) return 'null'
  if (typeof value === 'string') return value
  if (typeof value === 'number') return formatDouble(value)
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value)
  if (value instanceof Uint) return String(value.value)
  if (value instanceof Uint8Array) return Buffer.from(value).toString()
  if (value instanceof Timestamp) return formatTimestamp(value)
  if (value instanceof Duration) return formatDuration(value)
  if (value instanceof TypeValue) return value.name
  if (value instanceof ListValue) return `[${[...value].map(formatAny).join(', ')}]`
  if (value instanceof MapValue) {
    const entries = [...value.keys()].map((key) => `${formatAny(key)}: ${formatAny(value.find(key) as Value)}`)
    return `{${entries.sort().join(', ')}}`
  }
  throw new EvaluationError(
    `error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given ${typeName(value)}`,
  )
}
