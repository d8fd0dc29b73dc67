/** What a pool says about itself: counts, conditions, and the events that go with them. */
import {
  type ConditionState,
  POOL_EVENTS as EVENTS,
  findCondition,
  LABELS,
  POOL_MESSAGES as MESSAGES,
  mergeConditions,
  nameHash,
  POOL_REASONS as REASONS,
  type SandboxWarmPool,
  type SandboxWarmPoolStatus,
  TEMPLATE_MESSAGES,
  POOL_CONDITIONS as TYPES,
} from '@caisson/api'
import type { Plan, PlannedEvent } from '../engine/plan.ts'
import { networkPolicyName, policyState } from '../template/network-policy.ts'
import type { Health } from './health.ts'
import { goDuration } from './member-writes.ts'
import type { Members, ObservedPool } from './observed-pool.ts'
import { strategyOf } from './rollout.ts'

interface Situation {
  target: number
  health: Health
  /** ms */
  grace: number
  /** ms since the epoch */
  now: number
}

interface Counts {
  replicas: number
  ready: number
  updated: number
}

type Said = Pick<ConditionState, 'status' | 'reason' | 'message'>

/**
 * How long a status that only counts how filling goes on may wait for its end: where a claimed member is replaced within
 * it, nothing is written at all.
 */
const PROGRESS_MAY_WAIT = 1_000

/** The API allows no longer message. */
const MESSAGE_LIMIT = 32_768

export function poolStatus(observed: ObservedPool, members: Members, situation: Situation): SandboxWarmPoolStatus {
  const { pool } = observed
  const counts = {
    replicas: members.active.length,
    ready: members.active.filter(({ ready }) => ready).length,
    updated: members.active.filter(({ current }) => current).length,
  }
  const trouble = troubleOf(observed, situation)
  const said: [string, Said][] = [
    [TYPES.ready, readyCondition(counts, situation, trouble)],
    [TYPES.progressing, progressingCondition(pool, counts, situation, trouble)],
    [TYPES.degraded, trouble ?? { status: 'False', reason: REASONS.asExpected, message: MESSAGES.asExpected }],
  ]
  const observedGeneration = pool.metadata.generation ?? 0
  const conditions = said.map(([type, { message, ...condition }]) => ({
    type,
    ...condition,
    message: message.length > MESSAGE_LIMIT ? `${message.slice(0, MESSAGE_LIMIT - 1)}…` : message,
    observedGeneration,
  }))
  return {
    replicas: counts.replicas,
    readyReplicas: counts.ready,
    updatedReplicas: counts.updated,
    selector: `${LABELS.warmPool}=${nameHash(pool.metadata.name ?? '')}`,
    observedGeneration,
    conditions: mergeConditions(pool.status?.conditions, conditions, { now: situation.now }),
  }
}

function readyCondition({ ready }: Counts, { target }: Situation, trouble: Said | undefined): Said {
  if (ready >= target) {
    return { status: 'True', reason: REASONS.filled, message: target ? MESSAGES.filled(target) : MESSAGES.empty }
  }
  const message = MESSAGES.filling(ready, target)
  if (!trouble) return { status: 'False', reason: REASONS.filling, message }
  return { status: 'False', reason: trouble.reason, message: `${message}: ${trouble.message}` }
}

function progressingCondition(
  pool: SandboxWarmPool,
  { ready, replicas, updated }: Counts,
  { target, health }: Situation,
  trouble: Said | undefined,
): Said {
  const rolling = updated < replicas && strategyOf(pool) !== 'OnReplenish'
  if (ready >= target && !rolling) return { status: 'False', reason: REASONS.complete, message: MESSAGES.complete }
  if (trouble) return { ...trouble, status: 'False' }
  if (health.gated > 0) {
    return { status: 'False', reason: REASONS.schedulingGated, message: MESSAGES.schedulingGated(health.gated) }
  }
  if (rolling) return { status: 'True', reason: REASONS.rollingOut, message: MESSAGES.rollingOut(updated, target) }
  return { status: 'True', reason: REASONS.filling, message: MESSAGES.filling(ready, target) }
}

/** What keeps the pool from being what it should; the condition Degraded. */
function troubleOf(observed: ObservedPool, { target, health, grace }: Situation): Said | undefined {
  const { pool, template, policy, policyFailure, templateNamesake, failures } = observed
  const trouble = (reason: string, message: string): Said => ({ status: 'True', reason, message })
  if (!template) return trouble(REASONS.templateNotFound, MESSAGES.templateNotFound(pool.spec.sandboxTemplateRef.name))
  if (templateNamesake !== undefined) {
    const message = TEMPLATE_MESSAGES.nameCollision(template.metadata.name ?? '', templateNamesake)
    return trouble(REASONS.nameCollision, message)
  }
  if (policyState(template, policy) === 'foreign') {
    return trouble(REASONS.networkPolicyConflict, MESSAGES.networkPolicyConflict(networkPolicyName(template)))
  }
  if (policyFailure) {
    const message = TEMPLATE_MESSAGES.networkPolicyMissing(networkPolicyName(template), policyFailure.message)
    return trouble(REASONS.networkPolicyFailed, message)
  }
  const [failure] = failures
  if (failure?.id.startsWith('delete')) {
    return trouble(REASONS.memberDeletionFailed, MESSAGES.memberDeletionFailed + failure.message)
  }
  if (failure) return trouble(REASONS.memberCreationFailed, MESSAGES.memberCreationFailed + failure.message)
  if (health.unschedulable > 0) {
    const message = MESSAGES.membersUnschedulable(health.unschedulable, target, goDuration(grace))
    return trouble(REASONS.membersUnschedulable, message)
  }
  if (health.snapshot !== undefined) return trouble(REASONS.snapshotNotReady, health.snapshot)
  if (!health.failing) return undefined
  const { count, sandbox, message } = health.failing
  return trouble(REASONS.membersFailing, MESSAGES.memberFailing(count, target, sandbox, message))
}

/** Recorded when trouble comes, and when a pool that could not go on goes on. */
export function poolEvents(pool: SandboxWarmPool, status: SandboxWarmPoolStatus): PlannedEvent[] {
  const before = findCondition(pool.status?.conditions, TYPES.degraded)
  const after = findCondition(status.conditions, TYPES.degraded)
  if (!after || before?.reason === after.reason) return []
  const event = (type: PlannedEvent['type'], reason: string, message: string): PlannedEvent => ({
    type,
    reason,
    action: 'Reconciling',
    message,
  })
  const events: PlannedEvent[] = []
  if (before?.reason === REASONS.membersUnschedulable) {
    events.push(event('Normal', EVENTS.progressing, MESSAGES.progressing))
  }
  if (after.reason === REASONS.membersUnschedulable) {
    events.push(event('Warning', EVENTS.notProgressing, after.message))
  } else if (after.status === 'True') events.push(event('Warning', after.reason, after.message))
  return events
}

/** What is not as a user would take it to be, though the pool has its members. */
export function poolNotices({ pool, namesake }: ObservedPool): PlannedEvent[] {
  if (namesake === undefined) return []
  const message = MESSAGES.nameCollision(pool.metadata.name ?? '', namesake)
  return [{ type: 'Warning', reason: EVENTS.nameCollision, action: 'Reconciling', message }]
}

/** Counts that go on changing wait; what somebody may be waiting for is said at once. */
export function statusMayWait(
  { metadata, status: before = {} }: SandboxWarmPool,
  status: SandboxWarmPoolStatus,
): Plan<SandboxWarmPoolStatus>['statusMayWait'] {
  if (before.observedGeneration !== metadata.generation) return 0
  const reasons = ({ conditions }: SandboxWarmPoolStatus, type: string): string =>
    findCondition(conditions, type)?.reason ?? ''
  if (reasons(before, TYPES.degraded) !== reasons(status, TYPES.degraded)) return 0
  const ready = reasons(status, TYPES.ready)
  const filling = ready !== REASONS.filled && (ready === reasons(before, TYPES.ready) || ready === REASONS.filling)
  return filling ? PROGRESS_MAY_WAIT : 0
}
