/**
 * The conditions of a Sandbox, from what is there and what went wrong. One function for each, in agent-sandbox's words.
 */
import {
  type ConditionState,
  findCondition,
  SANDBOX_MESSAGES as MESSAGES,
  NETWORK_ANNOTATION,
  ownershipOf,
  SANDBOX_REASONS as REASONS,
  type Sandbox,
  SANDBOX_CONDITIONS as TYPES,
} from '@caisson/api'
import { containerError } from './container-error.ts'
import type { Pod, Service } from './objects.ts'
import { operatingModeOf, type SandboxError } from './observed-sandbox.ts'
import { idleness } from './plan-idle.ts'
import { wasKept } from './plan-memory.ts'

/** What the conditions of a Sandbox that has not expired depend on. */
export interface Situation {
  sandbox: Sandbox
  /** The Sandbox's Pod; while it suspends also one that stands in its place. */
  pod: Pod | undefined
  /** True when the Pod could not be made or may not be used: then no Pod does not mean that there is none. */
  podUnknown: boolean
  service: Service | undefined
  errors: readonly SandboxError[]
  /** How many Pods this Sandbox controls, where they are too many. */
  multiplePods: number | undefined
  /** The Pod's memory is being kept, or could not be. */
  keeping: { failed: boolean; message: string } | undefined
  /** The Pod is not made yet because of this. */
  waitingFor: string | undefined
}

type Said = Pick<ConditionState, 'status' | 'reason' | 'message'>

const STATUSES = ['True', 'False', 'Unknown'] as const

/** The API allows no longer message. */
const MESSAGE_LIMIT = 32_768

/** The conditions that apply, in the order in which agent-sandbox appends them. */
export function conditionsOf(situation: Situation): ConditionState[] {
  const said = {
    [TYPES.suspended]: suspendedCondition(situation),
    [TYPES.finished]: finishedCondition(situation),
    [TYPES.podScheduled]: podScheduledCondition(situation),
    [TYPES.containerError]: containerErrorCondition(situation),
    [TYPES.idle]: idleness(situation.sandbox, situation.pod),
    [TYPES.ready]: readyCondition(situation),
  }
  return Object.entries(said).flatMap(([type, condition]) =>
    condition ? [stated(situation.sandbox, type, condition)] : [],
  )
}

/** Ready of a Sandbox whose shutdownTime has come. */
export function expiredCondition(sandbox: Sandbox): ConditionState {
  return stated(sandbox, TYPES.ready, { status: 'False', reason: REASONS.expired, message: MESSAGES.expired })
}

/** Ready of a Sandbox whose end failed half-way. */
export function errorCondition(sandbox: Sandbox, errors: readonly SandboxError[]): ConditionState {
  return stated(sandbox, TYPES.ready, error(errors))
}

export function multiplePodsMessage(count: number): string {
  return `multiple Pods (${count}) are controlled by this Sandbox; refusing to choose or create a Pod`
}

function stated(sandbox: Sandbox, type: string, said: Said): ConditionState {
  const message = said.message.length > MESSAGE_LIMIT ? `${said.message.slice(0, MESSAGE_LIMIT - 1)}…` : said.message
  return { type, ...said, message, observedGeneration: sandbox.metadata.generation ?? 0 }
}

function suspendedCondition({ sandbox, pod, podUnknown, keeping }: Situation): Said {
  if (operatingModeOf(sandbox) === 'Running') {
    return { status: 'False', reason: REASONS.notSuspended, message: MESSAGES.notSuspended }
  }
  if (!pod && podUnknown)
    return { status: 'Unknown', reason: REASONS.podStateUnknown, message: MESSAGES.podStateUnknown }
  if (!pod) return { status: 'True', reason: REASONS.podTerminated, message: MESSAGES.podTerminated }
  if (ownershipOf(pod, sandbox) !== 'owned') {
    return { status: 'False', reason: REASONS.podNotOwned, message: MESSAGES.podNotOwned }
  }
  if (keeping?.failed) return { status: 'False', reason: REASONS.memoryNotKept, message: keeping.message }
  if (keeping) return { status: 'False', reason: REASONS.keepingMemory, message: MESSAGES.keepingMemory }
  return { status: 'False', reason: REASONS.podTerminating, message: MESSAGES.podTerminatingForSuspend }
}

function finishedCondition({ sandbox, pod }: Situation): Said | undefined {
  if (!pod || ownershipOf(pod, sandbox) !== 'owned') return undefined
  const outcome = outcomeOf(sandbox, pod)
  return outcome && { ...outcome, status: 'True' }
}

function podScheduledCondition({ sandbox, pod, podUnknown }: Situation): Said | undefined {
  const unknown = { status: 'Unknown', reason: REASONS.podSchedulingUnknown } as const
  if (!pod && podUnknown) return { ...unknown, message: MESSAGES.schedulingUnknown }
  if (!pod || ownershipOf(pod, sandbox) !== 'owned') return undefined
  const scheduled = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled')
  if (!scheduled) return { ...unknown, message: MESSAGES.schedulingNotReported }
  const fallback = scheduled.status === 'True' ? REASONS.podScheduled : REASONS.podSchedulingUnknown
  return {
    status: STATUSES.find((status) => status === scheduled.status) ?? 'Unknown',
    reason: reasonOr(fallback, scheduled.reason),
    message: scheduled.message ?? '',
  }
}

function containerErrorCondition({ sandbox, pod }: Situation): Said | undefined {
  if (!pod || ownershipOf(pod, sandbox) !== 'owned') return undefined
  if (pod.metadata.deletionTimestamp || operatingModeOf(sandbox) === 'Suspended') return undefined
  const before = findCondition(sandbox.status?.conditions, TYPES.containerError)
  const found = containerError(pod)
  if (!found) return undefined
  // A back-off says less than the error before it, and comes and goes with each attempt.
  if (found.backOff && before?.message.startsWith(found.container)) {
    return { status: 'True', reason: before.reason, message: before.message }
  }
  return {
    status: 'True',
    reason: reasonOr(REASONS.containerError, found.reason),
    message: `${found.container}: ${found.message}`,
  }
}

/** What others wrote into a Pod's status need not be what a condition may say. */
function reasonOr(fallback: string, reason: string | undefined): string {
  return reason !== undefined && reason.length <= 1024 && /^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/.test(reason)
    ? reason
    : fallback
}

function readyCondition({ sandbox, pod, service, errors, multiplePods, waitingFor, keeping }: Situation): Said {
  if (multiplePods) {
    return { status: 'False', reason: REASONS.multiplePods, message: multiplePodsMessage(multiplePods) }
  }
  if (errors.length) return error(errors)
  if (operatingModeOf(sandbox) === 'Suspended') {
    return { status: 'False', reason: REASONS.suspended, message: pod ? MESSAGES.suspending : MESSAGES.suspended }
  }
  const outcome = pod && outcomeOf(sandbox, pod)
  if (outcome) return { ...outcome, status: 'False' }
  if (pod?.metadata.deletionTimestamp) {
    return { status: 'False', reason: REASONS.podTerminating, message: MESSAGES.podTerminating }
  }
  if (waitingFor !== undefined) return { status: 'False', reason: REASONS.snapshotNotReady, message: waitingFor }
  if (keeping) return { status: 'False', reason: REASONS.keepingMemory, message: keeping.message }
  return dependencies(sandbox, pod, service)
}

function dependencies(sandbox: Sandbox, pod: Pod | undefined, service: Service | undefined): Said {
  const podMessage = podProgress(pod)
  const serviceNeeded = sandbox.spec.service ?? service !== undefined
  const serviceMessage = service ? MESSAGES.serviceExists : MESSAGES.serviceDoesNotExist
  const message = serviceNeeded ? podMessage + serviceMessage : podMessage
  if (podMessage === MESSAGES.podReady && (service || !serviceNeeded)) {
    return { status: 'True', reason: REASONS.dependenciesReady, message }
  }
  return { status: 'False', reason: REASONS.dependenciesNotReady, message }
}

function podProgress(pod: Pod | undefined): string {
  if (!pod) return MESSAGES.podDoesNotExist
  const { phase = '', conditions, podIPs } = pod.status ?? {}
  if (phase !== 'Running') return MESSAGES.podExistsWithPhase + phase
  const ready = conditions?.find(({ type }) => type === 'Ready')
  if (ready?.status !== 'True') return MESSAGES.podRunningNotReady
  // A Pod that was to have no network, or is where there is none, never gets an address to wait for.
  const missing = conditions?.some(({ type, status }) => type === 'caisson.dev/NetworkReady' && status === 'False')
  const hasNetwork = !missing && pod.metadata?.annotations?.[NETWORK_ANNOTATION] !== 'none'
  return podIPs?.length || !hasNetwork ? MESSAGES.podReady : MESSAGES.podReadyWithoutIps
}

/**
 * How the workload ended. A Pod that is deleted while it runs ends too, in whatever phase the kubelet last reports; that is
 * not the workload's own end, so it counts only if it had been seen before the deletion.
 */
function outcomeOf(sandbox: Sandbox, pod: Pod): Pick<Said, 'reason' | 'message'> | undefined {
  const finished = sandbox.status?.conditions?.some(({ type, status }) => type === TYPES.finished && status === 'True')
  if (pod.metadata.deletionTimestamp && !finished) return undefined
  if (wasKept(pod)) return undefined
  if (pod.status?.phase === 'Succeeded') return { reason: REASONS.podSucceeded, message: MESSAGES.podSucceeded }
  if (pod.status?.phase === 'Failed') return { reason: REASONS.podFailed, message: MESSAGES.podFailed }
  return undefined
}

function error(errors: readonly SandboxError[]): Said {
  const message = errors.map(({ message }) => message).join('\n')
  // Clients give up on InvalidConfiguration, so it is said only when nothing that may pass is in the way as well.
  return errors.every(({ permanent }) => permanent)
    ? { status: 'False', reason: REASONS.invalidConfiguration, message }
    : { status: 'False', reason: REASONS.reconcilerError, message: MESSAGES.errorSeen + message }
}
