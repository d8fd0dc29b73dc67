import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ABSENT } from './absent.ts'
import { applyDefaults } from './defaults.ts'
import { prune } from './prune.ts'
import type { Schema } from './schema.ts'
import { validate, validateStatus } from './validate.ts'

function spec(schema: Schema): Schema {
  return { type: 'object', properties: { spec: schema } }
}

function said(schema: Schema, value: unknown, current: unknown = ABSENT): string[] {
  const before = current === ABSENT ? ABSENT : { spec: current }
  return validate(spec(schema), { spec: value }, '', before).map((error) => `${error.field}: ${error.message}`)
}

describe('validate', () => {
  test.each<[name: string, schema: Schema, value: unknown, errors: string[]]>([
    ['a value of the right type', { type: 'integer' }, 3, []],
    [
      'a wrong type names what was found',
      { type: 'object', properties: { replicas: { type: 'integer' } } },
      { replicas: 'three' },
      ['spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"'],
    ],
    ['an integer is a number', { type: 'number' }, 3, []],
    [
      'a fraction is no integer',
      { type: 'integer' },
      1.5,
      ['spec: Invalid value: "number": spec in body must be of type integer: "number"'],
    ],
    [
      'null is of no type',
      { type: 'string' },
      null,
      ['spec: Invalid value: "null": spec in body must be of type string: "null"'],
    ],
    ['null where it is allowed', { type: 'string', nullable: true }, null, []],
    [
      'int-or-string takes both and nothing else',
      { type: 'array', items: { 'x-kubernetes-int-or-string': true } },
      [1, '50%', true],
      ['spec[2]: Invalid value: "boolean": spec[2] in body must be of type integer,string: "boolean"'],
    ],
    [
      'required fields',
      { type: 'object', required: ['a'], properties: { a: { type: 'string' } } },
      {},
      ['spec.a: Required value'],
    ],
    [
      'enums list what is supported',
      { type: 'string', enum: ['Running', 'Suspended'] },
      'Paused',
      ['spec: Unsupported value: "Paused": supported values: "Running", "Suspended"'],
    ],
    ['too long', { type: 'string', maxLength: 2 }, 'abc', ['spec: Too long: may not be more than 2 bytes']],
    ['length counts characters, not UTF-16 units', { type: 'string', maxLength: 2 }, '😀😀', []],
    [
      'too short',
      { type: 'string', minLength: 4 },
      'abc',
      ['spec: Invalid value: "abc": spec in body should be at least 4 chars long'],
    ],
    [
      'patterns',
      { type: 'string', pattern: '^[a-z]+$' },
      'A1',
      [`spec: Invalid value: "A1": spec in body should match '^[a-z]+$'`],
    ],
    [
      'bounds',
      { type: 'array', items: { type: 'integer', minimum: 1, maximum: 5, exclusiveMaximum: true } },
      [0, 1, 5],
      [
        'spec[0]: Invalid value: 0: spec[0] in body should be greater than or equal to 1',
        'spec[2]: Invalid value: 5: spec[2] in body should be less than 5',
      ],
    ],
    [
      'floats are printed as Go does',
      { type: 'number', maximum: 1e6, multipleOf: 0.5 },
      1234567.25,
      [
        'spec: Invalid value: 1.23456725e+06: spec in body should be a multiple of 0.5',
        'spec: Invalid value: 1.23456725e+06: spec in body should be less than or equal to 1e+06',
      ],
    ],
    [
      'too many items',
      { type: 'array', items: { type: 'integer' }, maxItems: 1 },
      [1, 2],
      ['spec: Too many: 2: must have at most 1 item'],
    ],
    [
      'too few and too many properties',
      { type: 'object', additionalProperties: { type: 'object', minProperties: 1, maxProperties: 1 } },
      { a: {}, b: { c: 1, d: 2 } },
      [
        'spec.a: Invalid value: 0: spec.a in body should have at least 1 properties',
        'spec.b: Too many: 2: must have at most 1 item',
      ],
    ],
    [
      'formats that Kubernetes honours',
      { type: 'string', format: 'date-time' },
      'yesterday',
      ['spec: Invalid value: "yesterday": spec in body must be of type date-time: "yesterday"'],
    ],
    ['formats that Kubernetes ignores', { type: 'integer', format: 'int32' }, 2 ** 40, []],
    [
      'a set holds nothing twice',
      { type: 'array', items: { type: 'string' }, 'x-kubernetes-list-type': 'set' },
      ['a', 'b', 'a', 'a'],
      ['spec[2]: Duplicate value: "a"'],
    ],
    [
      'a map list has each key once',
      {
        type: 'array',
        items: { type: 'object', properties: { name: { type: 'string' }, port: { type: 'integer' } } },
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name', 'port'],
      },
      [
        { name: 'a', port: 1 },
        { name: 'a', port: 2 },
        { port: 1, name: 'a' },
      ],
      ['spec[2]: Duplicate value: {"name":"a","port":1}'],
    ],
    [
      'embedded resources have a type and valid metadata',
      { type: 'object', 'x-kubernetes-embedded-resource': true, 'x-kubernetes-preserve-unknown-fields': true },
      { kind: 'P_d', metadata: { labels: { 'a b': 'c' } } },
      [
        'spec.apiVersion: Required value',
        `spec.kind: Invalid value: "P_d": may have mixed case, but should otherwise match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')`,
        `spec.metadata.labels: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
      ],
    ],
    [
      'anyOf reports the alternative that came furthest',
      { type: 'string', anyOf: [{ minLength: 9, pattern: '^x' }, { pattern: '^a.c$' }] },
      'abd',
      [
        '<nil>: Invalid value: "": "spec" must validate at least one schema (anyOf)',
        'spec: Invalid value: "abd": spec in body should be at least 9 chars long',
      ],
    ],
    [
      'oneOf takes one alternative only',
      { type: 'integer', oneOf: [{ minimum: 1 }, { maximum: 5 }] },
      3,
      ['<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives'],
    ],
    [
      'allOf and not',
      { type: 'integer', allOf: [{ minimum: 4 }], not: { enum: [3] } },
      3,
      [
        'spec: Invalid value: 3: spec in body should be greater than or equal to 4',
        '<nil>: Invalid value: "": "spec" must validate all the schemas (allOf). None validated',
        '<nil>: Invalid value: "": "spec" must not validate the schema (not)',
      ],
    ],
    [
      'fields of Object.prototype are not there',
      { type: 'object', required: ['toString'], properties: { constructor: { type: 'string' as const } } },
      {},
      ['spec.toString: Required value'],
    ],
  ])('%s', (_name, schema, value, errors) => {
    expect(said(schema, value)).toEqual(errors)
  })

  test('an update may keep what was wrong already, and only that', () => {
    const schema: Schema = {
      type: 'object',
      properties: { a: { type: 'string', maxLength: 1 }, b: { type: 'string', maxLength: 1 } },
    }
    expect(said(schema, { a: 'long', b: 'long' }, { a: 'long', b: 'x' })).toEqual([
      'spec.b: Too long: may not be more than 1 byte',
    ])
  })

  test('items of a map list are compared by their keys', () => {
    const schema: Schema = {
      type: 'array',
      items: { type: 'object', properties: { name: { type: 'string' }, size: { type: 'integer', maximum: 5 } } },
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    }
    const current = [
      { name: 'a', size: 9 },
      { name: 'b', size: 1 },
    ]
    expect(
      said(
        schema,
        [
          { name: 'b', size: 9 },
          { name: 'a', size: 9 },
        ],
        current,
      ),
    ).toEqual(['spec[0].size: Invalid value: 9: spec[0].size in body should be less than or equal to 5'])
  })

  test('the status subresource is validated by the schema of status alone', () => {
    const schema: Schema = {
      type: 'object',
      properties: {
        spec: { type: 'object', required: ['a'] },
        status: { type: 'object', properties: { phase: { type: 'string' } } },
      },
    }
    expect(validateStatus(schema, { spec: {}, status: { phase: 1 } }, { spec: {} })).toEqual([
      {
        type: 'FieldValueTypeInvalid',
        field: 'status.phase',
        message: 'Invalid value: "integer": phase in body must be of type string: "integer"',
      },
    ])
  })

  test('a pattern that would backtrack for years is matched in linear time', () => {
    const started = performance.now()
    expect(said({ type: 'string', pattern: '^(([a-z])+.)+[A-Z]([a-z])+$' }, 'a'.repeat(100_000))).toHaveLength(1)
    // Quadratic time would be minutes; the machine may be busy.
    expect(performance.now() - started).toBeLessThan(4_000)
  })

  test('a match that would take too long is refused instead', () => {
    const errors = said({ type: 'string', pattern: '(\\pL|\\pN){0,1000}$' }, 'é'.repeat(100_000))
    expect(errors).toEqual([
      expect.stringContaining('matching 100000 characters against a pattern of 4003 steps would take too long'),
    ])
  })

  test('nesting without end is an error, not a crash', () => {
    const schema: Schema = { type: 'object', properties: {} }
    ;(schema.properties as Record<string, Schema>)['next'] = schema
    const value: Record<string, unknown> = {}
    for (let at = value, depth = 0; depth < 2_000; depth++) at = (at['next'] = {}) as Record<string, unknown>
    const errors = validate(schema, value)
    expect(errors).toHaveLength(1)
    expect(errors[0]?.message).toContain('is nested too deeply')
  })

  test('a large array is checked in linear time', () => {
    const items = Array.from({ length: 100_000 }, (_, index) => `item-${index}`)
    const schema: Schema = {
      type: 'array',
      uniqueItems: true,
      'x-kubernetes-list-type': 'set',
      items: { type: 'string' },
    }
    const started = performance.now()
    expect(said(schema, items)).toEqual([])
    expect(said({ type: 'array', items: { type: 'integer' } }, items)).toHaveLength(100_000)
    // Quadratic time would be minutes; the machine may be busy.
    expect(performance.now() - started).toBeLessThan(4_000)
  })

  test('what is wrong below long keys is found, and told of by the beginnings of its paths', () => {
    const long = 'long'.repeat(1000)
    const schema: Schema = { type: 'object', additionalProperties: { type: 'integer' } }
    const schemas: Schema = { type: 'object', additionalProperties: schema }
    const wrong = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`k${index}`, 'x']))
    const [error, ...others] = said(schemas, { [long]: wrong })
    expect(error?.startsWith('spec.longlong')).toBe(true)
    expect(`${error}${others.join('')}`.length).toBeLessThan(5_000)
    // Both are told of by the same beginning, and one of them is as it was.
    const before = { [`${long}a`]: { k: 'x' } }
    expect(said(schemas, { ...before, [`${long}b`]: { k: 'x' } }, before)).toHaveLength(1)
  })
})

const KEYS = ['a', 'b', '__proto__', 'constructor', 'toString', 'name']
const key = fc.constantFrom(...KEYS)
const json = fc.jsonValue({ maxDepth: 4, noUnicodeString: false })
const value = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    json,
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }).map(fromEntries),
  ),
})).value

/** As JSON.parse does it: `__proto__` becomes a member. */
function fromEntries(entries: ReadonlyArray<readonly [string, unknown]>): Record<string, unknown> {
  const members = entries.map(([name, member]) => `${JSON.stringify(name)}:${JSON.stringify(member)}`)
  return JSON.parse(`{${members.join(',')}}`)
}

const schema = fc.letrec<{ schema: Schema }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 4 },
    fc.record<Schema>({ type: fc.constant('string'), default: fc.constant('d') }, { requiredKeys: ['type'] }),
    fc.record<Schema>(
      { type: fc.constant('integer'), nullable: fc.boolean(), default: fc.integer() },
      { requiredKeys: ['type'] },
    ),
    fc.record<Schema>({ 'x-kubernetes-int-or-string': fc.constant(true) }),
    fc.record<Schema>({ type: fc.constant('array'), items: tie('schema') }),
    fc.record<Schema>({ type: fc.constant('object'), additionalProperties: tie('schema') }),
    fc.record<Schema>(
      {
        type: fc.constant('object'),
        properties: fc.array(fc.tuple(key, tie('schema')), { maxLength: 4 }).map(fromEntries) as fc.Arbitrary<
          Record<string, Schema>
        >,
        nullable: fc.boolean(),
        default: fc.constant({}),
        'x-kubernetes-preserve-unknown-fields': fc.boolean(),
      },
      { requiredKeys: ['type', 'properties'] },
    ),
  ),
})).schema

describe('defaulting and pruning', () => {
  test('pruning twice removes nothing more', () => {
    fc.assert(
      fc.property(schema, value, (given, content) => {
        const object = { spec: structuredCloneJson(content) }
        prune(spec(given), object)
        const once = JSON.stringify(object)
        expect(prune(spec(given), object)).toEqual([])
        expect(JSON.stringify(object)).toBe(once)
      }),
    )
  })

  test('defaulting twice changes nothing more', () => {
    fc.assert(
      fc.property(schema, value, (given, content) => {
        const object = { spec: structuredCloneJson(content) }
        applyDefaults(spec(given), object)
        const once = JSON.stringify(object)
        applyDefaults(spec(given), object)
        expect(JSON.stringify(object)).toBe(once)
      }),
    )
  })

  test('defaults need no pruning, and what pruning leaves is valid or not as before', () => {
    fc.assert(
      fc.property(schema, value, (given, content) => {
        const object = { spec: structuredCloneJson(content) }
        const before = validate(spec(given), object).filter((error) => !error.message.includes('Required'))
        prune(spec(given), object)
        expect(validate(spec(given), object)).toEqual(before)
        applyDefaults(spec(given), object)
        expect(prune(spec(given), object)).toEqual([])
      }),
    )
  })

  test('nothing that a request holds reaches a prototype', () => {
    fc.assert(
      fc.property(schema, value, (given, content) => {
        const object = { spec: structuredCloneJson(content) }
        prune(spec(given), object)
        applyDefaults(spec(given), object)
        validate(spec(given), object)
        expect(Object.keys(Object.prototype)).toEqual([])
        for (const part of partsOf(object)) expect(Object.getPrototypeOf(part)).toBe(Object.prototype)
      }),
    )
  })

  test('unknown fields are named by their path', () => {
    const object = JSON.parse(
      '{"apiVersion":"g/v1","kind":"K","metadata":{"name":"n","bogus":1},"spec":{"list":[{"a":1,"z":{}}],"__proto__":{"x":1}},"extra":1}',
    )
    const given = spec({
      type: 'object',
      properties: {
        list: { type: 'array', items: { type: 'object', properties: { a: { type: 'integer' } } } },
      },
    })
    expect(prune(given, object)).toEqual(['extra', 'metadata.bogus', 'spec.__proto__', 'spec.list[0].z'])
    expect(object).toEqual({ apiVersion: 'g/v1', kind: 'K', metadata: { name: 'n' }, spec: { list: [{ a: 1 }] } })
  })

  test('unknown fields stay where the schema says so, but not below what it describes', () => {
    const object = { spec: { known: { x: 1 }, free: { y: [{ z: 1 }] } } }
    const given = spec({
      type: 'object',
      'x-kubernetes-preserve-unknown-fields': true,
      properties: { known: { type: 'object', properties: {} } },
    })
    expect(prune(given, object)).toEqual(['spec.known.x'])
    expect(object).toEqual({ spec: { known: {}, free: { y: [{ z: 1 }] } } })
  })

  test.each<[name: string, schema: Schema, given: unknown, expected: unknown]>([
    ['a missing field', { type: 'object', properties: { a: { type: 'string', default: 'x' } } }, {}, { a: 'x' }],
    [
      'not a missing parent',
      { type: 'object', properties: { p: { type: 'object', properties: { a: { type: 'string', default: 'x' } } } } },
      {},
      {},
    ],
    [
      'a parent with a default, then its fields',
      {
        type: 'object',
        properties: { p: { type: 'object', default: {}, properties: { a: { type: 'string', default: 'x' } } } },
      },
      {},
      { p: { a: 'x' } },
    ],
    [
      'null gives way where it is not allowed',
      { type: 'object', properties: { a: { type: 'string', default: 'x' }, b: { type: 'string' } } },
      { a: null, b: null },
      { a: 'x' },
    ],
    [
      'null stays where it is allowed',
      { type: 'object', properties: { a: { type: 'string', nullable: true, default: 'x' } } },
      { a: null },
      { a: null },
    ],
    [
      'values of a map and items of a list',
      {
        type: 'object',
        properties: {
          m: {
            type: 'object',
            additionalProperties: { type: 'object', properties: { a: { type: 'integer', default: 1 } } },
          },
          l: { type: 'array', items: { type: 'object', properties: { a: { type: 'integer', default: 2 } } } },
        },
      },
      { m: { k: {} }, l: [{}, { a: 3 }] },
      { m: { k: { a: 1 } }, l: [{ a: 2 }, { a: 3 }] },
    ],
  ])('defaults: %s', (_name, given, content, expected) => {
    const object = { spec: content }
    applyDefaults(spec(given), object)
    expect(object).toEqual({ spec: expected })
  })

  test('two objects never share a default', () => {
    const given = spec({ type: 'object', properties: { a: { type: 'object', default: { list: [] } } } })
    const [one, other] = [{ spec: {} }, { spec: {} }] as Array<{ spec: { a?: object } }>
    applyDefaults(given, one)
    applyDefaults(given, other)
    expect(one?.spec.a).not.toBe(other?.spec.a)
    expect(one).toEqual(other)
  })
})

function structuredCloneJson<T>(given: T): T {
  return JSON.parse(JSON.stringify(given) ?? 'null')
}

function* partsOf(given: unknown): Generator<object> {
  if (Array.isArray(given)) for (const item of given) yield* partsOf(item)
  else if (typeof given === 'object' && given !== null) {
    yield given
    for (const member of Object.values(given)) yield* partsOf(member)
  }
}
