/** What a claim needs: a Sandbox, the metadata on it, and a status that says how it is. */
import {
  ANNOTATIONS,
  CLAIM_CONDITIONS,
  findCondition,
  isConditionTrue,
  CLAIM_MESSAGES as MESSAGES,
  ownershipOf,
  parseKubernetesTime,
  CLAIM_REASONS as REASONS,
  SANDBOX_REASONS,
  type Sandbox,
  type SandboxClaim,
  type SandboxClaimStatus,
  type SandboxSpec,
  type SandboxTemplate,
  TEMPLATE_MESSAGES,
} from '@caisson/api'
import { metadataProblem, overrideConflict, type PodMetadata } from '../blueprint/additional-metadata.ts'
import { withEnv } from '../blueprint/env.ts'
import { versionOf } from '../blueprint/sandbox-spec.ts'
import { withVolumeClaims } from '../blueprint/volume-claims.ts'
import { nothing, type Plan, type Write } from '../engine/plan.ts'
import { deletionOf } from '../sandbox/objects.ts'
import { NETWORK_POLICIES, networkPolicyName, policyState } from '../template/network-policy.ts'
import type { PolicyFailure } from '../template/policy-failures.ts'
import type { Offer } from './adoption.ts'
import { type ClaimProblem, claimStatus, isReady } from './claim-status.ts'
import { annotate, assign, createSandbox, forget, synchronize, transfer } from './claim-writes.ts'
import { findSandbox } from './find-sandbox.ts'
import { assignedName, needsColdStart, type ObservedClaim } from './observed-claim.ts'
import { planEnv } from './plan-env.ts'
import { deadlineOf, earliest, endOf, expiryEvent, isOver, planExpired, planOverdue } from './plan-expiry.ts'

export interface ClaimPlanOptions {
  /** Domains of the label keys that claims may put on Pods. */
  labelDomains: readonly string[]
  /** False writes no annotation that only tells when something happened. */
  observability: boolean
}

/** How long after its creation a claim waits for members that have no address yet, ms. agent-sandbox's number. */
const GRACE_PERIOD = 2_000
/** How long at most while others of them come up, ms. */
const LONGEST_GRACE_PERIOD = 10_000

/** How long the first status may wait for a Sandbox that is made while many are, ms: it would be two writes. */
const CROWDED_STATUS_MAY_WAIT = 10_000
/** When to look again at what waits until claims are no crowd any more, ms. */
const CROWD_RECHECK = 5_000

/** How long to leave a claim alone whose namespace goes away: usually it is gone by then. */
const NAMESPACE_TERMINATING_RECHECK = 30_000

interface Times extends ClaimPlanOptions {
  /** ms since the epoch. */
  now: number
}

/** What one look at a claim comes to. */
interface Step {
  writes?: Write[]
  /** The Sandbox that the claim has. */
  sandbox?: Sandbox
  problem?: ClaimProblem
  /** There is nothing to say until something happens, or until then, ms since the epoch. */
  wait?: { until?: number }
  /** When to look again, ms since the epoch. */
  again?: number
}

/** @param now ms since the epoch */
export function planClaim(observed: ObservedClaim, now: number, options: ClaimPlanOptions): Plan<SandboxClaimStatus> {
  const { claim } = observed
  if (claim.metadata.deletionTimestamp) return nothing()
  if (observed.failures.some(({ namespaceTerminating }) => namespaceTerminating))
    return nothing(now + NAMESPACE_TERMINATING_RECHECK)
  const end = endOf(claim, claim.status)
  if (end !== undefined && end <= now) return planExpired(observed, now)
  const step = stepOf(observed, { ...options, now })
  if (step.wait && !isOver(claim, now)) return nothing(earliest(step.wait.until, end, deadlineOf(claim)))
  const status = claimStatus({ claim, sandbox: step.sandbox, problem: step.problem, expired: false }, now)
  const deadline = isReady(status) ? undefined : deadlineOf(claim)
  if (deadline !== undefined && deadline <= now) return planOverdue(observed, now)
  return withEnd(observed, step, { status, deadline, now })
}

/** The claim may have come to its end by what its status says now. */
function withEnd(
  observed: ObservedClaim,
  { writes = [], sandbox, problem, again }: Step,
  { status, deadline, now }: { status: SandboxClaimStatus; deadline: number | undefined; now: number },
): Plan<SandboxClaimStatus> {
  const { claim } = observed
  const end = endOf(claim, status)
  const ends = end !== undefined && end <= now
  const requeueAt = ends ? now : earliest(end, deadline, again)
  return {
    writes: [...legacyDeletion(observed), ...writes],
    status: ends ? claimStatus({ claim, sandbox, problem: undefined, expired: true }, now) : status,
    statusEvents: ends ? [expiryEvent()] : [],
    statusMayWait: mayWait(observed, sandbox, status) ? CROWDED_STATUS_MAY_WAIT : 0,
    retry: !ends && problem !== undefined && !problem.permanent,
    // What was sent to its Sandbox is forgotten once the status names that.
    settled: !ends && observed.env === undefined,
    ...(requeueAt !== undefined && { requeueAt }),
  }
}

/** Whether it would be the first of two: that the Sandbox is on its way. */
function mayWait({ claim, crowded }: ObservedClaim, sandbox: Sandbox | undefined, status: SandboxClaimStatus): boolean {
  if (!crowded || !sandbox || claim.status?.conditions?.length || isReady(status)) return false
  const ready = findCondition(sandbox.status?.conditions, CLAIM_CONDITIONS.ready)
  return !ready || ready.reason === SANDBOX_REASONS.dependenciesNotReady
}

/** What older controllers made for each claim says nothing that its template does not. Where it stays it does no harm. */
function legacyDeletion({ claim, legacyPolicy, failures }: ObservedClaim): Write[] {
  if (!legacyPolicy || legacyPolicy.metadata.deletionTimestamp) return []
  if (ownershipOf(legacyPolicy, claim) !== 'owned') return []
  const write = deletionOf(NETWORK_POLICIES, legacyPolicy)
  return failures.some(({ id }) => id === write.id) ? [] : [write]
}

function stepOf(observed: ObservedClaim, options: Times): Step {
  const { claim } = observed
  const invalid = metadataProblem(claim.spec.additionalPodMetadata, options.labelDomains)
  if (invalid) return { problem: terminal(REASONS.invalidMetadata, MESSAGES.invalidMetadata + invalid) }
  const finding = findSandbox(observed)
  if (finding.kind === 'found') return keep(observed, finding.sandbox, options)
  if (finding.kind === 'transfer')
    return (
      metadataConflict(observed) ??
      envStep(observed) ??
      attempt(observed, [transfer(claim, finding.sandbox, observed.origin)])
    )
  if (finding.kind === 'forget') return attempt(observed, [forget(claim, finding.name)])
  if (finding.kind === 'ask') return acquire(observed, options)
  return { problem: terminal(REASONS.reconcilerError, MESSAGES.errorSeen + takenMessage(finding.sandbox, claim)) }
}

/** The claim has its Sandbox: what is on it follows the claim. */
function keep(observed: ObservedClaim, sandbox: Sandbox, options: Times): Step {
  const { claim, origin } = observed
  if (sandbox.metadata.deletionTimestamp) return { sandbox }
  const unknown = originProblem(observed, sandbox)
  if (unknown) return { problem: unknown }
  const conflict = metadataConflict(observed)
  if (conflict) return conflict
  const undelivered = envStep(observed, sandbox)
  if (undelivered) return undelivered
  const launchType = sandbox.metadata.name === claim.metadata.name && !assignedName(claim) ? 'cold' : 'warm'
  const writes = [synchronize(claim, sandbox, origin, launchType), bookkeeping(observed, sandbox, options)]
  return {
    ...attempt(
      observed,
      writes.filter((write) => write !== undefined),
    ),
    sandbox,
    ...(observed.crowded && lacksTimes(observed, options) && { again: options.now + CROWD_RECHECK }),
  }
}

function lacksTimes({ claim }: ObservedClaim, { observability }: Times): boolean {
  return observability && !claim.metadata.annotations?.[ANNOTATIONS.controllerFirstObservedAt]
}

/** What there is to do, or to wait for, before the claim's variables are where its Sandbox looks for them. */
function envStep(observed: ObservedClaim, sandbox?: Sandbox): Step | undefined {
  const step = planEnv(observed.env, sandbox)
  return step?.kind === 'write'
    ? attempt(observed, step.writes)
    : step?.kind === 'problem'
      ? step
      : step && { wait: {} }
}

/** Without the template what a claim may add cannot be told; what is there already was told when it was. */
function originProblem({ claim, origin }: ObservedClaim, sandbox: Sandbox): ClaimProblem | undefined {
  const { labels = {}, annotations = {} } = claim.spec.additionalPodMetadata ?? {}
  const there = sandbox.spec.podTemplate.metadata
  const has = (wanted: object, found: Readonly<Record<string, string>> = {}) =>
    Object.entries(wanted).every(([key, value]) => Object.hasOwn(found, key) && found[key] === value)
  if (origin || (has(labels, there?.labels) && has(annotations, there?.annotations))) return undefined
  const name = sandbox.metadata.annotations?.[ANNOTATIONS.templateRef] ?? ''
  const message = `failed to get template for metadata propagation: ${MESSAGES.templateNotFound(name)}`
  return terminal(REASONS.templateNotFound, message)
}

/**
 * Whether a claim that has no Sandbox may be given a member of its pool, as far as the claim and the template go: a claim
 * that waits for an edit binds none.
 *
 * @param now ms since the epoch
 */
export function mayAdopt(
  { claim, pool, template, env, failures }: Pick<ObservedClaim, 'claim' | 'pool' | 'template' | 'env' | 'failures'>,
  now: number,
  { labelDomains }: Pick<ClaimPlanOptions, 'labelDomains'>,
): boolean {
  if (!pool?.found || needsColdStart({ claim, ...(env && { env }) })) return false
  if (failures.some(({ permanent }) => permanent)) return false
  return mayHave(claim, template?.found, { labelDomains, now })
}

/** Whether a Sandbox of the template may be the claim's, as far as the claim's end and metadata go. */
export function mayHave(
  claim: SandboxClaim,
  template: SandboxTemplate | undefined,
  { labelDomains, now }: Pick<Times, 'labelDomains' | 'now'>,
): boolean {
  const { additionalPodMetadata } = claim.spec
  if (isOver(claim, now) || metadataProblem(additionalPodMetadata, labelDomains) !== undefined) return false
  return overrideConflict(template?.spec.podTemplate.metadata, additionalPodMetadata) === undefined
}

/** There is no Sandbox yet: one of the pool's, or a new one. */
function acquire(observed: ObservedClaim, options: Times): Step {
  const { claim, pool, offer } = observed
  if (claim.spec.warmPoolSelector && !pool)
    return { problem: terminal(REASONS.warmPoolNotFound, MESSAGES.noWarmPoolSelected) }
  if (pool && !pool.found) return { problem: terminal(REASONS.warmPoolNotFound, MESSAGES.warmPoolNotFound(pool.name)) }
  const unknown = envStep(observed)
  if (unknown) return unknown
  if (offer.kind === 'member') {
    return attempt(observed, [assign(claim, offer.sandbox, assignmentTimes(observed, offer.sandbox, options))])
  }
  const patience = offer.kind === 'starting' ? patienceOf(claim, offer) : 0
  if (patience > options.now) return { wait: { until: patience } }
  return provision(observed)
}

/**
 * Until when members that start are waited for, ms since the epoch. A Sandbox that was made for the claim would come after
 * them: as long as they come up, one after the other, it would only make all of them slower.
 */
function patienceOf({ metadata }: SandboxClaim, { movedAt }: Extract<Offer, { kind: 'starting' }>): number {
  const createdAt = parseKubernetesTime(metadata.creationTimestamp) ?? 0
  const shortest = createdAt + GRACE_PERIOD
  return Math.max(shortest, Math.min(movedAt + GRACE_PERIOD, createdAt + LONGEST_GRACE_PERIOD))
}

function provision(observed: ObservedClaim): Step {
  const { claim, template } = observed
  if (!template?.found)
    return { problem: terminal(REASONS.templateNotFound, MESSAGES.templateNotFound(template?.name ?? '')) }
  const policy = policyState(template.found, observed.policy)
  if (observed.templateNamesake !== undefined) {
    const message = TEMPLATE_MESSAGES.nameCollision(template.name, observed.templateNamesake)
    return { problem: terminal(REASONS.nameCollision, message) }
  }
  if (observed.policyFailure) return { problem: unguarded(template.found, observed.policyFailure) }
  // The template's controller makes it as soon as it sees the template.
  if (policy === 'missing') return { wait: {} }
  if (policy === 'foreign') {
    const message = MESSAGES.networkPolicyConflict(networkPolicyName(template.found))
    return { problem: terminal(REASONS.networkPolicyConflict, message) }
  }
  const claims = withVolumeClaims(template.found, claim.spec.volumeClaimTemplates ?? [])
  if ('rejected' in claims) return { problem: terminal(REASONS.volumeClaimTemplatesError, claims.rejected) }
  const conflict = conflictWith(template.found.spec.podTemplate.metadata, claim)
  if (conflict) return conflict
  const { spec } = versionOf(template.found)
  const pod = withEnv(spec.podTemplate.spec, claim.spec.env ?? [], template.found.spec)
  if ('rejected' in pod) {
    const message = MESSAGES.envVarsInjectionRejected + pod.rejected
    return { problem: terminal(REASONS.envVarsInjectionRejected, message) }
  }
  return attempt(
    observed,
    [createSandbox(claim, template.found, specWith(spec, pod, claims))],
    'sandbox create error: ',
  )
}

function specWith(
  spec: SandboxSpec,
  pod: SandboxSpec['podTemplate']['spec'],
  claims: NonNullable<SandboxSpec['volumeClaimTemplates']>,
): SandboxSpec {
  const podTemplate = { ...spec.podTemplate, spec: pod }
  return { ...spec, podTemplate, ...(claims.length && { volumeClaimTemplates: claims }) }
}

/** Annotations of the claim that ride on no other write: where its Sandbox was made for it, or given by an older controller. */
function bookkeeping(observed: ObservedClaim, sandbox: Sandbox, options: Times): Write | undefined {
  const { claim } = observed
  const { annotations = {}, labels = {} } = claim.metadata
  const legacy = annotations[ANNOTATIONS.sandboxName] ? undefined : labels[ANNOTATIONS.sandboxName]
  const moves = legacy !== undefined && legacy === sandbox.metadata.name
  const unobserved = lacksTimes(observed, options)
  const wanted = {
    // What tells only when something happened can be written when many claims do not wait any more.
    ...(unobserved &&
      !observed.crowded && { [ANNOTATIONS.controllerFirstObservedAt]: microTime(observed.firstObservedAt) }),
    ...(claim.spec.readyDeadlineSeconds !== undefined && readySince(sandbox, options.now)),
    ...(moves && { [ANNOTATIONS.sandboxName]: legacy }),
  }
  const missing = Object.entries(wanted).filter(([key]) => !annotations[key])
  if (!missing.length) return undefined
  return annotate(claim, {
    annotations: Object.fromEntries(missing),
    ...(moves && { labels: { [ANNOTATIONS.sandboxName]: null } }),
  })
}

/** What an assignment takes along: it costs nothing there. */
function assignmentTimes({ claim, firstObservedAt }: ObservedClaim, sandbox: Sandbox, options: Times) {
  if (!options.observability) return {}
  const observedAt = claim.metadata.annotations?.[ANNOTATIONS.controllerFirstObservedAt]
  return {
    [ANNOTATIONS.controllerFirstObservedAt]: observedAt || microTime(firstObservedAt),
    ...readySince(sandbox, options.now),
  }
}

/** A claim is Ready as soon as it has a Sandbox that is. */
function readySince(sandbox: Sandbox, now: number): Record<string, string> {
  const ready = isConditionTrue(sandbox.status?.conditions, CLAIM_CONDITIONS.ready)
  return ready ? { [ANNOTATIONS.claimFirstReadyAt]: microTime(now) } : {}
}

/** RFC 3339 in UTC with microseconds. @param at ms since the epoch */
function microTime(at: number): string {
  const micros = String(Math.floor((at % 1) * 1000)).padStart(3, '0')
  return `${new Date(at).toISOString().slice(0, -1)}${micros}Z`
}

/** Plans the writes, unless one of them has failed. */
function attempt({ failures }: ObservedClaim, writes: Write[], context = ''): Step {
  const failure = failures.find(({ id }) => writes.some((write) => write.id === id))
  if (!failure) return { writes }
  const { permanent } = failure
  const message = context + failure.message
  // Clients give up on InvalidConfiguration, so it is said only where nothing but an edit helps.
  if (permanent) return { problem: terminal(REASONS.invalidConfiguration, message) }
  return { problem: { reason: REASONS.reconcilerError, message: MESSAGES.errorSeen + message, permanent } }
}

function metadataConflict({ claim, origin }: ObservedClaim): Step | undefined {
  return conflictWith(origin?.spec.podTemplate.metadata, claim)
}

function conflictWith(template: PodMetadata | undefined, { spec }: SandboxClaim): Step | undefined {
  const conflict = overrideConflict(template, spec.additionalPodMetadata)
  return conflict ? { problem: terminal(REASONS.reconcilerError, MESSAGES.errorSeen + conflict) } : undefined
}

/** It is tried again by who writes the policy, and then the claim is looked at. */
function unguarded(template: SandboxTemplate, { message: why, permanent }: PolicyFailure): ClaimProblem {
  const message = TEMPLATE_MESSAGES.networkPolicyMissing(networkPolicyName(template), why)
  if (permanent) return terminal(REASONS.invalidConfiguration, message)
  return terminal(REASONS.reconcilerError, MESSAGES.errorSeen + message)
}

function takenMessage(sandbox: Sandbox, claim: SandboxClaim): string {
  return `sandbox ${JSON.stringify(sandbox.metadata.name)} is not controlled by claim ${JSON.stringify(claim.metadata.name)}. Please use a different claim name or delete the sandbox manually`
}

function terminal(reason: string, message: string): ClaimProblem {
  return { reason, message, permanent: true }
}
