import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatIndexes, parseIndexes } from './job-indexes.ts'

const numbers = fc.array(fc.nat(20))
const textOf = (indexes: readonly number[]): string => indexes.join(',')

test('they are the numbers that were named and added, and no other', () => {
  fc.assert(
    fc.property(numbers, numbers, fc.nat(25), (named, added, completions) => {
      const indexes = parseIndexes(textOf(named), completions)
      for (const index of added) indexes.add(index)
      const all = new Set([...named.filter((index) => index < completions), ...added])
      const range = Array.from({ length: 30 }, (_, index) => index)
      expect(indexes.size).toBe(all.size)
      expect(range.filter(indexes.has)).toEqual(range.filter((index) => all.has(index)))
      for (const index of range)
        expect(indexes.firstOut(index)).toBe([...range, 30].find((other) => other >= index && !all.has(other)))
      expect(parseIndexes(formatIndexes(indexes), 30).intervals).toEqual(indexes.intervals)
    }),
  )
})

test('those that are in two of them are counted', () => {
  fc.assert(
    fc.property(numbers, numbers, (one, other) => {
      const both = new Set(one).intersection(new Set(other)).size
      expect(parseIndexes(textOf(one), 30).countIn(parseIndexes(textOf(other), 30))).toBe(both)
    }),
  )
})

test.each([
  ['', '', 0],
  ['0-2,4', '0-2,4', 4],
  ['4,0,1', '0,1,4', 3],
  ['0-9', '0-7', 8],
  ['3-1,x', '', 0],
])('%j is %j below 8', (text, said, size) => {
  const indexes = parseIndexes(text, 8)
  expect([formatIndexes(indexes), indexes.size]).toEqual([said, size])
})

test('as many as there can be take no more room than few', () => {
  const most = 2_147_483_647
  const all = parseIndexes(`0-${most - 1}`, most)
  all.add(most)
  expect([all.size, all.firstOut(7), all.countIn(parseIndexes('5-6,9', most)), all.intervals]).toEqual([
    most + 1,
    most + 1,
    3,
    [[0, most]],
  ])
})
