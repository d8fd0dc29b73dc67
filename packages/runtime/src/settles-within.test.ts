import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { settlesWithin } from './settles-within.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test.each([0, 300, 2 ** 31 - 1, 2 ** 31, 2 ** 33])('waits for %s ms, and no longer', async (ms) => {
  const settled = vi.fn()
  void settlesWithin(new Promise(() => {}), ms).then(settled)
  if (ms > 0) await vi.advanceTimersByTimeAsync(ms - 1)
  expect(settled.mock.calls).toEqual([])
  await vi.advanceTimersByTimeAsync(1)
  expect(settled.mock.calls).toEqual([[false]])
  expect(vi.getTimerCount()).toBe(0)
})

test('leaves no timer where the promise comes first, or fails', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const first = settlesWithin(promise, 2 ** 33)
  await vi.advanceTimersByTimeAsync(2 ** 32)
  resolve()
  expect(await first).toBe(true)
  await expect(settlesWithin(Promise.reject(new Error('no')), 2 ** 33)).rejects.toThrow('no')
  expect(vi.getTimerCount()).toBe(0)
})
