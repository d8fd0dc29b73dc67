/** Whether a Pod fits on a node: the filters of kube-scheduler that an embedded cluster has use for, in its words. */
import { matchesNodeSelector, parseQuantity } from '@caisson/api'
import type { PodObject, Typed } from '@caisson/client'
import type { Node } from 'kubernetes-types/core/v1.d.ts'
import { tolerates } from '../nodes/tolerations.ts'
import type { Requested } from './node-loads.ts'

export interface NodeLoad {
  node: Typed<Node>
  /** Of the Pods that are bound to it and have not ended. */
  requested: Requested
}

/** Why a node does not do, as it is counted in a FailedScheduling message; empty where it does. */
export type Unfit = readonly string[]

/** @param request what the Pod asks for */
export function unfit(pod: PodObject, request: Requested, { node, requested }: NodeLoad): Unfit {
  const reason = keptOut(pod, node)
  return reason === undefined ? insufficient(node, request, requested) : [reason]
}

/** Why a Pod may not be on a node at all, however much room there is; undefined where it may. */
export function keptOut(pod: PodObject, node: Typed<Node>): string | undefined {
  if (pod.spec?.nodeName && pod.spec.nodeName !== node.metadata.name)
    return "node(s) didn't match the requested node name"
  if (node.spec?.unschedulable && !tolerates(pod, { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' })) {
    return 'node(s) were unschedulable'
  }
  const taint = node.spec?.taints?.find((one) => one.effect !== 'PreferNoSchedule' && !tolerates(pod, one))
  if (taint) return `node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`
  return matchesNodeSelector(pod.spec ?? {}, node.metadata)
    ? undefined
    : "node(s) didn't match Pod's node affinity/selector"
}

function insufficient(node: Typed<Node>, request: Requested, requested: Requested): string[] {
  const room = node.status?.allocatable ?? node.status?.capacity ?? {}
  return [...request].flatMap(([resource, amount]) => {
    // What is asked for with zero is not asked for.
    if (amount === 0 || (requested.get(resource) ?? 0) + amount <= (parseQuantity(room[resource] ?? '0') ?? 0))
      return []
    return resource === 'pods' ? 'Too many pods' : `${INSUFFICIENT}${resource}`
  })
}

const INSUFFICIENT = 'Insufficient '

/** `0/1 nodes are available: 1 Too many pods.`, as kube-scheduler's event says it. */
export function failedSchedulingMessage(nodes: readonly Unfit[]): string {
  if (nodes.length === 0) return 'no nodes available to schedule pods'
  const none = `0/${nodes.length} nodes are available`
  // Where there is no room, others could be made to go; here they never are.
  const preemptable = nodes.filter((reasons) => reasons.some((reason) => isForWantOfRoom(reason)))
  const preemption = counted([
    ...preemptable.map(() => 'No preemption victims found for incoming pod'),
    ...nodes.slice(preemptable.length).map(() => 'Preemption is not helpful for scheduling'),
  ])
  return `${none}: ${counted(nodes.flat())}. preemption: ${none}: ${preemption}.`
}

function isForWantOfRoom(reason: string): boolean {
  return reason === 'Too many pods' || reason.startsWith(INSUFFICIENT)
}

function counted(reasons: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  const list = [...counts].map(([reason, count]) => `${count} ${reason}`).sort()
  return list.join(', ')
}
