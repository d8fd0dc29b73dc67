import { describe, expect, test } from 'vitest'
import { builtinResources } from '../registry/builtin/index.ts'
import type { Resource } from '../registry/resource.ts'
import { createOpenApiDocuments, type OpenApiDocuments } from './documents.ts'
import type { SubresourcesOf } from './operations.ts'

const THING: Resource = {
  ...(builtinResources()[0] as Resource),
  group: 'ex.example.com',
  version: 'v1',
  kind: 'Thing',
  listKind: 'ThingList',
  plural: 'things',
  singular: 'thing',
  custom: true,
  status: true,
  schema: {
    type: 'object',
    description: 'A thing.',
    properties: {
      spec: {
        type: 'object',
        required: ['a'],
        properties: {
          a: { type: 'string', nullable: true, default: 'x', maxLength: 5 },
          i: { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] },
          p: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        },
      },
    },
  },
}

const subresourcesOf: SubresourcesOf = (resource) => {
  return resource.status ? [{ name: 'status', kind: resource.kind, verbs: ['get', 'patch', 'update'] }] : []
}

function documentsOf(resources: () => readonly Resource[]): OpenApiDocuments {
  return createOpenApiDocuments(resources, { subresourcesOf, serverVersion: 'v1.34.4' })
}

const all = [...builtinResources(), THING]
const documents = documentsOf(() => all)

interface Document {
  paths: Record<string, Record<string, { [field: string]: unknown }>>
  components: { schemas: Record<string, Record<string, unknown>> }
  definitions: Record<string, Record<string, unknown>>
}

function v3(path: string): Document {
  return JSON.parse(documents.v3(path)?.json ?? 'null') as Document
}

function references(document: unknown, prefix: string): string[] {
  const found = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, name]) => name as string)
  return [...new Set(found)].map((reference) => {
    expect(reference.startsWith(prefix)).toBe(true)
    return reference.slice(prefix.length)
  })
}

describe('OpenAPI v3', () => {
  test('the index names a document and its hash for each group version', () => {
    const { paths } = documents.v3Index()
    expect(Object.keys(paths)).toEqual([
      'api/v1',
      'apis/apiregistration.k8s.io/v1',
      'apis/apps/v1',
      'apis/events.k8s.io/v1',
      'apis/autoscaling/v2',
      'apis/autoscaling/v1',
      'apis/batch/v1',
      'apis/certificates.k8s.io/v1',
      'apis/networking.k8s.io/v1',
      'apis/policy/v1',
      'apis/rbac.authorization.k8s.io/v1',
      'apis/storage.k8s.io/v1',
      'apis/admissionregistration.k8s.io/v1',
      'apis/apiextensions.k8s.io/v1',
      'apis/scheduling.k8s.io/v1',
      'apis/coordination.k8s.io/v1',
      'apis/node.k8s.io/v1',
      'apis/discovery.k8s.io/v1',
      'apis/flowcontrol.apiserver.k8s.io/v1',
      'apis/ex.example.com/v1',
    ])
    expect(paths['api/v1']?.serverRelativeURL).toMatch(/^\/openapi\/v3\/api\/v1\?hash=[0-9A-F]{128}$/)
    expect(documents.v3('apis/nothing/v1')).toBeUndefined()
  })

  test.each(Object.keys(documents.v3Index().paths))('%s refers only to what it defines', (path) => {
    const document = v3(path)
    for (const name of references(document, '#/components/schemas/')) {
      expect(Object.keys(document.components.schemas)).toContain(name)
    }
    expect(JSON.stringify(document)).not.toContain('x-go')
  })

  test('kubectl finds what it looks for before it applies a Pod', () => {
    const patch = v3('api/v1').paths['/api/v1/namespaces/{namespace}/pods/{name}']?.['patch']
    expect(patch?.['x-kubernetes-group-version-kind']).toEqual({ group: '', version: 'v1', kind: 'Pod' })
    const parameters = (patch?.['parameters'] ?? []) as Array<{ name: string }>
    expect(parameters.map(({ name }) => name)).toEqual(['dryRun', 'fieldManager', 'fieldValidation', 'force'])
    const { content } = (patch?.['requestBody'] ?? {}) as { content: object }
    expect(Object.keys(content)).toEqual([
      'application/apply-patch+yaml',
      'application/json-patch+json',
      'application/merge-patch+json',
      'application/strategic-merge-patch+json',
    ])
  })

  test('lists say how they merge', () => {
    const { schemas } = v3('api/v1').components
    expect(
      (schemas['io.k8s.api.core.v1.PodSpec'] as { properties: Record<string, object> }).properties['containers'],
    ).toEqual({
      type: 'array',
      items: { $ref: '#/components/schemas/io.k8s.api.core.v1.Container' },
      'x-kubernetes-list-map-keys': ['name'],
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-patch-merge-key': 'name',
      'x-kubernetes-patch-strategy': 'merge',
    })
  })

  test('a custom resource is described by its own schema', () => {
    const document = v3('apis/ex.example.com/v1')
    expect(document.components.schemas['com.example.ex.v1.Thing']).toEqual({
      type: 'object',
      description: 'A thing.',
      properties: {
        apiVersion: { type: 'string', description: expect.stringContaining('APIVersion defines') },
        kind: { type: 'string', description: expect.stringContaining('Kind is') },
        metadata: { allOf: [{ $ref: '#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' }] },
        spec: THING.schema.properties?.['spec'],
      },
      'x-kubernetes-group-version-kind': [{ group: 'ex.example.com', kind: 'Thing', version: 'v1' }],
    })
    expect(Object.keys(document.paths)).toEqual([
      '/apis/ex.example.com/v1/namespaces/{namespace}/things',
      '/apis/ex.example.com/v1/namespaces/{namespace}/things/{name}',
      '/apis/ex.example.com/v1/namespaces/{namespace}/things/{name}/status',
      '/apis/ex.example.com/v1/things',
    ])
  })

  test('only the document of a group that changed is made again', () => {
    let current: readonly Resource[] = all
    const kept = documentsOf(() => current)
    const [core, things] = [kept.v3('api/v1'), kept.v3('apis/ex.example.com/v1')]
    current = [...all.slice(0, -1), { ...THING, schema: { type: 'object' } }]
    expect(kept.v3('api/v1')).toBe(core)
    expect(kept.v3('apis/ex.example.com/v1')?.hash).not.toBe(things?.hash)
    current = all.slice(0, -1)
    expect(kept.v3('apis/ex.example.com/v1')).toBeUndefined()
  })
})

test('the document of a group that is gone is not kept', () => {
  let served: readonly Resource[] = [THING]
  const changing = documentsOf(() => served)
  const path = 'apis/ex.example.com/v1'
  const before = changing.v3(path)
  served = []
  expect([changing.v3Index().paths, changing.v3(path)]).toEqual([{}, undefined])
  served = [THING]
  const after = changing.v3(path)
  expect(after).toEqual(before)
  expect(after).not.toBe(before)
})

describe('OpenAPI v2', () => {
  const document = JSON.parse(documents.v2().json) as Document

  test('refers only to what it defines', () => {
    for (const name of references(document, '#/definitions/')) expect(Object.keys(document.definitions)).toContain(name)
  })

  test('says of a custom resource what Swagger has words for', () => {
    expect(document.definitions['com.example.ex.v1.Thing']).toMatchObject({
      properties: {
        metadata: { $ref: '#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' },
        spec: {
          properties: {
            a: { maxLength: 5 },
            i: { 'x-kubernetes-int-or-string': true },
            p: { 'x-kubernetes-preserve-unknown-fields': true },
          },
        },
      },
    })
  })

  test('is the same as protocol buffers', () => {
    const fields = readMessage(documents.v2Protobuf())
    expect(text(fields, 1)).toBe('2.0')
    const definitions = messages(readMessage(bytes(fields, 9)), 1)
    expect(definitions.map((definition) => text(definition, 1))).toEqual(Object.keys(document.definitions))
    const paths = messages(readMessage(bytes(fields, 8)), 2)
    expect(paths.map((path) => text(path, 1))).toEqual(Object.keys(document.paths))
    const lease = definitions.find((definition) => text(definition, 1) === 'io.k8s.api.coordination.v1.Lease') as Fields
    const schema = readMessage(bytes(lease, 2))
    const properties = messages(readMessage(bytes(schema, 25)), 1)
    expect(properties.map((property) => [text(property, 1), optionalText(readMessage(bytes(property, 2)), 1)])).toEqual(
      [
        ['apiVersion', undefined],
        ['kind', undefined],
        ['metadata', '#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta'],
        ['spec', '#/definitions/io.k8s.api.coordination.v1.LeaseSpec'],
      ],
    )
    const [extension] = messages(schema, 31)
    expect(text(extension as Fields, 1)).toBe('x-kubernetes-group-version-kind')
    expect(JSON.parse(text(readMessage(bytes(extension as Fields, 2)), 2))).toEqual([
      { group: 'coordination.k8s.io', kind: 'Lease', version: 'v1' },
    ])
  })
})

type Fields = Map<number, Buffer[]>

/** The fields of a message whose fields are all strings, messages, or small numbers. */
function readMessage(message: Buffer): Fields {
  const fields: Fields = new Map()
  let at = 0
  function varint(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = message[at++] as number
      value += (byte & 127) * 2 ** shift
      if (byte < 128) return value
    }
  }
  while (at < message.length) {
    const tag = varint()
    const type = tag & 7
    const length = type === 2 ? varint() : type === 1 ? 8 : 0
    const value = type === 0 ? Buffer.from([varint()]) : message.subarray(at, at + length)
    at += length
    fields.set(tag >> 3, [...(fields.get(tag >> 3) ?? []), value])
  }
  return fields
}

function bytes(fields: Fields, field: number): Buffer {
  return fields.get(field)?.[0] as Buffer
}

function text(fields: Fields, field: number): string {
  return bytes(fields, field).toString()
}

function optionalText(fields: Fields, field: number): string | undefined {
  return fields.get(field)?.[0]?.toString()
}

function messages(fields: Fields, field: number): Fields[] {
  return (fields.get(field) ?? []).map(readMessage)
}
