import type { KubeObject, UserInfo } from '@caisson/api'
import type { Schema } from '../schema/schema.ts'
import type { FieldError } from '../status-error.ts'

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection'

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
  strategy: Strategy
  columns: readonly Column[]
  /** Field selectors beyond metadata.name and metadata.namespace. */
  selectableFields: Readonly<Record<string, (object: KubeObject) => string>>
  /** Whether `status` is a subresource, and where `scale` finds its numbers. */
  status: boolean
  scale?: { specReplicasPath: string; statusReplicasPath: string; labelSelectorPath?: string }
  /** True where unknown fields are kept, warned about or refused by schema (all but a few virtual kinds). */
  structural: boolean
  /** CRDs only: a warning that each request of this version carries. */
  deprecationWarning?: string
}

/** What names of a kind look like: a DNS subdomain (the default), a DNS label, an RFC 1035 label, or any path segment. */
export type NameRule = 'subdomain' | 'label' | 'label-1035' | 'path-segment'

export interface StrategyContext {
  user: UserInfo
  /** ms since the epoch. */
  now: number
}

/**
 * What a kind does beyond its schema. Objects come in as private copies that may be changed; all functions are
 * synchronous and pure but for that, since they run inside the store's write transaction.
 */
export interface Strategy {
  /** Default `subdomain`. */
  nameRule?: NameRule
  /** Fills defaults that the schema cannot state. */
  defaults?(object: KubeObject): void
  /** Removes what a creator may not set (status), sets what the server owns. `metadata` is done already. */
  prepareForCreate?(object: KubeObject, context: StrategyContext): void
  /** Carries over what an updater may not change. `generation` is raised by the caller when anything but metadata and status differs. */
  prepareForUpdate?(next: KubeObject, current: KubeObject, context: StrategyContext): void
  /** Beyond the schema's own validation. */
  validate?(object: KubeObject): FieldError[]
  validateUpdate?(next: KubeObject, current: KubeObject): FieldError[]
  validateStatusUpdate?(next: KubeObject, current: KubeObject): FieldError[]
  warnings?(object: KubeObject): string[]
  /** False for kinds without `metadata.generation` (ConfigMap, Secret, Event …). */
  generation?: boolean
  /** Kinds that may be created by an update or an apply of a missing name (Lease, Event …). */
  createOnUpdate?: boolean
  /** Pods: seconds to wait between the deletion request and removal. Undefined removes at once. */
  gracePeriodSeconds?(object: KubeObject, asked: number | undefined): number | undefined
}
