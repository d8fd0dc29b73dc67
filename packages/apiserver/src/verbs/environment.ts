/** What the verbs work with: the kinds that are served, and the parts of the server that answer for them. */
import type { KubeObject } from '@caisson/api'
import type { Registry } from '../registry/registry.ts'
import type { Resource, Verb } from '../registry/resource.ts'
import type { Store } from '../storage/store.ts'
import type { AdmissionRequest, Answer, Call } from './call.ts'
import type { StorageLimits } from './refuse-full.ts'

export interface Environment {
  store: Store
  registry: Registry
  /** Of a kind, in the order of discovery. */
  subresources(resource: Resource): readonly Subresource[]
  /** Kinds that are answered and not stored (reviews), by their key. */
  virtual: Readonly<Record<string, VirtualKind>>
  /** Kinds that are computed when they are asked for, by their key. */
  computed: Readonly<Record<string, ComputedKind>>
  /** How much may be stored. */
  storage: StorageLimits
  /** ms since the epoch. */
  now(): number
  /**
   * Where a write may run more than once before it counts: what has to be the same each time. Such a write works on
   * copies of what it was given.
   */
  rehearses?: {
    /** Of an object that is created. */
    readonly uid: string
    /** The last one that was generated. */
    name?: string
  }
  /** What comes before defaults of the server and validation. Runs inside the store's transaction: synchronous. */
  admit(request: AdmissionRequest): void
  /**
   * Throws where a creation or an update would give somebody permissions that the user may not hand out. Asked when nothing
   * more changes the object, before validation.
   */
  confirmGrants(request: AdmissionRequest): void
  /** What comes after validation, when a generated name is known; creations and updates alone. May not change anything. */
  admitValidated(request: AdmissionRequest): void
  /** Throws where the user may not create what an update or an apply is about to create. */
  authorizeCreate(call: Call): void
}

/** Throws a StatusError. */
export type VirtualKind = (object: KubeObject, call: Call, environment: Environment) => KubeObject | Promise<KubeObject>

/** What discovery lists below the objects of a kind, and what answers there. */
export interface Subresource {
  name: string
  /** Of what is sent and answered. */
  kind: string
  /** Where they are not those of the resource itself. */
  group?: string
  version?: string
  verbs: readonly Verb[]
  /** Undefined for those that become a connection to a node. */
  handle?(call: Call, resource: Resource, environment: Environment): Answer | Promise<Answer>
}

/** By the key of the resource: `pods`, `deployments.apps`. */
export type Subresources = Readonly<Record<string, readonly Subresource[]>>

/** Every object of a kind there is, in one namespace where one is given. */
export type ComputedKind = (namespace: string | undefined) => Promise<KubeObject[]>
