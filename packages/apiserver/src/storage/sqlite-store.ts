/** The store of `store.ts`: every read from memory, every acknowledged write on disk. */
import type { KubeObject } from '@caisson/api'
import { createFairQueue, TURN_MS } from '../fair-queue.ts'
import { StatusError } from '../status-error.ts'
import { createSums } from '../sums.ts'
import { type Collection, compareObjects, createCollection } from './collection.ts'
import { type Change, isSqliteError, openDatabase } from './database.ts'
import { rememberEncoding } from './encoding.ts'
import { createEventWindow, type EventWindow, type WindowBounds } from './event-window.ts'
import { deepFreeze } from './freeze.ts'
import { createPendingChanges, type Step } from './pending-changes.ts'
import { internManagedFields, shareUnchanged } from './share.ts'
import type { ResourceKey, Store, StoreEvent, Transaction } from './store.ts'

export interface OpenStoreOptions {
  /** Made where it is missing, private to the user. */
  directory: string
  /** How much of each resource's past stays watchable. */
  window?: Partial<WindowBounds>
  /** Bytes of JSON of the past of all resources together. */
  historyBytes?: number
  /** A listener threw: the others are told all the same. Without it the error is thrown where nobody catches it. */
  report?(error: unknown): void
}

// 4,096 events are some seconds of the fastest bursts and hours of ordinary life; whoever comes later lists again.
const WINDOW: WindowBounds = { events: 4096, bytes: 16 << 20 }

/**
 * As long as etcd's default: whoever was away for longer lists again. Old states would otherwise be kept for ever. Of a
 * clock that does not jump: one that is set ahead would make everything expire at once.
 */
const WINDOW_MS = 5 * 60_000
const EXPIRE_EVERY_MS = 30_000

/** Of the pasts of all resources: nobody gets more by writing to many. */
const HISTORY_BYTES = 64 << 20

interface Shelf {
  collection: Collection
  window: EventWindow
  listeners: Set<(event: StoreEvent) => void>
}

interface Job {
  operation: (transaction: Transaction) => unknown
  resolve: (value: never) => void
  reject: (error: unknown) => void
}

/**
 * Opens the store in `directory`. Throws a `StoreError` where another process has it open, where a newer program wrote
 * it, or where it cannot be read.
 */
export function openStore(options: OpenStoreOptions): Store {
  const database = openDatabase(options.directory)
  const bounds = { ...WINDOW, ...options.window }
  const historyBytes = options.historyBytes ?? HISTORY_BYTES
  const report = options.report ?? throwLater
  const shelves = new Map<ResourceKey, Shelf>()
  const commitListeners = new Set<(revision: number) => void>()
  const compactedRevision = database.revision
  const stored = createSums()
  let revision = compactedRevision
  /** The revisions of the last looks at what expires, oldest first. */
  let looks: { at: number; revision: number }[] = []
  /** Lists as of older ones have expired, also where nothing has changed since: so clients know them. */
  let oldestListed = 0
  /** Bytes of JSON of the past of all resources together. */
  const history = { bytes: 0 }
  const queue = createFairQueue<Job>()
  /** While operations run: what they read are the newest states, those of their batch included. */
  let operating = false
  /** Settles when the batch that is being written to disk is answered. */
  let flushing: Promise<void> | undefined
  /** Why nothing can be written any more. */
  let failure: StatusError | undefined
  let closed = false

  function shelf(resource: ResourceKey): Shelf {
    let found = shelves.get(resource)
    if (!found) {
      found = {
        collection: createCollection(),
        window: createEventWindow(compactedRevision, bounds, (by) => {
          history.bytes += by
        }),
        listeners: new Set(),
      }
      shelves.set(resource, found)
    }
    return found
  }

  try {
    for (const { resource, namespace, name, object, bytes } of database.readAll()) {
      internManagedFields(object, deepFreeze)
      deepFreeze(object)
      shelf(resource).collection.set(namespace, name, object, bytes)
      stored.add(namespace, bytes)
    }
  } catch (error) {
    database[Symbol.dispose]()
    throw error
  }

  const pending = createPendingChanges((resource) => shelf(resource).collection)

  function get(resource: ResourceKey, namespace: string | undefined, name: string): KubeObject | undefined {
    return operating
      ? pending.get(resource, namespace ?? '', name)
      : shelf(resource).collection.get(namespace ?? '', name)
  }

  function list(resource: ResourceKey, namespace?: string): Iterable<KubeObject> {
    return operating ? pending.list(resource, namespace) : shelf(resource).collection.list(namespace)
  }

  function bytes(namespace?: string): number {
    return stored.of(namespace) + (operating ? pending.growth(namespace) : 0)
  }

  const transaction: Transaction = {
    get,
    list,
    bytes,
    put(resource, object) {
      const { namespace = '', name = '' } = object.metadata
      const previous = pending.get(resource, namespace, name)
      const next = revision + pending.size + 1
      object.metadata.resourceVersion = String(next)
      if (previous) shareUnchanged(previous, object)
      internManagedFields(object, deepFreeze)
      deepFreeze(object)
      const type = previous ? 'MODIFIED' : 'ADDED'
      const text = JSON.stringify(object)
      pending.add({
        resource,
        namespace,
        name,
        event: { type, object, previous, revision: next },
        text,
        bytes: Buffer.byteLength(text),
        bytesBefore: previous ? pending.sizeOf(resource, namespace, name) : 0,
      })
      return object
    },
    delete(resource, object) {
      const { namespace = '', name = '' } = object.metadata
      const previous = pending.get(resource, namespace, name)
      if (!previous) throw new Error(`${resource} ${namespace}/${name} is not in the store`)
      const next = revision + pending.size + 1
      const last = deepFreeze({ ...object, metadata: { ...object.metadata, resourceVersion: String(next) } })
      pending.add({
        resource,
        namespace,
        name,
        event: { type: 'DELETED', object: last, previous, revision: next },
        text: undefined,
        bytes: 0,
        bytesBefore: pending.sizeOf(resource, namespace, name),
      })
      return last
    },
  }

  /** Runs what is queued, as much as fits into a turn, as one batch. While its fsync is under way the next one gathers. */
  function flush(): void {
    flushing ??= runBatch().finally(() => {
      flushing = undefined
      if (queue.size > 0) setImmediate(flush)
    })
  }

  /**
   * Calls `run` with one job at least, and ends before one that is likely not to fit: what is done by then is not to wait
   * for it.
   */
  function runTurn(run: (job: Job) => void): void {
    const begun = performance.now()
    let at = begun
    while (queue.size > 0 && (at === begun || at - begun + queue.expected() < TURN_MS)) {
      const next = queue.take()
      if (!next) return
      run(next.item)
      const now = performance.now()
      next.done(now - at)
      at = now
    }
  }

  async function runBatch(): Promise<void> {
    const settle: (() => void)[] = []
    const done: { job: Job; value: unknown }[] = []
    /** Refused on grounds that the disk may not take: whoever was told so would have been told of what never was. */
    const conditional: { job: Job; error: unknown }[] = []
    operating = true
    runTurn((job) => {
      const before = pending.size
      try {
        done.push({ job, value: job.operation(transaction) })
      } catch (error) {
        pending.truncate(before)
        if (before > 0) conditional.push({ job, error })
        else settle.push(() => job.reject(error))
      }
    })
    operating = false
    const steps = pending.take()
    try {
      if (steps.length > 0) await commit(steps)
      for (const { job, value } of done) settle.push(() => job.resolve(value as never))
      for (const { job, error } of conditional) settle.push(() => job.reject(error))
    } catch (error) {
      for (const { job } of [...done, ...conditional]) settle.push(() => job.reject(error))
      steps.length = 0
    }
    // Promises settle after this turn: whoever awaits a write finds that watchers have heard of it.
    for (const each of settle) each()
    if (steps.length > 0) announce(steps)
  }

  /** Throws a StatusError, and nothing has changed then. */
  async function commit(steps: readonly Step[]): Promise<void> {
    if (failure) throw failure
    const changes = new Map<string, Change>()
    for (const { resource, namespace, name, text } of steps)
      changes.set(`${resource}\n${namespace}\n${name}`, { resource, namespace, name, object: text })
    try {
      database.commit(changes.values(), revision + steps.length)
    } catch (error) {
      throw new StatusError(
        'InternalError',
        isSqliteError(error, 'full')
          ? 'the disk is full: nothing was written; free some space and try again'
          : `storage failed: nothing was written: ${(error as Error).message}`,
        { cause: error },
      )
    }
    try {
      await database.sync()
    } catch (error) {
      // The kernel may have dropped what it could not write, and says so once: nothing after it can be relied upon.
      failure = new StatusError(
        'InternalError',
        `the disk failed (${(error as Error).message}): nothing more is written until the server is started again`,
        { cause: error },
      )
      throw failure
    }
    revision += steps.length
    const at = performance.now()
    for (const { resource, namespace, name, event, text, bytes: size, bytesBefore } of steps) {
      const { collection, window } = shelf(resource)
      if (text === undefined) collection.delete(namespace, name)
      else {
        collection.set(namespace, name, event.object, size)
        rememberEncoding(event.object, text)
      }
      stored.add(namespace, size - bytesBefore)
      // What an event keeps alive: both states, which share what they have in common.
      window.push(event, Math.max(size, bytesBefore), at)
    }
    boundHistory()
  }

  /** The resource with the longest past forgets first. */
  function boundHistory(): void {
    while (history.bytes > historyBytes) {
      let longest: EventWindow | undefined
      for (const { window } of shelves.values()) if (!longest || window.bytes > longest.bytes) longest = window
      longest?.dropOldest()
    }
  }

  function announce(steps: readonly Step[]): void {
    for (const { resource, event } of steps) for (const listener of shelf(resource).listeners) tell(listener, event)
    for (const listener of commitListeners) tell(listener, revision)
  }

  function tell<T>(listener: (said: T) => void, said: T): void {
    try {
      listener(said)
    } catch (error) {
      report(error)
    }
  }

  const expiry = setInterval(() => {
    const now = performance.now()
    const at = now - WINDOW_MS
    for (const { window } of shelves.values()) window.expire(at)
    oldestListed = looks.findLast((look) => look.at < at)?.revision ?? oldestListed
    looks = [...looks.filter((look) => look.at >= at), { at: now, revision }]
  }, EXPIRE_EVERY_MS).unref()

  return {
    get revision() {
      return revision
    },
    compactedRevision: (resource) => shelf(resource).window.compactedRevision,
    get failure() {
      return failure?.message
    },
    get,
    list,
    bytes,
    listAt(resource, namespace, at) {
      if (at > revision || at < oldestListed) return undefined
      const { collection, window } = shelf(resource)
      const since = window.after(at)
      if (!since) return undefined
      const current = collection.list(namespace)
      return since.length === 0 ? current : rewind(current, since, namespace)
    },
    write(operation, share = '') {
      if (closed) return Promise.reject(new StatusError('ServiceUnavailable', 'the server is shutting down'))
      return new Promise((resolve, reject) => {
        queue.push(share, { operation, resolve, reject })
        if (queue.size === 1 && !flushing) setImmediate(flush)
      })
    },
    eventsAfter: (resource, since) => shelf(resource).window.after(since),
    subscribe(resource, since, listener) {
      const { window, listeners } = shelf(resource)
      const past = window.after(since)
      if (!past) return undefined
      for (const event of past) listener(event)
      // Who subscribes while a commit is announced has had its events from the window already.
      const seen = revision
      const own = (event: StoreEvent) => {
        if (event.revision > seen) listener(event)
      }
      listeners.add(own)
      return { [Symbol.dispose]: () => void listeners.delete(own) }
    },
    onCommit(listener) {
      const own = (at: number) => listener(at)
      commitListeners.add(own)
      return { [Symbol.dispose]: () => void commitListeners.delete(own) }
    },
    async [Symbol.asyncDispose]() {
      if (closed) return
      closed = true
      clearInterval(expiry)
      while (flushing || queue.size > 0) {
        flush()
        await flushing
      }
      database[Symbol.dispose]()
    },
  }
}

function throwLater(error: unknown): void {
  setImmediate(() => {
    throw error
  })
}

/** What `current` was before the events. */
function rewind(current: KubeObject[], events: readonly StoreEvent[], namespace: string | undefined): KubeObject[] {
  const before = new Map<string, KubeObject | undefined>()
  for (const { object, previous } of events) {
    if (namespace !== undefined && (object.metadata.namespace ?? '') !== namespace) continue
    const key = keyOf(object)
    if (!before.has(key)) before.set(key, previous)
  }
  const objects: KubeObject[] = []
  for (const object of current) if (!before.has(keyOf(object))) objects.push(object)
  for (const object of before.values()) if (object) objects.push(object)
  return objects.sort(compareObjects)
}

function keyOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`
}
