/**
 * Notices nodes that have fallen silent: their conditions become Unknown, which taints them. What is told of a node's Pods
 * while it is not ready is that they are not either, so that Services lead elsewhere.
 */
import { kubernetesTime } from '@caisson/api'
import {
  type AnyObject,
  type Client,
  type Informers,
  isConflict,
  isNotFound,
  resources,
  type Typed,
  type WorkResult,
} from '@caisson/client'
import type { Node, NodeCondition } from 'kubernetes-types/core/v1.d.ts'

/** As long as kube-controller-manager bears it: five heartbeats (`--node-monitor-grace-period` since Kubernetes 1.32). */
const GRACE_MS = 50_000
/** A pass that comes this much later than it was due says that this process itself stood still, and heard nobody. */
const LAG_MS = 5_000

const LEASE_NAMESPACE = 'kube-node-lease'
const REPORTED = ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure']

export interface NodeHealthOptions {
  client: Client
  informers: Informers
  record(about: AnyObject, event: { type: 'Normal' | 'Warning'; reason: string; message: string }): void
  /** ms since the epoch. */
  now(): number
  /** ms of a clock that nobody sets. */
  monotonic(): number
  /** How long a node may be silent; 50 s unless given. */
  graceMs?: number
  signal: AbortSignal
}

export interface NodeHealth {
  /** One pass over one node. */
  reconcile(name: string): Promise<WorkResult>
  forget(name: string): void
}

interface Heard {
  /** What its Lease and its status said of the time. */
  heartbeat: string
  at: number
  /** When it is to be looked at again. */
  due: number
  /** Whether it was ready. */
  ready: boolean
}

export function createNodeHealth(options: NodeHealthOptions): NodeHealth {
  const { client, informers, record, now, monotonic, graceMs = GRACE_MS, signal } = options
  const nodes = informers.of(resources.nodes)
  const leases = informers.of(resources.leases)
  const pods = informers.of(resources.pods)
  const heard = new Map<string, Heard>()

  async function reconcile(name: string): Promise<WorkResult> {
    const node = nodes.get(name)
    if (!node) return {}
    const moment = monotonic()
    const before = heard.get(name)
    const heartbeat = heartbeatOf(node)
    const stoodStill = before !== undefined && moment - before.due > LAG_MS
    const at = before?.heartbeat === heartbeat && !stoodStill ? before.at : moment
    const silent = moment - at >= graceMs
    const ready = !silent && isReady(node)
    if (silent) await sayUnknown(node)
    if (before?.ready && !ready) {
      record(node, { type: 'Normal', reason: NOT_READY, message: `Node ${name} status is now: ${NOT_READY}` })
    }
    // Whoever found it so may have ended before all of its Pods were told. A node that speaks says itself how they are,
    // and would be contradicted for ever.
    if (silent || (before?.ready !== false && !ready)) await sayPodsNotReady(name)
    // Once it has gone silent, only what it says can change that.
    const due = silent ? Number.POSITIVE_INFINITY : at + graceMs
    heard.set(name, { heartbeat, at, due, ready })
    return silent ? {} : { requeueAfter: Math.max(0, due - moment) }
  }

  function heartbeatOf(node: Typed<Node>): string {
    const lease = leases.get(`${LEASE_NAMESPACE}/${node.metadata.name}`)
    // What is said here of a silent node has no such time.
    const times = (node.status?.conditions ?? [])
      .filter(({ lastHeartbeatTime }) => lastHeartbeatTime)
      .map(({ type, lastHeartbeatTime }) => [type, lastHeartbeatTime])
    return JSON.stringify([node.metadata.uid, lease?.spec?.renewTime, times])
  }

  async function sayUnknown(node: Typed<Node>): Promise<void> {
    const reported = new Map((node.status?.conditions ?? []).map((condition) => [condition.type, condition]))
    const conditions = REPORTED.filter((type) => reported.get(type)?.status !== 'Unknown').map(
      (type): NodeCondition => ({
        type,
        status: 'Unknown',
        ...(reported.has(type) ? STOPPED : NEVER),
        lastTransitionTime: kubernetesTime(now()),
      }),
    )
    if (conditions.length === 0) return
    const { name = '', uid } = node.metadata
    await unlessGone(
      client.patchStatus(
        resources.nodes,
        name,
        { metadata: { uid }, status: { conditions } },
        { signal, type: 'strategic' },
      ),
    )
  }

  async function sayPodsNotReady(name: string): Promise<void> {
    for (const pod of pods.list()) {
      const condition = pod.status?.conditions?.find(({ type }) => type === 'Ready')
      if (pod.spec?.nodeName !== name || condition?.status !== 'True') continue
      record(pod, { type: 'Warning', reason: NOT_READY, message: 'Node is not ready' })
      const { name: podName = '', namespace, uid } = pod.metadata
      const conditions = [{ type: 'Ready', status: 'False', lastTransitionTime: kubernetesTime(now()) }]
      const written = await unlessGone(
        client.patchStatus(
          resources.pods,
          podName,
          { metadata: { uid }, status: { conditions } },
          { namespace, signal, type: 'strategic' },
        ),
      )
      // The next pass comes with the node's own change, perhaps before this one is heard of.
      if (written) pods.observe(written)
    }
  }

  return { reconcile, forget: (name) => void heard.delete(name) }
}

const NOT_READY = 'NodeNotReady'
const STOPPED = { reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.' }
const NEVER = { reason: 'NodeStatusNeverUpdated', message: 'Kubelet never posted node status.' }

function isReady({ status }: Typed<Node>): boolean {
  return (status?.conditions ?? []).some((condition) => condition.type === 'Ready' && condition.status === 'True')
}

async function unlessGone<T>(written: Promise<T>): Promise<T | undefined> {
  try {
    return await written
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error
    return undefined
  }
}
