import type { ValidationRule } from '@caisson/api'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { FieldError } from '../status-error.ts'
import { ABSENT } from './absent.ts'
import { applyDefaults } from './defaults.ts'
import { prune } from './prune.ts'
import { ruleBudget, validateRules } from './rules.ts'
import type { Schema } from './schema.ts'
import { validate } from './validate.ts'

function check(schema: Schema, value: unknown, current: unknown = ABSENT): string[] {
  return said(validateRules(schema, value, { path: '', current, others: [], isResource: true }))
}

function said(errors: readonly FieldError[]): string[] {
  return errors.map(({ field, message }) => `${field}: ${message}`)
}

function object(properties: Record<string, Schema>, ...rules: ValidationRule[]): Schema {
  return { type: 'object', properties, 'x-kubernetes-validations': rules }
}

const INTEGER: Schema = { type: 'integer' }
const STRING: Schema = { type: 'string' }

describe('what a rule that is not met says', () => {
  const rule = 'self.min <= self.max'
  const spec = (extra: Partial<ValidationRule>): Schema =>
    object({ spec: object({ min: INTEGER, max: INTEGER }, { rule, ...extra }) })

  it.each<[Partial<ValidationRule>, string, FieldError['type']]>([
    [{}, 'spec: Invalid value: "object": failed rule: self.min <= self.max', 'FieldValueInvalid'],
    [{ message: ' too large ' }, 'spec: Invalid value: "object": too large', 'FieldValueInvalid'],
    [
      { messageExpression: '"at most %d".format([self.max])' },
      'spec: Invalid value: "object": at most 1',
      'FieldValueInvalid',
    ],
    [{ message: 'no', messageExpression: '"a\\nb"' }, 'spec: Invalid value: "object": no', 'FieldValueInvalid'],
    [{ message: 'no', messageExpression: '"  "' }, 'spec: Invalid value: "object": no', 'FieldValueInvalid'],
    [
      { message: 'no', messageExpression: 'string(1 / (self.max - 1))' },
      'spec: Invalid value: "object": no',
      'FieldValueInvalid',
    ],
    [{ message: 'no', fieldPath: '.min' }, 'spec.min: Invalid value: "object": no', 'FieldValueInvalid'],
    [{ message: 'no', reason: 'FieldValueForbidden' }, 'spec: Forbidden: no', 'FieldValueForbidden'],
    [{ message: 'no', reason: 'FieldValueRequired' }, 'spec: Required value: no', 'FieldValueRequired'],
    [{ message: 'no', reason: 'FieldValueDuplicate' }, 'spec: Duplicate value: "object"', 'FieldValueDuplicate'],
  ])('%j', (extra, expected, type) => {
    const errors = validateRules(
      spec(extra),
      { spec: { min: 2, max: 1 } },
      { path: '', current: ABSENT, others: [], isResource: true },
    )
    expect(said(errors)).toEqual([expected])
    expect(errors[0]?.type).toBe(type)
    expect(check(spec(extra), { spec: { min: 1, max: 1 } })).toEqual([])
  })

  it('falls back from a message beyond five kilobytes', () => {
    const schema = object({ s: STRING }, { rule: 'false', message: 'no', messageExpression: 'self.s' })
    expect(check(schema, { s: 'x'.repeat(5_120) })).toEqual([`<nil>: Invalid value: "object": ${'x'.repeat(5_120)}`])
    expect(check(schema, { s: 'x'.repeat(5_121) })).toEqual(['<nil>: Invalid value: "object": no'])
  })

  it('names the place and the type of each value', () => {
    const schema = object({
      list: { type: 'array', items: { ...INTEGER, 'x-kubernetes-validations': [{ rule: 'self > 0' }] } },
      map: {
        type: 'object',
        additionalProperties: { ...STRING, 'x-kubernetes-validations': [{ rule: 'self != ""' }] },
      },
      'a.b': { 'x-kubernetes-int-or-string': true, 'x-kubernetes-validations': [{ rule: 'type(self) == int' }] },
    })
    expect(check(schema, { list: [1, 0], map: { 'x/y': '' }, 'a.b': '50%' })).toEqual([
      'list[1]: Invalid value: "integer": failed rule: self > 0',
      'map[x/y]: Invalid value: "string": failed rule: self != ""',
      'a.b: Invalid value: "": failed rule: type(self) == int',
    ])
  })

  it('tells failures of evaluation apart', () => {
    const schema = object(
      { i: INTEGER, x: { 'x-kubernetes-int-or-string': true } },
      { rule: '10 / self.i > 1' },
      { rule: 'self.x > 5', message: 'must be more than five' },
    )
    expect(check(schema, { i: 0, x: 'a' })).toEqual([
      '<nil>: Invalid value: "object": division by zero evaluating rule: 10 / self.i > 1',
      '<nil>: Invalid value: "object": \'no such overload\': call arguments did not match a supported operator, function or macro signature for rule: must be more than five',
    ])
  })
})

describe('when rules are checked', () => {
  const schema = object({ spec: object({ n: INTEGER, s: { ...STRING, maxLength: 2 } }, { rule: 'self.n > 1' }) })

  it('not on values that do not fit the schema', () => {
    expect(said(validate(schema, { spec: { n: 'x' } }))).toEqual([
      'spec.n: Invalid value: "string": spec.n in body must be of type integer: "string"',
      '<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation',
    ])
    expect(said(validate(schema, { spec: { n: 1, s: 'long' } }))).toHaveLength(2)
  })

  it('not on nulls and what is absent', () => {
    const nullable = object({ n: { ...INTEGER, nullable: true, 'x-kubernetes-validations': [{ rule: 'self > 1' }] } })
    expect(check(nullable, { n: null })).toEqual([])
    expect(check(nullable, {})).toEqual([])
  })

  it('reads type and names of resources, at the root and embedded', () => {
    const embedded: Schema = {
      type: 'object',
      'x-kubernetes-embedded-resource': true,
      'x-kubernetes-preserve-unknown-fields': true,
      'x-kubernetes-validations': [{ rule: 'self.kind == "Pod" && self.metadata.name.startsWith("a")' }],
    }
    const root = object({ template: embedded }, { rule: 'self.metadata.name == self.template.metadata.name' })
    const pod = (name: string): object => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name } })
    expect(check(root, { metadata: { name: 'a1' }, template: pod('a1') })).toEqual([])
    expect(check(root, { metadata: { name: 'a1' }, template: pod('b1') })).toHaveLength(2)
  })
})

describe('transition rules', () => {
  const immutable = { rule: 'self == oldSelf', message: 'is immutable' }

  it('compare with what is replaced, and are skipped where there is nothing', () => {
    const schema = object({ name: { ...STRING, 'x-kubernetes-validations': [immutable] } })
    expect(check(schema, { name: 'a' })).toEqual([])
    expect(check(schema, { name: 'a' }, {})).toEqual([])
    expect(check(schema, { name: 'a' }, { name: 'a' })).toEqual([])
    expect(check(schema, { name: 'b' }, { name: 'a' })).toEqual(['name: Invalid value: "string": is immutable'])
  })

  it('find the items of lists by their keys', () => {
    const schema = object({
      list: {
        type: 'array',
        items: object({ name: STRING, port: { ...INTEGER, 'x-kubernetes-validations': [immutable] } }),
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
      },
    })
    const old = {
      list: [
        { name: 'a', port: 1 },
        { name: 'b', port: 2 },
      ],
    }
    expect(
      check(
        schema,
        {
          list: [
            { name: 'b', port: 2 },
            { name: 'c', port: 9 },
            { name: 'a', port: 1 },
          ],
        },
        old,
      ),
    ).toEqual([])
    expect(check(schema, { list: [{ name: 'b', port: 3 }] }, old)).toEqual([
      'list[0].port: Invalid value: "integer": is immutable',
    ])
  })

  it('see an optional where they ask for it', () => {
    const rule = { rule: 'oldSelf.hasValue() ? self >= oldSelf.value() : self == 0', optionalOldSelf: true }
    const schema = object({ n: { ...INTEGER, 'x-kubernetes-validations': [rule] } })
    expect(check(schema, { n: 0 })).toEqual([])
    expect(check(schema, { n: 1 })).toHaveLength(1)
    expect(check(schema, { n: 1 }, { n: 0 })).toEqual([])
    expect(check(schema, { n: 1 }, { n: 2 })).toHaveLength(1)
  })

  it('lists of type set and map are equal whatever their order', () => {
    const list = (type: 'set' | 'atomic'): Schema =>
      object({
        l: { type: 'array', items: STRING, 'x-kubernetes-list-type': type, 'x-kubernetes-validations': [immutable] },
      })
    expect(check(list('set'), { l: ['a', 'b'] }, { l: ['b', 'a'] })).toEqual([])
    expect(check(list('atomic'), { l: ['a', 'b'] }, { l: ['b', 'a'] })).toHaveLength(1)
  })
})

describe('what was wrong before', () => {
  const positive = { ...INTEGER, 'x-kubernetes-validations': [{ rule: 'self > 0' }] }

  it('is forgiven where it has not changed', () => {
    const schema = object({ a: positive, b: positive, l: { type: 'array', items: positive } })
    const old = { a: -1, b: -1, l: [-1] }
    expect(check(schema, { a: -1, b: 2, l: [-1] }, old)).toEqual([])
    expect(check(schema, { a: -1, b: -2, l: [-1] }, old)).toEqual([
      'b: Invalid value: "integer": failed rule: self > 0',
    ])
    // Items of a list without keys are forgiven with the list.
    expect(check(schema, { a: -1, b: 2, l: [-1, 1] }, old)).toEqual([
      'l[0]: Invalid value: "integer": failed rule: self > 0',
    ])
  })

  it('is not forgiven where the rule is about the change', () => {
    const schema = object({ a: { ...INTEGER, 'x-kubernetes-validations': [{ rule: 'self > oldSelf' }] } })
    expect(check(schema, { a: 1 }, { a: 1 })).toHaveLength(1)
  })
})

describe('the budget', () => {
  const numbers = Array.from({ length: 3_000 }, (_, index) => index)

  it('stops a rule that costs too much, and every rule after it', () => {
    const schema = object(
      { l: { type: 'array', items: INTEGER } },
      { rule: 'self.l.all(x, self.l.all(y, x + y >= 0))', message: 'slow' },
      { rule: 'false' },
    )
    expect(check(schema, { l: numbers })).toEqual([
      '<nil>: Invalid value: "object": \'operation cancelled: actual cost limit exceeded\': no further validation rules will be run due to call cost exceeds limit for rule: slow',
    ])
  })

  it('stops when all rules together cost too much', () => {
    const schema = object({
      l: {
        type: 'array',
        items: { type: 'array', items: INTEGER, 'x-kubernetes-validations': [{ rule: 'self.all(x, x >= 0)' }] },
      },
    })
    expect(check(schema, { l: Array.from({ length: 700 }, () => numbers) })).toEqual([
      expect.stringMatching(
        /^l\[\d+\]: Invalid value: "array": validation failed due to running out of cost budget, no further validation rules will be run$/,
      ),
    ])
  })

  it('can be shared', () => {
    const budget = ruleBudget()
    const schema = object({ l: { type: 'array', items: INTEGER } }, { rule: 'self.l.all(x, x >= 0)' })
    validateRules(schema, { l: numbers }, { path: '', current: ABSENT, others: [], isResource: true, budget })
    expect(budget.remaining).toBeLessThan(10_000_000)
    expect(budget.remaining).toBeGreaterThan(9_900_000)
  })

  it('bounds messages too', () => {
    const messageExpression = 'self.l.all(x, self.l.all(y, x + y >= 0)) ? "a" : "b"'
    const schema = object({ l: { type: 'array', items: INTEGER } }, { rule: 'false', messageExpression })
    expect(check(schema, { l: numbers })).toEqual([
      `<nil>: Invalid value: "object": no further validation rules will be run due to call cost exceeds limit for messageExpression: ${JSON.stringify(messageExpression)}`,
    ])
  })
})

describe('for any value', () => {
  const rules = ['self == self', 'self != oldSelf', 'type(self) == string', 'has(self.a)', 'self.a == self.b']
  const leaf = fc.oneof(fc.integer(), fc.double(), fc.string(), fc.boolean(), fc.constant(null))
  const value = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('a', 'b', 'l', '__proto__', 'constructor', 'kind', 'metadata'), tie('value')),
    ),
  })).value
  const leafSchema: Schema = { ...STRING, 'x-kubernetes-validations': [{ rule: 'self.size() < 3' }] }
  const schema = object(
    {
      a: { 'x-kubernetes-int-or-string': true, 'x-kubernetes-validations': [{ rule: 'self != 1' }] },
      b: {
        type: 'object',
        additionalProperties: leafSchema,
        'x-kubernetes-validations': [{ rule: 'self.size() > 0' }],
      },
      l: { type: 'array', items: leafSchema, 'x-kubernetes-list-type': 'set', default: ['x'] },
    },
    ...rules.map((rule) => ({ rule })),
  )

  it('says something or nothing, but never fails itself', () => {
    fc.assert(
      fc.property(value, value, (next, current) => {
        const errors = validateRules(schema, next, { path: '', current, others: [], isResource: true })
        for (const { field, message } of errors) expect([typeof field, typeof message]).toEqual(['string', 'string'])
      }),
      { numRuns: 500 },
    )
  })

  it('leaves the value alone, and forgives all that has not changed', () => {
    const satisfiable = object(schema.properties as Record<string, Schema>, { rule: 'self.l.size() < 3' })
    let valid = 0
    let invalid = 0
    fc.assert(
      fc.property(value, (next) => {
        if (typeof next !== 'object' || next === null || Array.isArray(next)) return
        prune(satisfiable, next)
        applyDefaults(satisfiable, next)
        const before = JSON.stringify(next)
        const errors = validate(satisfiable, next)
        expect(JSON.stringify(next)).toBe(before)
        expect(validate(satisfiable, next)).toEqual(errors)
        if (errors.length === 0) {
          valid++
          expect(validate(satisfiable, next, '', next)).toEqual([])
        } else invalid++
      }),
      { numRuns: 1_000, seed: 1 },
    )
    expect(Math.min(valid, invalid)).toBeGreaterThan(50)
  })
})
