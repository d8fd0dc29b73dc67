import type { KubeObject } from '@caisson/api'
import { expect, test } from 'vitest'
import { builtinResources } from '../registry/builtin/index.ts'
import { customResources } from '../registry/custom-resources.ts'
import { createRegistry } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import { deepFreeze } from '../storage/freeze.ts'
import { startServer } from '../testing/running-server.ts'
import type { Call } from './call.ts'
import { PATCH_TYPES, type PatchRequest, patchedObject } from './patch.ts'
import { fromStorage, toStorage } from './versions.ts'

const string = { type: 'string' }

function resourceWith(properties: object): Resource {
  const names = { plural: 'singles', kind: 'Single' }
  const part = { type: 'object', properties }
  const openAPIV3Schema = {
    type: 'object',
    properties: { spec: { type: 'object', properties: { kept: part, patched: part } } },
  }
  const [resource] = customResources({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'singles.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names,
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema } }],
    },
    status: { acceptedNames: names, conditions: [{ type: 'Established', status: 'True' }] },
  })
  return resource as Resource
}

function mergePatched(resource: Resource, current: KubeObject, value: object): KubeObject {
  const call = { contentType: PATCH_TYPES.merge, warnings: [] as string[] } as unknown as Call
  const options = { fieldValidation: 'Strict' } as PatchRequest['options']
  const body = { value, text: JSON.stringify(value), duplicates: [] }
  return patchedObject({ resource, environment: { registry: createRegistry([]) }, call, options, body })(current)
}

const given = (spec: object): KubeObject => ({
  apiVersion: 'example.com/v1',
  kind: 'Single',
  metadata: { name: 'x', labels: { a: '1' } },
  spec,
})

test('what a merge patch does not touch of a custom resource is the very same, but for metadata itself', () => {
  const resource = resourceWith({ a: string, b: { ...string, default: 'd' } })
  const stored = deepFreeze(toStorage(resource, given({ kept: { a: '1', b: 'd' }, patched: { a: '1', b: 'x' } })))
  const current = fromStorage(resource, stored)
  const next = mergePatched(resource, current, { spec: { patched: { a: '2', b: null } } })
  expect(next).toEqual(given({ kept: { a: '1', b: 'd' }, patched: { a: '2', b: 'd' } }))
  const kept = (object: KubeObject): unknown => (object['spec'] as { kept: object }).kept
  expect(kept(next)).toBe(kept(current))
  expect(next.metadata.labels).toBe(current.metadata.labels)
  next.metadata.generation = 2
  expect(current.metadata.generation).toBeUndefined()
})

test('what was stored by an older schema is pruned and defaulted by the new one, touched or not', () => {
  const older = resourceWith({ a: string, gone: string })
  const newer = resourceWith({ a: string, b: { ...string, default: 'd' } })
  const part = { a: '1', gone: '1' }
  const stored = deepFreeze(toStorage(older, given({ kept: part, patched: { ...part } })))
  const next = mergePatched(newer, fromStorage(newer, stored), { spec: { patched: { a: '2' } } })
  expect(next).toEqual(given({ kept: { a: '1', b: 'd' }, patched: { a: '2', b: 'd' } }))
})

test.each([
  ['PATCH', 'application/merge-patch+json', (index: number) => ({ data: { a: String(index) } })],
  [
    'PATCH',
    'application/json-patch+json',
    (index: number) => [{ op: 'replace', path: '/data/a', value: String(index) }],
  ],
  ['PUT', 'application/json', (index: number, before: KubeObject) => ({ ...before, data: { a: String(index) } })],
])(
  'who owns what is neither read nor written again where %s of %s changes nothing of it',
  async (method, type, body) => {
    await using server = await startServer({ resources: builtinResources() })
    const path = '/api/v1/namespaces/a/configmaps'
    const stored = () => server.store.get('configmaps', 'a', 'x') as KubeObject
    await server.request('POST', '/api/v1/namespaces', { body: { metadata: { name: 'a' } } })
    await server.request('POST', path, { body: { metadata: { name: 'x' }, data: { a: '' } } })
    const before = stored()
    const { status } = await server.request(method, `${path}/x`, {
      body: body(1, JSON.parse(JSON.stringify(before)) as KubeObject),
      headers: { 'content-type': type },
    })
    expect([status, stored()['data']]).toEqual([200, { a: '1' }])
    expect(stored().metadata.managedFields).toHaveLength(1)
    expect(stored().metadata.managedFields?.[0]?.fieldsV1).toBe(before.metadata.managedFields?.[0]?.fieldsV1)
  },
)
