import fc from 'fast-check'
import { expect, test } from 'vitest'
import { applyMergePatch } from '../patch/merge-patch.ts'
import { ABSENT } from './absent.ts'
import { rememberAccepted } from './accepted.ts'
import type { Schema } from './schema.ts'
import { validate } from './validate.ts'

const small: Schema = { type: 'integer', maximum: 3 }
const schema: Schema = {
  type: 'object',
  properties: {
    number: small,
    text: { type: 'string', maxLength: 2, enum: ['', 'a', 'bb', 'ccc'] },
    named: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: {
        type: 'object',
        required: ['number'],
        properties: { name: { type: 'string' }, number: small, rest: { type: 'array', items: small } },
      },
    },
    set: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } },
    atomic: { type: 'array', maxItems: 2, items: { type: 'object', properties: { number: small } } },
    inner: {
      type: 'object',
      'x-kubernetes-preserve-unknown-fields': true,
      properties: { number: small, more: { type: 'object', additionalProperties: small } },
      'x-kubernetes-validations': [{ rule: 'self.number < 2 || oldSelf.number < 3', optionalOldSelf: false }],
    },
    embedded: {
      type: 'object',
      'x-kubernetes-embedded-resource': true,
      'x-kubernetes-preserve-unknown-fields': true,
      properties: {},
    },
    either: { oneOf: [{ required: ['a'] }, { required: ['b'] }], type: 'object', properties: { a: small, b: small } },
  },
}

const number = fc.constantFrom(0, 1, 2, 3, 4, 5, 'x')
const named = fc.record(
  { name: fc.constantFrom('a', 'b'), number, rest: fc.array(number, { maxLength: 2 }) },
  { requiredKeys: [] },
)
const embedded = fc.record(
  {
    apiVersion: fc.constantFrom('v1', ''),
    kind: fc.constantFrom('Pod', '-'),
    metadata: fc.constantFrom({}, { name: 'A B' }),
  },
  { requiredKeys: [] },
)
const fields = {
  number,
  text: fc.constantFrom('', 'a', 'ccc', 'd', 1),
  named: fc.array(named, { maxLength: 3 }),
  set: fc.array(fc.constantFrom('a', 'b'), { maxLength: 3 }),
  atomic: fc.array(fc.record({ number }, { requiredKeys: [] }), { maxLength: 3 }),
  inner: fc.record(
    { number, unknown: number, more: fc.dictionary(fc.constantFrom('p', 'q'), number) },
    { requiredKeys: [] },
  ),
  embedded,
  either: fc.record({ a: number, b: number }, { requiredKeys: [] }),
}
const object = fc.record(fields)
/** Of one field, so that many are accepted. */
const patch = fc.oneof(
  ...Object.entries(fields).map(([name, field]) => fc.record({ [name]: field as fc.Arbitrary<unknown> })),
)

test('what an accepted object and the next state share gives the errors that looking at it would give', () => {
  let forgiven = 0
  fc.assert(
    fc.property(object, fc.array(patch, { minLength: 1, maxLength: 12 }), (first, patches) => {
      // It may have been stored under another schema: what is wrong with it is forgiven as long as it does not change.
      let current: object = first
      for (const change of patches) {
        const next = applyMergePatch(current, change) as object
        const errors = validate(schema, next, '', current)
        expect(errors).toEqual(validate(schema, next, '', structuredClone(current)))
        if (errors.length > 0) continue
        if (validate(schema, next, '', ABSENT).length > 0) forgiven++
        rememberAccepted(schema, next, next)
        current = next
      }
    }),
    { numRuns: 1_000 },
  )
  expect(forgiven).toBeGreaterThan(50)
})
