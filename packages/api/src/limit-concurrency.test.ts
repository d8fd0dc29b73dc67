import fc from 'fast-check'
import { expect, test } from 'vitest'
import { limitConcurrency, TooManyWaiting } from './limit-concurrency.ts'

test('as many at once as are allowed, and each in the order in which it came, also when some fail', async () => {
  const operation = fc.record({ ticks: fc.integer({ min: 1, max: 4 }), fails: fc.boolean() })
  const batches = fc.array(fc.array(operation, { maxLength: 10 }), { maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), batches, async (limit, batches) => {
      const limited = limitConcurrency(limit)
      for (const batch of batches) {
        const begun: number[] = []
        let running = 0
        let most = 0
        const run = async (index: number, { ticks, fails }: (typeof batch)[number]): Promise<number> => {
          begun.push(index)
          most = Math.max(most, ++running)
          for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
          running--
          if (fails) throw index
          return index
        }
        const settled = await Promise.allSettled(batch.map((each, index) => limited(() => run(index, each))))
        expect(begun).toEqual(batch.map((_, index) => index))
        expect(most).toBe(Math.min(limit, batch.length))
        expect(settled).toEqual(
          batch.map(({ fails }, index) =>
            fails ? { status: 'rejected', reason: index } : { status: 'fulfilled', value: index },
          ),
        )
      }
    }),
  )
})

test('who comes when enough are waiting, or is told to go while it waits, is not begun', async () => {
  const limited = limitConcurrency(1, 1)
  const { promise, resolve } = Promise.withResolvers<string>()
  const first = limited(() => promise)
  const leaving = new AbortController()
  const second = limited(async () => 'second', leaving.signal)
  await expect(limited(async () => 'third')).rejects.toThrow(TooManyWaiting)
  leaving.abort(new Error('too late'))
  await expect(second).rejects.toThrow('too late')
  const fourth = limited(async () => 'fourth')
  resolve('first')
  expect(await Promise.all([first, fourth])).toEqual(['first', 'fourth'])
  await expect(limited(async () => 'fifth', leaving.signal)).rejects.toThrow('too late')
  expect(await limited(async () => 'sixth')).toBe('sixth')
})
