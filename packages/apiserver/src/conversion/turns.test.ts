import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createTurns, NoTurn } from './turns.ts'

test('never more at once than are allowed, and each in the order in which it came', async () => {
  const scenario = fc.record({ atOnce: fc.integer({ min: 1, max: 4 }), tasks: fc.array(fc.nat(3), { maxLength: 20 }) })
  await fc.assert(
    fc.asyncProperty(scenario, async ({ atOnce, tasks }) => {
      const turns = createTurns({ atOnce, mostWaiting: 100, longestWaitMs: 60_000 })
      const begun: number[] = []
      let running = 0
      let most = 0
      const run = async (index: number, ticks: number): Promise<void> => {
        begun.push(index)
        most = Math.max(most, ++running)
        for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
        running--
      }
      await Promise.all(tasks.map((ticks, index) => turns(() => run(index, ticks))))
      expect(begun).toEqual(tasks.map((_, index) => index))
      expect(most).toBeLessThanOrEqual(atOnce)
    }),
  )
})

test('who comes when enough are waiting, or waits too long, gets none', async () => {
  const turns = createTurns({ atOnce: 1, mostWaiting: 1, longestWaitMs: 5 })
  const { promise, resolve } = Promise.withResolvers<string>()
  const first = turns(() => promise)
  const second = turns(async () => 'second')
  await expect(turns(async () => 'third')).rejects.toEqual(new NoTurn('full'))
  await expect(second).rejects.toEqual(new NoTurn('late'))
  resolve('first')
  expect(await first).toBe('first')
  expect(await turns(async () => 'fourth')).toBe('fourth')
})
