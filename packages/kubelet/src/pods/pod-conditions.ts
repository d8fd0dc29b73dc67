/** The conditions that a node agent writes, with kubelet's reasons and messages. */
import { IDLE } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { ContainerStatus } from 'kubernetes-types/core/v1.d.ts'
import { type ActivityState, idleCondition } from '../activity/activity-state.ts'
import type { ConditionFields } from './condition-fields.ts'
import { initContainers, isSidecar, type ObservedPod, specOf } from './observed-pod.ts'
import type { PodPhase } from './pod-phase.ts'

/** Ours, and there only where a Pod that should have a network runs without one. */
const NETWORK_READY = 'caisson.dev/NetworkReady'
/** Ours, and there only where a Pod that asks for limits runs without them. */
const LIMITS_HELD = 'caisson.dev/LimitsHeld'
/** Ours, and there only where a Pod has volumes whose files cannot belong to whom they should. */
const OWNERS_KEPT = 'caisson.dev/OwnersKept'
/** Ours, and there only where a Pod asks for kernel parameters that its sandbox does not take. */
const SYSCTLS_APPLIED = 'caisson.dev/SysctlsApplied'

const RESIZE_PENDING = 'PodResizePending'
const RESIZE_IN_PROGRESS = 'PodResizeInProgress'

/** Types that belong to the node agent; every other condition is left alone. */
export const NODE_CONDITIONS: readonly string[] = [
  'PodReadyToStartContainers',
  'Initialized',
  'Ready',
  'ContainersReady',
  'PodScheduled',
  NETWORK_READY,
  LIMITS_HELD,
  OWNERS_KEPT,
  SYSCTLS_APPLIED,
  RESIZE_PENDING,
  RESIZE_IN_PROGRESS,
  IDLE.condition,
]

/** Those that are taken away when there is nothing more to say. */
export const PASSING_CONDITIONS: readonly string[] = [RESIZE_PENDING, RESIZE_IN_PROGRESS, IDLE.condition]

export interface ConditionFacts {
  phase: PodPhase
  hasSandbox: boolean
  networkProblem?: string | undefined
  limitsProblem?: string | undefined
  ownersProblem?: string | undefined
  sysctlsProblem?: string | undefined
  resize?: Pick<ObservedPod, 'pendingResize' | 'limitsDue' | 'resizeFailure'> | undefined
  activity?: ActivityState | undefined
}

export function podConditions(
  pod: PodObject,
  statuses: readonly ContainerStatus[],
  { phase, hasSandbox, networkProblem, limitsProblem, ownersProblem, sysctlsProblem, resize, activity }: ConditionFacts,
): ConditionFields[] {
  const containersReady = containersReadyCondition(pod, statuses, phase)
  return [
    { type: 'PodReadyToStartContainers', status: hasSandbox ? 'True' : 'False' },
    initializedCondition(pod, statuses, phase),
    readyCondition(pod, containersReady),
    containersReady,
    { type: 'PodScheduled', status: 'True' },
    ...withProblem({ type: NETWORK_READY, reason: 'NetworkMissing', message: networkProblem }),
    ...withProblem({ type: LIMITS_HELD, reason: 'ControlGroupsMissing', message: limitsProblem }),
    ...withProblem({ type: OWNERS_KEPT, reason: 'UsersMissing', message: ownersProblem }),
    ...withProblem({ type: SYSCTLS_APPLIED, reason: 'SysctlsNotSupported', message: sysctlsProblem }),
    ...(resize && phase === 'Running' ? resizeConditions(resize) : []),
    ...(activity && phase === 'Running' ? [idleCondition(activity)] : []),
  ]
}

/** There only as long as they are true. */
function resizeConditions({
  pendingResize,
  limitsDue,
  resizeFailure,
}: NonNullable<ConditionFacts['resize']>): ConditionFields[] {
  const failed = resizeFailure && { reason: 'Error', message: resizeFailure.message }
  return [
    ...(pendingResize ? [{ type: RESIZE_PENDING, status: 'True', ...pendingResize }] : []),
    ...(limitsDue ? [{ type: RESIZE_IN_PROGRESS, status: 'True', ...failed }] : []),
  ]
}

/** Nothing to say where there is none. */
function withProblem({
  message,
  ...about
}: {
  type: string
  reason: string
  message: string | undefined
}): ConditionFields[] {
  return message === undefined ? [] : [{ ...about, status: 'False', message }]
}

function containersReadyCondition(
  pod: PodObject,
  statuses: readonly ContainerStatus[],
  phase: PodPhase,
): ConditionFields {
  if (phase === 'Succeeded') return { type: 'ContainersReady', status: 'False', reason: 'PodCompleted' }
  if (phase === 'Failed') return { type: 'ContainersReady', status: 'False', reason: 'PodFailed' }
  const unready = [...initContainers(pod).filter(isSidecar), ...specOf(pod).containers]
    .map(({ name }) => name)
    .filter((name) => !statuses.some((status) => status.name === name && status.ready))
  if (unready.length === 0) return { type: 'ContainersReady', status: 'True' }
  return {
    type: 'ContainersReady',
    status: 'False',
    reason: 'ContainersNotReady',
    message: `containers with unready status: [${unready.join(' ')}]`,
  }
}

function readyCondition(pod: PodObject, containersReady: ConditionFields): ConditionFields {
  if (containersReady.status !== 'True') return { ...containersReady, type: 'Ready' }
  const unready = (specOf(pod).readinessGates ?? []).flatMap(({ conditionType }) => {
    const condition = pod.status?.conditions?.find(({ type }) => type === conditionType)
    const gate = `pod readiness gate ${JSON.stringify(conditionType)}`
    if (!condition) return [`corresponding condition of ${gate} does not exist.`]
    return condition.status === 'True' ? [] : [`the status of ${gate} is not "True", but ${condition.status}`]
  })
  if (unready.length === 0) return { type: 'Ready', status: 'True' }
  return { type: 'Ready', status: 'False', reason: 'ReadinessGatesNotReady', message: unready.join(', ') }
}

function initializedCondition(pod: PodObject, statuses: readonly ContainerStatus[], phase: PodPhase): ConditionFields {
  if (phase === 'Succeeded') return { type: 'Initialized', status: 'True', reason: 'PodCompleted' }
  const main = new Set(specOf(pod).containers.map(({ name }) => name))
  // A sidecar that is being started again does not take back that the Pod was initialized.
  const begun = statuses.some(({ name, state }) => main.has(name) && (state?.running || state?.terminated))
  const incomplete = initContainers(pod).filter((container) => {
    const status = statuses.find(({ name }) => name === container.name)
    return isSidecar(container) ? !status?.started : !status?.ready
  })
  if (begun || incomplete.length === 0) return { type: 'Initialized', status: 'True' }
  return {
    type: 'Initialized',
    status: 'False',
    reason: 'ContainersNotInitialized',
    message: `containers with incomplete status: [${incomplete.map(({ name }) => name).join(' ')}]`,
  }
}
