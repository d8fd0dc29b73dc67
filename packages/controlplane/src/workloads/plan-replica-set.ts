/** As many Pods as a ReplicaSet or a ReplicationController says. */
import { type KubeObject, kubernetesTime, type LabelSelector, selects } from '@caisson/api'
import { type PodObject, resources, type Typed } from '@caisson/client'
import type { Plan, Write, WriteFailure } from '@caisson/controllers'
import type { ReplicaSet, ReplicaSetCondition } from 'kubernetes-types/apps/v1.d.ts'
import type { PodTemplateSpec } from 'kubernetes-types/core/v1.d.ts'
import { leastMissed } from './deletion-order.ts'
import {
  claim,
  createPod,
  deletePod,
  firstFailure,
  isActive,
  isAvailable,
  isReady,
  nextAvailable,
  podFrom,
  withoutZeros,
} from './pods.ts'

export interface ObservedReplicaSet {
  set: Typed<ReplicaSet>
  /** As a LabelSelector, whichever way the kind writes it. */
  selector: LabelSelector
  /** Those that it controls, and those of its namespace that nobody does. */
  pods: readonly PodObject[]
  /** Of the sets that have the same owner: on which nodes there are how many counts when some have to go. */
  related: readonly PodObject[]
  failures: readonly WriteFailure[]
}

/** More Pods are not made or deleted in one pass. */
const BURST = 500

export function planReplicaSet(observed: ObservedReplicaSet, now: number): Plan<object> {
  const { set, selector, failures } = observed
  const active = observed.pods.filter(isActive)
  const { owned, writes } = claim(set, selector, active as (PodObject & KubeObject)[], resources.pods)
  if (set.metadata.deletionTimestamp === undefined) writes.push(...adjust(observed, owned, now))
  const minReadySeconds = set.spec?.minReadySeconds
  const requeueAt = nextAvailable(owned, minReadySeconds, now)
  return {
    writes,
    status: statusOf(observed, owned, now),
    statusEvents: [],
    statusMayWait: 0,
    retry: failures.length > 0,
    ...(requeueAt !== undefined && { requeueAt }),
  }
}

function adjust({ set, related }: ObservedReplicaSet, owned: readonly PodObject[], now: number): Write[] {
  const wanted = set.spec?.replicas ?? 1
  const missing = wanted - owned.length
  if (missing > 0) {
    const pod = podFrom(set.spec?.template as PodTemplateSpec, set as KubeObject)
    return Array.from({ length: Math.min(missing, BURST) }, (_, index) => createPod(pod, index))
  }
  return leastMissed(owned, Math.min(-missing, BURST), { related, now }).map(deletePod)
}

function statusOf({ set, failures }: ObservedReplicaSet, owned: readonly PodObject[], now: number): object {
  const { minReadySeconds, template } = set.spec ?? {}
  const labels = { matchLabels: template?.metadata?.labels ?? {} }
  const conditions = conditionsOf(set.status?.conditions ?? [], firstFailure(failures), now)
  return {
    replicas: owned.length,
    ...withoutZeros({
      fullyLabeledReplicas: owned.filter(({ metadata }) => selects(labels, metadata.labels)).length,
      readyReplicas: owned.filter(isReady).length,
      availableReplicas: owned.filter((pod) => isAvailable(pod, minReadySeconds, now)).length,
      observedGeneration: set.metadata.generation,
    }),
    ...(conditions.length > 0 && { conditions }),
  }
}

function conditionsOf(
  current: readonly ReplicaSetCondition[],
  failure: { reason: string; message: string } | undefined,
  now: number,
): object[] {
  const others = current.filter(({ type }) => type !== 'ReplicaFailure')
  if (!failure) return others
  const known = current.find(({ type, status }) => type === 'ReplicaFailure' && status === 'True')
  // The first failure is told until there is none.
  const condition = known ?? {
    type: 'ReplicaFailure',
    status: 'True',
    lastTransitionTime: kubernetesTime(now),
    ...failure,
  }
  return [...others, condition]
}
