import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sameSpec } from './same-spec.ts'

test.each<[a: unknown, b: unknown, same: boolean]>([
  [{ a: 1, b: 2 }, { b: 2, a: 1 }, true],
  [{ args: [] }, {}, true],
  [{ args: null }, {}, true],
  [{ emptyDir: {} }, {}, false],
  [{ args: ['a', 'b'] }, { args: ['b', 'a'] }, false],
  [{ resources: { limits: { cpu: '1000m' } } }, { resources: { limits: { cpu: 1 } } }, true],
  [{ resources: { limits: { cpu: '1000m' } } }, { resources: { limits: { cpu: '1' } } }, true],
  [{ resources: { limits: { cpu: '1' } } }, { resources: { limits: { cpu: '2' } } }, false],
  [{ emptyDir: { sizeLimit: '1Gi' } }, { emptyDir: { sizeLimit: '1024Mi' } }, true],
  [{ env: [{ name: 'A', value: '1000m' }] }, { env: [{ name: 'A', value: '1' }] }, false],
  [{ list: { 0: 'a' } }, { list: ['a'] }, false],
  [{}, [], false],
])('%j and %j', (a, b, same) => {
  expect(sameSpec(a, b)).toBe(same)
  expect(sameSpec(b, a)).toBe(same)
})

test('a copy means the same, and one more field something else', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(sameSpec({ value }, structuredClone({ value }))).toBe(true)
      expect(sameSpec({ value }, { value, more: 1 })).toBe(false)
    }),
  )
})
