import { expect, test } from 'vitest'
import { percentOf, scaledValue } from './int-or-percent.ts'

test.each([
  [3, 10, 'up', 3],
  ['25%', 10, 'up', 3],
  ['25%', 10, 'down', 2],
  ['100%', 7, 'down', 7],
  ['0%', 7, 'up', 0],
  ['7', 7, 'up', 0],
] as const)('%s of %i, rounded %s, is %i', (value, total, rounding, expected) => {
  expect(scaledValue(value, total, rounding)).toBe(expected)
})

test('only whole percentages are percentages', () => {
  expect([percentOf('40%'), percentOf('4.5%'), percentOf(40), percentOf('-1%')]).toEqual([
    40,
    undefined,
    undefined,
    undefined,
  ])
})
