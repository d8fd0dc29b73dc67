import fc from 'fast-check'
import { expect, test } from 'vitest'
import { deepCopy, deepEqual, deepFreeze } from './freeze.ts'
import { internManagedFields, shareUnchanged } from './share.ts'

const json = fc.jsonValue({ maxDepth: 4 })

test('sharing changes nothing that can be seen, and all that is equal is one', () => {
  fc.assert(
    fc.property(json, json, fc.boolean(), (a, b, same) => {
      const previous = deepFreeze(a)
      const next = deepCopy(same ? a : b)
      const expected = deepCopy(next)
      const shared = shareUnchanged(previous, next)
      expect(deepEqual(shared, expected)).toBe(true)
      if (deepEqual(previous, expected)) expect(shared).toBe(previous)
    }),
  )
})

test('an update keeps one copy of what it leaves alone', () => {
  const previous = deepFreeze({ metadata: { labels: { a: 'b' }, rv: '1' }, spec: { list: [{ x: 1 }, { y: 2 }] } })
  const next = deepCopy({ metadata: { labels: { a: 'b' }, rv: '2' }, spec: { list: [{ x: 1 }, { y: 3 }] } })
  const shared = shareUnchanged(previous, next)
  expect(shared.metadata.labels).toBe(previous.metadata.labels)
  expect(shared.spec.list[0]).toBe(previous.spec.list[0])
  expect(shared).toEqual({ metadata: { labels: { a: 'b' }, rv: '2' }, spec: { list: [{ x: 1 }, { y: 3 }] } })
})

test('what one manager owns of many objects is one', () => {
  const pod = (uid: string) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      managedFields: [
        { fieldsV1: { 'f:spec': { 'f:x': {} }, 'f:metadata': { 'f:labels': {}, 'f:ownerReferences': { [uid]: {} } } } },
      ],
    },
  })
  const [one, two] = [pod('1'), pod('2')]
  for (const each of [one, two]) internManagedFields(each, deepFreeze)
  const [a, b] = [one, two].map(({ metadata }) => metadata.managedFields[0]?.fieldsV1)
  expect(a?.['f:spec']).toBe(b?.['f:spec'])
  expect(a?.['f:metadata']['f:labels']).toBe(b?.['f:metadata']['f:labels'])
  expect(b).toEqual({ 'f:spec': { 'f:x': {} }, 'f:metadata': { 'f:labels': {}, 'f:ownerReferences': { '2': {} } } })
})
