import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { mergePatch, missingPaths, sameJson } from './json-difference.ts'

/** RFC 7396, as its text has it. */
function mergeInto(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const result = new Map(Object.entries(typeof target === 'object' && target && !Array.isArray(target) ? target : {}))
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) result.delete(key)
    else result.set(key, mergeInto(result.get(key), value))
  }
  return Object.fromEntries(result)
}

// Without null: a merge patch cannot set it, and no status of ours has it.
const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'constructor', 'toString'), tie('value'), { maxKeys: 3 }),
  ),
})).value
const object = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'constructor'), json, { maxKeys: 4 })

describe('mergePatch', () => {
  test('turns the one into the other, and is there only if they differ', () => {
    fc.assert(
      fc.property(object, object, (current, wanted) => {
        const patch = mergePatch(current, wanted)
        expect(patch === undefined).toBe(sameJson(current, wanted))
        if (patch) expect(sameJson(mergeInto(current, patch), wanted)).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })

  test('says only what changes', () => {
    const current = { keep: 1, drop: 2, list: [1], inner: { keep: 1, drop: 2 } }
    expect(mergePatch(current, { keep: 1, list: [2], inner: { keep: 1, add: 3 } })).toEqual({
      drop: null,
      list: [2],
      inner: { drop: null, add: 3 },
    })
  })
})

test.each([
  [{ a: 1, b: 2 }, { b: 2, a: 1 }, true],
  [{ a: undefined }, {}, true],
  [[1, 2], [2, 1], false],
  [{ a: {} }, { a: [] }, false],
  [{ constructor: 1 }, {}, false],
  [null, {}, false],
])('%j and %j are the same: %s', (a, b, same) => {
  expect([sameJson(a, b), sameJson(b, a)]).toEqual([same, same])
})

test('missingPaths says what an answer has no place for', () => {
  const asked = { spec: { mode: 'x', gone: null }, status: { replicas: 1, inner: { a: 1, b: 2 }, list: [1] } }
  const answer = { spec: { mode: 'y' }, status: { inner: { a: 1 }, list: [] } }
  expect(missingPaths(asked, answer)).toEqual(['status.replicas', 'status.inner.b'])
})
