/** Pods with names and volumes of their own: made, updated and taken away one after another, unless told otherwise. */
import type { KubeObject } from '@caisson/api'
import { type PodObject, resources } from '@caisson/client'
import type { Plan, Write, WriteFailure } from '@caisson/controllers'
import type { StatefulSetSpec } from 'kubernetes-types/apps/v1.d.ts'
import type { PodTemplateSpec } from 'kubernetes-types/core/v1.d.ts'
import { claim, isAvailable, isReady, nextAvailable, withoutZeros } from './pods.ts'
import { planRevisions, type RevisionObject, templateOf, truncate } from './revisions.ts'
import {
  alignClaimOwners,
  type ClaimObject,
  createClaims,
  createStatefulPod,
  deleteStatefulPod,
  ordinalOf,
  REVISION_LABEL,
  type StatefulSetObject,
  statefulPod,
} from './stateful-pod.ts'

export interface ObservedStatefulSet {
  set: StatefulSetObject
  /** Those that it controls, and those of its namespace that nobody does. */
  pods: readonly PodObject[]
  revisions: readonly RevisionObject[]
  /** Of its namespace, by name. */
  claims: ReadonlyMap<string, ClaimObject>
  failures: readonly WriteFailure[]
}

export function planStatefulSet(observed: ObservedStatefulSet, now: number): Plan<object> {
  const { set, failures } = observed
  const spec = set.spec as StatefulSetSpec
  const own = observed.pods.filter((pod) => ordinalOf(pod, set) !== undefined)
  const { owned, writes } = claim(
    set as KubeObject,
    spec.selector as never,
    own as (PodObject & KubeObject)[],
    resources.pods,
  )
  const revisions = planRevisions({
    owner: set as KubeObject,
    template: spec.template,
    revisions: observed.revisions,
    collisionCount: set.status?.collisionCount,
  })
  writes.push(...revisions.writes)
  const retry = failures.length > 0
  if (!revisions.update) {
    const collisionCount = (set.status?.collisionCount ?? 0) + 1
    const status = revisions.collides ? { ...set.status, collisionCount } : undefined
    return { writes, status, statusEvents: [], statusMayWait: 0, retry, ...(revisions.collides && { requeueAt: now }) }
  }
  const update = revisions.update
  const current = revisions.all.find(({ metadata }) => metadata.name === set.status?.currentRevision) ?? update
  const state: State = { ...observed, pods: owned, update, current, now, spec }
  if (set.metadata.deletionTimestamp === undefined) {
    writes.push(...steps(state))
    const inUse = new Set([nameOf(update), nameOf(current), ...owned.map(revisionOf)])
    writes.push(...truncate(revisions.all, inUse, spec.revisionHistoryLimit ?? 10))
  }
  const requeueAt = nextAvailable(owned, spec.minReadySeconds, now)
  const status = statusOf(state)
  return { writes, status, statusEvents: [], statusMayWait: 0, retry, ...(requeueAt !== undefined && { requeueAt }) }
}

interface State extends ObservedStatefulSet {
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
  for (let ordinal = start; ordinal < start + replicas; ordinal++) {
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
