/** Timestamps and durations of CEL: parsing and printing as Go does it. */
import { isDate } from '../format.ts'
import { Duration, EvaluationError, Timestamp } from './values.ts'
import { spend } from './work.ts'

const SECOND = 1_000_000_000n
const MAXIMUM_INT64 = 0x7fff_ffff_ffff_ffffn
const MINIMUM_INT64 = -0x8000_0000_0000_0000n
/** 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999999Z. */
const FIRST_MOMENT = -62_135_596_800n * SECOND
const LAST_MOMENT = 253_402_300_800n * SECOND - 1n

const UNITS: ReadonlyMap<string, bigint> = new Map([
  ['ns', 1n],
  ['us', 1_000n],
  ['µs', 1_000n],
  ['μs', 1_000n],
  ['ms', 1_000_000n],
  ['s', SECOND],
  ['m', 60n * SECOND],
  ['h', 3600n * SECOND],
])

/** Go's `time.ParseDuration`; undefined where it would fail. */
export function parseDuration(text: string): Duration | undefined {
  if (text.length > 1_000) return undefined
  const sign = text.startsWith('-') ? -1n : 1n
  const rest = text.replace(/^[+-]/, '')
  if (rest === '0') return new Duration(0n)
  if (!/^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.test(rest)) return undefined
  let nanos = 0n
  for (const [, whole = '', fraction = '', unit] of rest.matchAll(/(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/g)) {
    const scale = UNITS.get(unit as string) as bigint
    nanos += BigInt(whole || 0) * scale
    if (fraction) nanos += (BigInt(fraction) * scale) / 10n ** BigInt(fraction.length)
  }
  nanos *= sign
  return nanos > MAXIMUM_INT64 || nanos < MINIMUM_INT64 ? undefined : new Duration(nanos)
}

const SCALA: ReadonlyArray<readonly [names: readonly string[], nanos: bigint]> = [
  [['ns', 'nano'], 1n],
  [['us', 'µs', 'micro'], 1_000n],
  [['ms', 'milli'], 1_000_000n],
  [['s', 'sec'], SECOND],
  [['m', 'min'], 60n * SECOND],
  [['h', 'hr', 'hour'], 3600n * SECOND],
  [['d', 'day'], 86_400n * SECOND],
  [['w', 'wk', 'week'], 604_800n * SECOND],
]

/** A duration as fields of format `duration` hold it: Go's, or `2 days` as Scala writes it. */
export function parseFieldDuration(text: string): Duration | undefined {
  const parsed = parseDuration(text)
  if (parsed || text.length > 1_000) return parsed
  let nanos: bigint | undefined
  for (const [, digits, word] of text.matchAll(/(\d+)\s*([A-Za-zµ]+)/g)) {
    const unit = (word as string).toLowerCase()
    for (const [names, scale] of SCALA) {
      const matches = names.filter((name) => name === unit).length || Number(unit.startsWith(names.at(-1) as string))
      if (matches) nanos = (nanos ?? 0n) + BigInt(digits as string) * scale
    }
  }
  return nanos === undefined || nanos > MAXIMUM_INT64 ? undefined : new Duration(nanos)
}

const MINUTE = 60_000

const RFC3339 = /^(\d{4}-\d{2}-\d{2})T(\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))?(Z|([+-])(\d{2}):(\d{2}))$/

/** RFC 3339; undefined for anything else. */
export function parseTimestamp(text: string): Timestamp | undefined {
  const found = RFC3339.exec(text)
  if (!found) return undefined
  const [, date, hours, minutes, seconds, fraction = '', , sign, offsetHours = '0', offsetMinutes = '0'] = found
  if (!isDate(date as string) || Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) return undefined
  if (Number(offsetHours) > 23 || Number(offsetMinutes) > 59) return undefined
  const offset = (Number(offsetHours) * 60 + Number(offsetMinutes)) * (sign === '-' ? -1 : 1)
  const milliseconds = Date.parse(`${date}T${hours}:${minutes}:${seconds}Z`) - offset * MINUTE
  return new Timestamp(BigInt(milliseconds) * 1_000_000n + BigInt(`${fraction}000000000`.slice(0, 9)), offset)
}

export function parseDate(text: string): Timestamp | undefined {
  return isDate(text) ? parseTimestamp(`${text}T00:00:00Z`) : undefined
}

/** The moment, or an error where it is outside of the years 1 to 9999. */
export function timestampOf(nanos: bigint, offset = 0): Timestamp {
  if (nanos < FIRST_MOMENT || nanos > LAST_MOMENT) throw new EvaluationError('timestamp overflow')
  return new Timestamp(nanos, offset)
}

export function durationOf(nanos: bigint): Duration {
  if (nanos > MAXIMUM_INT64 || nanos < MINIMUM_INT64) throw new EvaluationError('duration overflow')
  return new Duration(nanos)
}

export function formatTimestamp({ nanos, offset }: Timestamp): string {
  const seconds = floorDiv(nanos, SECOND)
  const fraction = String(nanos - seconds * SECOND)
    .padStart(9, '0')
    .replace(/0+$/, '')
  const date = new Date(Number(seconds) * 1000 + offset * MINUTE).toISOString().slice(0, 19)
  return `${date}${fraction && `.${fraction}`}${formatOffset(offset)}`
}

function formatOffset(offset: number): string {
  if (offset === 0) return 'Z'
  const pad = (value: number): string => String(Math.trunc(value)).padStart(2, '0')
  const minutes = Math.abs(offset)
  return `${offset < 0 ? '-' : '+'}${pad(minutes / 60)}:${pad(minutes % 60)}`
}

/** Seconds, with as many decimals as it takes. */
export function formatDuration({ nanos }: Duration): string {
  const absolute = nanos < 0n ? -nanos : nanos
  const fraction = String(absolute % SECOND)
    .padStart(9, '0')
    .replace(/0+$/, '')
  return `${nanos < 0n ? '-' : ''}${absolute / SECOND}${fraction && `.${fraction}`}s`
}

export function floorDiv(a: bigint, b: bigint): bigint {
  const quotient = a / b
  return a % b !== 0n && a < 0n !== b < 0n ? quotient - 1n : quotient
}

/** The timestamp as a Date whose UTC fields read as the clock in `zone`: an IANA name, or `+02:00`. */
export function wallClock({ nanos }: Timestamp, zone: string): Date {
  const date = new Date(Number(floorDiv(nanos, 1_000_000n)))
  const offset = /^([+-]?)(\d{1,2}):(\d{2})$/.exec(zone)
  if (offset) {
    const minutes = Number(offset[2]) * 60 + Number(offset[3])
    return new Date(date.getTime() + (offset[1] === '-' ? -minutes : minutes) * 60_000)
  }
  if (zone === 'UTC' || zone === '' || zone === 'Z') return date
  const parts = clockIn(zone).formatToParts(date)
  const part = (type: string): number => Number(parts.find((one) => one.type === type)?.value)
  return new Date(
    Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second')) +
      (((date.getTime() % 1000) + 1000) % 1000),
  )
}

const clocks = new Map<string, Intl.DateTimeFormat>()

function clockIn(zone: string): Intl.DateTimeFormat {
  spend(25)
  const known = clocks.get(zone)
  if (known) return known
  spend(100)
  try {
    const clock = new Intl.DateTimeFormat('en-US', { ...CLOCK, timeZone: zone })
    // Few rules name a zone, and all of them the same.
    if (clocks.size >= 10) clocks.clear()
    clocks.set(zone, clock)
    return clock
  } catch {
    throw new EvaluationError(`unknown time zone ${zone}`)
  }
}

const CLOCK = {
  year: 'numeric',
  month: 'numeric',
  day: 'numeric',
  hour: 'numeric',
  minute: 'numeric',
  second: 'numeric',
  hourCycle: 'h23',
} as const
