import { describe, expect, test } from 'vitest'
import { hasCome } from './restart-back-off.ts'

const NOW = Date.UTC(2026, 0, 1)
const minute = 60_000

describe('a moment up to which something waits', () => {
  test.each([
    ['has come when it is there', 0, true],
    ['has come when it is over', -1, true],
    ['has not come before', 1, false],
    ['has not come before the longest of waits is over', 5 * minute, false],
    ['has come where it lies further ahead than anything waits: the clock was set back', 11 * minute, true],
  ])('%s', (_name, ahead, expected) => {
    expect(hasCome(NOW + ahead, NOW)).toBe(expected)
  })
})
