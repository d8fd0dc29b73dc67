/** What an earlier agent left behind of Pods: before the API is asked, it is all that is known of them. */
import type { Sandbox } from '@caisson/runtime'
import { SANDBOX_LABELS } from './observe-pod.ts'
import { newPodMemory, type PodMemory } from './pod-memory.ts'
import { unknownPod } from './unknown-pod.ts'

export interface LeftPods {
  sandboxes: readonly Sandbox[]
  /** Uids of Pods of which directories are on the disk. */
  directoriesOf: ReadonlySet<string>
}

/** By uid. Where a Pod has several sandboxes, the one of its last attempt counts. */
export function memoriesOf({ sandboxes, directoriesOf }: LeftPods): Map<string, PodMemory> {
  const memories = new Map<string, PodMemory>()
  for (const { spec } of sandboxes) {
    const { labels, id } = spec
    const uid = labels[SANDBOX_LABELS.uid]
    if (uid === undefined) continue
    const attempt = Number(labels[SANDBOX_LABELS.attempt] ?? 0)
    const known = memories.get(uid)
    if (known && known.nextAttempt > attempt) continue
    const pod = unknownPod({
      uid,
      name: labels[SANDBOX_LABELS.name] ?? '',
      namespace: labels[SANDBOX_LABELS.namespace] ?? '',
    })
    memories.set(uid, newPodMemory(pod, { sandboxId: id, nextAttempt: attempt + 1, hasDirectory: false }))
  }
  for (const uid of directoriesOf) {
    const memory = memories.get(uid)
    if (memory) memory.hasDirectory = true
    else memories.set(uid, newPodMemory(unknownPod({ uid }), { nextAttempt: 0, hasDirectory: true }))
  }
  return memories
}
