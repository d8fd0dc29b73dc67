import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { limitRequests } from './limit-requests.ts'
import type { ApiRequest, Transport } from './transport.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

const LIST: ApiRequest = { method: 'GET', path: '/api/v1/pods' }

/** Notes when each request came through. */
function recorder(): { transport: Transport; times: number[] } {
  const times: number[] = []
  const began = performance.now()
  const none = () => {
    throw new Error('nobody asks for this')
  }
  const transport: Transport = {
    async request() {
      times.push(Math.round(performance.now() - began))
      return { status: 200, body: {}, warnings: [] }
    },
    watch: none,
    stream: none,
    async [Symbol.asyncDispose]() {},
  }
  return { transport, times }
}

test('lets a burst through, then as many a second as are allowed, and saves up in a pause', async () => {
  const { transport, times } = recorder()
  const limited = limitRequests(transport, { qps: 10, burst: 3 })
  for (let i = 0; i < 5; i++) void limited.request(LIST)
  await vi.advanceTimersByTimeAsync(10_000)
  for (let i = 0; i < 5; i++) void limited.request(LIST)
  await vi.advanceTimersByTimeAsync(1000)
  expect(times).toEqual([0, 0, 0, 100, 200, 10_000, 10_000, 10_000, 10_100, 10_200])
})

test('a request that is given up while it waits is not sent', async () => {
  const { transport, times } = recorder()
  const limited = limitRequests(transport, { qps: 1, burst: 1 })
  await limited.request(LIST)
  const abort = new AbortController()
  const waiting = limited.request({ ...LIST, signal: abort.signal })
  abort.abort(new Error('given up'))
  await expect(waiting).rejects.toThrow('given up')
  await vi.advanceTimersByTimeAsync(5000)
  expect(times).toEqual([0])
})
