import { readFileSync } from 'node:fs'
import type { KubeObject } from '@caisson/api'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { builtinResources } from '../registry/builtin/index.ts'
import { decodeCrd } from '../registry/crd-decode.ts'
import { builtinSchema } from '../schema/builtin.ts'
import { decodeNative } from '../schema/native.ts'
import { MOST_VALUES } from '../verbs/decode.ts'
import { tooManyValues } from '../verbs/errors.ts'
import { decodeProtobuf, ProtobufError } from './decode.ts'
import { encodeObject } from './encode.ts'
import { messageOf } from './messages.ts'

/** Objects as client-go 0.34 encodes them, as JSON and as protobuf. */
const samples = readFileSync(new URL('./testdata/client-go.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as { json: KubeObject; protobuf: string })
  .map(({ json, protobuf }) => ({ kind: json.kind, json, bytes: Buffer.from(protobuf, 'base64') }))

const TOO_MANY = tooManyValues(MOST_VALUES).message

const DEFINITIONS: Readonly<Record<string, string>> = {
  Lease: 'io.k8s.api.coordination.v1.Lease',
  SubjectAccessReview: 'io.k8s.api.authorization.v1.SubjectAccessReview',
  ClusterRole: 'io.k8s.api.rbac.v1.ClusterRole',
  Eviction: 'io.k8s.api.policy.v1.Eviction',
}

const DEFINITIONS_SERVED = [
  ...new Set(builtinResources().flatMap(({ schema }) => [...definitionsBelow(schema.$ref ?? '')])),
]

/** A definition, and all that it refers to, as far as Kubernetes has messages of them. */
function definitionsBelow(definition: string, seen = new Set<string>()): Set<string> {
  if (seen.has(definition) || !messageOf(definition)) return seen
  seen.add(definition)
  for (const { name, type } of messageOf(definition)?.values() ?? []) {
    definitionsBelow(type, seen)
    // It has none of its own in JSON.
    if (name === undefined) seen.delete(type)
  }
  return seen
}

/** As JSON has them: those of an embedded message are its own, and what no message says is in every object. */
function fieldsOf(definition: string): string[] {
  const fields = [...(messageOf(definition)?.values() ?? [])]
  return ['apiVersion', 'kind', ...fields.flatMap(({ name, type }) => (name === undefined ? fieldsOf(type) : [name]))]
}

/** What the server makes of a client's value. */
function decoded(value: Record<string, unknown>): unknown {
  const kind = value['kind'] as string
  return kind === 'CustomResourceDefinition'
    ? decodeCrd(value)
    : decodeNative(DEFINITIONS[kind] ?? `io.k8s.api.core.v1.${kind}`, value)
}

test.each(DEFINITIONS_SERVED)('every field of a %s has its number', (definition) => {
  const known = new Set(fieldsOf(definition))
  expect(Object.keys(builtinSchema(definition).properties ?? {}).filter((name) => !known.has(name))).toEqual([])
})

describe('decodeProtobuf', () => {
  test.each(samples)('a $kind is the same as in JSON', ({ json, bytes }) => {
    const value = decodeProtobuf(bytes)
    expect([value['kind'], value['apiVersion']]).toEqual([json.kind, json.apiVersion])
    expect(decoded(value)).toEqual(decoded(json))
  })

  test('a key called __proto__ is a key', () => {
    const { bytes } = samples.at(-1) as (typeof samples)[number]
    const { data } = decodeProtobuf(bytes) as { data: object }
    expect(Object.getPrototypeOf(data)).toBe(Object.prototype)
    expect(Object.entries(data)).toEqual([
      ['__proto__', 'x'],
      ['ü', 'ö'],
    ])
  })

  test.each<[name: string, bytes: Buffer, message: string]>([
    [
      'JSON',
      Buffer.from('{}'),
      'provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]',
    ],
    ['a kind that nobody knows', envelope('v1', 'Nothing'), 'no kind "Nothing" is registered for version "v1"'],
    ['a path as a kind', envelope('v1', 'x/../../y'), 'no kind "x/../../y" is registered for version "v1"'],
    ['nothing', Buffer.alloc(0), 'empty data'],
    ['a length beyond the end', Buffer.from('k8s\0\x0a\x7f'), 'unexpected end of message'],
    ['a length of 64 bits', Buffer.from('6b3873000affffffffffffffffff01', 'hex'), 'unexpected end of message'],
    ['a number without end', podOf(Buffer.alloc(3 << 20, 0xff)), 'a number is longer than 64 bits'],
    ['a group', podOf(Buffer.from([0xfb, 0x01])), 'wire type 3 is not supported'],
    [
      'a map that is a number',
      envelope('v1', 'ConfigMap', Buffer.from([0x10, 0x05])),
      'wire type 0 does not fit a map',
    ],
    ['the field 0', podOf(Buffer.from([0x02, 0x00])), 'bad field number 0'],
    [
      'a year beyond four digits',
      podOf(field(1, field(8, Buffer.from('0880fca9b6b80c', 'hex')))),
      'a time is out of range',
    ],
  ])('refuses %s', (_name, bytes, message) => {
    expect(() => decodeProtobuf(bytes)).toThrow(new ProtobufError(message))
  })

  test('a kind without end is quoted in part', () => {
    expect(() => decodeProtobuf(envelope('v1', 'x'.repeat(3 << 20)))).toThrow(
      new ProtobufError(`no kind "${'x'.repeat(200)}" is registered for version "v1"`),
    )
  })

  test('every truncation of a message is refused, or still a message', () => {
    for (const { bytes } of samples)
      for (let length = 0; length < bytes.length; length++) {
        try {
          expect(decodeProtobuf(bytes.subarray(0, length))).toBeTypeOf('object')
        } catch (error) {
          expect(error).toBeInstanceOf(ProtobufError)
        }
      }
  })

  test('what comes twice adds up, and the last value of a field counts', () => {
    const parts = [field(1, field(1, Buffer.from('a'))), field(1, field(3, Buffer.from('b')))]
    const again = field(1, Buffer.concat([field(1, Buffer.from('c')), field(3, Buffer.alloc(0))]))
    expect(decodeProtobuf(podOf(Buffer.concat(parts)))['metadata']).toEqual({ name: 'a', namespace: 'b' })
    expect(decodeProtobuf(podOf(Buffer.concat([...parts, again])))['metadata']).toEqual({ name: 'c' })
  })

  test('numbers come packed or one by one', () => {
    // Field 14 of the spec is its security context, whose field 4 are the groups: int64.
    const groups = Buffer.concat([
      Buffer.from([0x20, 0x01]),
      field(4, Buffer.from([0x02, 0x80, 0x10])),
      Buffer.from([0x20, 0x03]),
    ])
    expect(decodeProtobuf(podOf(field(2, field(14, groups))))['spec']).toEqual({
      securityContext: { supplementalGroups: [1, 2, 2048, 3] },
    })
  })

  test('a definition with thousands of schemas has no more values than its JSON', () => {
    const properties = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`p${index}`, { type: 'string' }]))
    const schema = { type: 'object', properties }
    const crd = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      spec: { versions: [{ name: 'v1', served: true, schema: { openAPIV3Schema: schema } }] },
    }
    const value = decodeProtobuf(Buffer.from(encodeObject(crd), 'latin1')) as unknown as typeof crd
    expect(value.spec.versions[0]?.schema.openAPIV3Schema).toEqual(schema)
  })

  // A field of two bytes each, a million and a half of them.
  test.each<[name: string, unit: Buffer, wrap: (content: Buffer) => Buffer, message: string]>([
    ['empty containers', field(2, Buffer.alloc(0)), (content) => podOf(field(2, content)), TOO_MANY],
    ['empty names of finalizers', field(14, Buffer.alloc(0)), (content) => podOf(field(1, content)), TOO_MANY],
    ['empty labels', field(11, Buffer.alloc(0)), (content) => podOf(field(1, content)), TOO_MANY],
    ['the same part', field(1, Buffer.alloc(0)), podOf, TOO_MANY],
    ['packed groups', Buffer.from([0, 0]), (content) => podOf(field(2, field(14, field(4, content)))), TOO_MANY],
    ['unknown fields', Buffer.from([0x78, 0x00]), podOf, 'the message has too many fields'],
    [
      'the same flag',
      Buffer.from([0x58, 0x01]),
      (content) => podOf(field(2, content)),
      'the message has too many fields',
    ],
  ])('refuses a body full of %s', (_name, unit, wrap, message) => {
    const body = wrap(Buffer.concat(Array.from({ length: 1_500_000 }, () => unit)))
    expect(() => decodeProtobuf(body)).toThrow(message)
  })

  test('refuses schemas that are nested too deep', () => {
    let schema: Buffer = Buffer.alloc(0)
    // Field 28 is `not`.
    for (let depth = 0; depth < 200; depth++) schema = field(28, schema)
    const crd = field(2, field(7, field(4, field(1, schema))))
    expect(() => decodeProtobuf(envelope('apiextensions.k8s.io/v1', 'CustomResourceDefinition', crd))).toThrow(
      'the message is nested deeper than 100 levels',
    )
  })

  test('damage is either still a message or a ProtobufError', () => {
    const sample = fc.constantFrom(...samples)
    fc.assert(
      fc.property(
        sample,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (given, changes) => {
          const bytes = Buffer.from(given.bytes)
          for (const [at, value] of changes) bytes[at % bytes.length] = value
          try {
            expect(decodeProtobuf(bytes)).toBeTypeOf('object')
          } catch (error) {
            expect(error).toBeInstanceOf(ProtobufError)
          }
        },
      ),
      { numRuns: 2000 },
    )
  })
})

function podOf(content: Buffer): Buffer {
  return envelope('v1', 'Pod', content)
}

function field(number: number, content: Buffer): Buffer {
  return Buffer.concat([varint(number * 8 + 2), varint(content.length), content])
}

function varint(value: number): Buffer {
  return value < 0x80 ? Buffer.from([value]) : Buffer.concat([Buffer.from([(value & 0x7f) | 0x80]), varint(value >> 7)])
}

function envelope(apiVersion: string, kind: string, raw: Buffer = Buffer.alloc(0)): Buffer {
  const type = Buffer.concat([field(1, Buffer.from(apiVersion)), field(2, Buffer.from(kind))])
  return Buffer.concat([Buffer.from('k8s\0'), field(1, type), field(2, raw)])
}
