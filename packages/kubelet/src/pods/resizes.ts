/** Grants Pods that run the resources that the API has them ask for anew, where the node has them. */
import type { PodObject } from '@caisson/client'
import { isShown } from '../volumes/shown-metadata.ts'
import { type Grants, grantedPod, grantsOf, recalledGrants } from './granted-resources.ts'
import type { TakenPods } from './node-fit.ts'
import { isTerminalPhase, type PendingResize } from './observed-pod.ts'
import type { PodMemory } from './pod-memory.ts'

export interface ResizesOptions {
  memories: ReadonlyMap<string, PodMemory>
  /** Why the node does not have what a Pod asks for beside others; undefined where it has. */
  refusal(pod: PodObject, others: TakenPods): PendingResize | undefined
  /** Pods that the node has taken, with what they were granted. */
  takenPods(): readonly PodObject[]
  /** What was put off may be granted now. */
  onRoom(uid: string): void
}

export interface Resizes {
  /** The Pod as it is to run now. */
  settle(pod: PodObject, memory: PodMemory): PodObject
  /** Resources have become free. */
  freed(): void
}

export function createResizes({ memories, refusal, takenPods, onRoom }: ResizesOptions): Resizes {
  function settle(pod: PodObject, memory: PodMemory): PodObject {
    memory.grants ??= recalledGrants(pod)
    const granted = grantedPod(pod, memory.grants)
    memory.pendingResize = undefined
    if (granted === pod || pod.metadata.deletionTimestamp || isTerminalPhase(pod.status?.phase)) return granted
    const others = takenPods().filter(({ metadata }) => metadata.uid !== pod.metadata.uid)
    memory.pendingResize = refusal(pod, { atMost: others.length, list: () => others })
    if (memory.pendingResize) return granted
    memory.grants = grantsOf(pod)
    memory.resizeFailure = undefined
    if (isShown(pod)) memory.volumes = undefined
    freed()
    return pod
  }

  function freed(): void {
    for (const [uid, { pendingResize }] of memories) if (pendingResize?.reason === 'Deferred') onRoom(uid)
  }

  return { settle, freed }
}

/** As it was granted to one of whom that is remembered. */
export function asGranted(pod: PodObject, grants: Grants | undefined): PodObject {
  return grantedPod(pod, grants ?? recalledGrants(pod))
}
