/** Grants Pods that run the resources that the API has them ask for anew, where the node has them. */
import { podResource, RESIZABLE_RESOURCES } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import { isShown } from '../volumes/shown-metadata.ts'
import { type Grants, grantedPod, grantsOf, recalledGrants } from './granted-resources.ts'
import type { TakenPods } from './node-fit.ts'
import { isTerminalPhase, type PendingResize, specOf } from './observed-pod.ts'
import type { PodMemory } from './pod-memory.ts'
import { qosClass } from './qos-class.ts'

export interface ResizesOptions {
  memories: ReadonlyMap<string, PodMemory>
  /** The Pod as the API has it; undefined where it has none. */
  cached(uid: string): PodObject | undefined
  /** Why the node does not have what a Pod asks for beside others; undefined where it has. */
  refusal(pod: PodObject, others: TakenPods): PendingResize | undefined
  /** Pods that the node has taken, with what they were granted. */
  takenPods(): readonly PodObject[]
  /** What was put off is granted. */
  onGranted(uid: string): void
}

export interface Resizes {
  /** The Pod as it is to run now. */
  settle(pod: PodObject, memory: PodMemory): PodObject
  /** Resources have become free: who waits for them is granted them, each in its turn. */
  freed(): void
}

interface Asking {
  pod: PodObject
  memory: PodMemory
}

export function createResizes({ memories, cached, refusal, takenPods, onGranted }: ResizesOptions): Resizes {
  function settle(pod: PodObject, memory: PodMemory): PodObject {
    memory.pendingResize = undefined
    if (asksForOthers(pod, memory) && hasRoom({ pod, memory }, takenPods())) {
      grantInTurn({ pod, memory })
      freed()
    }
    return asGranted(pod, memory.grants)
  }

  /** Where it has not, the Pod's memory says why. */
  function hasRoom({ pod, memory }: Asking, taken: readonly PodObject[]): boolean {
    const others = taken.filter(({ metadata }) => metadata.uid !== pod.metadata.uid)
    memory.pendingResize = refusal(pod, { atMost: others.length, list: () => others })
    return memory.pendingResize === undefined
  }

  /** Whoever waits, and `asking`, each in its turn. Returns whether anything was granted. */
  function grantInTurn(asking?: Asking): boolean {
    const turns = [...waiting(), ...(asking ? [asking] : [])].sort(byTurn)
    let taken = turns.length > 0 ? takenPods() : []
    let granted = false
    for (const each of turns) {
      if (!hasRoom(each, taken)) continue
      grant(each)
      if (each !== asking) onGranted(each.pod.metadata.uid ?? '')
      granted = true
      taken = takenPods()
    }
    return granted
  }

  function grant({ pod, memory }: Asking): void {
    memory.grants = grantsOf(pod)
    memory.resizeFailure = undefined
    if (isShown(pod)) memory.volumes = undefined
  }

  /** Those that were put off, by this agent or, where it has not looked at them yet, by the one before. */
  function waiting(): Asking[] {
    return [...memories].flatMap(([uid, memory]) => {
      if (memory.grants !== undefined && memory.pendingResize?.reason !== 'Deferred') return []
      const pod = cached(uid)
      return pod && asksForOthers(pod, memory) ? [{ pod, memory }] : []
    })
  }

  function freed(): void {
    // Who asks for more of one resource and for less of another makes room too.
    while (grantInTurn());
  }

  return { settle, freed }
}

function asksForOthers(pod: PodObject, memory: PodMemory): boolean {
  memory.grants ??= recalledGrants(pod)
  if (pod.metadata.deletionTimestamp || isTerminalPhase(pod.status?.phase)) return false
  return grantedPod(pod, memory.grants) !== pod
}

/** kubelet's sortPendingResizes: who asks for no more, then by priority, by QoS class, and who has waited the longest. */
function byTurn(a: Asking, b: Asking): number {
  const first = (of: (asking: Asking) => boolean): number => Number(of(b)) - Number(of(a))
  return (
    first((asking) => !asksForMore(asking)) ||
    priorityOf(b) - priorityOf(a) ||
    first(({ pod }) => qosClass(pod) === 'Guaranteed') ||
    waitsSince(a) - waitsSince(b) ||
    0
  )
}

function asksForMore({ pod, memory }: Asking): boolean {
  const granted = asGranted(pod, memory.grants)
  return RESIZABLE_RESOURCES.some((resource) => {
    const [now, before] = [pod, granted].map((each) => podResource(specOf(each), 'requests', resource) ?? 0)
    return (now ?? 0) > (before ?? 0)
  })
}

function priorityOf({ pod }: Asking): number {
  return specOf(pod).priority ?? 0
}

/** Milliseconds since the epoch; later than all others where the API does not know yet that it waits. */
function waitsSince({ pod }: Asking): number {
  const condition = pod.status?.conditions?.find(({ type }) => type === 'PodResizePending')
  return condition?.lastTransitionTime === undefined
    ? Number.MAX_SAFE_INTEGER
    : Date.parse(condition.lastTransitionTime)
}

/** As it was granted to one of whom that is remembered. */
export function asGranted(pod: PodObject, grants: Grants | undefined): PodObject {
  return grantedPod(pod, grants ?? recalledGrants(pod))
}
