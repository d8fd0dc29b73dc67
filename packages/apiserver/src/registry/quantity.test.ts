import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  canonicalAmount,
  canonicalQuantity,
  compareQuantities,
  formatQuantity,
  nanoOf,
  parseQuantity,
} from './quantity.ts'

describe('canonicalQuantity', () => {
  test.each<[given: string | number, canonical: string]>([
    [1, '1'],
    [0.5, '500m'],
    ['0', '0'],
    ['0.5', '500m'],
    ['1500m', '1500m'],
    ['1000m', '1'],
    ['1000k', '1M'],
    ['1024Mi', '1Gi'],
    ['1.5Gi', '1536Mi'],
    ['0.1Gi', '107374182400m'],
    ['1000Ki', '1000Ki'],
    ['0.5Ki', '512'],
    ['1e3', '1e3'],
    ['12e6', '12e6'],
    ['1e2', '100'],
    ['-1.5Gi', '-1536Mi'],
    ['0.0000000001', '1n'],
    ['9223372036854775808Ki', '9223372036854775807'],
    // Kept as they were written: nothing in them needs conversion.
    ['+5', '+5'],
    ['1.500', '1.500'],
    ['1e+3', '1e+3'],
    [' 1 ', '1'],
    ['k', '0'],
  ])('%s becomes %s', (given, canonical) => {
    expect(canonicalQuantity(given)).toBe(canonical)
  })

  test.each([
    ['', 'must match the regular expression'],
    ['1Q', 'must match the regular expression'],
    ['1.2.3', 'must match the regular expression'],
    ['1KI', 'must match the regular expression'],
    ['1e', "unable to parse quantity's suffix"],
    // A number of that many digits would only cost memory.
    ['1e100000', "unable to parse quantity's suffix"],
    ['9'.repeat(300), 'must match the regular expression'],
  ])('%s is refused', (given, said) => {
    expect(() => canonicalQuantity(given)).toThrow(said)
  })
})

test('amounts are rounded up to thousandths', () => {
  const given = ['100u', '0.1234', '1m', '1500n', '0.5Gi', '2.0001Ki']
  expect(given.map(canonicalAmount)).toEqual(['1m', '124m', '1m', '1m', '512Mi', '2048103m'])
})

describe('any quantity', () => {
  const suffixes = ['', 'n', 'u', 'm', 'k', 'M', 'G', 'T', 'P', 'E', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'e3', 'E-2']
  const quantity = fc
    .tuple(fc.integer({ min: -100_000, max: 100_000 }), fc.integer({ min: 0, max: 999 }), fc.constantFrom(...suffixes))
    .map(([whole, fraction, suffix]) => `${whole}.${String(fraction).padStart(3, '0')}${suffix}`)

  test('means the same in its canonical form', () => {
    fc.assert(
      fc.property(quantity, (text) => {
        expect(nanoOf(canonicalQuantity(text))).toBe(nanoOf(text))
      }),
    )
  })

  test('has one canonical form', () => {
    fc.assert(
      fc.property(quantity, (text) => {
        const canonical = formatQuantity(parseQuantity(text))
        expect(formatQuantity(parseQuantity(canonical))).toBe(canonical)
        expect(canonicalQuantity(canonicalQuantity(text))).toBe(canonicalQuantity(text))
      }),
    )
  })

  test('has its place in one order', () => {
    fc.assert(
      fc.property(quantity, quantity, quantity, (a, b, c) => {
        expect(compareQuantities(a, b)).toBe(-compareQuantities(b, a) + 0)
        if (compareQuantities(a, b) <= 0 && compareQuantities(b, c) <= 0) {
          expect(compareQuantities(a, c)).toBeLessThanOrEqual(0)
        }
      }),
    )
  })

  test('becomes an amount in thousandths, rounded away from zero', () => {
    fc.assert(
      fc.property(quantity, (text) => {
        const [nano, rounded] = [nanoOf(text), nanoOf(canonicalAmount(text))]
        const beyond = nano < 0n ? nano - rounded : rounded - nano
        expect(rounded % 1_000_000n).toBe(0n)
        expect(beyond).toBeGreaterThanOrEqual(0n)
        expect(beyond).toBeLessThan(1_000_000n)
      }),
    )
  })
})
