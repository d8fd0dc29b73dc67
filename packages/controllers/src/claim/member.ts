/** Which Sandboxes can be given to claims, and how far they are. */
import {
  controllerOf,
  EXTENSIONS_GROUP,
  isConditionTrue,
  LABELS,
  type OwnerReference,
  referenceGroup,
  type Sandbox,
} from '@caisson/api'
import { joinKey, sandboxWarmPools } from '@caisson/client'

/** `starting` cannot be reached yet and is not given to anybody; `running` is given where nothing is `ready`. */
export type Progress = 'starting' | 'running' | 'ready'

/**
 * The pool that a Sandbox says it can be taken from; undefined for one that cannot be. Any version of the pool's kind
 * counts: references stay as they were written when storage moves on. Whether there is that pool, by its UID and not
 * only by its name, is for the caller to see.
 */
export function poolOfMember({ metadata }: Sandbox): Pick<OwnerReference, 'name' | 'uid'> | undefined {
  if (metadata.deletionTimestamp) return undefined
  if (metadata.labels?.[LABELS.warmPool] === undefined || metadata.labels[LABELS.templateRefHash] === undefined)
    return undefined
  const owner = controllerOf({ metadata })
  if (owner?.kind !== sandboxWarmPools.kind || referenceGroup(owner) !== EXTENSIONS_GROUP) return undefined
  return owner
}

/** NAMESPACE/UID of that pool. Who knows the UID of a pool elsewhere may name it as an owner, and makes no member of it. */
export function poolKeyOf(sandbox: Sandbox): string | undefined {
  const pool = poolOfMember(sandbox)
  return pool && joinKey(sandbox.metadata.namespace, pool.uid)
}

export function progressOf({ status }: Sandbox): Progress {
  if (isConditionTrue(status?.conditions, 'Ready')) return 'ready'
  return status?.podIPs?.length ? 'running' : 'starting'
}
