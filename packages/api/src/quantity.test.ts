import { expect, test } from 'vitest'
import { parseQuantity } from './quantity.ts'

test.each<[text: string, value: number | undefined]>([
  ['1', 1],
  ['100m', 0.1],
  ['1.5Gi', 1.5 * 2 ** 30],
  ['.5', 0.5],
  ['2e3', 2000],
  ['1E', 1e18],
  ['-1k', -1000],
  ['1Ki', 1024],
  ['', undefined],
  ['1Zi', undefined],
  ['Gi', undefined],
  ['1 Gi', undefined],
  ['0x10', undefined],
])('the quantity %j', (text, value) => {
  if (value === undefined) expect(parseQuantity(text)).toBeUndefined()
  else expect(parseQuantity(text)).toBeCloseTo(value, 6)
})
