import fc from 'fast-check'
import { expect, test } from 'vitest'
import { limitShares } from './limit-shares.ts'

test('as many at once as are allowed, of one share too, in order within it, and nobody waits while there is room', async () => {
  const operation = fc.record({ share: fc.constantFrom('a', 'b', 'c'), ticks: fc.integer({ min: 1, max: 4 }) })
  const limits = fc.record({ all: fc.integer({ min: 1, max: 4 }), each: fc.integer({ min: 1, max: 3 }) })
  await fc.assert(
    fc.asyncProperty(limits, fc.array(operation, { maxLength: 12 }), async (limits, operations) => {
      const shared = limitShares(limits)
      const running = new Map<string, number>()
      const begun = new Map<string, number[]>()
      const inAll = (): number => [...running.values()].reduce((sum, count) => sum + count, 0)
      let most = 0
      const settled = await Promise.allSettled(
        operations.map(({ share, ticks }, index) =>
          shared(share, async () => {
            running.set(share, (running.get(share) ?? 0) + 1)
            begun.set(share, [...(begun.get(share) ?? []), index])
            most = Math.max(most, inAll())
            expect(running.get(share)).toBeLessThanOrEqual(limits.each)
            for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
            running.set(share, (running.get(share) ?? 0) - 1)
            if (ticks === 4) throw index
            return index
          }),
        ),
      )
      for (const indexes of begun.values()) expect(indexes).toEqual([...indexes].sort((a, b) => a - b))
      expect(settled.map((each) => (each.status === 'fulfilled' ? each.value : each.reason))).toEqual(
        operations.map((_, index) => index),
      )
      const counts = Map.groupBy(operations, ({ share }) => share)
      const wanted = [...counts.values()].reduce((sum, { length }) => sum + Math.min(length, limits.each), 0)
      expect(most).toBe(Math.min(limits.all, wanted))
    }),
  )
})

test('a share that comes after a long queue of another waits for what runs, and not for the queue', async () => {
  const shared = limitShares({ all: 2, each: 2 })
  const begun: string[] = []
  const ends: Array<() => void> = []
  const run = (share: string, name: string): Promise<void> =>
    shared(share, () => {
      begun.push(name)
      const { promise, resolve } = Promise.withResolvers<void>()
      ends.push(resolve)
      return promise
    })
  const all = [1, 2, 3, 4].map((number) => run('greedy', `greedy ${number}`))
  all.push(run('other', 'other 1'), run('other', 'other 2'))
  for (let end = 0; end < 6; end++) {
    await expect.poll(() => ends.length).toBeGreaterThan(end)
    ends[end]?.()
  }
  await Promise.all(all)
  expect(begun).toEqual(['greedy 1', 'greedy 2', 'other 1', 'greedy 3', 'other 2', 'greedy 4'])
})

test('who is told to go while it waits is not begun, and whoever comes after it is', async () => {
  const shared = limitShares({ all: 1, each: 1 })
  const { promise, resolve } = Promise.withResolvers<string>()
  const first = shared('a', () => promise)
  const leaving = new AbortController()
  const second = shared('a', async () => 'second', leaving.signal)
  const third = shared('a', async () => 'third')
  leaving.abort(new Error('too late'))
  await expect(second).rejects.toThrow('too late')
  resolve('first')
  expect(await Promise.all([first, third])).toEqual(['first', 'third'])
  await expect(shared('b', async () => 'fourth', leaving.signal)).rejects.toThrow('too late')
})
