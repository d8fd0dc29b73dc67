/** CEL's standard functions: sizes, conversions, text and time. */
import { goNumber } from '../go-value.ts'
import { codePoints, type Declaration, declare, global, member, sizeOf, traversal } from './functions.ts'
import { int, uint } from './functions-operators.ts'
import {
  floorDiv,
  formatDuration,
  formatTimestamp,
  parseDuration,
  parseTimestamp,
  timestampOf,
  wallClock,
} from './time.ts'
import {
  BOOL,
  BYTES,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  listOf,
  mapOf,
  NULL,
  param,
  STRING,
  TIMESTAMP,
  type Type,
  typeOf,
  UINT,
} from './types.ts'
import {
  Duration,
  EvaluationError,
  type ListValue,
  type MapValue,
  type Timestamp,
  TypeValue,
  typeName,
  Uint,
  type Value,
} from './values.ts'

const A = param('A')
const LIST = listOf(A)
const MAP = mapOf(A, param('B'))

const size = declare(
  'size',
  ...[global, member].flatMap((make, index) => {
    const id = (name: string): string => (index === 0 ? `size_${name}` : `${name}_size`)
    return [
      make(id('bytes'), [BYTES], INT, (_, value: Uint8Array) => BigInt(value.length)),
      make(id('list'), [LIST], INT, (_, value: ListValue) => BigInt(value.length)),
      make(id('map'), [MAP], INT, (_, value: MapValue) => BigInt(value.size)),
      make(id('string'), [STRING], INT, (_, value: string) => BigInt(codePoints(value))),
    ]
  }),
)

const MAXIMUM = 2 ** 63

function wholeNumber(value: number): bigint {
  if (Number.isNaN(value) || value >= MAXIMUM || value <= -MAXIMUM) throw new EvaluationError('integer overflow')
  return BigInt(Math.trunc(value))
}

function parsed<T>(value: T | undefined, type: string): T {
  if (value === undefined) throw new EvaluationError(`type conversion error from 'string' to '${type}'`)
  return value
}

function parseInteger(text: string, pattern: RegExp): bigint | undefined {
  return pattern.test(text) && text.length < 100 ? BigInt(text.replace(/^\+/, '')) : undefined
}

const DOUBLES: ReadonlyMap<string, number> = new Map([
  ['nan', Number.NaN],
  ['inf', Number.POSITIVE_INFINITY],
  ['+inf', Number.POSITIVE_INFINITY],
  ['-inf', Number.NEGATIVE_INFINITY],
  ['infinity', Number.POSITIVE_INFINITY],
  ['+infinity', Number.POSITIVE_INFINITY],
  ['-infinity', Number.NEGATIVE_INFINITY],
])

function parseDouble(text: string): number | undefined {
  const special = DOUBLES.get(text.toLowerCase())
  if (special !== undefined) return special
  return /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(text) ? Number(text) : undefined
}

const TRUTHS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 't', 'true', 'TRUE', 'True'].map((text) => [text, true] as const),
  ...['0', 'f', 'false', 'FALSE', 'False'].map((text) => [text, false] as const),
])

function same(_frame: unknown, value: Value): Value {
  return value
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodeText(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw new EvaluationError('invalid UTF-8 in bytes, cannot convert to string')
  }
}

const conversions = [
  declare(
    'type',
    global('type', [A], typeOf(A), (_, value: Value) => new TypeValue(typeName(value))),
  ),
  declare('dyn', global('to_dyn', [A], DYN, same)),
  declare(
    'bool',
    global('bool_to_bool', [BOOL], BOOL, same),
    global('string_to_bool', [STRING], BOOL, (_, text: string) => parsed(TRUTHS.get(text), 'bool')),
  ),
  declare(
    'bytes',
    global('bytes_to_bytes', [BYTES], BYTES, same),
    global('string_to_bytes', [STRING], BYTES, (_, text: string) => Buffer.from(text), { cost: traversal() }),
  ),
  declare(
    'double',
    global('double_to_double', [DOUBLE], DOUBLE, same),
    global('int64_to_double', [INT], DOUBLE, (_, value: bigint) => Number(value)),
    global('string_to_double', [STRING], DOUBLE, (_, text: string) => parsed(parseDouble(text), 'double')),
    global('uint64_to_double', [UINT], DOUBLE, (_, value: Uint) => Number(value.value)),
  ),
  declare(
    'duration',
    global('duration_to_duration', [DURATION], DURATION, same),
    global('int64_to_duration', [INT], DURATION, (_, value: bigint) => new Duration(value)),
    global('string_to_duration', [STRING], DURATION, (_, text: string) =>
      parsed(parseDuration(text), 'google.protobuf.Duration'),
    ),
  ),
  declare(
    'int',
    global('int64_to_int64', [INT], INT, same),
    global('double_to_int64', [DOUBLE], INT, (_, value: number) => wholeNumber(value)),
    global('duration_to_int64', [DURATION], INT, (_, value: Duration) => value.nanos),
    global('string_to_int64', [STRING], INT, (_, text: string) => {
      const value = parsed(parseInteger(text, /^[+-]?\d+$/), 'int')
      return parsed(value > 0x7fff_ffff_ffff_ffffn || value < -0x8000_0000_0000_0000n ? undefined : value, 'int')
    }),
    global('timestamp_to_int64', [TIMESTAMP], INT, (_, value: Timestamp) => floorDiv(value.nanos, 1_000_000_000n)),
    global('uint64_to_int64', [UINT], INT, (_, value: Uint) => int(value.value)),
  ),
  declare(
    'uint',
    global('uint64_to_uint64', [UINT], UINT, same),
    global('double_to_uint64', [DOUBLE], UINT, (_, value: number) => {
      if (Number.isNaN(value) || value < 0 || value >= 2 ** 64) throw new EvaluationError('unsigned integer overflow')
      return new Uint(BigInt(Math.trunc(value)))
    }),
    global('int64_to_uint64', [INT], UINT, (_, value: bigint) => uint(value)),
    global('string_to_uint64', [STRING], UINT, (_, text: string) => {
      const value = parsed(parseInteger(text, /^\d+$/), 'uint')
      return new Uint(parsed(value > 0xffff_ffff_ffff_ffffn ? undefined : value, 'uint'))
    }),
  ),
  declare(
    'timestamp',
    global('timestamp_to_timestamp', [TIMESTAMP], TIMESTAMP, same),
    global('int64_to_timestamp', [INT], TIMESTAMP, (_, seconds: bigint) => timestampOf(seconds * 1_000_000_000n)),
    global('string_to_timestamp', [STRING], TIMESTAMP, (_, text: string) => {
      const { nanos, offset } = parsed(parseTimestamp(text), 'google.protobuf.Timestamp')
      return timestampOf(nanos, offset)
    }),
  ),
]

/** `string(…)` of the standard types; addresses add their own. */
export const TO_STRING = [
  global('string_to_string', [STRING], STRING, same),
  global('bool_to_string', [BOOL], STRING, (_, value: boolean) => String(value)),
  global('bytes_to_string', [BYTES], STRING, (_, value: Uint8Array) => decodeText(value), { cost: traversal() }),
  global('double_to_string', [DOUBLE], STRING, (_, value: number) => goNumber(value, false)),
  global('duration_to_string', [DURATION], STRING, (_, value: Duration) => formatDuration(value)),
  global('int64_to_string', [INT], STRING, (_, value: bigint) => String(value)),
  global('timestamp_to_string', [TIMESTAMP], STRING, (_, value: Timestamp) => formatTimestamp(value)),
  global('uint64_to_string', [UINT], STRING, (_, value: Uint) => String(value.value)),
]

const text = [
  declare(
    'contains',
    member('contains_string', [STRING, STRING], BOOL, (_, a: string, b: string) => a.includes(b), {
      cost: ([a, b]) => Math.ceil(sizeOf(a as Value) * 0.1) * Math.ceil(sizeOf(b as Value) * 0.1),
    }),
  ),
  declare(
    'endsWith',
    member('ends_with_string', [STRING, STRING], BOOL, (_, a: string, b: string) => a.endsWith(b), {
      cost: traversal(),
    }),
  ),
  declare(
    'startsWith',
    member('starts_with_string', [STRING, STRING], BOOL, (_, a: string, b: string) => a.startsWith(b), {
      cost: traversal(),
    }),
  ),
]

const DAY = 86_400_000

const FIELDS: ReadonlyArray<readonly [name: string, id: string, read: (clock: Date) => number]> = [
  ['getFullYear', 'year', (clock) => clock.getUTCFullYear()],
  ['getMonth', 'month', (clock) => clock.getUTCMonth()],
  ['getDayOfYear', 'day_of_year', (clock) => Math.floor((clock.getTime() - Date.UTC(clock.getUTCFullYear(), 0)) / DAY)],
  ['getDayOfMonth', 'day_of_month', (clock) => clock.getUTCDate() - 1],
  ['getDate', 'day_of_month_1_based', (clock) => clock.getUTCDate()],
  ['getDayOfWeek', 'day_of_week', (clock) => clock.getUTCDay()],
  ['getHours', 'hours', (clock) => clock.getUTCHours()],
  ['getMinutes', 'minutes', (clock) => clock.getUTCMinutes()],
  ['getSeconds', 'seconds', (clock) => clock.getUTCSeconds()],
  ['getMilliseconds', 'milliseconds', (clock) => clock.getUTCMilliseconds()],
]

/** Durations are read as a whole, except for their milliseconds. */
const DURATION_FIELDS: Readonly<Record<string, (nanos: bigint) => bigint>> = {
  getHours: (nanos) => nanos / 3_600_000_000_000n,
  getMinutes: (nanos) => nanos / 60_000_000_000n,
  getSeconds: (nanos) => nanos / 1_000_000_000n,
  getMilliseconds: (nanos) => (nanos / 1_000_000n) % 1_000n,
}

const time = FIELDS.map(([name, id, read]) => {
  const ofTimestamp = (value: Timestamp, zone: string): bigint => BigInt(read(wallClock(value, zone)))
  const ofDuration = DURATION_FIELDS[name]
  return declare(
    name,
    member(`timestamp_to_${id}`, [TIMESTAMP], INT, (_, value: Timestamp) => ofTimestamp(value, 'UTC')),
    member(`timestamp_to_${id}_with_tz`, [TIMESTAMP, STRING], INT, (_, value: Timestamp, zone: string) =>
      ofTimestamp(value, zone),
    ),
    ...(ofDuration
      ? [member(`duration_to_${id}`, [DURATION], INT, (_, value: Duration) => ofDuration(value.nanos))]
      : []),
  )
})

/** Names that stand for types: `type(x) == string`. */
export const TYPE_NAMES: ReadonlyMap<string, Type> = new Map([
  ['bool', BOOL],
  ['bytes', BYTES],
  ['double', DOUBLE],
  ['int', INT],
  ['uint', UINT],
  ['string', STRING],
  ['null_type', NULL],
  ['list', listOf(DYN)],
  ['map', mapOf(DYN, DYN)],
  ['type', typeOf(DYN)],
  ['google.protobuf.Timestamp', TIMESTAMP],
  ['google.protobuf.Duration', DURATION],
])

export const STANDARD: readonly Declaration[] = [size, ...conversions, ...text, ...time]
