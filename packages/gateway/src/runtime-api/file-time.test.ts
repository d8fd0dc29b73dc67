import { expect, test } from 'vitest'
import { fileTime } from './file-time.ts'

test.each([
  [0, '1970-01-01T00:00:00.000Z'],
  [-1, '1969-12-31T23:59:59.000Z'],
  [253_402_300_800, '9999-12-31T23:59:59.000Z'],
  [2 ** 63, '9999-12-31T23:59:59.000Z'],
  [-(2 ** 63), '0001-01-01T00:00:00.000Z'],
])('%d can be written', (seconds, expected) => {
  expect(new Date(fileTime(seconds) * 1000).toISOString()).toBe(expected)
})
