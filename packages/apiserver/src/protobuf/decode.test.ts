import { readFileSync } from 'node:fs'
import type { KubeObject } from '@caisson/api'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeCrd } from '../registry/crd-decode.ts'
import { decodeNative } from '../schema/native.ts'
import { decodeProtobuf, ProtobufError } from './decode.ts'

/** Objects as client-go 0.34 encodes them, as JSON and as protobuf. */
const samples = readFileSync(new URL('./testdata/client-go.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as { json: KubeObject; protobuf: string })
  .map(({ json, protobuf }) => ({ kind: json.kind, json, bytes: Buffer.from(protobuf, 'base64') }))

const DEFINITIONS: Readonly<Record<string, string>> = {
  Lease: 'io.k8s.api.coordination.v1.Lease',
  SubjectAccessReview: 'io.k8s.api.authorization.v1.SubjectAccessReview',
  ClusterRole: 'io.k8s.api.rbac.v1.ClusterRole',
  Eviction: 'io.k8s.api.policy.v1.Eviction',
}

/** What the server makes of a client's value. */
function decoded(value: Record<string, unknown>): unknown {
  const kind = value['kind'] as string
  return kind === 'CustomResourceDefinition'
    ? decodeCrd(value)
    : decodeNative(DEFINITIONS[kind] ?? `io.k8s.api.core.v1.${kind}`, value)
}

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
    ['a length beyond the end', Buffer.from('k8s\0\x0a\x7f'), 'unexpected end of message'],
  ])('refuses %s', (_name, bytes, message) => {
    expect(() => decodeProtobuf(bytes)).toThrow(new ProtobufError(message))
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
