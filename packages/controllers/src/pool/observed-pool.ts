import {
  findCondition,
  isConditionTrue,
  LABELS,
  nameHash,
  type Ownership,
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
import type { PolicyFailure } from '../template/policy-failures.ts'

/** Everything that a pool's plan depends on. */
export interface ObservedPool {
  pool: SandboxWarmPool
  template: SandboxTemplate | undefined
  /** What has the name of the template's NetworkPolicy. */
  policy: NetworkPolicy | undefined
  /** An older template whose name has the same hash as the template's. */
  templateNamesake: string | undefined
  /** Why the template's NetworkPolicy could not be written. */
  policyFailure: PolicyFailure | undefined
  /** An older pool whose name has the same hash. */
  namesake: string | undefined
  /** The Sandboxes of the namespace with the pool's label, whoever controls them. */
  candidates: readonly Sandbox[]
  /** Whether the Sandbox is kept for a claim already, although the pool still controls it. */
  isAssigned(sandbox: Sandbox): boolean
  /** How many claims are being given Sandboxes of this pool right now. */
  waitingClaims: number
  /** When claims will have paused that ask the pool one after the other, ms since the epoch. */
  claimsPauseAt: number | undefined
  /** Until when so many claims wait that nothing should be done beside them, ms since the epoch. */
  claimsCrowdUntil: number | undefined
  /** Whether claims have come for so long, and few at a time, that the pool would be empty before they pause. */
  claimsGoOn: boolean
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
  /** It is kept for a claim already: it is not the pool's to delete any more. */
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
  for (const sandbox of candidates) {
    const { ownership, ready, current } = standingOf(sandbox, pool, template)
    if (ownership === 'foreign') continue
    if (sandbox.metadata.deletionTimestamp) {
      if (ownership === 'owned') members.terminating++
      continue
    }
    const member = {
      sandbox,
      ready,
      current,
      // Asked of those that may have to go, which are few.
      get assigned() {
        return isAssigned(sandbox)
      },
    }
    if (ownership === 'owned') members.active.push(member)
    else members.orphans.push(member)
  }
  return members
}

interface Standing extends Pick<Member, 'ready' | 'current'> {
  ownership: Ownership
}

// A pass is about all members, of which one has changed.
const standings = new WeakMap<Sandbox, Standing & { uid: string; template: SandboxTemplate | undefined; ref: string }>()

/** What a Sandbox is to a pool. Both are frozen, and so is what follows from them. */
function standingOf(sandbox: Sandbox, pool: SandboxWarmPool, template: SandboxTemplate | undefined): Standing {
  const uid = pool.metadata.uid ?? ''
  const ref = pool.spec.sandboxTemplateRef.name
  const known = standings.get(sandbox)
  if (known?.uid === uid && known.template === template && known.ref === ref) return known
  const ownership = ownershipOf(sandbox, pool)
  const { labels } = sandbox.metadata
  // Nobody vouches for the labels of what nobody controls.
  const hash = ownership === 'owned' ? labels?.[LABELS.templateHash] : undefined
  const fromTemplate = labels?.[LABELS.templateRefHash] === nameHash(ref)
  const standing = {
    ownership,
    ready: isConditionTrue(sandbox.status?.conditions, SANDBOX_CONDITIONS.ready),
    current: !template || (fromTemplate && isLike(template, sandbox.spec, hash)),
    uid,
    template,
    ref,
  }
  if (Object.isFrozen(sandbox)) standings.set(sandbox, standing)
  return standing
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
