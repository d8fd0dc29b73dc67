/**
 * What a controller wants done, as data. A plan is a pure function of what was observed and of the time; the engine runs
 * it, and plans again on what the API server answered, until a plan asks for nothing new.
 */
import type { KubeObject } from '@caisson/api'
import type { Resource } from '@caisson/client'

export interface ObjectKey {
  namespace: string
  name: string
}

export interface PlannedEvent {
  type: 'Normal' | 'Warning'
  reason: string
  /** What the controller was doing, such as `PodCreation`. */
  action: string
  message: string
  /** When it happened, where it is told later; ms since the epoch. */
  at?: number
}

interface WriteBase {
  /** What is done to what, unique within a plan: what failures and events refer to. See `writeId`. */
  id: string
  resource: Resource
  /**
   * Writes of the same batch, one after another in the plan, run together: one, then two, then four …, some hundreds at
   * most, and none any more in this pass once one of them has failed.
   */
  batch?: string
  /** Recorded about the controller's own object once the write is done; from the answer where the server chose a name. */
  event?: PlannedEvent | ((answer: KubeObject) => PlannedEvent)
  /** Recorded when the write fails; the failure's text follows `message`. */
  failureEvent?: PlannedEvent
}

export interface CreateWrite extends WriteBase {
  verb: 'create'
  /** Refused where it says something that the kind has no field for, as a user's would be. */
  strict?: true
  object: KubeObject
}

/** A JSON merge patch. It carries `metadata.uid`, and `metadata.resourceVersion` where nothing else may have happened. */
export interface PatchWrite extends WriteBase {
  verb: 'patch'
  strict?: true
  target: ObjectKey
  patch: { metadata: { uid: string; resourceVersion?: string; [field: string]: unknown }; [field: string]: unknown }
}

export interface DeleteWrite extends WriteBase {
  verb: 'delete'
  target: ObjectKey
  /** Only this very object is deleted, never another that has its name. */
  uid: string
  /** Given where the object must not have changed meanwhile: somebody may have been given it. */
  resourceVersion?: string
  /** Deleted only where this object is gone: the API server itself is asked, since a cache may not have it yet. */
  after?: { resource: Resource; target: ObjectKey; uid: string }
  /** What becomes of its dependents; the kind's own default unless said. */
  propagation?: 'Background' | 'Foreground' | 'Orphan'
}

export type Write = CreateWrite | PatchWrite | DeleteWrite

/** A write that the API server refused. */
export interface WriteFailure {
  id: string
  message: string
  /** Asking again with the same object cannot succeed. */
  permanent: boolean
  /** Only by a policy or a webhook, which may be another later: so it is tried again in the end. */
  byPolicy?: true
  /** Refused because the namespace goes away. */
  namespaceTerminating: boolean
}

export interface Plan<Status> {
  /** In the order in which they are run. Each is run, whatever becomes of the ones before. */
  writes: Write[]
  /** Annotations of the object itself that are written with its status, where a kind's status takes them along. */
  statusAnnotations?: Readonly<Record<string, string>>
  /** What the status should say once the writes are done; undefined leaves it as it is. */
  status: Status | undefined
  /** Recorded once the status is written. */
  statusEvents: PlannedEvent[]
  /** What stands in the way without being a failed write; each is recorded once. */
  notices?: readonly PlannedEvent[]
  /**
   * How long the status may wait for more to be said with it, ms: `for-ever` for a change that is not worth a write
   * of its own.
   */
  statusMayWait: number | 'for-ever'
  /** When to look again if nothing happens, ms since the epoch. */
  requeueAt?: number
  /** True when something failed that may succeed later: the engine comes back with back-off. */
  retry: boolean
  /**
   * True where the plan is the same one again once its status is stored, so that nobody has to look for that alone. What
   * does not say so is looked at again after each status that is written.
   */
  settled?: boolean
}

/** A plan for an object that needs nothing. */
export function nothing<Status>(requeueAt?: number): Plan<Status> {
  return {
    writes: [],
    status: undefined,
    statusEvents: [],
    statusMayWait: 0,
    retry: false,
    ...(requeueAt !== undefined && { requeueAt }),
  }
}

export function writeId(verb: Write['verb'], resource: Resource, name: string): string {
  return `${verb} ${resource.kind} ${name}`
}
