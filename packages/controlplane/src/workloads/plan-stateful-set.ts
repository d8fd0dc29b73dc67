/** Pods with names and volumes of their own: made, updated and taken away one after another, unless told otherwise. */
import type { PodObject } from '@caisson/client'
import type { Plan, Write } from '@caisson/controllers'
import type { StatefulSetSpec } from 'kubernetes-types/apps/v1.d.ts'
import type { PodTemplateSpec } from 'kubernetes-types/core/v1.d.ts'
import { isAvailable, isReady, withoutZeros } from './pods.ts'
import { type ObservedRevisedSet, planRevisedPods } from './revised-pods.ts'
import { REVISION_LABEL, type RevisionObject, templateOf } from './revisions.ts'
import {
  alignClaimOwners,
  type ClaimObject,
  createClaims,
  createStatefulPod,
  deleteStatefulPod,
  hasLeavingClaim,
  ordinalOf,
  type StatefulSetObject,
  statefulPod,
} from './stateful-pod.ts'

export interface ObservedStatefulSet extends ObservedRevisedSet {
  set: StatefulSetObject
  /** Of its namespace, by name. */
  claims: ReadonlyMap<string, ClaimObject>
}

/** What is made in one pass: there may be two thousand millions of ordinals, and in parallel none waits for the one before it. */
const BURST = 500

export function planStatefulSet(observed: ObservedStatefulSet, now: number): Plan<object> {
  const { set, claims } = observed
  const spec = set.spec as StatefulSetSpec
  const pods = observed.pods.filter((pod) => ordinalOf(pod, set) !== undefined)
  return planRevisedPods({ ...observed, pods }, now, ({ owned, update, revisions }) => {
    const current = revisions.find(({ metadata }) => metadata.name === set.status?.currentRevision) ?? update
    const state: State = { set, spec, pods: owned, claims, update, current, now }
    return {
      writes: steps(state),
      inUse: new Set([nameOf(update), nameOf(current), ...owned.map(revisionOf)]),
      status: statusOf(state),
    }
  })
}

interface State {
  set: StatefulSetObject
  pods: readonly PodObject[]
  claims: ReadonlyMap<string, ClaimObject>
  update: RevisionObject
  current: RevisionObject
  spec: StatefulSetSpec
  now: number
}

function nameOf({ metadata }: RevisionObject): string {
  return metadata.name ?? ''
}

function revisionOf({ metadata }: PodObject): string {
  return metadata.labels?.[REVISION_LABEL] ?? ''
}

function isHealthy(pod: PodObject, { spec, now }: State): boolean {
  return pod.status?.phase === 'Running' && isAvailable(pod, spec.minReadySeconds, now) && isStaying(pod)
}

function isStaying({ metadata }: PodObject): boolean {
  return metadata.deletionTimestamp === undefined
}

function steps(state: State): Write[] {
  const { set, pods, spec } = state
  const start = spec.ordinals?.start ?? 0
  const replicas = spec.replicas ?? 1
  const ordered = spec.podManagementPolicy !== 'Parallel'
  const byOrdinal = new Map(pods.map((pod) => [ordinalOf(pod, set) as number, pod]))
  const inRange = (ordinal: number): boolean => ordinal >= start && ordinal < start + replicas
  const writes: Write[] = []
  for (const [ordinal, pod] of byOrdinal) {
    const { claims } = state
    writes.push(...alignClaimOwners(set, pod, { ordinal, condemned: !inRange(ordinal), claims }))
  }
  if (writes.length) return writes
  for (let ordinal = start; ordinal < start + replicas && writes.length < BURST; ordinal++) {
    const step = stepOf(byOrdinal.get(ordinal), ordinal, state)
    writes.push(...step.writes)
    if (!step.done && ordered) return writes
  }
  const condemned = [...byOrdinal].filter(([ordinal]) => !inRange(ordinal)).sort(([a], [b]) => b - a)
  const unhealthy = pods
    .filter((pod) => !isHealthy(pod, state))
    .sort((a, b) => (ordinalOf(a, set) as number) - (ordinalOf(b, set) as number))
  for (const [, pod] of condemned) {
    if (isStaying(pod)) {
      // One that does not work may be the first to go; else those before it come first.
      if (ordered && !isHealthy(pod, state) && pod !== unhealthy[0]) return writes
      writes.push(deleteStatefulPod(set, pod))
    }
    if (ordered) return writes
  }
  if (writes.length || spec.updateStrategy?.type === 'OnDelete') return writes
  return rollOne(byOrdinal, state, { start, replicas })
}

/** What one ordinal needs; `done` where the next one may follow. */
function stepOf(pod: PodObject | undefined, ordinal: number, state: State): { writes: Write[]; done: boolean } {
  const { set, claims, spec, update, current } = state
  if (!pod) {
    if (hasLeavingClaim(set, ordinal, claims)) return { writes: [], done: false }
    const isOld = ordinal < oldBelow(state)
    const revision = isOld ? current : update
    const template = isOld ? templateOf(current) : (spec.template as PodTemplateSpec)
    const created = createStatefulPod(set, statefulPod(set, template, ordinal, nameOf(revision)))
    return { writes: [...createClaims(set, ordinal, claims), created], done: false }
  }
  const { phase } = pod.status ?? {}
  if ((phase === 'Failed' || phase === 'Succeeded') && isStaying(pod)) {
    return { writes: [deleteStatefulPod(set, pod)], done: false }
  }
  return { writes: [], done: isHealthy(pod, state) }
}

/** Ordinals below it are still of the current revision while the next one rolls out. */
function oldBelow({ set, spec }: State): number {
  const start = spec.ordinals?.start ?? 0
  if (spec.updateStrategy?.type === 'OnDelete') return 0
  const { rollingUpdate } = spec.updateStrategy ?? {}
  return start + (rollingUpdate ? (rollingUpdate.partition ?? 0) : (set.status?.currentReplicas ?? 0))
}

/** From the highest ordinal down, one at a time, each when those above it work. */
function rollOne(
  byOrdinal: ReadonlyMap<number, PodObject>,
  state: State,
  { start, replicas }: { start: number; replicas: number },
): Write[] {
  const { set, update, spec } = state
  const lowest = start + (spec.updateStrategy?.rollingUpdate?.partition ?? 0)
  for (let ordinal = start + replicas - 1; ordinal >= lowest; ordinal--) {
    const pod = byOrdinal.get(ordinal)
    if (!pod) return []
    if (revisionOf(pod) !== nameOf(update)) return isStaying(pod) ? [deleteStatefulPod(set, pod)] : []
    if (!isHealthy(pod, state)) return []
  }
  return []
}

function statusOf(state: State): object {
  const { set, pods, spec, update, current, now } = state
  const ready = pods.filter((pod) => pod.status?.phase === 'Running' && isReady(pod))
  const available = ready.filter((pod) => isAvailable(pod, spec.minReadySeconds, now))
  const of = (revision: RevisionObject): number =>
    pods.filter((pod) => isStaying(pod) && revisionOf(pod) === nameOf(revision)).length
  const updated = of(update)
  // Once all are of it, the new revision is the current one.
  const complete =
    spec.updateStrategy?.type !== 'OnDelete' &&
    updated === pods.length &&
    ready.length === pods.length &&
    pods.length === (spec.replicas ?? 1)
  return {
    replicas: pods.length,
    availableReplicas: available.length,
    ...withoutZeros({
      observedGeneration: set.metadata.generation,
      readyReplicas: ready.length,
      currentReplicas: complete ? updated : of(current),
      updatedReplicas: updated,
    }),
    currentRevision: complete ? nameOf(update) : nameOf(current),
    updateRevision: nameOf(update),
    collisionCount: set.status?.collisionCount ?? 0,
  }
}
