/** A cache of every object of a resource that follows the server, and tells who wants to know of each change. */
import type { Client } from './client.ts'
import { abortable } from './delay.ts'
import { deepFreeze } from './freeze.ts'
import { createObjectCache, type IndexFunction } from './object-cache.ts'
import { type ReflectorTiming, runReflector, type Scope } from './reflector.ts'
import { type AnyObject, keyOf, type Resource } from './resource.ts'

export interface InformerHandlers<T extends AnyObject> {
  added?(object: T): void
  updated?(old: T, object: T): void
  /** With its last state, where that was seen. */
  deleted?(object: T): void
}

export interface InformerHealth {
  /** A first complete list has arrived. */
  readonly synced: boolean
  /** A watch stands. False: the cache ages, and the next attempt is on its way. */
  readonly connected: boolean
  /** Of the last failure since the last connection. */
  readonly lastError: Error | undefined
  /** ms since the epoch of the last change of `connected`. */
  readonly since: number
}

/** Objects in it are frozen and shared by all readers. */
export interface Informer<T extends AnyObject> extends AsyncDisposable {
  readonly resource: Resource<T>
  readonly health: InformerHealth
  readonly size: number
  /** By `NAMESPACE/NAME`, or `NAME` where there is no namespace. */
  get(key: string): T | undefined
  list(): readonly T[]
  /** The objects for which the index function names `value`. */
  byIndex(index: string, value: string): readonly T[]
  /**
   * Adds an index; its function has to depend on the object alone. The same function under the same name is added once. An
   * object for which it throws is found under nothing, and what it throws is told as what handlers throw.
   */
  addIndex(name: string, values: IndexFunction<T>): void
  /**
   * Calls the handlers for each change, synchronously and in order: they should enqueue and return. For objects that
   * are there already `added` is called at once. What a handler throws goes to `onHandlerError`, and to nobody else.
   */
  handle(handlers: InformerHandlers<T>): Disposable
  /** Resolves when the cache has been complete once. Rejects with the signal's reason, or when the informer is disposed. */
  synced(signal?: AbortSignal): Promise<void>
  /**
   * Puts the answer of a write into the cache at once, so that the next pass does not run on what was before it. Older
   * states than the known one change nothing, and nothing is taken before the first list. With selectors only objects that are in the cache are touched: whether
   * another one is selected is the server's word.
   */
  observe(object: T): void
  /** The object was deleted by us, and the server has said that it is gone (not only marked). */
  observeDeletion(object: T): void
}

export interface InformerOptions<T extends AnyObject> extends Scope {
  /** Applied to each object before it is kept: leave out what nobody reads. Objects from a server of this process are frozen. */
  transform?: (object: T) => T
  indexers?: Readonly<Record<string, IndexFunction<T>>>
  /** Objects of other namespaces are left out, as if there were none; those without a namespace are kept. */
  wantsNamespace?: (namespace: string) => boolean
  timing?: ReflectorTiming
  /** Default: a process warning. */
  onHandlerError?: (error: unknown) => void
}

/** Starts following at once, until disposed. It never gives up: `health` says how it is. */
export function createInformer<T extends AnyObject>(
  client: Client,
  resource: Resource<T>,
  options: InformerOptions<T> = {},
): Informer<T> {
  const { namespace, labelSelector, fieldSelector, wantsNamespace } = options
  const selective = Boolean(labelSelector || fieldSelector)
  const stop = new AbortController()
  // Replaced, never changed: a handler may add or remove handlers.
  let handlers: readonly InformerHandlers<T>[] = []
  const indexFunctions = new Map<string, IndexFunction<T>>()
  let health: InformerHealth = { synced: false, connected: false, lastError: undefined, since: Date.now() }
  const firstSync = Promise.withResolvers<void>()
  // Nobody has to wait for it.
  firstSync.promise.catch(() => {})

  function tell(call: (handlers: InformerHandlers<T>) => void): void {
    for (const each of handlers) guarded(() => call(each))
  }
  function guarded<V>(call: () => V): V | undefined {
    try {
      return call()
    } catch (error) {
      if (options.onHandlerError) options.onHandlerError(error)
      else process.emitWarning(error instanceof Error ? error : String(error), 'InformerHandlerWarning')
      return undefined
    }
  }
  const cache = createObjectCache<T>({
    added: (object) => tell((each) => each.added?.(object)),
    updated: (old, object) => tell((each) => each.updated?.(old, object)),
    deleted: (object) => tell((each) => each.deleted?.(object)),
  })

  function ingest(object: T): T {
    const kept = withoutManagedFields(object)
    return deepFreeze(options.transform ? options.transform(kept) : kept)
  }

  function addIndex(name: string, values: IndexFunction<T>): void {
    if (indexFunctions.get(name) === values) return
    // One object that nobody reckoned with is not to keep everybody from all others.
    cache.addIndex(name, (object) => guarded(() => values(object)) ?? [])
    indexFunctions.set(name, values)
  }
  for (const [name, values] of Object.entries(options.indexers ?? {})) addIndex(name, values)

  const running = runReflector<T>({
    client,
    resource,
    scope: {
      ...(namespace !== undefined && { namespace }),
      ...(labelSelector && { labelSelector }),
      ...(fieldSelector && { fieldSelector }),
    },
    ingest,
    signal: stop.signal,
    timing: options.timing,
    sink: {
      put(object) {
        if (isInScope(object)) cache.put(object)
        else cache.advance(object.metadata.resourceVersion)
      },
      remove: cache.remove,
      advance: cache.advance,
      replace(objects, resourceVersion) {
        cache.replace(wantsNamespace ? objects.filter(isInScope) : objects, resourceVersion)
        if (!health.synced) health = { ...health, synced: true }
        firstSync.resolve()
      },
      connected() {
        if (!health.connected || health.lastError) {
          health = { ...health, connected: true, lastError: undefined, since: Date.now() }
        }
      },
      disconnected(error) {
        const lastError = error instanceof Error ? error : new Error(String(error))
        health = { ...health, connected: false, lastError, since: health.connected ? Date.now() : health.since }
      },
    },
  })

  function isInScope(object: T): boolean {
    const of = object.metadata.namespace
    if (namespace !== undefined) return of === namespace
    return wantsNamespace === undefined || of === undefined || wantsNamespace(of)
  }

  return {
    resource,
    get health() {
      return health
    },
    get size() {
      return cache.size
    },
    get: cache.get,
    list: () => [...cache.values()],
    byIndex: cache.byIndex,
    addIndex,
    handle(added) {
      handlers = [...handlers, added]
      const present = [...cache.values()]
      for (const object of present) guarded(() => added.added?.(object))
      return {
        [Symbol.dispose]() {
          handlers = handlers.filter((each) => each !== added)
        },
      }
    },
    synced(signal) {
      return signal ? abortable(firstSync.promise, signal) : firstSync.promise
    },
    observe(object) {
      if (!isInScope(object)) return
      const kept = ingest(object)
      if (selective && !cache.get(keyOf(kept))) return
      cache.observe(kept)
    },
    observeDeletion(object) {
      if (isInScope(object)) cache.observeDeletion(object)
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the informer was stopped'))
      firstSync.reject(stop.signal.reason)
      await running
      handlers = []
    },
  }
}

/** They are half of a Pod, and nobody here reads them. */
function withoutManagedFields<T extends AnyObject>(object: T): T {
  // A frozen object is shared with the server of this process: a copy would only cost memory.
  if (object.metadata.managedFields === undefined || Object.isFrozen(object)) return object
  const { managedFields: _, ...metadata } = object.metadata
  return { ...object, metadata }
}
