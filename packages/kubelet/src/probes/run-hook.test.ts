import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createHostProcesses } from '../testing/host-processes.ts'
import { runHook } from './run-hook.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function sleepFor(seconds: number, signal: AbortSignal): Promise<void> {
  const container = { name: 'main', image: 'busybox' }
  const target = { runtime: createHostProcesses(), container, containerId: 'c', sandboxId: 's', podIp: undefined }
  return runHook(target, { sleep: { seconds } }, { pod: 'one', signal })
}

test.each([5, 3_000_000])('a hook sleeps %s seconds', async (seconds) => {
  const slept = vi.fn()
  void sleepFor(seconds, new AbortController().signal).then(slept)
  await vi.advanceTimersByTimeAsync(seconds * 1000 - 1)
  expect(slept).not.toHaveBeenCalled()
  await vi.advanceTimersByTimeAsync(1)
  expect(slept).toHaveBeenCalledOnce()
})

test('a hook that sleeps is ended with its grace, and leaves no timer', async () => {
  const over = new AbortController()
  const slept = sleepFor(3_000_000, over.signal)
  over.abort(new Error('the grace is over'))
  await expect(slept).rejects.toThrow('the grace is over')
  expect(vi.getTimerCount()).toBe(0)
})
