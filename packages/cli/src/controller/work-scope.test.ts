import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isOfShard, parseWorkScope } from './work-scope.ts'

test('every namespace belongs to exactly one shard', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z0-9]{1,20}$/), fc.integer({ min: 1, max: 32 }), (name, count) => {
      const owners = Array.from({ length: count }, (_, index) => index).filter((index) =>
        isOfShard(name, { index, count }),
      )
      expect(owners).toHaveLength(1)
    }),
  )
})

test('shards have about as many namespaces each', () => {
  const counts = [0, 1, 2, 3].map(
    (index) =>
      Array.from({ length: 4000 }, (_, n) => `team-${n}`).filter((name) => isOfShard(name, { index, count: 4 })).length,
  )
  for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150)
})

test('reads what a process works on', () => {
  expect(parseWorkScope({})).toEqual({ shard: undefined })
  expect(parseWorkScope({ namespaces: 'b, a,b' })).toEqual({ shard: undefined, namespaces: ['b', 'a'] })
  const { wantsNamespace, ...rest } = parseWorkScope({ shard: '1/2' })
  expect(rest).toEqual({ shard: { index: 1, count: 2 } })
  expect(['a', 'b'].map((name) => wantsNamespace?.(name))).toEqual([false, true])
  expect(parseWorkScope({ shard: '1/2', namespaces: 'a,b' }).namespaces).toEqual(['b'])
})

test.each([
  [{ shard: '2/2' }, '--shard takes INDEX/COUNT with an index from 0 and at most 32 shards, such as 0/3, not "2/2"'],
  [{ shard: '0/33' }, '--shard takes INDEX/COUNT with an index from 0 and at most 32 shards, such as 0/3, not "0/33"'],
  [{ namespaces: 'a,B' }, '--namespaces takes names separated by commas, and "B" is none'],
  [
    { namespaces: Array.from({ length: 101 }, (_, n) => `n${n}`).join() },
    '--namespaces takes at most 100, since each has watches of its own, not 101: leave it out and use --shard',
  ],
])('refuses %j', (flags, message) => {
  expect(() => parseWorkScope(flags)).toThrow(expect.objectContaining({ message, code: 'usage' }))
})
