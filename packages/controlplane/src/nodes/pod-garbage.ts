/** Removes the Pods of nodes that are no more, which no kubelet would ever report the end of, as kube-controller-manager does. */
import { type Client, type Informers, isNotFound, type PodObject, resources, type WorkResult } from '@caisson/client'
import { disruptPod } from '../disrupt-pod.ts'
import { isFinished } from '../scheduler/node-loads.ts'

/** A node may come back, or its Pod may only have been heard of first. */
const QUARANTINE_MS = 40_000

export interface PodGarbageOptions {
  client: Client
  informers: Informers
  /** ms since the epoch. */
  now(): number
  /** ms of a clock that nobody sets. */
  monotonic(): number
  /** How long a node may be missing; 40 s unless given. */
  quarantineMs?: number
  signal: AbortSignal
}

export interface PodGarbage {
  /** One pass over one Pod. */
  reconcile(key: string): Promise<WorkResult>
  /** The node is there, again or for the first time. */
  nodeSeen(name: string): void
  podGone(pod: PodObject): void
}

/** Index of Pods by the name of their node. */
export const BY_NODE = 'nodeOfPod'

export function createPodGarbage(options: PodGarbageOptions): PodGarbage {
  const { client, informers, now, monotonic, quarantineMs = QUARANTINE_MS, signal } = options
  const pods = informers.of(resources.pods)
  const nodes = informers.of(resources.nodes)
  pods.addIndex(BY_NODE, nodeOf)
  /** By node, as long as there are Pods that say they are on it: anybody may say so, of any name. */
  const missingSince = new Map<string, number>()

  async function reconcile(key: string): Promise<WorkResult> {
    const pod = pods.get(key)
    const node = pod?.spec?.nodeName
    if (!pod || !node || nodes.get(node)) return {}
    const since = missingSince.get(node) ?? monotonic()
    missingSince.set(node, since)
    const left = since + quarantineMs - monotonic()
    if (left > 0) return { requeueAfter: left }
    if (!(await isThere(node))) await remove(pod)
    return {}
  }

  /** The cache may be behind. */
  async function isThere(name: string): Promise<boolean> {
    try {
      await client.get(resources.nodes, name, { signal })
      return true
    } catch (error) {
      if (!isNotFound(error)) throw error
      return false
    }
  }

  async function remove(pod: PodObject): Promise<void> {
    const disruption = isFinished(pod) ? undefined : DISRUPTION
    await disruptPod(pod, { client, disruption, isLost: true, now, signal })
  }

  return {
    reconcile,
    nodeSeen: (name) => void missingSince.delete(name),
    podGone(pod) {
      for (const name of nodeOf(pod)) if (!pods.byIndex(BY_NODE, name).length) missingSince.delete(name)
    },
  }
}

function nodeOf({ spec }: PodObject): string[] {
  return spec?.nodeName ? [spec.nodeName] : []
}

const DISRUPTION = {
  reason: 'DeletionByPodGC',
  message: 'PodGC: node no longer exists',
}
