import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createShares } from './shares.ts'

test('nobody has more than a share, all together have no more than there is, and what is given back is there again', () => {
  const steps = fc.array(
    fc.tuple(fc.constantFrom('a', 'b', 'c', undefined), fc.integer({ min: 1, max: 40 }), fc.boolean()),
  )
  fc.assert(
    fc.property(steps, (asked) => {
      const shares = createShares(100, 50)
      const held = new Map<string | undefined, number[]>()
      const of = (client: string | undefined): number => (held.get(client) ?? []).reduce((sum, each) => sum + each, 0)
      const all = (): number => [...held.keys()].reduce((sum, client) => sum + of(client), 0)
      for (const [client, amount, gives] of asked) {
        const own = held.get(client) ?? []
        held.set(client, own)
        const last = gives ? own.pop() : undefined
        if (last !== undefined) shares.give(client, last)
        else {
          const fits = all() + amount <= 100 && (client === undefined || of(client) + amount <= 50)
          expect(shares.take(client, amount)).toBe(fits)
          if (fits) own.push(amount)
        }
      }
      for (const [client, own] of held) for (const each of own) shares.give(client, each)
      expect([shares.take('a', 50), shares.take('b', 50), shares.take(undefined, 1)]).toEqual([true, true, false])
    }),
  )
})
