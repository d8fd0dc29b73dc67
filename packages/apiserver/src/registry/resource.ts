import type { KubeObject, UserInfo } from '@caisson/api'
import type { Schema } from '../schema/schema.ts'
import type { FieldError } from '../status-error.ts'
import type { ResourceKey } from '../storage/store.ts'
import type { NameRule } from './names.ts'

/** How a webhook makes one version of an object of another. */
export interface Conversion {
  /** Of objects of the kind; what comes back is in the same order, private to the caller. Throws a StatusError. */
  convert(objects: readonly KubeObject[], apiVersion: string): Promise<KubeObject[]>
  /** What `convert` made of the very same object, if it was kept. */
  kept(object: KubeObject, apiVersion: string): KubeObject | undefined
  /** Converts one object and keeps what is made of it until what is returned is disposed of. */
  keep(object: KubeObject, apiVersion: string): Promise<Disposable>
}

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection'

export const ALL_VERBS: readonly Verb[] = [
  'create',
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'update',
  'watch',
]

/** One printer column: of a CRD's `additionalPrinterColumns`, or of a built-in kind. */
export interface Column {
  name: string
  type: 'string' | 'integer' | 'number' | 'boolean' | 'date'
  format?: string
  description?: string
  /** 0 is shown always, more only with `-o wide`. */
  priority?: number
  /** The cell; dates are given as their RFC 3339 string and printed as an age. */
  cell(object: KubeObject, now: number): string | number | boolean | null
}

/** One kind in one version, as clients see it. Several versions of a kind share `group`, `plural` and what is stored. */
export interface Resource {
  group: string
  version: string
  kind: string
  listKind: string
  plural: string
  singular: string
  shortNames: readonly string[]
  categories: readonly string[]
  namespaced: boolean
  verbs: readonly Verb[]
  /** The version in which objects of this kind are stored. */
  storageVersion: string
  schema: Schema
  /** Of the version in which objects are stored, where it is another one. */
  storageSchema?: Schema
  /**
   * Built-in kinds: decodes a client's JSON as Go does, into a new object without unknown fields. Where it is absent the
   * value is pruned by `schema` in place.
   */
  decode?(value: Readonly<Record<string, unknown>>): {
    object: Record<string, unknown>
    /** Paths such as `spec.foo`. */
    unknownFields: readonly string[]
    error: string | undefined
  }
  /** Kinds that are another view of what is stored under another group (Events of events.k8s.io). */
  stored?: {
    key: ResourceKey
    /** From the stored form; must not change what it is given. */
    fromStored(object: KubeObject): KubeObject
    toStored(object: KubeObject): KubeObject
  }
  strategy: Strategy
  columns: readonly Column[]
  /** Field selectors beyond metadata.name and metadata.namespace. */
  selectableFields: Readonly<Record<string, (object: KubeObject) => string>>
  /** Whether `status` is a subresource, and where `scale` finds its numbers. */
  status: boolean
  scale?: { specReplicasPath: string; statusReplicasPath: string; labelSelectorPath?: string }
  /** True where unknown fields are kept, warned about or refused by schema (all but a few virtual kinds). */
  structural: boolean
  /** True for kinds that a CustomResourceDefinition brought. */
  custom?: boolean
  /** CRDs only: where more than the apiVersion differs between versions. */
  conversion?: Conversion
  /** CRDs only: the definition is being deleted, so that nothing new may be created. */
  terminating?: boolean
  /** CRDs only: a warning that each request of this version carries. */
  deprecationWarning?: string
}

export interface StrategyContext {
  user: UserInfo
  /** ms since the epoch. */
  now: number
  /** Objects as they are stored now: what allocations (a Service's addresses) are checked against. */
  list(resource: ResourceKey, namespace?: string): Iterable<KubeObject>
  /** The kinds that every server has, whose names no definition may take. */
  builtin: readonly Resource[]
}

/**
 * What a kind does beyond its schema. Objects come in as private copies that may be changed; all functions are
 * synchronous and pure but for that, since they run inside the store's write transaction.
 */
export interface Strategy {
  /** Default: a DNS subdomain. The verbs validate `metadata` with it, before `validate`; strategies need not. */
  nameRule?: NameRule
  /** Fills defaults that the schema cannot state. */
  defaults?(object: KubeObject): void
  /** Removes what a creator may not set (status), sets what the server owns. `metadata` is done already. */
  prepareForCreate?(object: KubeObject, context: StrategyContext): void
  /** Carries over what an updater may not change. `generation` is raised by the caller when anything but metadata and status differs. */
  prepareForUpdate?(next: KubeObject, current: KubeObject, context: StrategyContext): void
  /** Fills what comes of valid fields, and is not looked at again: the last thing before a new object is stored. */
  complete?(object: KubeObject): void
  /** Beyond the schema's own validation. */
  validate?(object: KubeObject): FieldError[]
  validateUpdate?(next: KubeObject, current: KubeObject): FieldError[]
  validateStatusUpdate?(next: KubeObject, current: KubeObject): FieldError[]
  /** `current` is the object before an update. */
  warnings?(object: KubeObject, current?: KubeObject): string[]
  /** Of an update of `status`. */
  statusWarnings?(object: KubeObject): string[]
  /** False for kinds without `metadata.generation` (ConfigMap, Secret, Event …), `first` where it stays 1. */
  generation?: false | 'first'
  /** Kinds that may be created by an update or an apply of a missing name (Lease, Event …). */
  createOnUpdate?: boolean
  /** Whether an update may leave out its resourceVersion. Default: built-in kinds yes, custom ones no. */
  unconditionalUpdate?: boolean
  /**
   * What an update of `status` may change. Default: built-in kinds `status` and `metadata`, custom ones `status` alone.
   * `next` is what the client sent; whatever it may not change has to be carried over from `current`.
   */
  prepareForStatusUpdate?(next: KubeObject, current: KubeObject, context: StrategyContext): void
  /** Namespaces: false while something other than `metadata.finalizers` still holds a deleted object. */
  mayVanish?(object: KubeObject): boolean
  /** Changes beyond metadata that a deletion request makes to an object that stays for now (Namespaces: the phase). */
  prepareForDeletion?(object: KubeObject): void
  /** Kinds whose deletion answers with the object instead of a Status (Pods, ServiceAccounts, Namespaces …). */
  returnsDeleted?: boolean
  /** False for kinds that the garbage collector leaves alone (Events). */
  garbageCollected?: boolean
  /** What becomes of dependents where a deletion does not say: Jobs and ReplicationControllers leave them, for old clients. */
  defaultPropagation?: 'Orphan'
  /** Pods: seconds to wait between the deletion request and removal. Undefined removes at once. */
  gracePeriodSeconds?(object: KubeObject, asked: number | undefined): number | undefined
}
