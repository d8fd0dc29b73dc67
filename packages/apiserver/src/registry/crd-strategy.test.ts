import type { KubeObject } from '@caisson/api'
import { expect, test } from 'vitest'
import { crdStrategy } from './crd-strategy.ts'

const now = Date.UTC(2026, 0, 1)
const context = { user: { username: 'u', groups: [] }, now, list: () => [], builtin: [] }

function definition(versions: unknown): KubeObject {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'things.example.com' },
    spec: { group: 'example.com', scope: 'Cluster', names: { plural: 'things', kind: 'Thing' }, versions },
  }
}

test('an update to no versions at all is refused, not a crash', () => {
  const current = definition([{ name: 'v1', served: true, storage: true }])
  crdStrategy.prepareForCreate?.(current, context)
  const next = definition(null)
  crdStrategy.prepareForUpdate?.(next, current, context)
  const said = crdStrategy.validateUpdate?.(next, current).map(({ field }) => field)
  expect(said).toContain('spec.versions')
})

test('a new definition’s status belongs to the server', () => {
  const crd = definition([{ name: 'v1', served: true, storage: true }])
  const fieldsV1 = { 'f:spec': { 'f:group': {} } }
  crd.metadata.managedFields = [{ manager: 'me', operation: 'Update', fieldsType: 'FieldsV1', fieldsV1 }]
  crdStrategy.prepareForCreate?.(crd, context)
  expect(crd.metadata.managedFields?.map(({ manager, subresource }) => [manager, subresource])).toEqual([
    ['me', undefined],
    ['kube-apiserver', 'status'],
  ])
})
