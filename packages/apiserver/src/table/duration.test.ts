import { expect, test } from 'vitest'
import { age, humanDuration } from './duration.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

test.each<[milliseconds: number, shown: string]>([
  [-5 * SECOND, '<invalid>'],
  [-1 * SECOND, '0s'],
  [0, '0s'],
  [119 * SECOND, '119s'],
  [120 * SECOND, '2m'],
  [125 * SECOND, '2m5s'],
  [10 * MINUTE, '10m'],
  [179 * MINUTE, '179m'],
  [3 * HOUR, '3h'],
  [3 * HOUR + 5 * MINUTE, '3h5m'],
  [8 * HOUR + 5 * MINUTE, '8h'],
  [47 * HOUR, '47h'],
  [48 * HOUR, '2d'],
  [50 * HOUR, '2d2h'],
  [8 * DAY + HOUR, '8d'],
  [700 * DAY, '700d'],
  [730 * DAY, '2y'],
  [735 * DAY, '2y5d'],
  [8 * 365 * DAY + DAY, '8y'],
])('%d ms is shown as %s', (milliseconds, shown) => {
  expect(humanDuration(milliseconds)).toBe(shown)
})

test('what has no time is of unknown age', () => {
  expect(age(undefined, 0)).toBe('<unknown>')
  expect(age('1970-01-01T00:00:00Z', 5000)).toBe('5s')
})
