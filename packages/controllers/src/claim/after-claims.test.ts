import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { createAfterClaims } from './after-claims.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

function started() {
  const claims = Promise.withResolvers<void>()
  const seen: string[] = []
  const afterClaims = createAfterClaims<string>({
    settled: () => claims.promise,
    longest: 500,
    pass: (key) => void seen.push(key),
  })
  onTestFinished(() => afterClaims[Symbol.asyncDispose]())
  return { claims, seen, afterClaims }
}

test('while claims go on without end each Sandbox waits for half a second of its own', async () => {
  const { seen, afterClaims } = started()
  afterClaims.add('a')
  await vi.advanceTimersByTimeAsync(300)
  afterClaims.add('b')
  afterClaims.add('a')
  await vi.advanceTimersByTimeAsync(199)
  expect(seen).toEqual([])
  await vi.advanceTimersByTimeAsync(1)
  expect(seen).toEqual(['a'])
  await vi.advanceTimersByTimeAsync(300)
  await afterClaims.settled()
  expect(seen).toEqual(['a', 'b'])
})

test('when no claim waits any more all of them are looked at', async () => {
  const { claims, seen, afterClaims } = started()
  afterClaims.add('a')
  afterClaims.add('b')
  claims.resolve()
  await afterClaims.settled()
  expect(seen).toEqual(['a', 'b'])
})

test('of more than a thousand the first ones do not wait', async () => {
  const { seen, afterClaims } = started()
  const items = Array.from({ length: 1002 }, (_, index) => `${index}`)
  for (const item of items) afterClaims.add(item)
  expect(seen).toEqual(['0', '1'])
})

test('a timer that is early by a part of a millisecond leaves nobody waiting', async () => {
  const { seen, afterClaims } = started()
  const now = vi.spyOn(performance, 'now').mockReturnValue(0.9)
  afterClaims.add('a')
  now.mockReturnValue(500.1)
  await vi.advanceTimersByTimeAsync(500)
  await afterClaims.settled()
  expect(seen).toEqual(['a'])
})

test('what waits when it ends is passed on at once', async () => {
  const { seen, afterClaims } = started()
  afterClaims.add('a')
  await afterClaims[Symbol.asyncDispose]()
  expect(seen).toEqual(['a'])
})

test('waits that are over leave nothing behind at what ends them all', async () => {
  let stopped: AbortSignal | undefined
  await using afterClaims = createAfterClaims<string>({
    async settled(signal) {
      stopped = signal
    },
    longest: 500,
    pass: () => {},
  })
  for (const item of ['a', 'b', 'c']) {
    afterClaims.add(item)
    await afterClaims.settled()
  }
  expect(stopped && getEventListeners(stopped, 'abort')).toEqual([])
})

test('what came due while the one before it was passed on is not waited for', async () => {
  const { seen, afterClaims } = started()
  const timers = vi.spyOn(globalThis, 'setTimeout')
  const now = vi.spyOn(performance, 'now')
  now.mockReturnValue(0)
  afterClaims.add('a')
  now.mockReturnValue(0.1)
  afterClaims.add('b')
  now.mockReturnValueOnce(500.05).mockReturnValue(500.2)
  await vi.advanceTimersByTimeAsync(501)
  await afterClaims.settled()
  expect(seen).toEqual(['a', 'b'])
  expect(timers.mock.calls.map(([, ms]) => ms)).toEqual([500, 0])
})
