/** The whole status of a Pod as its node sees it: a pure function of what was observed. */
import { kubernetesTime } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { PodCondition, PodStatus } from 'kubernetes-types/core/v1.d.ts'
import type { ConditionFields } from './condition-fields.ts'
import { containerStatus, ephemeralStatus } from './container-status.ts'
import {
  type Eviction,
  ephemeralContainers,
  initContainers,
  isTerminalPhase,
  type ObservedPod,
  specOf,
} from './observed-pod.ts'
import { NODE_CONDITIONS, podConditions } from './pod-conditions.ts'
import { type PodPhase, podPhase } from './pod-phase.ts'
import { qosClass } from './qos-class.ts'

export interface PodStatusOptions {
  /** ms since the epoch. */
  now: number
  /** Nothing of the Pod is started again. */
  ending: boolean
  eviction: Eviction | undefined
}

export function podStatus(observed: ObservedPod, { now, ending, eviction }: PodStatusOptions): PodStatus {
  const { pod, sandbox } = observed
  const current = pod.status ?? {}
  const isInit = initContainers(pod).map((container) => containerStatus(observed, container, { now, ending }))
  const main = specOf(pod).containers.map((container) => containerStatus(observed, container, { now, ending }))
  // As kubelet sorts them: init containers run in their order, the others have none.
  main.sort((a, b) => (a.name < b.name ? -1 : 1))
  const ephemeral = ephemeralContainers(pod).map((container) => ephemeralStatus(observed, container, { now, ending }))
  const phase = phaseOf(observed, { statuses: [...isInit, ...main], ending, eviction })
  const reason = eviction ?? (phase === current.phase ? current : undefined)
  const podIp = sandbox?.ip ?? current.podIP
  const generation = pod.metadata.generation
  const conditions = podConditions(pod, [...isInit, ...main], {
    phase,
    hasSandbox: sandbox?.alive ?? false,
    networkProblem: sandbox?.networkProblem,
    limitsProblem: sandbox?.limitsProblem,
    ownersProblem: sandbox?.ownersProblem,
    sysctlsProblem: sandbox?.sysctlsProblem,
    resize: observed,
    activity: observed.activity,
  })
  return {
    ...(generation !== undefined && { observedGeneration: generation }),
    phase,
    ...(reason?.reason && { reason: reason.reason }),
    ...(reason?.message && { message: reason.message }),
    conditions: withTimes(pod, conditions, now),
    hostIP: observed.hostIp,
    hostIPs: [{ ip: observed.hostIp }],
    ...(podIp && { podIP: podIp, podIPs: [{ ip: podIp }] }),
    startTime: current.startTime ?? kubernetesTime(now),
    ...(isInit.length > 0 && { initContainerStatuses: isInit }),
    containerStatuses: main,
    ...(ephemeral.length > 0 && { ephemeralContainerStatuses: ephemeral }),
    qosClass: current.qosClass ?? qosClass(pod),
  } as PodStatus
}

/** Of a Pod that was never begun. */
export function rejectedStatus(pod: PodObject, rejection: Eviction, now: number): PodStatus {
  const { conditions, startTime, qosClass: quality } = pod.status ?? {}
  const { generation } = pod.metadata
  return {
    ...(generation !== undefined && { observedGeneration: generation }),
    phase: 'Failed',
    reason: rejection.reason,
    message: `Pod was rejected: ${rejection.message}`,
    ...(conditions && { conditions }),
    startTime: startTime ?? kubernetesTime(now),
    qosClass: quality ?? qosClass(pod),
  } as PodStatus
}

function phaseOf(
  observed: ObservedPod,
  {
    statuses,
    ending,
    eviction,
  }: { statuses: NonNullable<PodStatus['containerStatuses']>; ending: boolean; eviction: Eviction | undefined },
): PodPhase {
  const current = observed.pod.status?.phase as PodPhase | undefined
  // A Pod never comes back from its end.
  if (current && isTerminalPhase(current)) return current
  const phase = podPhase(observed.pod, statuses, ending)
  const running = observed.runs.some((run) => run.state.phase === 'running')
  // What still runs holds the Pod's resources: others may rely on them being free once the phase says so.
  if (running) return isTerminalPhase(phase) ? (current ?? 'Running') : phase
  if (eviction) return 'Failed'
  // A Pod that ends before its containers have begun has failed.
  return ending && !isTerminalPhase(phase) ? 'Failed' : phase
}

function withTimes(pod: PodObject, conditions: readonly ConditionFields[], now: number): PodCondition[] {
  const current = pod.status?.conditions ?? []
  const { generation } = pod.metadata
  return [
    ...current.filter(({ type }) => !NODE_CONDITIONS.includes(type)),
    ...conditions.map((condition) => {
      const before = current.find(({ type }) => type === condition.type)
      return {
        ...condition,
        ...(generation !== undefined && { observedGeneration: generation }),
        lastTransitionTime:
          before?.status === condition.status && before.lastTransitionTime
            ? before.lastTransitionTime
            : kubernetesTime(now),
      }
    }),
  ]
}
