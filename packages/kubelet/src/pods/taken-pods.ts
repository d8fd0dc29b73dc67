import type { PodObject } from '@caisson/client'
import { isTerminalPhase } from './observed-pod.ts'
import type { PodMemory } from './pod-memory.ts'
import { asGranted } from './resizes.ts'

/**
 * Pods that the node has taken, as it granted them what they ask for. One that the API has forgotten counts no longer, as
 * for a scheduler, though it may still be ending here.
 */
export function createTakenPods(
  memories: ReadonlyMap<string, PodMemory>,
  cached: (uid: string) => PodObject | undefined,
): () => PodObject[] {
  return () => {
    const taken = [...memories].filter(([, each]) => each.admission === 'taken' || each.sandboxId !== undefined)
    return taken.flatMap(([uid, { grants }]) => {
      const pod = cached(uid)
      return pod && !isTerminalPhase(pod.status?.phase) ? [asGranted(pod, grants)] : []
    })
  }
}
