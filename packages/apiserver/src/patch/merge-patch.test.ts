import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { deepCopy, deepFreeze } from '../storage/freeze.ts'
import { applyMergePatch } from './merge-patch.ts'

const json = fc.jsonValue({ maxDepth: 3 })
const object = fc.dictionary(fc.constantFrom('a', 'b', 'c', '__proto__'), json, { noNullPrototype: true })

describe('applyMergePatch', () => {
  /** The table of RFC 7396, appendix A. */
  test.each<[target: unknown, patch: unknown, expected: unknown]>([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('%j and %j make %j', (target, patch, expected) => {
    expect(applyMergePatch(target, patch)).toEqual(expected)
  })

  test('twice is as good as once, and changes neither target nor patch', () => {
    fc.assert(
      fc.property(object, object, (given, patch) => {
        const target = deepFreeze(deepCopy(given))
        deepFreeze(patch)
        const once = applyMergePatch(target, patch)
        expect(applyMergePatch(once, patch)).toEqual(once)
        expect(target).toEqual(given)
      }),
    )
  })

  test('of the result onto the target gives the result, where nothing was removed', () => {
    fc.assert(
      fc.property(object, object, (target, patch) => {
        const result = applyMergePatch(target, patch) as Record<string, unknown>
        const back = applyMergePatch(target, result) as Record<string, unknown>
        for (const key of Object.keys(result)) if (result[key] !== null) expect(Object.hasOwn(back, key)).toBe(true)
      }),
    )
  })

  test('cannot reach a prototype', () => {
    const result = applyMergePatch({}, JSON.parse('{"__proto__":{"polluted":true}}')) as Record<string, unknown>
    expect(Object.getPrototypeOf(result)).toBe(Object.prototype)
    expect(Object.keys(result)).toEqual(['__proto__'])
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })
})
