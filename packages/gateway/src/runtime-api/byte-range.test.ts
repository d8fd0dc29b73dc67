import fc from 'fast-check'
import { expect, test } from 'vitest'
import { byteRange } from './byte-range.ts'

test.each<[header: string, expected: unknown]>([
  ['bytes=0-0', { offset: 0, length: 1 }],
  ['bytes=2-', { offset: 2, length: 8 }],
  ['bytes=2-99', { offset: 2, length: 8 }],
  ['bytes=-3', { offset: 7, length: 3 }],
  ['bytes=-99', { offset: 0, length: 10 }],
  ['bytes=10-', 'none'],
  ['bytes=-0', 'none'],
  ['bytes=5-4', undefined],
  ['bytes=-', undefined],
  ['bytes=0-1,3-4', undefined],
  ['lines=0-1', undefined],
  ['bytes=a-b', undefined],
  ['bytes=0-9999999999999999999999', undefined],
])('%s of ten bytes', (header, expected) => {
  expect(byteRange(header, 10)).toEqual(expected)
})

test('a part is never more than there is', () => {
  const number = fc.option(fc.nat(200), { nil: '' })
  fc.assert(
    fc.property(number, number, fc.integer({ min: 1, max: 100 }), (first, last, size) => {
      const range = byteRange(`bytes=${first}-${last}`, size)
      if (typeof range !== 'object') return
      expect(range.length).toBeGreaterThan(0)
      expect(range.offset + range.length).toBeLessThanOrEqual(size)
    }),
  )
})
