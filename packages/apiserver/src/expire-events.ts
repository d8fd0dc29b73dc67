/**
 * Events go an hour after they were last written, as with kube-apiserver's `--event-ttl` (whose etcd leases end them):
 * every sandbox leaves some, they count against no quota, and nobody deletes them.
 */
import type { KubeObject } from '@caisson/api'
import type { ResourceKey, Store, StoreEvent } from './storage/store.ts'

/** Those of `events.k8s.io` are views of the same. */
const EVENTS: ResourceKey = 'events'
const TTL_MS = 60 * 60_000
/** Deletions in one commit, for which nothing else waits longer than some milliseconds. */
const BATCH = 200
/** Those that end close together go together: one commit for all of these ms. */
const GATHER_MS = 5000
/** After a write that failed. */
const RETRY_MS = 60_000

export interface ExpireEventsOptions {
  store: Store
  /** ms since the epoch. */
  now(): number
  report(error: unknown): void
}

/** Its watchers are told of every deletion. What was written before the start is due by its own times. */
export function expireEvents({ store, now, report }: ExpireEventsOptions): Disposable {
  /** When each was written last, by `NAMESPACE/NAME`, the oldest first: all live equally long. */
  const written = new Map<string, number>()
  let timer: NodeJS.Timeout | undefined
  let stopped = false

  function onEvent({ type, object }: StoreEvent): void {
    const key = keyOf(object)
    written.delete(key)
    if (type === 'DELETED') return
    written.set(key, now())
    arm()
  }

  function arm(atLeast = GATHER_MS): void {
    if (timer || stopped) return
    const [oldest] = written.values()
    if (oldest === undefined) return
    timer = setTimeout(() => void run(), Math.max(atLeast, oldest + TTL_MS - now())).unref()
  }

  async function run(): Promise<void> {
    let wait = GATHER_MS
    try {
      for (let due = firstDue(); due.length > 0; due = firstDue()) await deleteAll(due)
    } catch (error) {
      if (!stopped && store.failure === undefined) report(error)
      wait = RETRY_MS
    }
    timer = undefined
    arm(wait)
  }

  async function deleteAll(due: readonly KubeObject[]): Promise<void> {
    await store.write((transaction) => {
      for (const event of due) {
        const { namespace, name = '' } = event.metadata
        // One that is being written again lives on.
        if (transaction.get(EVENTS, namespace, name) === event) transaction.delete(EVENTS, event)
      }
    })
  }

  function firstDue(): KubeObject[] {
    const due: KubeObject[] = []
    if (stopped) return due
    const latest = now() - TTL_MS
    for (const [key, at] of written) {
      if (at > latest || due.length === BATCH) break
      const slash = key.indexOf('/')
      const event = store.get(EVENTS, key.slice(0, slash), key.slice(slash + 1))
      if (event) due.push(event)
    }
    return due
  }

  const start = now()
  const known = [...store.list(EVENTS)].map((event) => ({ key: keyOf(event), at: lastWrite(event, start) }))
  for (const { key, at } of known.sort((a, b) => a.at - b.at)) written.set(key, at)
  arm()
  const subscription = store.subscribe(EVENTS, store.revision, onEvent)
  return {
    [Symbol.dispose]() {
      stopped = true
      clearTimeout(timer)
      subscription?.[Symbol.dispose]()
    },
  }
}

function keyOf({ metadata }: KubeObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`
}

/** By its metadata, which clients can falsify: nothing was written after the start. */
function lastWrite({ metadata }: KubeObject, start: number): number {
  let latest = -Infinity
  for (const time of [metadata.creationTimestamp, ...(metadata.managedFields ?? []).map((entry) => entry.time)]) {
    const at = Date.parse(time ?? '')
    if (at > latest) latest = at
  }
  return latest > start || latest === -Infinity ? start : latest
}
