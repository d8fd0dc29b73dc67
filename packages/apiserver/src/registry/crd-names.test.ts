import type { KubeObject } from '@caisson/api'
import { expect, test } from 'vitest'
import { acceptNames } from './crd-names.ts'

test('each short name is looked for once among those that were accepted', () => {
  let reads = 0
  const before = new Proxy(
    Array.from({ length: 300 }, (_, index) => `a${index}`),
    {
      get(target, field) {
        reads++
        return Reflect.get(target, field)
      },
    },
  )
  const names = { plural: 'things', singular: 'thing', kind: 'Thing', listKind: 'ThingList' }
  const shortNames = Array.from({ length: 300 }, (_, index) => `b${index}`)
  const definition = {
    metadata: { name: 'things.example.com' },
    spec: { group: 'example.com', names: { ...names, shortNames } },
    status: { acceptedNames: { ...names, shortNames: before } },
  } as unknown as KubeObject
  expect(acceptNames(definition, { definitions: [], builtin: [] }, '').acceptedNames).toEqual({ ...names, shortNames })
  expect(reads).toBeLessThan(1000)
})
