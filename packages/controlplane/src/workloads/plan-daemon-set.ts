/** A Pod on each node that fits. */
import { type IntOrPercent, type KubeObject, scaledValue } from '@caisson/api'
import type { PodObject, Typed } from '@caisson/client'
import type { Plan, Write } from '@caisson/controllers'
import type { DaemonSet, DaemonSetSpec } from 'kubernetes-types/apps/v1.d.ts'
import type { Node, PodSpec, PodTemplateSpec, Toleration } from 'kubernetes-types/core/v1.d.ts'
import { keptOut } from '../scheduler/fit.ts'
import { createPod, deletePod, isAvailable, isReady, podFrom, withoutZeros } from './pods.ts'
import { type ObservedRevisedSet, planRevisedPods } from './revised-pods.ts'
import { REVISION_LABEL, type RevisionObject } from './revisions.ts'

export interface ObservedDaemonSet extends ObservedRevisedSet {
  set: Typed<DaemonSet>
  nodes: readonly Typed<Node>[]
  /** When Pods that have failed may be replaced, by UID; ms since the epoch. */
  replaceableAt: ReadonlyMap<string, number>
}

const GENERATION_LABEL = 'pod-template-generation'
const TEMPLATE_GENERATION = 'deprecated.daemonset.template.generation'

export function planDaemonSet(observed: ObservedDaemonSet, now: number): Plan<object> {
  const { set, nodes, replaceableAt } = observed
  const spec = set.spec as DaemonSetSpec
  return planRevisedPods(observed, now, ({ owned, update, revisions, settled }) => {
    const hash = revisionHash(update)
    const state: State = { set, spec, pods: owned, hash, now, places: placesOf(nodes, owned, spec), replaceableAt }
    const placed = place(state)
    const rolls = settled && placed.length === 0 && spec.updateStrategy?.type !== 'OnDelete'
    const hashes = new Set([hash, ...owned.map(revisionHash)])
    const inUse = revisions.filter((revision) => hashes.has(revisionHash(revision)))
    const waits = [...replaceableAt.values()].filter((moment) => moment > now)
    return {
      ...(waits.length > 0 && { requeueAt: Math.min(...waits) }),
      writes: rolls ? roll(state) : placed,
      inUse: new Set(inUse.map(({ metadata }) => metadata.name ?? '')),
      status: statusOf(state),
    }
  })
}

interface Place {
  node: string
  /** A Pod belongs on it. */
  runs: boolean
  /** One that is there may stay. */
  keeps: boolean
  /** Oldest first. */
  pods: readonly PodObject[]
}

interface State extends Pick<ObservedDaemonSet, 'replaceableAt'> {
  set: Typed<DaemonSet>
  spec: DaemonSetSpec
  pods: readonly PodObject[]
  places: readonly Place[]
  /** Of the template as it is now. */
  hash: string
  now: number
}

/** What a Pod is of, or a revision is called by. */
function revisionHash({ metadata }: PodObject | RevisionObject): string {
  return metadata.labels?.[REVISION_LABEL] ?? ''
}

function isStaying({ metadata }: PodObject): boolean {
  return metadata.deletionTimestamp === undefined
}

/** What a daemon stays through, wherever it runs. */
function daemonTolerations({ hostNetwork }: PodSpec): Toleration[] {
  const stay = (name: string, effect: string): Toleration => ({
    key: `node.kubernetes.io/${name}`,
    operator: 'Exists',
    effect,
  })
  return [
    stay('not-ready', 'NoExecute'),
    stay('unreachable', 'NoExecute'),
    stay('disk-pressure', 'NoSchedule'),
    stay('memory-pressure', 'NoSchedule'),
    stay('pid-pressure', 'NoSchedule'),
    stay('unschedulable', 'NoSchedule'),
    ...(hostNetwork ? [stay('network-unavailable', 'NoSchedule')] : []),
  ]
}

function placesOf(nodes: readonly Typed<Node>[], pods: readonly PodObject[], spec: DaemonSetSpec): Place[] {
  const byNode = new Map<string, PodObject[]>()
  for (const pod of pods) {
    const node = pod.spec?.nodeName ?? targetOf(pod)
    if (node !== undefined) byNode.set(node, [...(byNode.get(node) ?? []), pod])
  }
  const template = spec.template.spec as PodSpec
  const tolerations = [...(template.tolerations ?? []), ...daemonTolerations(template)]
  const trial = { metadata: {}, spec: { ...template, tolerations } } as PodObject
  const names = new Set(nodes.map(({ metadata }) => metadata.name ?? ''))
  const places = nodes.map((node): Place => {
    const name = node.metadata.name ?? ''
    const ousting = (node.spec?.taints ?? []).filter(({ effect }) => effect === 'NoExecute')
    // What may not come because of a taint that only keeps others from coming may stay where it is.
    const lasting = { ...node, spec: { ...node.spec, taints: ousting, unschedulable: false } } as typeof node
    return {
      node: name,
      runs: keptOut(trial, node) === undefined,
      keeps: keptOut(trial, lasting) === undefined,
      pods: byAge(byNode.get(name) ?? []),
    }
  })
  for (const [node, stray] of byNode) {
    if (!names.has(node)) places.push({ node, runs: false, keeps: false, pods: byAge(stray) })
  }
  return places
}

function byAge(pods: readonly PodObject[]): PodObject[] {
  return pods.toSorted((a, b) => ((a.metadata.creationTimestamp ?? '') < (b.metadata.creationTimestamp ?? '') ? -1 : 1))
}

/** The node that a Pod is meant for before it is bound. */
function targetOf({ spec }: PodObject): string | undefined {
  const terms = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []
  return terms[0]?.matchFields?.find(({ key }) => key === 'metadata.name')?.values?.[0]
}

function place(state: State): Write[] {
  const surge = bounds(state).maxSurge
  return state.places.flatMap(({ node, runs, keeps, pods }): Write[] => {
    const ended = pods.filter(({ status }) => status?.phase === 'Failed' || status?.phase === 'Succeeded')
    const staying = pods.filter((pod) => isStaying(pod) && !ended.includes(pod))
    if (!keeps) return pods.filter(isStaying).map(deletePod)
    const isDue = ({ metadata }: PodObject): boolean =>
      (state.replaceableAt.get(metadata.uid ?? '') ?? state.now) <= state.now
    const removed = ended.filter((pod) => isStaying(pod) && isDue(pod)).map(deletePod)
    if (removed.length || (!runs && staying.length === 0)) return removed
    if (staying.length === 0) return runs && pods.length === 0 ? [createPod(daemonPod(state, node), node)] : []
    return duplicates(staying, state, surge > 0).map(deletePod)
  })
}

/** One Pod a node, the oldest; with surge one of each template. */
function duplicates(pods: readonly PodObject[], { hash }: State, surges: boolean): PodObject[] {
  if (!surges) return pods.slice(1)
  const current = pods.filter((pod) => revisionHash(pod) === hash)
  const old = pods.filter((pod) => revisionHash(pod) !== hash)
  return [...current.slice(1), ...old.slice(1)]
}

function bounds({ spec, places }: State): { maxSurge: number; maxUnavailable: number } {
  const desired = places.filter(({ runs }) => runs).length
  if (spec.updateStrategy?.type === 'OnDelete') return { maxSurge: 0, maxUnavailable: 0 }
  const { maxSurge = 0, maxUnavailable = 1 } = (spec.updateStrategy?.rollingUpdate ?? {}) as {
    maxSurge?: IntOrPercent
    maxUnavailable?: IntOrPercent
  }
  return { maxSurge: scaledValue(maxSurge, desired, 'up'), maxUnavailable: scaledValue(maxUnavailable, desired, 'up') }
}

function roll(state: State): Write[] {
  const { maxSurge, maxUnavailable } = bounds(state)
  return maxSurge > 0 ? rollWithSurge(state, maxSurge) : rollInPlace(state, maxUnavailable)
}

function isUp(pod: PodObject | undefined, { spec, now }: State): boolean {
  return pod !== undefined && isStaying(pod) && isAvailable(pod, spec.minReadySeconds, now)
}

/** Old Pods go as far as no more nodes are without one that works than may be. */
function rollInPlace(state: State, maxUnavailable: number): Write[] {
  const running = state.places.filter(({ runs }) => runs)
  const without = running.filter(({ pods }) => !pods.some((pod) => isUp(pod, state)))
  const old = running.flatMap(({ pods }) => pods.filter((pod) => isStaying(pod) && revisionHash(pod) !== state.hash))
  const broken = old.filter((pod) => !isUp(pod, state))
  const working = old.filter((pod) => isUp(pod, state))
  return [...broken, ...working.slice(0, Math.max(0, maxUnavailable - without.length))].map(deletePod)
}

/** New Pods come beside old ones, which go as soon as those work. */
function rollWithSurge(state: State, maxSurge: number): Write[] {
  const writes: Write[] = []
  let surging = 0
  const waiting: { node: string; broken: boolean }[] = []
  for (const { node, runs, pods } of state.places) {
    if (!runs) continue
    const current = pods.find((pod) => revisionHash(pod) === state.hash && isStaying(pod))
    const old = pods.find((pod) => revisionHash(pod) !== state.hash && isStaying(pod))
    if (current && old) {
      if (isUp(current, state)) writes.push(deletePod(old))
      else surging++
    } else if (old) waiting.push({ node, broken: !isUp(old, state) })
  }
  const broken = waiting.filter((each) => each.broken)
  const working = waiting.filter((each) => !each.broken).slice(0, Math.max(0, maxSurge - surging))
  return [...writes, ...[...broken, ...working].map(({ node }) => createPod(daemonPod(state, node), node))]
}

/** Meant for one node: the scheduler binds it there, once it fits. */
function daemonPod({ set, spec, hash }: State, node: string): KubeObject {
  const template = spec.template.spec as PodSpec
  const matchFields = [{ key: 'metadata.name', operator: 'In', values: [node] }]
  const terms = template.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [
    {},
  ]
  const generation = set.metadata.annotations?.[TEMPLATE_GENERATION]
  const pod = podFrom(spec.template as PodTemplateSpec, set as KubeObject, {
    labels: { [REVISION_LABEL]: hash, ...(generation !== undefined && { [GENERATION_LABEL]: generation }) },
  })
  return {
    ...pod,
    spec: {
      ...template,
      affinity: {
        ...template.affinity,
        nodeAffinity: {
          ...template.affinity?.nodeAffinity,
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: terms.map((term) => ({ ...term, matchFields })),
          },
        },
      },
      tolerations: [...(template.tolerations ?? []), ...daemonTolerations(template)],
    },
  }
}

function statusOf(state: State): object {
  const { set, places, hash, spec, now } = state
  const running = places.filter(({ runs }) => runs)
  const first = running.flatMap(({ pods }) => {
    const staying = pods.filter(isStaying)
    return staying.length ? [staying.find((pod) => revisionHash(pod) === hash) ?? (staying[0] as PodObject)] : []
  })
  const anyOf = (test: (pod: PodObject) => boolean): number =>
    running.filter(({ pods }) => pods.some((pod) => isStaying(pod) && test(pod))).length
  const available = anyOf((pod) => isAvailable(pod, spec.minReadySeconds, now))
  return {
    currentNumberScheduled: first.length,
    numberMisscheduled: places.filter(({ runs, pods }) => !runs && pods.length > 0).length,
    desiredNumberScheduled: running.length,
    numberReady: anyOf(isReady),
    ...withoutZeros({
      observedGeneration: set.metadata.generation,
      updatedNumberScheduled: first.filter((pod) => revisionHash(pod) === hash).length,
      numberAvailable: available,
      numberUnavailable: running.length - available,
      collisionCount: set.status?.collisionCount,
    }),
  }
}
