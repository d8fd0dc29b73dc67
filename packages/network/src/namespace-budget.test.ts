import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { createNamespaceBudget } from './namespace-budget.ts'

const BUDGET = 20
const step = fc.record({
  key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
  made: fc.option(fc.record({ age: fc.constantFrom('1', '2', '3'), costs: fc.tuple(fc.nat(12), fc.nat(6)) }), {
    nil: undefined,
  }),
})

test('whatever comes, goes and grows, each has what the older ones leave it, and is told of it when that changes', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40, size: 'max' }), (steps) => {
      const budget = createNamespaceBudget(BUDGET)
      const there = new Map<string, { age: string; costs: readonly number[] }>()
      let levels = new Map<string, number>()
      for (const { key, made } of steps) {
        if (made) there.set(key, made)
        else there.delete(key)
        const told = made ? budget.set(key, { namespace: 'one', ...made }) : budget.remove(key)
        const before = levels
        levels = new Map()
        const expected = new Map<string, { level: number; spent: number }>()
        let spent = 0
        for (const [each, { age, costs }] of [...there].sort(([a, one], [b, other]) =>
          `${one.age} ${a}` < `${other.age} ${b}` ? -1 : 1,
        )) {
          const found = costs.findIndex((cost) => spent + cost <= BUDGET)
          const level = found < 0 ? costs.length : found
          levels.set(each, level)
          if ((each === key && made?.age === age) || before.get(each) !== level) expected.set(each, { level, spent })
          spent += costs[level] ?? 0
        }
        expect(told).toEqual(expected)
      }
    }),
    { numRuns: 500 },
  )
})
