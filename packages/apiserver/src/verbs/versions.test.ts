import type { KubeObject } from '@caisson/api'
import { expect, test } from 'vitest'
import { TURN_MS } from '../fair-queue.ts'
import { customResources } from '../registry/custom-resources.ts'
import type { Resource } from '../registry/resource.ts'
import { fromStorage, toStorage, viewsOf } from './versions.ts'

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

test('views that take a turn each are made in as many', async () => {
  const [, v1alpha1] = doubles()
  const slow: Resource = {
    ...v1alpha1,
    stored: {
      fromStored(object: KubeObject) {
        const until = performance.now() + TURN_MS
        while (performance.now() < until);
        return { ...object, apiVersion: 'example.com/v1alpha1' }
      },
    } as NonNullable<Resource['stored']>,
  }
  let turns = 0
  const count = (): void => {
    turns++
    counting = setImmediate(count)
  }
  let counting = setImmediate(count)
  const stored = ['a', 'b', 'c'].map((name) => ({ apiVersion: 'example.com/v1', kind: 'Double', metadata: { name } }))
  const views = await viewsOf(slow, stored)
  clearImmediate(counting)
  expect(views.map(({ apiVersion, metadata }) => [apiVersion, metadata.name])).toEqual(
    stored.map(({ metadata }) => ['example.com/v1alpha1', metadata.name]),
  )
  expect(turns).toBeGreaterThanOrEqual(3)
})
