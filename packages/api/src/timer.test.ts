import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { LONGEST_TIMER, startTimer } from './timer.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test.each([0, 1, LONGEST_TIMER, LONGEST_TIMER + 1, 3 * LONGEST_TIMER + 7])('after %s ms, once', (ms) => {
  const due: number[] = []
  const begun = performance.now()
  startTimer(ms, () => due.push(performance.now() - begun))
  vi.advanceTimersByTime(5 * LONGEST_TIMER)
  expect(due).toEqual([ms])
})

test('Node is never asked for more than it takes', () => {
  const set = vi.spyOn(globalThis, 'setTimeout')
  using _ = startTimer(Number.POSITIVE_INFINITY, () => {})
  vi.advanceTimersByTime(3 * LONGEST_TIMER)
  expect(set.mock.calls.map(([, ms]) => ms)).toEqual(Array(4).fill(LONGEST_TIMER))
})

test('not at all where it was called off, in its second piece too', () => {
  const due = vi.fn()
  const timer = startTimer(2 * LONGEST_TIMER, due)
  vi.advanceTimersByTime(LONGEST_TIMER + 1)
  timer[Symbol.dispose]()
  vi.advanceTimersByTime(2 * LONGEST_TIMER)
  expect({ calls: due.mock.calls, timers: vi.getTimerCount() }).toEqual({ calls: [], timers: 0 })
})
