/** The options of each request, named as the Kubernetes API names its parameters. */
import type { Status } from '@caisson/api'
import type { AnyObject } from './resource.ts'

export interface CallOptions {
  signal?: AbortSignal
  /** Each Warning header of the answer, instead of the client's own `onWarning`. */
  onWarning?: (warning: string) => void
  /** Of requests with one answer: see `ApiRequest`. */
  onSent?: () => void
}

interface NamespaceOption {
  /** Required for one object of a namespaced resource; lists and watches go over all namespaces without it. */
  namespace?: string | undefined
}

interface SelectorOptions {
  labelSelector?: string
  fieldSelector?: string
}

export interface GetOptions extends CallOptions, NamespaceOption {
  resourceVersion?: string
  subresource?: string
}

export interface ListOptions extends CallOptions, NamespaceOption, SelectorOptions {
  limit?: number
  continue?: string
  resourceVersion?: string
  resourceVersionMatch?: 'Exact' | 'NotOlderThan'
}

export interface WatchOptions extends CallOptions, NamespaceOption, SelectorOptions {
  resourceVersion?: string
  resourceVersionMatch?: 'NotOlderThan'
  allowWatchBookmarks?: boolean
  sendInitialEvents?: boolean
  timeoutSeconds?: number
  /** Called when the server has accepted the watch, which may be long before its first event. */
  onOpen?: () => void
}

export interface WriteOptions extends CallOptions, NamespaceOption {
  dryRun?: boolean
  /** Instead of the client's. */
  fieldManager?: string
  fieldValidation?: 'Strict' | 'Warn' | 'Ignore'
}

export interface CreateOptions extends WriteOptions {}

export interface UpdateOptions extends WriteOptions {
  subresource?: string
}

export interface PatchOptions extends WriteOptions {
  type?: 'merge' | 'json' | 'strategic'
  subresource?: string
}

export interface ApplyOptions extends WriteOptions {
  /** Takes over fields that others own instead of failing with Conflict. */
  force?: boolean
  subresource?: string
}

export interface DeleteOptions extends CallOptions, NamespaceOption {
  propagationPolicy?: 'Background' | 'Foreground' | 'Orphan'
  gracePeriodSeconds?: number
  /** Deletes only the object with this UID or this version; Conflict otherwise. */
  preconditions?: { uid?: string; resourceVersion?: string }
  dryRun?: boolean
}

export interface DeleteCollectionOptions extends DeleteOptions, SelectorOptions {}

export interface LogOptions {
  namespace: string
  container?: string
  follow?: boolean
  /** Of the container's previous run. */
  previous?: boolean
  timestamps?: boolean
  tailLines?: number
  limitBytes?: number
  sinceSeconds?: number
  /** RFC 3339. */
  sinceTime?: string
  /** One of the two alone; not every cluster can tell them apart. */
  stream?: 'Stdout' | 'Stderr'
  signal?: AbortSignal
}

export interface ResourceList<T extends AnyObject> {
  items: T[]
  /** Where a watch goes on from. */
  resourceVersion: string
  /** Token of the next page, where there is one. */
  continue: string | undefined
  remainingItemCount: number | undefined
}

export type ResourceEvent<T extends AnyObject> =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: T }
  /** Only `metadata.resourceVersion` and annotations are meant. */
  | { type: 'BOOKMARK'; object: T }
  | { type: 'ERROR'; object: Status }
