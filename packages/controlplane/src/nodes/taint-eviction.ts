/**
 * Deletes the Pods that do not bear a NoExecute taint of their node, and those that bear it for a time when that is over,
 * in the words of kube-controller-manager.
 */
import {
  type AnyObject,
  type Client,
  type Informers,
  keyOf,
  type PodObject,
  resources,
  type Typed,
  type WorkResult,
} from '@caisson/client'
import type { Node, Taint } from 'kubernetes-types/core/v1.d.ts'
import { disruptPod } from '../disrupt-pod.ts'
import { toleratedMs } from './tolerations.ts'

export interface TaintEvictionOptions {
  client: Client
  informers: Informers
  record(about: AnyObject, event: { type: 'Normal' | 'Warning'; reason: string; message: string }): void
  /** ms since the epoch. */
  now(): number
  /** ms of a clock that nobody sets. */
  monotonic(): number
  signal: AbortSignal
}

export interface TaintEviction {
  /** One pass over one Pod. */
  reconcile(key: string): Promise<WorkResult>
  forget(pod: PodObject): void
}

export function createTaintEviction(options: TaintEvictionOptions): TaintEviction {
  const { client, informers, record, now, monotonic, signal } = options
  const pods = informers.of(resources.pods)
  const nodes = informers.of(resources.nodes)
  /** Of Pods that bear a taint for a time, by UID: when that began, and when it ends. */
  const lingering = new Map<string, { since: number; until: number }>()

  async function reconcile(key: string): Promise<WorkResult> {
    const pod = pods.get(key)
    const uid = pod?.metadata.uid ?? ''
    const node = nodes.get(pod?.spec?.nodeName ?? '')
    if (!pod || !node || pod.metadata.deletionTimestamp) return {}
    const allowed = toleratedMs(pod, noExecuteTaints(node))
    if (allowed === Number.POSITIVE_INFINITY) {
      if (lingering.delete(uid))
        record(pod, { type: 'Normal', reason: EVICTION, message: `Cancelling deletion of Pod ${keyOf(pod)}` })
      return {}
    }
    const since = lingering.get(uid)?.since ?? monotonic()
    const until = since + allowed
    if (until > monotonic()) {
      lingering.set(uid, { since, until })
      return { requeueAfter: until - monotonic() }
    }
    lingering.delete(uid)
    await evict(pod)
    return {}
  }

  async function evict(pod: PodObject): Promise<void> {
    record(pod, { type: 'Normal', reason: EVICTION, message: `Marking for deletion Pod ${keyOf(pod)}` })
    await disruptPod(pod, { client, disruption: DISRUPTION, now, signal })
  }

  return { reconcile, forget: ({ metadata }) => void lingering.delete(metadata.uid ?? '') }
}

const EVICTION = 'TaintManagerEviction'

const DISRUPTION = {
  reason: 'DeletionByTaintManager',
  message: 'Taint manager: deleting due to NoExecute taint',
}

export function noExecuteTaints({ spec }: Typed<Node>): Taint[] {
  return (spec?.taints ?? []).filter(({ effect }) => effect === 'NoExecute')
}
