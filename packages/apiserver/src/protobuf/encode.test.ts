import { readFileSync } from 'node:fs'
import type { KubeObject } from '@caisson/api'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { builtinResources } from '../registry/builtin/index.ts'
import { decodeCrd } from '../registry/crd-decode.ts'
import { groupVersion } from '../registry/registry.ts'
import { decodeNative } from '../schema/native.ts'
import { deepFreeze } from '../storage/freeze.ts'
import { decodeProtobuf } from './decode.ts'
import { encodeList, encodeObject, encodeWatchEvent, hasMessage } from './encode.ts'
import { definitionOf, EXTENSIONS, type Field, META, messageOf } from './messages.ts'

/** Objects as client-go 0.34 encodes them, as JSON and as protobuf. */
const samples = readFileSync(new URL('./testdata/client-go.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as { json: KubeObject; protobuf: string })

const kinds = builtinResources()
  .filter((resource) => hasMessage(groupVersion(resource), resource.kind))
  .map((resource) => ({ apiVersion: groupVersion(resource), kind: resource.kind, listKind: resource.listKind }))

function encoded(object: { apiVersion: string; kind: string }): Buffer {
  return Buffer.from(encodeObject(object), 'latin1')
}

/** What the server stores of a client's value. */
function stored(value: Record<string, unknown>): { apiVersion: string; kind: string } {
  const { apiVersion, kind } = value as { apiVersion: string; kind: string }
  const { object, error } =
    kind === 'CustomResourceDefinition' ? decodeCrd(value) : decodeNative(definitionOf(apiVersion, kind), value)
  expect(error).toBeUndefined()
  return { ...object, apiVersion, kind }
}

describe('encodeObject', () => {
  test.each(samples.map((sample) => [sample.json.kind, sample] as const))(
    'a %s has the bytes that client-go writes',
    (_kind, { json, protobuf }) => {
      const bytes = Buffer.from(protobuf, 'base64')
      // One number of the sample is beyond what JSON's readers hold exactly: from its bytes it comes out rounded the same.
      expect(encoded(json).toString('hex').replace('f8a78dafba93b110', 'f7a78dafba93b110')).toBe(bytes.toString('hex'))
    },
  )

  test('every built-in kind has a message, and its list has', () => {
    const without = builtinResources().filter((resource) => !hasMessage(groupVersion(resource), resource.kind))
    expect(without.map(({ group, kind }) => `${group} ${kind}`)).toEqual([])
    const stored = builtinResources().filter(({ verbs }) => verbs.includes('list'))
    expect(stored.filter((resource) => !hasMessage(groupVersion(resource), resource.listKind))).toEqual([])
  })

  test.each(kinds)('any $apiVersion $kind comes back as it was, and to the same bytes', ({ apiVersion, kind }) => {
    const content = anyMessage(definitionOf(apiVersion, kind), 0) as fc.Arbitrary<Record<string, unknown>>
    fc.assert(
      fc.property(content, (value) => {
        const object = stored({ ...value, apiVersion, kind })
        const bytes = encoded(object)
        const back = stored(decodeProtobuf(bytes))
        expect(back).toEqual(object)
        expect(encoded(back).equals(bytes)).toBe(true)
      }),
      { numRuns: 30 },
    )
  })

  test('texts of any length and in any script', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 100 }),
      fc.nat(200_000).map((length) => 'ä'.repeat(length)),
    )
    fc.assert(
      fc.property(fc.dictionary(text, text, { maxKeys: 3 }), (data) => {
        const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data }
        const bytes = encoded(object)
        expect(decodeProtobuf(bytes)['data'] ?? {}).toEqual(data)
        expect(encoded(decodeProtobuf(bytes) as KubeObject).equals(bytes)).toBe(true)
      }),
    )
  })

  test('half of a character is replaced, as Go does', () => {
    const object = { apiVersion: 'v1', kind: 'ConfigMap', data: { a: 'x\ud800' } }
    expect(decodeProtobuf(encoded(object))['data']).toEqual({ a: 'x\ufffd' })
  })

  test.each(['v1', 'v1beta1'])('metadata alone, of meta.k8s.io/%s', (version) => {
    const item = { apiVersion: `meta.k8s.io/${version}`, kind: 'PartialObjectMetadata', metadata: { name: 'a' } }
    const list = { ...item, kind: 'PartialObjectMetadataList', metadata: { resourceVersion: '7' }, items: [item] }
    expect(decodeProtobuf(encoded(item))).toMatchObject(item)
    expect(decodeProtobuf(encoded(list))).toMatchObject({ ...list, items: [{ metadata: { name: 'a' } }] })
  })
})

describe('encodeList', () => {
  test('is what the list would be as one object', () => {
    const items = ['a', 'b'].map((name) =>
      deepFreeze({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { [name]: 'x'.repeat(200) } }),
    )
    const list = { apiVersion: 'v1', kind: 'ConfigMapList', metadata: { resourceVersion: '7' }, items }
    for (const _again of [1, 2]) expect([...encodeList(list)].join('')).toBe(encodeObject(list))
  })
})

describe('encodeWatchEvent', () => {
  test('the length, the type and the object with its envelope', () => {
    const object = { apiVersion: 'v1', kind: 'Status', status: 'Failure', code: 410 }
    const bytes = Buffer.from(encodeWatchEvent('ERROR', object), 'latin1')
    expect(bytes.readUInt32BE(0)).toBe(bytes.length - 4)
    expect(bytes.subarray(4).toString('hex')).toMatchInlineSnapshot(
      `"0a054552524f5212320a306b3873000a0c0a027631120653746174757312180a060a0012001a0012074661696c7572651a002200309a031a002200"`,
    )
  })
})

/** Values of that message in JSON, as deep as it makes sense. */
function anyMessage(definition: string, depth: number): fc.Arbitrary<unknown> {
  const special = SPECIAL[definition]
  if (special) return special(depth)
  const fields = [...(messageOf(definition)?.values() ?? [])]
  const parts = fields.map((field) =>
    field.name === undefined
      ? (anyMessage(field.type, depth) as fc.Arbitrary<object>)
      : depth > 4 && field.type.includes('.')
        ? fc.constant({})
        : fc.oneof(
            { arbitrary: fc.constant({}), weight: depth + 1 },
            { arbitrary: anyField(field, depth).map((value) => ({ [field.name as string]: value })), weight: 2 },
          ),
  )
  return fc.tuple(...parts).map((values) => Object.assign({}, ...values) as object)
}

function anyField({ type, shape }: Field, depth: number): fc.Arbitrary<unknown> {
  const value = anyValue(type, depth + 1)
  if (shape === 'list') return fc.array(value, { maxLength: 2 })
  if (shape === 'map') return fc.dictionary(fc.string({ maxLength: 8 }), value, { maxKeys: 2 })
  return value
}

function anyValue(type: string, depth: number): fc.Arbitrary<unknown> {
  switch (type) {
    case 'string':
      return fc.oneof(fc.constantFrom('', 'a'), fc.string({ unit: 'grapheme', maxLength: 12 }))
    case 'bool':
      return fc.boolean()
    case 'int32':
      return fc.oneof(fc.constant(0), fc.integer())
    case 'int64':
      return fc.oneof(fc.constant(0), fc.maxSafeInteger())
    case 'double':
      return fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (value === 0 ? 0 : value))
    case 'bytes':
      return fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes).toString('base64'))
    default:
      return anyMessage(type, depth)
  }
}

const SCHEMA = `${EXTENSIONS}.JSONSchemaProps`
const anyTime = (digits: number) =>
  fc
    .date({ min: new Date('0001-01-02'), max: new Date('9999-01-01'), noInvalidDate: true })
    .map((date) => date.toISOString().replace(/\.(\d+)Z/, digits === 0 ? 'Z' : '.$1012Z'))
const anyExtra = () => fc.array(fc.string(), { maxLength: 2 })
const anyRaw = () => fc.dictionary(fc.string({ maxLength: 3 }), fc.constantFrom<unknown>(1, 'x', {}, [null]))
const anySchema = (depth: number): fc.Arbitrary<unknown> =>
  depth > 5 ? fc.constant({}) : anyMessage(SCHEMA, depth + 1)

const SPECIAL: Readonly<Record<string, (depth: number) => fc.Arbitrary<unknown>>> = {
  [`${META}.Time`]: () => anyTime(0),
  [`${META}.MicroTime`]: () => anyTime(6),
  [`${META}.FieldsV1`]: anyRaw,
  'io.k8s.apimachinery.pkg.runtime.RawExtension': anyRaw,
  'io.k8s.apimachinery.pkg.api.resource.Quantity': () => fc.constantFrom('0', '1', '250m', '5Gi', '1e3'),
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': () => fc.oneof(fc.integer(), fc.constantFrom('', '25%', 'http')),
  'io.k8s.api.authentication.v1.ExtraValue': anyExtra,
  'io.k8s.api.authorization.v1.ExtraValue': anyExtra,
  'io.k8s.api.certificates.v1.ExtraValue': anyExtra,
  [`${EXTENSIONS}.JSON`]: anyRaw,
  [`${EXTENSIONS}.JSONSchemaPropsOrBool`]: (depth) => fc.oneof(fc.boolean(), anySchema(depth)),
  [`${EXTENSIONS}.JSONSchemaPropsOrArray`]: (depth) =>
    fc.oneof(anySchema(depth), fc.array(anySchema(depth), { minLength: 1, maxLength: 2 })),
  [`${EXTENSIONS}.JSONSchemaPropsOrStringArray`]: (depth) =>
    fc.oneof(anySchema(depth), fc.array(fc.string(), { minLength: 1, maxLength: 2 })),
}
