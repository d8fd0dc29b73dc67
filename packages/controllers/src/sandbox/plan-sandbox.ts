/** What a Sandbox needs: its claims, its Pod, its Service, and a status that says how they are. */
import {
  type ConditionState,
  SANDBOX_EVENTS as EVENTS,
  findCondition,
  isConditionTrue,
  LABELS,
  mergeConditions,
  nameHash,
  ownershipOf,
  SANDBOX_REASONS as REASONS,
  type Sandbox,
  type SandboxStatus,
  sandboxSpecProblem,
  SANDBOX_CONDITIONS as TYPES,
} from '@caisson/api'
import { sameJson, withoutInConditions } from '../engine/json-difference.ts'
import { nothing, type Plan, type PlannedEvent, type Write, writeId } from '../engine/plan.ts'
import { conditionsOf, errorCondition, multiplePodsMessage, type Situation } from './conditions.ts'
import { identityOf, isPoolMember, SANDBOXES } from './objects.ts'
import { failureOf, type ObservedSandbox, operatingModeOf, type SandboxError } from './observed-sandbox.ts'
import { endOf, planExpired } from './plan-expiry.ts'
import { planIdle } from './plan-idle.ts'
import { type PodPlan, planPod } from './plan-pod.ts'
import { planService } from './plan-service.ts'
import { planVolumeClaims } from './plan-volume-claims.ts'

export interface SandboxPlanOptions {
  /** The DNS domain of the cluster, for status.serviceFQDN. */
  clusterDomain: string
}

/** How long to leave a Sandbox alone whose namespace goes away: usually it is gone by then. */
const NAMESPACE_TERMINATING_RECHECK = 30_000

/** When to look again at what is not known because it could not be read, ms: that a kind is not served is no event. */
const UNKNOWN_RECHECK = 1_000

/**
 * How long a status that only says how a start goes on may wait for the start's end. Most Sandboxes are Ready within it,
 * and then one write says everything.
 */
const PROGRESS_MAY_WAIT = 1_000

/** Nobody waits for one member of a pool, and a pool that fills on a busy machine would write every status twice. */
const MEMBER_PROGRESS_MAY_WAIT = 10_000

/** As long as many claims take that come together; what says nothing new waits for them, and how starts go on. */
const SAME_MAY_WAIT = 5_000

/** @param now ms since the epoch */
export function planSandbox(observed: ObservedSandbox, now: number, options: SandboxPlanOptions): Plan<SandboxStatus> {
  const { sandbox } = observed
  if (sandbox.metadata.deletionTimestamp) return nothing()
  if (observed.failures.some(({ namespaceTerminating }) => namespaceTerminating)) {
    return nothing(now + NAMESPACE_TERMINATING_RECHECK)
  }
  const problem = sandboxSpecProblem(sandbox.spec)
  if (problem) return planUnusable(sandbox, problem, now)
  const end = endOf(sandbox)
  if (end !== undefined && end <= now) return planExpired(observed, now)

  const mode = planOperatingMode(observed)
  const idle = planIdle(observed)
  const claims = planVolumeClaims(observed)
  const pod = planPod(observed, claims.errors.length > 0 || claims.writes.length > 0)
  // Which Pod traffic should go to is unknown while there are several: the Service stays as it is.
  const service = pod.multiple ? {} : planService(observed)
  const errors = [
    ...mode.errors,
    ...idle.errors,
    ...claims.errors,
    ...pod.errors,
    ...(service.error ? [service.error] : []),
  ]
  const situation: Situation = {
    sandbox,
    pod: pod.pod,
    podUnknown: pod.multiple !== undefined || pod.errors.length > 0,
    service: service.service,
    errors,
    multiplePods: pod.multiple,
    keeping: pod.keeping,
    waitingFor: pod.waitingFor,
  }
  const conditions = conditionsOf(situation)
  const status = {
    ...statusOfPod(sandbox, pod),
    ...(pod.multiple || service.error ? lastService(sandbox) : statusOfService(situation, options)),
    conditions: mergeConditions(sandbox.status?.conditions, conditions, { now, dropped: absent(conditions) }),
  }
  const unknown = pod.waitingFor !== undefined && observed.snapshotsUnknown !== undefined
  const requeueAt = unknown ? Math.min(now + UNKNOWN_RECHECK, end ?? Infinity) : end
  return {
    writes: [
      ...mode.writes,
      ...idle.writes,
      ...claims.writes,
      ...pod.writes,
      // Nothing waits longer for it than the Pod does, which waits for the claims.
      ...(service.write && claims.writes.length === 0 ? [service.write] : []),
    ],
    status,
    statusEvents: transitionEvents(sandbox, status, pod),
    statusMayWait: passes(sandbox, errors) ? PROGRESS_MAY_WAIT : patience(observed, status),
    retry: errors.some(({ permanent }) => !permanent),
    settled: true,
    ...(requeueAt !== undefined && { requeueAt }),
  }
}

/** A spec that says nothing that could be done. What exists is left alone: it may be what an edit comes back to. */
function planUnusable(sandbox: Sandbox, message: string, now: number): Plan<SandboxStatus> {
  const ready = errorCondition(sandbox, [{ message, permanent: true }])
  return {
    writes: [],
    status: { ...sandbox.status, conditions: mergeConditions(sandbox.status?.conditions, [ready], { now }) },
    statusEvents: [],
    statusMayWait: 0,
    retry: false,
  }
}

/** Writes `operatingMode` where `replicas` decided otherwise, so that who reads only the one is not misled. */
function planOperatingMode(observed: ObservedSandbox): { writes: Write[]; errors: SandboxError[] } {
  const { sandbox } = observed
  const mode = operatingModeOf(sandbox)
  if (sandbox.spec.replicas === undefined || sandbox.spec.operatingMode === mode) return { writes: [], errors: [] }
  const { name, namespace, uid, resourceVersion } = identityOf(sandbox)
  const id = `${writeId('patch', SANDBOXES, name)} operatingMode`
  const error = failureOf(observed, id, 'failed to set operatingMode: ')
  if (error) return { writes: [], errors: [error] }
  // With the resourceVersion: `replicas` may have been taken out meanwhile, and then this would be a decision of ours.
  const patch = { metadata: { uid, resourceVersion }, spec: { operatingMode: mode } }
  return { writes: [{ verb: 'patch', id, resource: SANDBOXES, target: { namespace, name }, patch }], errors: [] }
}

function statusOfPod(sandbox: Sandbox, { pod }: PodPlan): SandboxStatus {
  const { selector } = sandbox.status ?? {}
  const owned = pod && ownershipOf(pod, sandbox) === 'owned' ? pod : undefined
  const podIPs = owned?.status?.podIPs?.flatMap(({ ip }) => (ip ? [ip] : [])) ?? []
  const nodeName = owned?.spec?.nodeName
  return {
    ...(pod
      ? { selector: `${LABELS.sandboxNameHash}=${nameHash(sandbox.metadata.name ?? '')}` }
      : selector && { selector }),
    ...(podIPs.length && { podIPs }),
    ...(nodeName && { nodeName }),
    ...(sandbox.spec.replicas !== undefined && { replicas: owned ? 1 : 0 }),
  }
}

function statusOfService({ sandbox, service }: Situation, { clusterDomain }: SandboxPlanOptions): SandboxStatus {
  if (!service) return {}
  const name = service.metadata.name ?? ''
  return { service: name, serviceFQDN: `${name}.${sandbox.metadata.namespace ?? ''}.svc.${clusterDomain}` }
}

function lastService(sandbox: Sandbox): SandboxStatus {
  const { service, serviceFQDN } = sandbox.status ?? {}
  return { ...(service && { service }), ...(serviceFQDN && { serviceFQDN }) }
}

/** These conditions are there only while they apply. */
function absent(conditions: readonly ConditionState[]): string[] {
  const passing = [TYPES.finished, TYPES.podScheduled, TYPES.containerError, TYPES.idle]
  return passing.filter((type) => !conditions.some((condition) => condition.type === type))
}

function transitionEvents(sandbox: Sandbox, status: SandboxStatus, pod: PodPlan): PlannedEvent[] {
  const before = sandbox.status?.conditions
  const became = (type: string) => isConditionTrue(status.conditions, type) && !isConditionTrue(before, type)
  const events: PlannedEvent[] = []
  if (became(TYPES.ready)) {
    events.push({ type: 'Normal', reason: EVENTS.ready, action: 'Readiness', message: 'Sandbox is ready' })
  }
  if (became(TYPES.suspended)) {
    events.push({ type: 'Normal', reason: EVENTS.suspended, action: 'Suspension', message: 'Sandbox is suspended' })
  }
  if (became(TYPES.finished)) {
    const finished = findCondition(status.conditions, TYPES.finished)
    const failed = finished?.reason === REASONS.podFailed
    events.push({
      type: failed ? 'Warning' : 'Normal',
      reason: failed ? EVENTS.podFailed : EVENTS.podSucceeded,
      action: 'PodCompletion',
      message: finished?.message ?? '',
    })
  }
  if (pod.multiple && findCondition(before, TYPES.ready)?.reason !== REASONS.multiplePods) {
    const message = multiplePodsMessage(pod.multiple)
    events.push({ type: 'Warning', reason: EVENTS.multiplePods, action: 'Reconciling', message })
  }
  return events
}

/** Of a pool's member, which nobody waits for, what went wrong is said when it has not gone right a moment later. */
function passes(sandbox: Sandbox, errors: readonly SandboxError[]): boolean {
  const transient = errors.length > 0 && errors.every(({ permanent }) => !permanent)
  return transient && isPoolMember(sandbox) && !sandbox.status?.conditions?.length
}

/** Whether a new status is worth a write now, later, or only together with another change. */
function patience(
  { sandbox, claimsComing }: ObservedSandbox,
  status: SandboxStatus,
): Plan<SandboxStatus>['statusMayWait'] {
  if (claimsComing && sandbox.status && saysTheSame(sandbox.status, status)) return SAME_MAY_WAIT
  const before = sandbox.status?.conditions
  const ready = findCondition(status.conditions, TYPES.ready)
  if (ready?.reason !== REASONS.dependenciesNotReady) return 0
  if (sandbox.status && onlyNodeNameDiffers(sandbox.status, status)) return 'for-ever'
  const readyBefore = findCondition(before, TYPES.ready)
  const starts = !readyBefore || readyBefore.reason === REASONS.dependenciesNotReady
  const stuck = findCondition(status.conditions, TYPES.podScheduled)?.status === 'False'
  const finishedBefore = findCondition(before, TYPES.finished)
  const error = findCondition(status.conditions, TYPES.containerError)
  const newError = error !== undefined && !sameJson(error, findCondition(before, TYPES.containerError))
  const serviceLost = sandbox.status?.service !== status.service && status.service === undefined
  if (!starts || stuck || newError || finishedBefore || serviceLost) return 0
  return claimsComing ? Math.max(SAME_MAY_WAIT, progressMayWait(sandbox, status)) : progressMayWait(sandbox, status)
}

/** Of another generation, such as that in which it was given to a claim. */
function saysTheSame(before: SandboxStatus, after: SandboxStatus): boolean {
  const [said, says] = [before, after].map((status) => withoutInConditions(status, 'observedGeneration'))
  return sameJson(said, says)
}

function progressMayWait(sandbox: Sandbox, { podIPs }: SandboxStatus): number {
  // With an address it can be given to a claim.
  return isPoolMember(sandbox) && !podIPs ? MEMBER_PROGRESS_MAY_WAIT : PROGRESS_MAY_WAIT
}

function onlyNodeNameDiffers(before: SandboxStatus, after: SandboxStatus): boolean {
  if (before.nodeName === after.nodeName) return false
  const { nodeName: _before, ...restBefore } = before
  const { nodeName: _after, ...restAfter } = after
  return sameJson(restBefore, restAfter)
}
