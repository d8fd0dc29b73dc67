import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { EXIT_CODES } from '../cli-error.ts'
import { stopSignal } from './stop-signal.ts'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const before = new Map(SIGNALS.map((name) => [name, process.listeners(name)]))

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
  for (const name of SIGNALS)
    for (const listener of process.listeners(name))
      if (!before.get(name)?.includes(listener)) process.off(name, listener)
})

test.each([
  ['30 s', 30_000],
  ['600 h, which no timer counts', 600 * 3_600_000],
])('ends a command after %s, with the exit code of one that took too long', (_said, ms) => {
  const stop = stopSignal(ms)
  vi.advanceTimersByTime(ms - 1)
  expect(stop.signal.aborted).toBe(false)
  vi.advanceTimersByTime(1)
  expect(stop.signal.aborted).toBe(true)
  expect(stop.exitCode()).toBe(EXIT_CODES['timed-out'])
})
