import type { KubeObject } from '@caisson/api'
import { expect, test } from 'vitest'
import { customResources } from '../registry/custom-resources.ts'
import type { Resource } from '../registry/resource.ts'
import { fromStorage, toStorage } from './versions.ts'

const schema = (properties: object): object => ({
  openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties } } },
})
const string = { type: 'string' }

function doubles(): [v1: Resource, v1alpha1: Resource] {
  const names = { plural: 'doubles', kind: 'Double' }
  const found = customResources({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'doubles.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names,
      versions: [
        { name: 'v1', served: true, storage: true, schema: schema({ a: string }) },
        { name: 'v1alpha1', served: true, storage: false, schema: schema({ a: string, b: string }) },
      ],
    },
    status: { acceptedNames: names, conditions: [{ type: 'Established', status: 'True' }] },
  })
  return found as [Resource, Resource]
}

test('a field that the stored version lacks is not stored, and what was given stays as it was', () => {
  const [v1, v1alpha1] = doubles()
  const given: KubeObject = {
    apiVersion: 'example.com/v1alpha1',
    kind: 'Double',
    metadata: { name: 'x' },
    spec: { a: '1', b: '2' },
  }
  const stored = toStorage(v1alpha1, given)
  expect(stored).toEqual({ ...given, apiVersion: 'example.com/v1', spec: { a: '1' } })
  expect(given['spec']).toEqual({ a: '1', b: '2' })
  expect(fromStorage(v1alpha1, stored)).toEqual({ ...given, spec: { a: '1' } })
  expect(fromStorage(v1, stored)).toEqual(stored)
})
