import { isDeepStrictEqual } from 'node:util'
import { type AnyObject, keyOf, type PodObject, resources } from '@caisson/client'
import type { PartWiring } from '../part-wiring.ts'
import { priorityOf } from './choose-preemption.ts'
import { asksOfNeighbours } from './neighbours.ts'
import { createNodeLoads, isFinished, requestOf } from './node-loads.ts'
import { isPending, schedule } from './schedule.ts'

/** Binding is one small request. */
const PODS_AT_A_TIME = 8

/** Has Pods bound to nodes, those that no node had room for again whenever there may be some. */
export function startScheduler({ client, informers, now, signal, record, queue, on }: PartWiring): void {
  const pods = informers.of(resources.pods)
  const loads = createNodeLoads()
  const unschedulable = new Set<string>()
  const podQueue = queue(
    'scheduling',
    async (key) => {
      const pod = pods.get(key)
      const outcome =
        pod &&
        (await schedule(pod, {
          client,
          informers,
          loads,
          now,
          signal,
          record: (about, event) => record('default-scheduler', about, event),
        }))
      if (outcome === 'unschedulable') unschedulable.add(key)
      else unschedulable.delete(key)
    },
    PODS_AT_A_TIME,
  )
  const enqueue = (key: string): void => {
    const pod = pods.get(key)
    podQueue.add(key, { priority: pod ? priorityOf(pod) : 0 })
  }
  const roomMade = (): void => {
    for (const key of unschedulable) enqueue(key)
  }
  /** Those for whom it matters who is where, and not only how much room is left. */
  const neighboursChanged = (): void => {
    for (const key of unschedulable) {
      const pod = pods.get(key)
      if (pod && asksOfNeighbours(pod)) enqueue(key)
    }
  }
  on(
    pods,
    (pod, old) => {
      loads.observe(pod)
      if (unschedulable.size > 0 && old) {
        if (leavesRoom(old, pod)) roomMade()
        else if (isOtherNeighbour(old, pod)) neighboursChanged()
      }
      if (isPending(pod)) enqueue(keyOf(pod))
    },
    (pod) => {
      loads.forget(pod)
      unschedulable.delete(keyOf(pod))
      roomMade()
    },
  )
  on(informers.of(resources.nodes), (node, old) => {
    if (!old || nodeShape(old) !== nodeShape(node)) roomMade()
  })
  on(informers.of(resources.namespaces), (namespace, old) => {
    if (old && !isDeepStrictEqual(old.metadata.labels, namespace.metadata.labels)) roomMade()
  })
  on(informers.of(resources.persistentVolumeClaims), (claim, old) => {
    if (claim.status?.phase === 'Bound' && old?.status?.phase !== 'Bound') roomMade()
  })
}

/** A Pod that has ended, or asks for less than before. */
function leavesRoom(old: PodObject, pod: PodObject): boolean {
  if (isFinished(old)) return false
  if (isFinished(pod)) return true
  if (!pod.spec?.nodeName) return false
  const request = requestOf(pod)
  return [...requestOf(old)].some(([resource, amount]) => (request.get(resource) ?? 0) < amount)
}

/** A Pod that has come to a node, or is labelled otherwise there. */
function isOtherNeighbour(old: PodObject, pod: PodObject): boolean {
  if (!pod.spec?.nodeName) return false
  return old.spec?.nodeName !== pod.spec.nodeName || !isDeepStrictEqual(old.metadata.labels, pod.metadata.labels)
}

/** What of a node decides whether a Pod fits: its heartbeats do not. */
function nodeShape(node: {
  metadata: AnyObject['metadata']
  spec?: unknown
  status?: { allocatable?: unknown }
}): string {
  return JSON.stringify([node.metadata.labels, node.spec, node.status?.allocatable])
}
