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
  let over: boolean | undefined
  const waits = arrivals.paused(signal).then((waited) => {
    over = waited
  })
  await vi.advanceTimersByTimeAsync(50)
  arrivals.note()
  await vi.advanceTimersByTimeAsync(99)
  expect(over).toBe(undefined)
  await vi.advanceTimersByTimeAsync(1)
  await waits
  expect(over).toBe(true)
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
