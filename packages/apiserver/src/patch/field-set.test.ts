import fc from 'fast-check'
import { expect, test } from 'vitest'
import { deepFreeze } from '../storage/freeze.ts'
import { internManagedFields } from '../storage/share.ts'
import { difference, emptySet, fromFieldsV1, setOf, toFieldsV1, union, unionOfAll } from './field-set.ts'

interface Fields {
  [element: string]: Fields
}

const element = fc.constantFrom('f:metadata', 'f:ownerReferences', 'f:a', 'f:b', 'k:{"name":"x"}', 'v:1', '.')
const fields = fc.letrec<{ fields: Fields }>((tie) => ({
  fields: fc.dictionary(element, fc.oneof({ maxDepth: 4 }, fc.constant<Fields>({}), tie('fields')), { maxKeys: 4 }),
})).fields

/** As a stored object has it. */
function stored(fieldsV1: Fields): Fields {
  const object = { apiVersion: 'v1', kind: 'K', metadata: { managedFields: [{ fieldsV1: structuredClone(fieldsV1) }] } }
  internManagedFields(object, deepFreeze)
  return deepFreeze(object).metadata.managedFields[0]?.fieldsV1 as Fields
}

test('shared parts are read and written as any other', () => {
  fc.assert(
    fc.property(fields, fields, (a, b) => {
      const [left, right] = [fromFieldsV1(stored(a)), fromFieldsV1(stored(b))]
      const [plainLeft, plainRight] = [fromFieldsV1(a), fromFieldsV1(b)]
      const text = JSON.stringify
      expect(left).toEqual(plainLeft)
      expect(text(toFieldsV1(left))).toBe(text(toFieldsV1(plainLeft)))
      expect(text(toFieldsV1(union(left, right)))).toBe(text(toFieldsV1(union(plainLeft, plainRight))))
      expect(text(toFieldsV1(difference(left, right)))).toBe(text(toFieldsV1(difference(plainLeft, plainRight))))
      // Nothing of what was done has changed what is shared.
      expect(fromFieldsV1(stored(a))).toEqual(plainLeft)
    }),
    { numRuns: 1_000 },
  )
})

test('what is in any of several sets is what joining one after the other gives', () => {
  fc.assert(
    fc.property(fc.array(fields), (all) => {
      const sets = all.map(fromFieldsV1)
      expect(unionOfAll(sets)).toEqual(sets.reduce(union, emptySet()))
      // None of them has changed.
      expect(sets).toEqual(all.map(fromFieldsV1))
    }),
  )
})

test('each of many sets is looked at once', () => {
  const count = 40_000
  const sets = Array.from({ length: count }, (_, index) => setOf(['f:data', `f:${index}`]))
  // One after the other would copy 800 million places.
  expect(unionOfAll(sets).children.get('f:data')?.children.size).toBe(count)
})
