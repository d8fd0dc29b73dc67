import {
  findCondition,
  isConditionTrue,
  LABELS,
  nameHash,
  ownershipOf,
  SANDBOX_CONDITIONS,
  SANDBOX_REASONS,
  type Sandbox,
  type SandboxTemplate,
  type SandboxWarmPool,
} from '@caisson/api'
import { isLike } from '../blueprint/sandbox-spec.ts'
import type { WriteFailure } from '../engine/plan.ts'
import type { NetworkPolicy } from '../template/network-policy.ts'

/** Everything that a pool's plan depends on. */
export interface ObservedPool {
  pool: SandboxWarmPool
  template: SandboxTemplate | undefined
  /** What has the name of the template's NetworkPolicy. */
  policy: NetworkPolicy | undefined
  /** An older template whose name has the same hash as the template's. */
  templateNamesake: string | undefined
  /** The Sandboxes of the namespace with the pool's label, whoever controls them. */
  candidates: readonly Sandbox[]
  /** Whether a claim has been given the Sandbox of that name already, although the pool still controls it. */
  isAssigned(name: string): boolean
  /** How many claims are being given Sandboxes of this pool right now. */
  waitingClaims: number
  /** When claims asked for members, ms since the epoch, oldest first. */
  demand: readonly number[]
  /** Names for members that are to be made: the same until they are. */
  newNames(count: number): readonly string[]
  failures: readonly WriteFailure[]
}

export type Member = Readonly<{
  sandbox: Sandbox
  ready: boolean
  /** Made from the template as it is now; true as well while there is none to compare with. */
  current: boolean
  /** A claim has it already: it is not the pool's to delete any more. */
  assigned: boolean
}>

export interface Members {
  /** Controlled by the pool and not on their way out. */
  active: Member[]
  /** With the pool's label and without any controller. */
  orphans: Member[]
  /** Controlled by the pool, on their way out: they still take up room. */
  terminating: number
}

export function membersOf({ pool, template, candidates, isAssigned }: ObservedPool): Members {
  const members: Members = { active: [], orphans: [], terminating: 0 }
  const refHash = nameHash(pool.spec.sandboxTemplateRef.name)
  for (const sandbox of candidates) {
    const ownership = ownershipOf(sandbox, pool)
    if (ownership === 'foreign') continue
    if (sandbox.metadata.deletionTimestamp) {
      if (ownership === 'owned') members.terminating++
      continue
    }
    // Nobody vouches for the labels of what nobody controls.
    const hash = ownership === 'owned' ? sandbox.metadata.labels?.[LABELS.templateHash] : undefined
    const fromTemplate = sandbox.metadata.labels?.[LABELS.templateRefHash] === refHash
    const member = {
      sandbox,
      ready: isConditionTrue(sandbox.status?.conditions, SANDBOX_CONDITIONS.ready),
      current: !template || (fromTemplate && isLike(template, sandbox.spec, hash)),
      assigned: isAssigned(sandbox.metadata.name ?? ''),
    }
    if (ownership === 'owned') members.active.push(member)
    else members.orphans.push(member)
  }
  return members
}

export type Patience =
  /** When its time to become Ready is over, ms since the epoch. */
  | { kind: 'until'; deadline: number }
  /** Another one would fare no better: it is waited for without a limit. */
  | { kind: 'held'; reason: 'unschedulable' | 'gated' | 'snapshot'; since: number }

/**
 * How long a member that is not Ready is waited for: the grace period from when it was made, was last Ready or got its
 * node. What waits for room, for somebody to open a gate or for a snapshot is held.
 *
 * @param grace ms
 */
export function patienceWith({ metadata, status }: Sandbox, grace: number): Patience {
  const conditions = status?.conditions
  const ready = findCondition(conditions, SANDBOX_CONDITIONS.ready)
  const scheduled = findCondition(conditions, SANDBOX_CONDITIONS.podScheduled)
  const since = Math.max(
    time(metadata.creationTimestamp),
    time(ready?.lastTransitionTime),
    scheduled?.status === 'True' ? time(scheduled.lastTransitionTime) : 0,
  )
  if (ready?.reason === SANDBOX_REASONS.snapshotNotReady) return { kind: 'held', reason: 'snapshot', since }
  if (scheduled?.status === 'False' && scheduled.reason === 'SchedulingGated') {
    return { kind: 'held', reason: 'gated', since }
  }
  if (scheduled?.status === 'False' && scheduled.reason === 'Unschedulable') {
    return { kind: 'held', reason: 'unschedulable', since }
  }
  return { kind: 'until', deadline: since + grace }
}

function time(text: string | undefined): number {
  return Date.parse(text ?? '') || 0
}
