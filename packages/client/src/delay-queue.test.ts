import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createDelayQueue } from './delay-queue.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

test('every key becomes due once, at the earliest time that was asked for, in order of time', () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('add' as const), key: fc.nat(20), ms: fc.nat(100) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('time' as const), ms: fc.nat(20) }) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const due: { key: number; at: number }[] = []
      const expected: { key: number; at: number }[] = []
      const wanted = new Map<number, number>()
      const queue = createDelayQueue<number>((key) => due.push({ key, at: performance.now() }))
      function advance(ms: number): void {
        const now = performance.now() + ms
        for (const [key, at] of wanted) {
          if (at > now) continue
          wanted.delete(key)
          expected.push({ key, at })
        }
        vi.advanceTimersByTime(ms)
      }
      for (const each of steps) {
        if (each.do === 'add') {
          wanted.set(each.key, Math.min(wanted.get(each.key) ?? Infinity, performance.now() + each.ms))
          queue.add(each.key, each.ms)
        } else advance(each.ms)
      }
      advance(1000)
      const byKey = (a: { key: number; at: number }, b: { key: number; at: number }) => a.at - b.at || a.key - b.key
      expect(due.toSorted(byKey)).toEqual(expected.toSorted(byKey))
      expect(due.map((each) => each.at)).toEqual(due.map((each) => each.at).toSorted((a, b) => a - b))
      expect(vi.getTimerCount()).toBe(0)
    }),
  )
})

test('a key that is moved forward again and again becomes due once, and leaves no timer', () => {
  const due: string[] = []
  const queue = createDelayQueue<string>((key) => due.push(key))
  for (let ms = 100_000; ms > 0; ms--) queue.add('a', ms)
  vi.advanceTimersByTime(1)
  expect({ due, timers: vi.getTimerCount() }).toEqual({ due: ['a'], timers: 0 })
})
