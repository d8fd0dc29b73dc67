import { describe, expect, test } from 'vitest'
import { CronScheduleError, parseCronSchedule } from './cron-schedule.ts'

function next(schedule: string, after: string, zone?: string): string | undefined {
  const found = parseCronSchedule(schedule, zone).next(Date.parse(after))
  return found === undefined ? undefined : new Date(found).toISOString().replace('.000', '')
}

describe('the next moment of a schedule', () => {
  test.each([
    ['* * * * *', '2026-01-01T00:00:00Z', '2026-01-01T00:01:00Z'],
    ['* * * * *', '2026-01-01T00:00:59Z', '2026-01-01T00:01:00Z'],
    ['*/15 * * * *', '2026-01-01T00:31:00Z', '2026-01-01T00:45:00Z'],
    ['5-20/5 * * * *', '2026-01-01T00:20:00Z', '2026-01-01T01:05:00Z'],
    ['30/10 8 * * *', '2026-01-01T08:40:00Z', '2026-01-01T08:50:00Z'],
    ['0 0 29 2 *', '2026-01-01T00:00:00Z', '2028-02-29T00:00:00Z'],
    ['0 0 31 2 *', '2026-01-01T00:00:00Z', undefined],
    // A day of the month or a weekday, whichever comes first; with a star only the other one counts.
    ['0 0 13 * fri', '2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'],
    ['0 0 * * mon', '2026-01-01T00:00:00Z', '2026-01-05T00:00:00Z'],
    ['0 0 ? JAN-MAR sun', '2026-03-30T00:00:00Z', '2027-01-03T00:00:00Z'],
    ['@weekly', '2026-01-01T00:00:00Z', '2026-01-04T00:00:00Z'],
    ['@yearly', '2026-01-01T00:00:00Z', '2027-01-01T00:00:00Z'],
    ['@every 1h30m', '2026-01-01T00:00:10Z', '2026-01-01T01:30:10Z'],
    ['@every 1ms', '2026-01-01T00:00:10Z', '2026-01-01T00:00:11Z'],
    ['TZ=Asia/Tokyo 0 9 * * *', '2026-01-01T00:30:00Z', '2026-01-02T00:00:00Z'],
  ])('%s after %s is %s', (schedule, after, expected) => {
    expect(next(schedule, after)).toBe(expected)
  })

  test.each([
    ['0 9 * * *', 'America/New_York', '2026-07-01T00:00:00Z', '2026-07-01T13:00:00Z'],
    ['0 9 * * *', 'America/New_York', '2026-12-01T00:00:00Z', '2026-12-01T14:00:00Z'],
    ['0 9 * * *', 'Asia/Kolkata', '2026-07-01T00:00:00Z', '2026-07-01T03:30:00Z'],
    // 2:30 does not come on the night when clocks go forward, and comes twice when they go back.
    ['30 2 * * *', 'America/New_York', '2026-03-08T06:00:00Z', '2026-03-09T06:30:00Z'],
    ['30 1 * * *', 'America/New_York', '2026-11-01T04:00:00Z', '2026-11-01T05:30:00Z'],
    ['30 1 * * *', 'America/New_York', '2026-11-01T05:30:00Z', '2026-11-01T06:30:00Z'],
    // Midnight itself does not exist there on that day.
    // Samoa went from the 29th to the 31st.
    ['0 0 * * *', 'Pacific/Apia', '2011-12-29T12:00:00Z', '2011-12-30T10:00:00Z'],
    ['0 12 6 9 *', 'America/Santiago', '2026-09-05T20:00:00Z', '2026-09-06T15:00:00Z'],
  ])('%s in %s after %s is %s', (schedule, zone, after, expected) => {
    expect(next(schedule, after, zone)).toBe(expected)
  })
})

test.each([
  ['', 'empty spec string'],
  ['* * * *', 'expected exactly 5 fields, found 4: [* * * *]'],
  ['60 * * * *', 'end of range (60) above maximum (59): 60'],
  ['* * 0 * *', 'beginning of range (0) below minimum (1): 0'],
  ['5-1 * * * *', 'beginning of range (5) beyond end of range (1): 5-1'],
  ['*/0 * * * *', 'step of range should be a positive number: */0'],
  ['1/2/3 * * * *', 'too many slashes: 1/2/3'],
  ['1-2-3 * * * *', 'too many hyphens: 1-2-3'],
  ['x * * * *', 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'],
  ['* * * * 7', 'end of range (7) above maximum (6): 7'],
  ['@never', 'unrecognized descriptor: @never'],
  ['@every x', 'failed to parse duration @every x: time: invalid duration "x"'],
  ['TZ=Nowhere * * * * *', 'provided bad location Nowhere: unknown time zone Nowhere'],
])('%j is refused: %s', (schedule, message) => {
  expect(() => parseCronSchedule(schedule)).toThrow(new CronScheduleError(message))
})
