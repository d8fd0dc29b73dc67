import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KubeObject } from '@caisson/api'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { openStore } from './sqlite-store.ts'
import type { Store, StoreEvent } from './store.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'store-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true })
})

function pod(namespace: string, name: string, value = 0): KubeObject {
  return { kind: 'Pod', apiVersion: 'v1', metadata: { name, namespace }, value }
}

const nameOf = ({ metadata }: KubeObject) => `${metadata.namespace}/${metadata.name}`

describe('the event window', () => {
  test('forgets the oldest events, and says so', async () => {
    await using store = openStore({ directory, window: { events: 3 } })
    for (let index = 0; index < 5; index++)
      await store.write((transaction) => transaction.put('pods', pod('a', `p${index}`)))
    expect(store.compactedRevision('pods')).toBe(3)
    expect(store.eventsAfter('pods', 2)).toBeUndefined()
    expect(store.listAt('pods', undefined, 2)).toBeUndefined()
    expect(store.eventsAfter('pods', 3)?.map(({ object }) => nameOf(object))).toEqual(['a/p2', 'a/p3', 'a/p4'])
    expect([...(store.listAt('pods', undefined, 3) ?? [])].map(nameOf)).toEqual(['a/p0', 'a/p1'])
    // Other resources keep theirs.
    expect(store.eventsAfter('services', 1)).toEqual([])
  })

  test('is bounded in bytes too', async () => {
    await using store = openStore({ directory, window: { bytes: 1000 } })
    for (let index = 0; index < 5; index++)
      await store.write((transaction) => transaction.put('pods', { ...pod('a', `p${index}`), text: 'x'.repeat(350) }))
    expect(store.eventsAfter('pods', store.revision - 2)).toHaveLength(2)
    expect(store.eventsAfter('pods', store.revision - 3)).toBeUndefined()
  })

  test('lasts five minutes, whatever the clock on the wall is set to', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance', 'setInterval', 'clearInterval'] })
    try {
      await using store = openStore({ directory })
      const { revision } = store
      await store.write((transaction) => transaction.put('pods', pod('a', 'one')))
      vi.setSystemTime(Date.now() + 3 * 3_600_000)
      vi.advanceTimersByTime(60_000)
      expect(store.eventsAfter('pods', revision)?.map(({ object }) => nameOf(object))).toEqual(['a/one'])
      vi.setSystemTime(Date.now() - 9 * 3_600_000)
      vi.advanceTimersByTime(300_000)
      expect(store.eventsAfter('pods', revision)).toBeUndefined()
    } finally {
      vi.useRealTimers()
    }
  })

  test('lists as they were expire after five minutes also of what has not changed since', async () => {
    vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'clearInterval'] })
    try {
      await using store = openStore({ directory })
      await store.write((transaction) => transaction.put('pods', pod('a', 'one')))
      const { revision } = store
      vi.advanceTimersByTime(600_000)
      expect([...(store.listAt('pods', undefined, revision) ?? [])].map(nameOf)).toEqual(['a/one'])
      await store.write((transaction) => transaction.put('leases', pod('a', 'lease')))
      vi.advanceTimersByTime(240_000)
      expect([...(store.listAt('pods', undefined, revision) ?? [])].map(nameOf)).toEqual(['a/one'])
      vi.advanceTimersByTime(120_000)
      expect(store.listAt('pods', undefined, revision)).toBeUndefined()
      // Nobody who watches has missed anything.
      expect(store.eventsAfter('pods', revision)).toEqual([])
    } finally {
      vi.useRealTimers()
    }
  })

  test('who subscribes while a commit is announced hears of it once', async () => {
    await using store = openStore({ directory })
    const heard: number[] = []
    store.subscribe('pods', store.revision, (event) => {
      if (event.revision === 2) store.subscribe('pods', 1, ({ revision }) => heard.push(revision))
    })
    await store.write((transaction) => {
      transaction.put('pods', pod('a', 'one'))
      transaction.put('pods', pod('a', 'two'))
    })
    await store.write((transaction) => transaction.put('pods', pod('a', 'three')))
    expect(heard).toEqual([2, 3, 4])
  })
})

type Operation = { kind: 'put' | 'delete' | 'fail'; name: string; value: number; joins: boolean }

const operations = fc.array(
  fc.record({
    kind: fc.constantFrom('put', 'put', 'delete', 'fail'),
    name: fc.constantFrom('a/x', 'a/y', 'a-b/x', 'b/x', 'b/y'),
    value: fc.nat(3),
    /** Whether it runs in the same turn, and so the same commit, as the one before it. */
    joins: fc.boolean(),
  }),
  { minLength: 1, maxLength: 40 },
) as fc.Arbitrary<Operation[]>

async function run(store: Store, history: readonly Operation[]): Promise<void> {
  let pending: Promise<unknown>[] = []
  for (const { kind, name, value, joins } of history) {
    if (!joins) {
      await Promise.all(pending)
      pending = []
    }
    const [namespace, plain] = name.split('/') as [string, string]
    pending.push(
      store
        .write((transaction) => {
          const current = transaction.get('pods', namespace, plain)
          if (kind !== 'delete') transaction.put('pods', pod(namespace, plain, value))
          else if (current) transaction.delete('pods', current)
          if (kind === 'fail') throw new Error('expected')
        })
        .catch((error: Error) => expect(error.message).toBe('expected')),
    )
  }
  await Promise.all(pending)
}

/** What somebody knows who lists at a revision and then applies every event after it. */
function replay(start: Iterable<KubeObject>, events: readonly StoreEvent[]): Map<string, KubeObject> {
  const known = new Map([...start].map((object) => [nameOf(object), object]))
  for (const { type, object, previous } of events) {
    expect(known.get(nameOf(object))).toBe(previous)
    expect(type).toBe(type === 'DELETED' ? 'DELETED' : previous ? 'MODIFIED' : 'ADDED')
    if (type === 'DELETED') known.delete(nameOf(object))
    else known.set(nameOf(object), object)
  }
  return known
}

describe('any history', () => {
  test('a list at any revision and the events after it are the present; each event comes once, in order', async () => {
    await fc.assert(
      fc.asyncProperty(operations, async (history) => {
        const own = mkdtempSync(join(directory, 'run-'))
        await using store = openStore({ directory: own })
        const live: StoreEvent[] = []
        const start = store.revision
        store.subscribe('pods', start, (event) => live.push(event))
        await run(store, history)

        const revisions = live.map(({ revision }) => revision)
        expect(revisions).toEqual(revisions.toSorted((a, b) => a - b))
        expect(new Set(revisions).size).toBe(revisions.length)
        expect(live.map(({ object }) => object.metadata.resourceVersion)).toEqual(revisions.map(String))
        const present = new Map([...store.list('pods')].map((object) => [nameOf(object), object]))
        for (let at = start; at <= store.revision; at++) {
          const events = store.eventsAfter('pods', at) as StoreEvent[]
          expect(events).toEqual(live.filter(({ revision }) => revision > at))
          const then = [...(store.listAt('pods', undefined, at) as Iterable<KubeObject>)]
          expect(replay(then, events)).toEqual(present)
          const inA = [...(store.listAt('pods', 'a', at) as Iterable<KubeObject>)]
          expect(inA).toEqual(then.filter(({ metadata }) => metadata.namespace === 'a'))
        }
      }),
      { numRuns: 60 },
    )
  })

  test('a restart changes nothing', async () => {
    await fc.assert(
      fc.asyncProperty(operations, operations, async (before, after) => {
        const own = mkdtempSync(join(directory, 'run-'))
        const first = openStore({ directory: own })
        await run(first, before)
        const { revision } = first
        const objects = [...first.list('pods')]
        await first[Symbol.asyncDispose]()
        await using second = openStore({ directory: own })
        expect([second.revision, [...second.list('pods')]]).toEqual([revision, objects])
        await run(second, after)
        for (const object of second.list('pods'))
          expect(objects.includes(object) || Number(object.metadata.resourceVersion) > 1).toBe(true)
      }),
      { numRuns: 30 },
    )
  })
})
