import type { PodObject } from '@caisson/client'
import { expect, test } from 'vitest'
import { createFollowedReferences } from './followed-references.ts'
import { aPod } from './pods/observed-pod-fixtures.ts'
import { type Reference, referenceKey } from './references.ts'

/** Refers to as many ConfigMaps, whose names begin so. */
function pod(
  uid: string,
  { namespace = 'n', names, count }: { namespace?: string; names: string; count: number },
): PodObject {
  const envFrom = Array.from({ length: count }, (_, index) => ({ configMapRef: { name: `${names}-${index}` } }))
  const made = aPod({ spec: { containers: [{ name: 'main', image: 'image', envFrom }] } })
  return { ...made, metadata: { ...made.metadata, namespace, uid } }
}

function start() {
  const watched = new Set<string>()
  const references = createFollowedReferences({
    retain(reference: Reference) {
      expect(watched).not.toContain(referenceKey(reference))
      watched.add(referenceKey(reference))
    },
    release: (reference: Reference) => expect(watched.delete(referenceKey(reference))).toBe(true),
  })
  return { references, watched }
}

test('Pods of one namespace have 4,000 objects watched at most, and nobody else fewer for it', () => {
  const { references, watched } = start()
  for (let index = 0; index < 4; index++)
    expect(references.take(pod(`u${index}`, { names: `c${index}`, count: 1_000 }))).toBeUndefined()
  expect(watched.size).toBe(4_000)
  expect(references.take(pod('more', { names: 'more', count: 2 }))).toEqual({
    reason: 'OutOfReferences',
    message:
      'Pods of its namespace refer to 4000 ConfigMaps and Secrets on this node, and it refers to 2 others: expected at most 4000 together',
  })
  // What others refer to costs nothing more.
  expect(references.take(pod('same', { names: 'c0', count: 1_000 }))).toBeUndefined()
  expect(references.take(pod('none', { names: '', count: 0 }))).toBeUndefined()
  expect(references.take(pod('elsewhere', { namespace: 'other', names: 'c0', count: 10 }))).toBeUndefined()
  // One that runs already is not refused.
  references.follow(pod('begun', { names: 'begun', count: 10 }))
  expect(watched.size).toBe(4_010)
  references.leave('u1')
  expect(references.take(pod('more', { names: 'more', count: 2 }))).toBeUndefined()
  expect(watched.size).toBe(3_012)
})

test('an object is watched until the last Pod that refers to it needs it no more', () => {
  const { references, watched } = start()
  const c0: Reference = { kind: 'configmap', namespace: 'n', name: 'c-0' }
  references.take(pod('one', { names: 'c', count: 2 }))
  references.take(pod('two', { names: 'c', count: 1 }))
  references.follow(pod('one', { names: 'c', count: 3 }))
  expect(watched.size).toBe(3)
  expect(references.followersOf(c0)).toEqual(['one', 'two'])
  references.leave('one')
  references.leave('one')
  expect([...watched]).toEqual([referenceKey(c0)])
  expect(references.followersOf(c0)).toEqual(['two'])
  references.leave('two')
  expect([watched.size, references.followersOf(c0)]).toEqual([0, []])
})
