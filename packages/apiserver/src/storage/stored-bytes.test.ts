/** What the store says that its objects take, and what their past keeps. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KubeObject } from '@caisson/api'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openStore } from './sqlite-store.ts'
import type { Store } from './store.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'store-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const object = (namespace: string, name: string, text: string): KubeObject => ({
  kind: 'Pod',
  apiVersion: 'v1',
  metadata: { name, ...(namespace && { namespace }) },
  text,
})

const NAMESPACES = ['', 'a', 'b']
const RESOURCES = ['pods', 'services']

function measured(store: Store, namespace?: string): number {
  const all = RESOURCES.flatMap((resource) => [...store.list(resource)])
  return all
    .filter(({ metadata }) => namespace === undefined || (metadata.namespace ?? '') === namespace)
    .reduce((sum, each) => sum + Buffer.byteLength(JSON.stringify(each)), 0)
}

test('bytes are those of what is there, within a batch, after writes that fail and after a restart', async () => {
  const operation = fc.record({
    resource: fc.constantFrom(...RESOURCES),
    namespace: fc.constantFrom(...NAMESPACES),
    name: fc.constantFrom('x', 'y', 'z'),
    text: fc.oneof(fc.constant(undefined), fc.string({ unit: 'grapheme', maxLength: 40 })),
    fails: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(operation, { maxLength: 8 }), { maxLength: 4 }), async (batches) => {
      const own = mkdtempSync(join(directory, 'run-'))
      const check = (store: Store, bytes: Store['bytes']): void => {
        for (const namespace of [undefined, ...NAMESPACES]) expect(bytes(namespace)).toBe(measured(store, namespace))
      }
      const store = openStore({ directory: own })
      for (const batch of batches) {
        const writes = batch.map(({ resource, namespace, name, text, fails }) =>
          store.write((transaction) => {
            const known = transaction.get(resource, namespace, name)
            if (text !== undefined) transaction.put(resource, object(namespace, name, text))
            else if (known) transaction.delete(resource, known)
            check(store, transaction.bytes)
            if (fails) throw new Error('no')
          }),
        )
        await Promise.allSettled(writes)
        check(store, store.bytes)
      }
      await store[Symbol.asyncDispose]()
      await using again = openStore({ directory: own })
      check(again, again.bytes)
    }),
    { numRuns: 30 },
  )
})

test('a deletion keeps no more alive than its resource may remember', async () => {
  await using store = openStore({ directory, window: { bytes: 300_000 } })
  const put = (name: string) =>
    store.write((transaction) => transaction.put('pods', object('a', name, 'x'.repeat(90_000))))
  for (let index = 0; index < 10; index++) await put(`p${index}`)
  for (const each of store.list('pods')) await store.write((transaction) => transaction.delete('pods', each))
  expect(store.eventsAfter('pods', store.compactedRevision('pods'))?.map(({ type }) => type)).toEqual([
    'DELETED',
    'DELETED',
    'DELETED',
  ])
})

test('nor does a state that became small', async () => {
  await using store = openStore({ directory, window: { bytes: 300_000 } })
  const put = (name: string, length: number) =>
    store.write((transaction) => transaction.put('pods', object('a', name, 'x'.repeat(length))))
  for (let index = 0; index < 10; index++) await put(`p${index}`, 90_000)
  for (let index = 0; index < 10; index++) await put(`p${index}`, 1)
  expect(store.eventsAfter('pods', store.compactedRevision('pods'))).toHaveLength(3)
})

test('who writes to many resources gets no longer past in all', async () => {
  await using store = openStore({ directory, historyBytes: 1_000_000 })
  await store.write((transaction) => transaction.put('small', object('a', 'p', 'x')))
  for (let index = 0; index < 30; index++)
    await store.write((transaction) =>
      transaction.put(`kind${index % 3}`, object('a', `p${index}`, 'x'.repeat(90_000))),
    )
  const kept = ['kind0', 'kind1', 'kind2', 'small'].map(
    (resource) => store.eventsAfter(resource, store.compactedRevision(resource))?.length,
  )
  expect(kept).toEqual([3, 4, 4, 1])
})
