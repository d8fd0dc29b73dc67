/** When a claim ends, what is left of it, and what becomes of one that has not come to be in time. */
import {
  ANNOTATIONS,
  CLAIM_CONDITIONS,
  CLAIM_EVENTS as EVENTS,
  findCondition,
  CLAIM_MESSAGES as MESSAGES,
  ownershipOf,
  parseKubernetesTime,
  CLAIM_REASONS as REASONS,
  type Sandbox,
  type SandboxClaim,
  type SandboxClaimStatus,
} from '@caisson/api'
import { nothing, type Plan, type PlannedEvent } from '../engine/plan.ts'
import { type ClaimProblem, claimStatus, isReady } from './claim-status.ts'
import { deleteClaim, deleteSandbox } from './claim-writes.ts'
import type { ObservedClaim } from './observed-claim.ts'

/**
 * The moment at which a claim expires, ms since the epoch: shutdownTime, or the TTL after its Sandbox finished, whichever
 * comes first; undefined for one that does not.
 */
export function endOf({ spec }: SandboxClaim, status: SandboxClaimStatus | undefined): number | undefined {
  const { shutdownTime, ttlSecondsAfterFinished } = spec.lifecycle ?? {}
  const finished = findCondition(status?.conditions, CLAIM_CONDITIONS.finished)
  const finishedAt = finished?.status === 'True' ? parseKubernetesTime(finished.lastTransitionTime) : undefined
  const timeToLive =
    finishedAt !== undefined && ttlSecondsAfterFinished !== undefined
      ? finishedAt + ttlSecondsAfterFinished * 1000
      : undefined
  return earliest(parseKubernetesTime(shutdownTime), timeToLive)
}

/** The moment until which the claim has to be Ready, ms since the epoch; undefined where it need not, or has been. */
export function deadlineOf({ metadata, spec, status }: SandboxClaim): number | undefined {
  if (spec.readyDeadlineSeconds === undefined) return undefined
  if (isReady(status) || metadata.annotations?.[ANNOTATIONS.claimFirstReadyAt]) return undefined
  const created = parseKubernetesTime(metadata.creationTimestamp)
  return created === undefined ? undefined : created + spec.readyDeadlineSeconds * 1000
}

/** Whether nothing is to be had any more for the claim. @param now ms since the epoch */
export function isOver(claim: SandboxClaim, now: number): boolean {
  const end = earliest(endOf(claim, claim.status), deadlineOf(claim))
  return claim.metadata.deletionTimestamp !== undefined || (end !== undefined && end <= now)
}

export function expiryEvent(): PlannedEvent {
  return { type: 'Normal', reason: EVENTS.expired, action: 'Claim Expired', message: 'Claim expired' }
}

/** First says that the claim has expired, then deletes it, or with Retain its Sandbox. */
export function planExpired(observed: ObservedClaim, now: number): Plan<SandboxClaimStatus> {
  const { claim } = observed
  const before = findCondition(claim.status?.conditions, CLAIM_CONDITIONS.ready)
  if (before?.reason !== REASONS.expired) {
    const said = claimStatus({ claim, sandbox: undefined, problem: expiring(), expired: true }, now)
    return { ...nothing(now), status: said, statusEvents: [expiryEvent()] }
  }
  const policy = claim.spec.lifecycle?.shutdownPolicy
  if (policy === 'Delete' || policy === 'DeleteForeground') return planDeletion(observed, policy)
  return planCleanup(observed, now, { expired: true })
}

/** It has not been Ready in time: it says so, gives up what it has, and stays like that. */
export function planOverdue(observed: ObservedClaim, now: number): Plan<SandboxClaimStatus> {
  const { claim } = observed
  const before = findCondition(claim.status?.conditions, CLAIM_CONDITIONS.ready)
  const message = MESSAGES.deadlineExceeded(claim.spec.readyDeadlineSeconds ?? 0)
  const plan = planCleanup(observed, now, {
    expired: false,
    problem: { reason: REASONS.deadlineExceeded, message, permanent: true, unbound: true },
  })
  if (before?.reason === REASONS.deadlineExceeded) return plan
  return {
    ...plan,
    statusEvents: [{ type: 'Warning', reason: EVENTS.deadlineExceeded, action: 'Claim Failed', message }],
  }
}

/** The condition alone: what the claim has is dealt with next. */
function expiring(): ClaimProblem {
  return { reason: REASONS.expired, message: MESSAGES.expired, permanent: true }
}

function planDeletion(observed: ObservedClaim, policy: 'Delete' | 'DeleteForeground'): Plan<SandboxClaimStatus> {
  const write = deleteClaim(observed.claim, policy)
  const failed = observed.failures.some(({ id }) => id === write.id)
  return { ...nothing(), writes: failed ? [] : [write], retry: failed }
}

function planCleanup(
  observed: ObservedClaim,
  now: number,
  { expired, problem }: { expired: boolean; problem?: ClaimProblem },
): Plan<SandboxClaimStatus> {
  const { claim, failures } = observed
  const sandbox = remainingSandbox(observed)
  if (sandbox && ownershipOf(sandbox, claim) !== 'owned') {
    const message = MESSAGES.expiredNotOwned(sandbox.metadata.name ?? '', claim.metadata.name ?? '')
    const foreign = { reason: REASONS.expired, message, permanent: true, unbound: true }
    return {
      ...nothing(),
      status: claimStatus({ claim, sandbox: undefined, problem: problem ?? foreign, expired }, now),
    }
  }
  const write = sandbox && !sandbox.metadata.deletionTimestamp ? deleteSandbox(sandbox) : undefined
  const failure = failures.find(({ id }) => id === write?.id)
  const failed = failure && {
    reason: REASONS.reconcilerError,
    message: `${MESSAGES.errorSeen}failed to delete expired sandbox: ${failure.message}`,
    permanent: false,
  }
  return {
    ...nothing(),
    writes: write && !failed ? [write] : [],
    status: claimStatus({ claim, sandbox, problem: failed ?? problem, expired }, now),
    retry: failed !== undefined,
  }
}

/** What the claim has or had: by its status, by what was written down, or by its own name. */
function remainingSandbox({ claim, bound, assigned, namesake }: ObservedClaim): Sandbox | undefined {
  const own = [bound, assigned, namesake].find((sandbox) => sandbox && ownershipOf(sandbox, claim) === 'owned')
  return own ?? (claim.status?.sandbox?.name ? bound : namesake)
}

export function earliest(...times: (number | undefined)[]): number | undefined {
  const given = times.filter((time) => time !== undefined)
  return given.length ? Math.min(...given) : undefined
}
