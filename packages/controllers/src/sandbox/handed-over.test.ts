import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { createHandedOver } from './handed-over.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

function started() {
  const claims = Promise.withResolvers<void>()
  const seen: string[] = []
  const handedOver = createHandedOver({ claimsSettled: () => claims.promise, enqueue: (key) => void seen.push(key) })
  onTestFinished(() => handedOver[Symbol.asyncDispose]())
  return { claims, seen, handedOver }
}

test('while claims go on without end each Sandbox waits for half a second of its own', async () => {
  const { seen, handedOver } = started()
  handedOver.add('a')
  await vi.advanceTimersByTimeAsync(300)
  handedOver.add('b')
  handedOver.add('a')
  await vi.advanceTimersByTimeAsync(199)
  expect(seen).toEqual([])
  await vi.advanceTimersByTimeAsync(1)
  expect(seen).toEqual(['a'])
  await vi.advanceTimersByTimeAsync(300)
  await handedOver.settled()
  expect(seen).toEqual(['a', 'b'])
})

test('when no claim waits any more all of them are looked at', async () => {
  const { claims, seen, handedOver } = started()
  handedOver.add('a')
  handedOver.add('b')
  claims.resolve()
  await handedOver.settled()
  expect(seen).toEqual(['a', 'b'])
})

test('a timer that is early by a part of a millisecond leaves nobody waiting', async () => {
  const { seen, handedOver } = started()
  const now = vi.spyOn(performance, 'now').mockReturnValue(0.9)
  handedOver.add('a')
  now.mockReturnValue(500.1)
  await vi.advanceTimersByTimeAsync(500)
  await handedOver.settled()
  expect(seen).toEqual(['a'])
  now.mockRestore()
})
