/**
 * What the API server asks of its storage. One implementation: SQLite for durability, an in-memory map of frozen
 * objects for every read.
 *
 * Writes are functions. They run one after another, in order for each share and fair between shares, against the newest
 * state. What arrived while the batch before was written down, as much of it as fits into a turn of the event loop, is
 * committed in one SQLite transaction (one fsync, off this thread); only then is any of it visible to reads and watches and answered. Inside such a function the store's own `get` and `list` read what
 * its transaction reads. A function that throws changes nothing and fails alone; a commit that fails (full disk) fails all of
 * its batch, those included that threw because of what the batch would have changed, and changes nothing.
 */
import type { KubeObject } from '@caisson/api'

/** `pods` or `sandboxes.agents.x-k8s.io`: group and plural, without a version. */
export type ResourceKey = string

export interface StoreEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED'
  /** For DELETED: the last state, with the resourceVersion of the deletion. */
  object: KubeObject
  /** The state before, so that selectors can turn a change into an arrival or a departure. */
  previous: KubeObject | undefined
  revision: number
}

export interface Transaction {
  get(resource: ResourceKey, namespace: string | undefined, name: string): KubeObject | undefined
  /** What all objects take, as bytes of JSON; those of one namespace where given, with '' for those of none. */
  bytes(namespace?: string): number
  /** Objects of one resource, of one namespace where given, ordered by namespace and name. */
  list(resource: ResourceKey, namespace?: string): Iterable<KubeObject>
  /** Sets `metadata.resourceVersion` on the object given, freezes it, and returns it. */
  put(resource: ResourceKey, object: KubeObject): KubeObject
  delete(resource: ResourceKey, object: KubeObject): KubeObject
}

export interface Store extends AsyncDisposable {
  /** The revision of the last committed write; strictly rising, also across restarts. */
  readonly revision: number
  /** Why nothing can be written until the next start: the disk lost what it had taken. Reads go on. */
  readonly failure: string | undefined
  /** What happened to the resource at or below this revision can no longer be replayed: `since` must not be below it. */
  compactedRevision(resource: ResourceKey): number
  get(resource: ResourceKey, namespace: string | undefined, name: string): KubeObject | undefined
  list(resource: ResourceKey, namespace?: string): Iterable<KubeObject>
  bytes(namespace?: string): number
  /**
   * The same as it was at `revision`. Undefined where that has been compacted, or was superseded five minutes ago.
   * Serves `continue` tokens, which promise one consistent snapshot over all pages.
   */
  listAt(resource: ResourceKey, namespace: string | undefined, revision: number): Iterable<KubeObject> | undefined
  /** @param share whose turn it takes: the server's own where none is given */
  write<T>(operation: (transaction: Transaction) => T, share?: string): Promise<T>
  /** What happened after `since`, oldest first. Undefined where that has been compacted. */
  eventsAfter(resource: ResourceKey, since: number): readonly StoreEvent[] | undefined
  /**
   * Calls `listener` for every committed event of the resource after `since`, in order: first those of the past, before
   * this call returns, then live. Returns undefined where `since` has been compacted.
   */
  subscribe(resource: ResourceKey, since: number, listener: (event: StoreEvent) => void): Disposable | undefined
  /** Called after each commit with its revision, after the events of that commit: what bookmarks are made of. */
  onCommit(listener: (revision: number) => void): Disposable
}
