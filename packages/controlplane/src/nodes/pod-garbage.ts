/** Removes the Pods of nodes that are no more, which no kubelet would ever report the end of, as kube-controller-manager does. */
import { kubernetesTime } from '@caisson/api'
import {
  type Client,
  type Informers,
  isConflict,
  isNotFound,
  type PodObject,
  resources,
  type WorkResult,
} from '@caisson/client'
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
}

export function createPodGarbage(options: PodGarbageOptions): PodGarbage {
  const { client, informers, now, monotonic, quarantineMs = QUARANTINE_MS, signal } = options
  const pods = informers.of(resources.pods)
  const nodes = informers.of(resources.nodes)
  /** By node. */
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
    const { name = '', namespace, uid = '' } = pod.metadata
    const status = { phase: 'Failed', conditions: [{ ...DISRUPTION, lastTransitionTime: kubernetesTime(now()) }] }
    try {
      if (!isFinished(pod)) {
        const body = { metadata: { uid }, status }
        await client.patchStatus(resources.pods, name, body, { namespace, signal, type: 'strategic' })
      }
      const preconditions = { uid }
      await client.delete(resources.pods, name, { namespace, signal, preconditions, gracePeriodSeconds: 0 })
    } catch (error) {
      // Gone, or another one of its name by now.
      if (!isNotFound(error) && !isConflict(error)) throw error
    }
  }

  return { reconcile, nodeSeen: (name) => void missingSince.delete(name) }
}

const DISRUPTION = {
  type: 'DisruptionTarget',
  status: 'True',
  reason: 'DeletionByPodGC',
  message: 'PodGC: node no longer exists',
}
