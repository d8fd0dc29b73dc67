import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { followArrivals } from './arrivals.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

const { signal } = new AbortController()

test('without claims nothing is waited for', async () => {
  expect(await followArrivals().paused(signal)).toBe(false)
})

test('claims have paused a moment after the last one, whoever waits since when', async () => {
  const arrivals = followArrivals()
  arrivals.note()
  const over = vi.fn()
  void arrivals.paused(signal).then(over)
  await vi.advanceTimersByTimeAsync(50)
  arrivals.note()
  await vi.advanceTimersByTimeAsync(99)
  expect(over).not.toHaveBeenCalled()
  await vi.advanceTimersByTimeAsync(1)
  expect(over.mock.calls).toEqual([[true]])
  expect(await arrivals.paused(signal)).toBe(false)
})

test('who stops need not wait', async () => {
  const stop = new AbortController()
  const arrivals = followArrivals()
  arrivals.note()
  const waits = arrivals.paused(stop.signal)
  stop.abort(new Error('stopped'))
  await expect(waits).rejects.toThrow('stopped')
})
