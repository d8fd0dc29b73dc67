import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { builtinSchema, resolve } from './builtin.ts'
import { decodeNative } from './native.ts'
import type { Schema } from './schema.ts'

const POD = 'io.k8s.api.core.v1.Pod'

describe('the generated schemas', () => {
  const directory = new URL('./generated/', import.meta.url)
  const names = readdirSync(directory).flatMap((file) => {
    const text = readFileSync(new URL(file, directory), 'utf8')
    return Object.keys(JSON.parse(text) as object).map((name) => `${file.slice(0, -'.json'.length)}.${name}`)
  })

  function references(schema: Schema): string[] {
    return [...JSON.stringify(schema).matchAll(/"\$ref":"([^"]+)"/g)].map(([, name]) => name as string)
  }

  test.each(names)('%s refers only to definitions that are there, and says how Go holds each field', (name) => {
    const schema = builtinSchema(name)
    for (const reference of references(schema)) expect(builtinSchema(reference)).toBeDefined()
    for (const [field, property] of Object.entries(schema.properties ?? {})) {
      expect((property as { 'x-go'?: string })['x-go'], field).toMatch(/^[\w*[\].{}]+(,omitempty|,omitzero)*$/)
    }
  })

  test('a reference resolves to its definition and keeps what stands beside it', () => {
    const spec = builtinSchema(POD).properties?.['spec'] as Schema
    expect(resolve(spec)).toMatchObject({ type: 'object', default: {}, required: ['containers'] })
    expect(resolve(spec)).toBe(resolve(spec))
  })

  test('a name that is none reaches no file', () => {
    expect(() => builtinSchema('../../package.Pod')).toThrow('not a built-in definition')
    expect(() => builtinSchema('io.k8s.api.core.v1.Nothing')).toThrow('no built-in definition')
    expect(() => builtinSchema('io.k8s.api.core.v1.constructor')).toThrow('no built-in definition')
  })
})

describe('decodeNative', () => {
  test('writes a Pod as Go does: zero values left out, amounts and times canonical, unknown fields gone', () => {
    const decoded = decodeNative(POD, {
      metadata: {
        name: 'a',
        namespace: '',
        labels: {},
        creationTimestamp: null,
        deletionTimestamp: '2024-01-01T02:00:00+02:00',
      },
      spec: {
        hostNetwork: false,
        hostUsers: false,
        priority: 0,
        containers: [
          { name: 'c', image: '', command: [], resources: { limits: { cpu: 0.5, memory: '1024Mi' } }, x: 1 },
        ],
        volumes: null,
      },
      statsu: {},
    })
    expect(decoded).toEqual({
      error: undefined,
      object: {
        metadata: { name: 'a', deletionTimestamp: '2024-01-01T00:00:00Z' },
        spec: {
          // Pointers keep the difference between false and nothing.
          hostUsers: false,
          priority: 0,
          containers: [{ name: 'c', resources: { limits: { cpu: '500m', memory: '1Gi' } } }],
        },
        status: {},
      },
      unknownFields: ['spec.containers[0].x', 'statsu'],
    })
  })

  test('the least and the greatest number are ports like any other', () => {
    for (const port of [-(2 ** 31), 2 ** 31 - 1]) {
      const spec = { ports: [{ port, targetPort: port }] }
      expect(decodeNative('io.k8s.api.core.v1.Service', { spec })).toMatchObject({ error: undefined, object: { spec } })
    }
    const spec = { ports: [{ port: 1, targetPort: 2 ** 31 }] }
    expect(decodeNative('io.k8s.api.core.v1.Service', { spec }).error).toContain('cannot unmarshal number 2147483648')
  })

  test('bytes may be numbers in a list', () => {
    const secret = (value: unknown): ReturnType<typeof decodeNative> =>
      decodeNative('io.k8s.api.core.v1.Secret', { data: { a: value } })
    expect(secret([104, 105, null]).object).toMatchObject({ data: { a: 'aGkA' } })
    expect(secret([]).object).toMatchObject({ data: { a: '' } })
    expect(secret([256]).error).toBe('json: cannot unmarshal number 256 into Go struct field Secret.data of type uint8')
    expect(secret(['x']).error).toBe('json: cannot unmarshal string into Go struct field Secret.data of type uint8')
  })

  test('writes required fields that are absent as Go does: zero, or null', () => {
    expect(decodeNative('io.k8s.api.core.v1.Service', {}).object).toEqual({
      metadata: {},
      spec: {},
      status: { loadBalancer: {} },
    })
    expect(decodeNative('io.k8s.api.rbac.v1.Role', { rules: [] }).object).toEqual({ metadata: {}, rules: null })
    expect(decodeNative('io.k8s.api.core.v1.Event', {}).object).toMatchObject({
      eventTime: null,
      reportingComponent: '',
    })
  })

  test.each<[definition: string, value: Record<string, unknown>, error: string]>([
    [
      POD,
      { spec: { containers: 'x' } },
      'json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container',
    ],
    [
      POD,
      { spec: { containers: [{ name: 5 }] } },
      'json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string',
    ],
    [
      POD,
      { spec: { containers: [{ ports: [{ containerPort: 1.5 }] }] } },
      'json: cannot unmarshal number 1.5 into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32',
    ],
    [
      POD,
      { metadata: { labels: { a: true } } },
      'json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string',
    ],
    [
      POD,
      { spec: { overhead: { cpu: 'x' } } },
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ],
    [
      POD,
      { metadata: { creationTimestamp: '2024-13-01T00:00:00Z' } },
      'parsing time "2024-13-01T00:00:00Z": month out of range',
    ],
    ['io.k8s.api.core.v1.Secret', { data: { a: 'aGk' } }, 'illegal base64 data at input byte 0'],
    // The first in the document, whatever comes after it.
    [
      POD,
      { spec: { nodeName: 1 }, metadata: { name: 2 } },
      'json: cannot unmarshal number into Go struct field PodSpec.spec.nodeName of type string',
    ],
  ])('%s from %j fails in the words of Go', (definition, value, error) => {
    expect(decodeNative(definition, value).error).toBe(error)
  })

  test('keys that reach for prototypes are keys', () => {
    const value = JSON.parse(
      '{"data":{"__proto__":"a","constructor":"b"},"__proto__":{"polluted":1},"toString":1}',
    ) as Record<string, unknown>
    const { object, unknownFields } = decodeNative('io.k8s.api.core.v1.ConfigMap', value)
    expect(JSON.stringify(object)).toBe('{"data":{"__proto__":"a","constructor":"b"},"metadata":{}}')
    expect(unknownFields).toEqual(['__proto__', 'toString'])
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  test('shares nothing with its input', () => {
    const value = { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c' }] } }
    const before = structuredClone(value)
    const { object } = decodeNative(POD, value)
    ;(object['metadata'] as { labels: Record<string, string> }).labels['a'] = 'changed'
    ;(object['spec'] as { containers: Array<{ name: string }> }).containers[0] = { name: 'changed' }
    expect(value).toEqual(before)
  })
})
