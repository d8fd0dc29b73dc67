/** Keeps the taints of nodes in line with what they say, notices those that say nothing or are gone, and what becomes of Pods. */
import { isDeepStrictEqual } from 'node:util'
import {
  type AnyObject,
  type Client,
  createWorkqueue,
  type Informers,
  isConflict,
  isNotFound,
  keyOf,
  type PodObject,
  resources,
  type Typed,
  type Workqueue,
  type WorkResult,
} from '@caisson/client'
import type { Node } from 'kubernetes-types/core/v1.d.ts'
import { createNodeHealth } from './node-health.ts'
import { planTaints } from './node-taints.ts'
import { BY_NODE, createPodGarbage } from './pod-garbage.ts'
import { createTaintEviction, noExecuteTaints } from './taint-eviction.ts'

export interface NodeControllersOptions {
  client: Client
  /** Of nodes, Leases and Pods, which must have been seen. */
  informers: Informers
  record(about: AnyObject, event: { type: 'Normal' | 'Warning'; reason: string; message: string }): void
  now(): number
  /** How long a node may be silent, in ms; 50,000 unless given. */
  graceMs?: number
  /** How long a node may be missing until its Pods go, in ms; 40,000 unless given. */
  quarantineMs?: number
  signal: AbortSignal
  onError(error: unknown, where: string): void
}

/** Works until it is disposed. */
export function startNodeControllers(options: NodeControllersOptions): AsyncDisposable {
  const { client, informers, now, signal } = options
  const stack = new AsyncDisposableStack()
  const nodes = informers.of(resources.nodes)
  const pods = informers.of(resources.pods)
  const clocks = { ...options, monotonic: () => performance.now() }
  const health = createNodeHealth(clocks)
  const eviction = createTaintEviction(clocks)
  const garbage = createPodGarbage(clocks)
  const queue = (name: string, process: (key: string) => Promise<WorkResult | void>, concurrency: number): Workqueue =>
    stack.use(
      createWorkqueue({ process, concurrency, onError: (error, key) => options.onError(error, `${name} ${key}`) }),
    )

  const taintQueue = queue(
    'taints of node',
    async (name) => {
      const node = nodes.get(name)
      const taints = node && planTaints(node, now())
      if (!taints) return
      const { resourceVersion } = node.metadata
      const body = { metadata: { resourceVersion }, spec: { taints } }
      try {
        nodes.observe(await client.patch(resources.nodes, name, body, { signal, type: 'merge' }))
      } catch (error) {
        // Its event brings it back here.
        if (!isConflict(error) && !isNotFound(error)) throw error
      }
    },
    1,
  )
  const healthQueue = queue('health of node', health.reconcile, 4)
  const evictionQueue = queue('evicting', eviction.reconcile, 4)
  const garbageQueue = queue('collecting Pod', garbage.reconcile, 4)

  const nodeChanged = (node: Typed<Node>, old?: Typed<Node>): void => {
    const name = keyOf(node)
    garbage.nodeSeen(name)
    taintQueue.add(name)
    healthQueue.add(name)
    const driving = noExecuteTaints(node)
    if (isDeepStrictEqual(driving, old ? noExecuteTaints(old) : [])) return
    for (const pod of pods.byIndex(BY_NODE, name)) evictionQueue.add(keyOf(pod))
  }
  const podChanged = (pod: PodObject, old?: PodObject): void => {
    const { nodeName, tolerations } = pod.spec ?? {}
    const node = nodeName === undefined ? undefined : nodes.get(nodeName)
    if (nodeName !== undefined && !node) garbageQueue.add(keyOf(pod))
    if (!node || noExecuteTaints(node).length === 0) return
    if (old?.spec?.nodeName !== nodeName || !isDeepStrictEqual(old?.spec?.tolerations, tolerations))
      evictionQueue.add(keyOf(pod))
  }
  const leaseChanged = ({ metadata }: AnyObject): void => {
    if (nodes.get(metadata.name ?? '')) healthQueue.add(metadata.name ?? '')
  }
  stack.use(
    nodes.handle({
      added: (node) => nodeChanged(node),
      updated: (old, node) => nodeChanged(node, old),
      deleted(node) {
        health.forget(keyOf(node))
        for (const pod of pods.byIndex(BY_NODE, keyOf(node))) garbageQueue.add(keyOf(pod))
      },
    }),
  )
  stack.use(
    pods.handle({
      added: (pod) => podChanged(pod),
      updated: (old, pod) => podChanged(pod, old),
      deleted(pod) {
        eviction.forget(pod)
        garbage.podGone(pod)
      },
    }),
  )
  stack.use(
    informers.of(resources.leases).handle({
      added: leaseChanged,
      updated: (_old, lease) => leaseChanged(lease),
      deleted() {},
    }),
  )
  return stack
}
