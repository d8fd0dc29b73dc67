import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createShares } from './shares.ts'

const groupOf = (who: string): string => who.split('/')[0] ?? ''

test('one holds no more than each may, and its group no more than half', () => {
  const shares = createShares({ all: 16, each: 5, groupOf })
  const took = (who: string, times: number): number =>
    Array.from({ length: times }, () => shares.take(who)).filter(Boolean).length
  expect(took('a/1', 9)).toBe(5)
  expect(took('a/2', 9)).toBe(3)
  expect(took('a/3', 9)).toBe(0)
  expect(took('b/1', 9)).toBe(4)
})

test('whatever groups take and give back, there is some for one that holds none, and those that want all come to the same', () => {
  const step = fc.record({ group: fc.constantFrom('a', 'b', 'c'), member: fc.nat(9), take: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { size: 'max', maxLength: 200 }), (steps) => {
      const shares = createShares({ all: 64, each: 64, groupOf })
      const held = new Map<string, (() => void)[]>([
        ['a', []],
        ['b', []],
        ['c', []],
      ])
      for (const { group, member, take } of steps) {
        const own = held.get(group) ?? []
        if (take) own.push(...[shares.take(`${group}/${member}`)].filter((each) => each !== undefined))
        else own.shift()?.()
        const newcomer = shares.take('d/0')
        expect(newcomer).toBeDefined()
        newcomer?.()
      }
      // Each lets one go and takes what it gets, again and again.
      for (let round = 0; round < 64; round++) {
        for (const [group, own] of held) {
          own.shift()?.()
          for (let give = shares.take(`${group}/0`); give; give = shares.take(`${group}/0`)) own.push(give)
        }
      }
      const counts = [...held.values()].map(({ length }) => length)
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
      for (const give of [...held.values()].flat()) give()
      expect(Array.from({ length: 64 }, () => shares.take('e/0')).filter(Boolean)).toHaveLength(32)
    }),
  )
})
