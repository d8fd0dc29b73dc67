/**
 * Cron schedules as Kubernetes takes them: five fields or a descriptor, by the rules and in the words of robfig/cron,
 * which kube-apiserver and the CronJob controller use. An hour that a time zone skips or repeats is treated as there.
 */

import { GO_DURATION_UNITS } from './dialects/go-duration.ts'

export interface CronSchedule {
  /** The first moment after `after` (ms since the epoch); undefined where none comes within five years. */
  next(after: number): number | undefined
}

/** Why a text is no schedule, as robfig/cron says it. */
export class CronScheduleError extends Error {
  override readonly name = 'CronScheduleError'
  readonly code = 'BAD_SCHEDULE'
}

interface Bounds {
  min: number
  max: number
  names?: Readonly<Record<string, number>>
}

const MONTHS = 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ')
const DAYS = 'sun mon tue wed thu fri sat'.split(' ')
const MINUTE: Bounds = { min: 0, max: 59 }
const HOUR: Bounds = { min: 0, max: 23 }
const DAY: Bounds = { min: 1, max: 31 }
const MONTH: Bounds = { min: 1, max: 12, names: Object.fromEntries(MONTHS.map((name, index) => [name, index + 1])) }
const WEEKDAY: Bounds = { min: 0, max: 6, names: Object.fromEntries(DAYS.map((name, index) => [name, index])) }

interface Field {
  values: ReadonlySet<number>
  /** Written as `*` or `?`: then the other one of day and weekday decides alone. */
  star: boolean
}

const DESCRIPTORS: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
}

/**
 * @param timeZone of the IANA database; UTC where not given, and where the text itself names none
 * @throws CronScheduleError
 */
export function parseCronSchedule(text: string, timeZone = 'UTC'): CronSchedule {
  if (text === '') throw new CronScheduleError('empty spec string')
  const prefix = /^(?:CRON_)?TZ=(\S*)\s(.*)$/s.exec(text)
  if (prefix) {
    const zone = prefix[1] || 'UTC'
    if (!isTimeZone(zone)) throw new CronScheduleError(`provided bad location ${zone}: unknown time zone ${zone}`)
    return parseCronSchedule((prefix[2] as string).trim(), zone)
  }
  if (text.startsWith('@every ')) return every(parseDuration(text.slice('@every '.length)))
  if (text.startsWith('@')) {
    const fields = Object.hasOwn(DESCRIPTORS, text) ? DESCRIPTORS[text] : undefined
    if (fields === undefined) throw new CronScheduleError(`unrecognized descriptor: ${text}`)
    return parseCronSchedule(fields, timeZone)
  }
  const fields = text.split(/\s+/).filter((field) => field !== '')
  if (fields.length !== 5) {
    throw new CronScheduleError(`expected exactly 5 fields, found ${fields.length}: [${fields.join(' ')}]`)
  }
  const [minute, hour, day, month, weekday] = [MINUTE, HOUR, DAY, MONTH, WEEKDAY].map((bounds, index) =>
    parseField(fields[index] as string, bounds),
  ) as [Field, Field, Field, Field, Field]
  return { next: (after) => nextMoment({ minute, hour, day, month, weekday }, after, clockOf(timeZone)) }
}

/** Whether the runtime knows the time zone. */
export function isTimeZone(name: string): boolean {
  try {
    return Boolean(Intl.DateTimeFormat('en', { timeZone: name }))
  } catch {
    return false
  }
}

function parseField(text: string, bounds: Bounds): Field {
  const values = new Set<number>()
  let star = false
  for (const part of text.split(',').filter((each) => each !== '')) if (addRange(part, bounds, values)) star = true
  return { values, star }
}

function addRange(expression: string, bounds: Bounds, values: Set<number>): boolean {
  const [range = '', stepText, ...moreSteps] = expression.split('/')
  const [low = '', high, ...moreHyphens] = range.split('-')
  let star = low === '*' || low === '?'
  let start = bounds.min
  let end = bounds.max
  if (!star) {
    start = parseNumber(low, bounds.names)
    if (moreHyphens.length) throw new CronScheduleError(`too many hyphens: ${expression}`)
    end = high === undefined ? start : parseNumber(high, bounds.names)
  }
  let step = 1
  if (moreSteps.length) throw new CronScheduleError(`too many slashes: ${expression}`)
  if (stepText !== undefined) {
    step = parseNumber(stepText)
    // "N/step" means "N-max/step".
    if (high === undefined) end = bounds.max
    if (step > 1) star = false
  }
  if (start < bounds.min) {
    throw new CronScheduleError(`beginning of range (${start}) below minimum (${bounds.min}): ${expression}`)
  }
  if (end > bounds.max)
    throw new CronScheduleError(`end of range (${end}) above maximum (${bounds.max}): ${expression}`)
  if (start > end)
    throw new CronScheduleError(`beginning of range (${start}) beyond end of range (${end}): ${expression}`)
  if (step === 0) throw new CronScheduleError(`step of range should be a positive number: ${expression}`)
  for (let value = start; value <= end; value += step) values.add(value)
  return star
}

const INTEGER = /^[+-]?[0-9]+$/

function parseNumber(text: string, names?: Readonly<Record<string, number>>): number {
  const name = text.toLowerCase()
  if (names && Object.hasOwn(names, name)) return names[name] as number
  const parsed = Number(text)
  if (!INTEGER.test(text)) {
    const said = `strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`
    throw new CronScheduleError(`failed to parse int from ${text}: ${said}`)
  }
  if (!Number.isSafeInteger(parsed)) {
    const said = `strconv.Atoi: parsing ${JSON.stringify(text)}: value out of range`
    throw new CronScheduleError(`failed to parse int from ${text}: ${said}`)
  }
  if (parsed < 0) throw new CronScheduleError(`negative number (${parsed}) not allowed: ${text}`)
  return parsed
}

/** `time.ParseDuration`, in ms. */
function parseDuration(text: string): number {
  const bad = (said: string): CronScheduleError =>
    new CronScheduleError(`failed to parse duration @every ${text}: time: ${said} duration ${JSON.stringify(text)}`)
  const sign = /^[+-]/.exec(text)?.[0] ?? ''
  const rest = text.slice(sign.length)
  if (rest === '0') return 0
  if (rest === '') throw bad('invalid')
  let total = 0
  let left = rest
  while (left !== '') {
    const match = /^([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([^0-9.]*)/.exec(left)
    if (!match) throw bad('invalid')
    const unit = match[2] as string
    if (unit === '') throw bad('missing unit in')
    if (!Object.hasOwn(GO_DURATION_UNITS, unit)) throw bad(`unknown unit ${JSON.stringify(unit)} in`)
    total += Number(match[1]) * (GO_DURATION_UNITS[unit] as number)
    left = left.slice(match[0].length)
  }
  return sign === '-' ? -total : total
}

/** Every so often, in whole seconds, at least one. */
function every(duration: number): CronSchedule {
  const period = Math.max(1, Math.floor(duration / 1000)) * 1000
  return { next: (after) => Math.floor(after / 1000) * 1000 + period }
}

interface Fields {
  minute: Field
  hour: Field
  day: Field
  month: Field
  weekday: Field
}

/** What the wall clock of a time zone shows. */
interface WallTime {
  year: number
  month: number
  day: number
  hour: number
  minute: number
}

interface Clock {
  at(moment: number): WallTime
  /** When the clock shows that; for a time that it skips, the one that as much later shows. */
  moment(wall: WallTime): number
}

const clocks = new Map<string, Clock>()

function clockOf(timeZone: string): Clock {
  let clock = clocks.get(timeZone)
  if (!clock) {
    clock = makeClock(timeZone)
    clocks.set(timeZone, clock)
  }
  return clock
}

function makeClock(timeZone: string): Clock {
  const format = new Intl.DateTimeFormat('en-u-ca-gregory-nu-latn', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  })
  function at(moment: number): WallTime {
    const parts = new Map(format.formatToParts(moment).map(({ type, value }) => [type as string, Number(value)]))
    const [year = 0, month = 1, day = 1, hour = 0, minute = 0] = ['year', 'month', 'day', 'hour', 'minute'].map(
      (name) => parts.get(name),
    )
    return { year, month, day, hour, minute }
  }
  function asUtc({ year, month, day, hour, minute }: WallTime): number {
    return Date.UTC(year, month - 1, day, hour, minute)
  }
  function moment(wall: WallTime): number {
    // As Go's time.Date: try the offset that holds around then, and the one after it where that does not fit.
    const utc = asUtc(wall)
    const offset = (when: number): number => asUtc(at(when)) - Math.floor(when / 60_000) * 60_000
    const first = offset(utc)
    const second = offset(utc - first)
    return utc - (second === first ? first : second)
  }
  return { at, moment }
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const HORIZON_YEARS = 5

/** Field by field from the largest, each start over with the smaller ones at their beginning, as robfig/cron searches. */
function nextMoment(fields: Fields, after: number, clock: Clock): number | undefined {
  let moment = (Math.floor(after / MINUTE_MS) + 1) * MINUTE_MS
  let wall = clock.at(moment)
  const limit = wall.year + HORIZON_YEARS
  const goTo = (next: WallTime): void => {
    moment = clock.moment(next)
    wall = clock.at(moment)
    // A day that begins without its midnight begins an hour later: the hour before it is of the day before.
    while (dateOf(wall) < dateOf(next)) {
      moment += HOUR_MS
      wall = clock.at(moment)
    }
  }
  while (wall.year <= limit) {
    if (!fields.month.values.has(wall.month)) {
      const turns = wall.month === 12
      goTo({ year: wall.year + (turns ? 1 : 0), month: turns ? 1 : wall.month + 1, day: 1, hour: 0, minute: 0 })
    } else if (!dayMatches(fields, wall)) {
      goToNextDay(wall, goTo)
    } else if (!fields.hour.values.has(wall.hour)) {
      // Hours pass on the real clock: one that the zone skips does not come, one that it repeats comes twice.
      moment += MINUTE_MS * (60 - wall.minute)
      wall = clock.at(moment)
    } else if (!fields.minute.values.has(wall.minute)) {
      moment += MINUTE_MS
      wall = clock.at(moment)
    } else return moment
  }
  return undefined
}

function dateOf({ year, month, day }: WallTime): number {
  return Date.UTC(year, month - 1, day)
}

function goToNextDay(wall: WallTime, goTo: (next: WallTime) => void): void {
  const date = new Date(Date.UTC(wall.year, wall.month - 1, wall.day + 1))
  goTo({ year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate(), hour: 0, minute: 0 })
}

/** Both have to fit where one of them is a star; else one of the two is enough. */
function dayMatches({ day, weekday }: Fields, wall: WallTime): boolean {
  const fitsDay = day.values.has(wall.day)
  const fitsWeekday = weekday.values.has(new Date(dateOf(wall)).getUTCDay())
  return day.star || weekday.star ? fitsDay && fitsWeekday : fitsDay || fitsWeekday
}
