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
  /** The answer to a write of ours, which the watch may be behind or ahead of. */
  observe(object: T): void
  /** A deletion of ours that was answered: no object with this UID comes back. */
  observeDeletion(object: T): void
}

/**
 * Objects that are known to be gone. An answer to a write may arrive after the watch has said that the object was
 * deleted, and must not bring it back; that is a matter of seconds, so the oldest may be forgotten.
 */
const GONE_LIMIT = 10_000
/** Stands for a version after which there is none. */
const FOR_EVER = Symbol('for ever')

export function createObjectCache<T extends AnyObject>(listener: CacheListener<T>): ObjectCache<T> {
  const objects = new Map<string, T>()
  const indexes = new Map<string, { values: IndexFunction<T>; keys: Map<string, Set<string>> }>()
  /** By UID, the version that is gone and everything before it. */
  const gone = new Map<string, string | undefined | typeof FOR_EVER>()
  /** Keys whose state came from `observe` and not yet from the server's own stream. */
  const unconfirmed = new Set<string>()

  function store(key: string, old: T | undefined, object: T): void {
    objects.set(key, object)
    for (const { values, keys } of indexes.values()) {
      if (old) unindex(keys, values(old), key)
      enterIndex(keys, values(object), key)
    }
    if (old && old.metadata.uid === object.metadata.uid) {
      listener.updated(old, object)
      return
    }
    if (old) {
      // Deleted and made anew while nobody looked: two objects, whatever their common name.
      bury(old, FOR_EVER)
      listener.deleted(old)
    }
    listener.added(object)
  }

  /** @param last the last state, where it is known */
  function drop(key: string, old: T, last: T): void {
    objects.delete(key)
    unconfirmed.delete(key)
    for (const { values, keys } of indexes.values()) unindex(keys, values(old), key)
    listener.deleted(last)
  }

  function bury(object: T, until: string | undefined | typeof FOR_EVER): void {
    const { uid } = object.metadata
    if (uid === undefined) return
    gone.set(uid, until)
    if (gone.size <= GONE_LIMIT) return
    for (const oldest of gone.keys()) {
      gone.delete(oldest)
      return
    }
  }

  function isGone(object: T, otherwise: boolean): boolean {
    const { uid, resourceVersion } = object.metadata
    if (uid === undefined || !gone.has(uid)) return false
    const until = gone.get(uid)
    if (until === FOR_EVER) return true
    const order = compareVersions(resourceVersion, until)
    return order === undefined ? otherwise : order <= 0
  }

  return {
    get size() {
      return objects.size
    },
    get: (key) => objects.get(key),
    values: () => objects.values(),

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
      if (isGone(object, false)) return
      const key = keyOf(object)
      const old = objects.get(key)
      const order = old && versionOrder(object, old)
      // Versions without an order come in the order of the watch.
      if (order !== undefined && order < 0) return
      unconfirmed.delete(key)
      if (order !== 0) store(key, old, object)
    },

    remove(object) {
      const key = keyOf(object)
      const old = objects.get(key)
      bury(object, object.metadata.resourceVersion)
      if (old && old.metadata.uid === object.metadata.uid) drop(key, old, object)
    },

    replace(list, resourceVersion) {
      const listed = new Set(list.map(keyOf))
      for (const [key, old] of objects) {
        if (listed.has(key)) continue
        const order = compareVersions(old.metadata.resourceVersion, resourceVersion)
        // What we wrote after the list was taken is not in it, and not gone either.
        if (unconfirmed.has(key) && order !== undefined && order > 0) continue
        bury(old, resourceVersion)
        drop(key, old, old)
      }
      for (const object of list) {
        const { uid } = object.metadata
        if (uid !== undefined && gone.get(uid) === FOR_EVER) continue
        const key = keyOf(object)
        const old = objects.get(key)
        const order = old && versionOrder(object, old)
        if (order !== undefined && order < 0 && unconfirmed.has(key)) continue
        // Otherwise the list is right even where its versions are lower: the server may have been restored from a backup.
        unconfirmed.delete(key)
        if (uid !== undefined) gone.delete(uid)
        if (order !== 0) store(key, old, object)
      }
    },

    observe(object) {
      if (isGone(object, true)) return
      const key = keyOf(object)
      const old = objects.get(key)
      if (old) {
        const order = versionOrder(object, old)
        // Without an order the watch, which is on its way, is the safer source.
        if (order === undefined || order <= 0) return
      }
      unconfirmed.add(key)
      store(key, old, object)
    },

    observeDeletion(object) {
      bury(object, FOR_EVER)
      const key = keyOf(object)
      const old = objects.get(key)
      if (old && old.metadata.uid === object.metadata.uid) drop(key, old, old)
    },
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

/** As numbers where both are, however long. Undefined where they have no order. */
export function compareVersions(a: string | undefined, b: string | undefined): number | undefined {
  if (a === undefined || b === undefined || !isNumber(a) || !isNumber(b)) return undefined
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : a > b ? 1 : 0
}

function isNumber(version: string): boolean {
  return /^[1-9]\d*$/.test(version)
}
