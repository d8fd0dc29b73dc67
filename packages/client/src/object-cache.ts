/**
 * What an informer knows: objects by key, with indexes. It takes in what watches and lists say and what our own writes
 * were answered, in whatever order these arrive, and never goes back to an older state of an object.
 */
import { type AnyObject, keyOf } from './resource.ts'

/** Says under which values an object is found. */
export type IndexFunction<T extends AnyObject> = (object: T) => readonly string[]

export interface CacheListener<T extends AnyObject> {
  added(object: T): void
  updated(old: T, object: T): void
  deleted(object: T): void
}

export interface ObjectCache<T extends AnyObject> {
  readonly size: number
  get(key: string): T | undefined
  values(): Iterable<T>
  addIndex(name: string, index: IndexFunction<T>): void
  byIndex(name: string, value: string): readonly T[]
  /** ADDED or MODIFIED of a watch. */
  put(object: T): void
  /** DELETED of a watch: the object is gone, or no longer what was selected. */
  remove(object: T): void
  /** A list of everything as of `resourceVersion`: what is in the cache and not in it is gone. */
  replace(objects: readonly T[], resourceVersion: string): void
  /** BOOKMARK of a watch: everything up to this version was said. */
  advance(version: string | undefined): void
  /** The answer to a write of ours, which the watch may be behind or ahead of. Nothing before the first list. */
  observe(object: T): void
  /** A deletion of ours that was answered: no object with this UID comes back. */
  observeDeletion(object: T): void
}

/** UIDs of our own deletions; the watch reports each soon after, so that the oldest may be forgotten. */
const DELETED_LIMIT = 10_000
const NONE: readonly string[] = []

export function createObjectCache<T extends AnyObject>(listener: CacheListener<T>): ObjectCache<T> {
  const objects = new Map<string, T>()
  const indexes = new Map<string, { values: IndexFunction<T>; keys: Map<string, Set<string>> }>()
  /** Up to here the cache knows everything that the server's own stream had to say. */
  let caughtUp: string | undefined
  /** Keys whose state came from `observe` and not yet from the server's own stream. */
  const ahead = new Set<string>()
  const deleted = new Set<string>()

  function store(key: string, old: T | undefined, object: T): void {
    objects.set(key, object)
    for (const { values, keys } of indexes.values()) {
      const before = old ? values(old) : NONE
      const after = values(object)
      // Most changes leave every index as it is.
      if (before.length === after.length && before.every((value, at) => value === after[at])) continue
      unindex(keys, before, key)
      enterIndex(keys, after, key)
    }
    if (old && old.metadata.uid === object.metadata.uid) {
      listener.updated(old, object)
      return
    }
    // Deleted and made anew while nobody looked: two objects, whatever their common name.
    if (old) listener.deleted(old)
    listener.added(object)
  }

  /** @param last the last state, where it is known */
  function drop(key: string, old: T, last: T): void {
    objects.delete(key)
    ahead.delete(key)
    for (const { values, keys } of indexes.values()) unindex(keys, values(old), key)
    listener.deleted(last)
  }

  function advance(version: string | undefined): void {
    const order = compareVersions(version, caughtUp)
    if (order === undefined || order > 0) caughtUp = version
  }

  function isDeletedByUs(object: T): boolean {
    return object.metadata.uid !== undefined && deleted.has(object.metadata.uid)
  }

  return {
    get size() {
      return objects.size
    },
    get: (key) => objects.get(key),
    values: () => objects.values(),
    advance,

    addIndex(name, values) {
      if (indexes.has(name)) throw new TypeError(`there is an index ${JSON.stringify(name)} already`)
      const keys = new Map<string, Set<string>>()
      for (const [key, object] of objects) enterIndex(keys, values(object), key)
      indexes.set(name, { values, keys })
    },

    byIndex(name, value) {
      const index = indexes.get(name)
      if (!index) throw new TypeError(`there is no index ${JSON.stringify(name)}`)
      const found: T[] = []
      for (const key of index.keys.get(value) ?? []) {
        const object = objects.get(key)
        if (object) found.push(object)
      }
      return found
    },

    put(object) {
      advance(object.metadata.resourceVersion)
      if (isDeletedByUs(object)) return
      const key = keyOf(object)
      const old = objects.get(key)
      const order = old && versionOrder(object, old)
      // Versions without an order come in the order of the watch.
      if (order !== undefined && order < 0) return
      ahead.delete(key)
      if (order !== 0) store(key, old, object)
    },

    remove(object) {
      advance(object.metadata.resourceVersion)
      const key = keyOf(object)
      const old = objects.get(key)
      if (old && old.metadata.uid === object.metadata.uid) drop(key, old, object)
    },

    replace(list, resourceVersion) {
      caughtUp = resourceVersion
      const listed = new Set(list.map(keyOf))
      for (const [key, old] of objects) {
        if (!listed.has(key) && !isAheadOf(key, old, resourceVersion)) drop(key, old, old)
      }
      for (const object of list) {
        if (isDeletedByUs(object)) continue
        const key = keyOf(object)
        const old = objects.get(key)
        if (old && isAheadOf(key, old, resourceVersion)) continue
        // The list is right even where its versions are lower: the server may have been restored from a backup.
        ahead.delete(key)
        if (!old || versionOrder(object, old) !== 0) store(key, old, object)
      }
    },

    observe(object) {
      const { resourceVersion } = object.metadata
      if (isDeletedByUs(object)) return
      // What the watch has passed already is known, or gone again. Without an order the watch is the safer source.
      if (!isLater(resourceVersion, caughtUp)) return
      const key = keyOf(object)
      const old = objects.get(key)
      if (old && !isLater(resourceVersion, old.metadata.resourceVersion)) return
      ahead.add(key)
      store(key, old, object)
    },

    observeDeletion(object) {
      const { uid } = object.metadata
      if (uid !== undefined) remember(uid)
      const key = keyOf(object)
      const old = objects.get(key)
      if (old && old.metadata.uid === uid) drop(key, old, old)
    },
  }

  /** What we wrote after the list was taken is not in it, and neither gone nor older. */
  function isAheadOf(key: string, object: T, version: string): boolean {
    return ahead.has(key) && isLater(object.metadata.resourceVersion, version)
  }

  function remember(uid: string): void {
    deleted.add(uid)
    if (deleted.size <= DELETED_LIMIT) return
    for (const oldest of deleted) {
      deleted.delete(oldest)
      return
    }
  }
}

function enterIndex(keys: Map<string, Set<string>>, values: readonly string[], key: string): void {
  for (const value of values) {
    const entry = keys.get(value)
    if (entry) entry.add(key)
    else keys.set(value, new Set([key]))
  }
}

function unindex(keys: Map<string, Set<string>>, values: readonly string[], key: string): void {
  for (const value of values) {
    const entry = keys.get(value)
    entry?.delete(key)
    if (entry?.size === 0) keys.delete(value)
  }
}

/** Negative where `object` is the older one, 0 where both are the same state, undefined where there is no order. */
function versionOrder(object: AnyObject, known: AnyObject): number | undefined {
  const version = object.metadata.resourceVersion
  if (version === known.metadata.resourceVersion && object.metadata.uid === known.metadata.uid) return 0
  return compareVersions(version, known.metadata.resourceVersion)
}

function isLater(version: string | undefined, than: string | undefined): boolean {
  const order = compareVersions(version, than)
  return order !== undefined && order > 0
}

/** As numbers where both are, however long. Undefined where they have no order. */
export function compareVersions(a: string | undefined, b: string | undefined): number | undefined {
  if (a === undefined || b === undefined || !isNumber(a) || !isNumber(b)) return undefined
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : a > b ? 1 : 0
}

function isNumber(version: string): boolean {
  return /^[1-9]\d*$/.test(version)
}
