import { expect, test } from 'vitest'
import { parseDuration, parseTimeout } from './duration.ts'

test.each([
  ['30', 30_000],
  ['250ms', 250],
  ['1h30m', 5_400_000],
  ['1.5s', 1500],
  ['0', 0],
  ['2562047h', 2_562_047 * 3_600_000],
])('%s is %s ms', (text, expected) => {
  expect(parseDuration('--timeout', text)).toBe(expected)
})

test.each(['', '5 m', '-5s', '1d', 's', '1h30', '1e3s'])('%j is no duration', (text) => {
  expect(() => parseDuration('--timeout', text)).toThrow(
    `--timeout takes a duration such as 30s, 5m or 1h30m, not ${JSON.stringify(text)}`,
  )
})

// The first is longer by a second, the second would end after the year 9999, and of the last no number tells the length.
test.each(['9223369201', '70000000h', `${'9'.repeat(400)}s`])('%s is longer than a duration can be', (text) => {
  expect(() => parseDuration('--timeout', text)).toThrow(`--timeout takes 2562047h at most, not ${text}`)
})

test('a timeout of nothing is none', () => {
  expect(() => parseTimeout('--timeout', '0s')).toThrow('leave it out for no limit')
})
