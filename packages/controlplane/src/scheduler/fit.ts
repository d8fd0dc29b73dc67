/** Whether a Pod fits on a node: the filters of kube-scheduler that an embedded cluster has use for, in its words. */
import { type HostPort, hostPortsConflict, hostPortsOf, matchesNodeSelector, parseQuantity } from '@caisson/api'
import type { PodObject, Typed } from '@caisson/client'
import type { Node } from 'kubernetes-types/core/v1.d.ts'
import { tolerates } from '../nodes/tolerations.ts'
import { CROWDED_NEIGHBOURS, type Neighbours } from './neighbours.ts'
import type { Requested } from './node-loads.ts'

export interface NodeLoad {
  node: Typed<Node>
  /** Of the Pods that are bound to it and have not ended. */
  requested: Requested
  /** Of the same Pods. */
  ports: readonly HostPort[]
}

/** Why a node does not do, as it is counted in a FailedScheduling message; empty where it does. */
export type Unfit = readonly string[]

/**
 * In the order of kube-scheduler's plugins, the first of which that objects is the one that is heard.
 *
 * @param request what the Pod asks for
 */
export function unfit(
  pod: PodObject,
  request: Requested,
  load: NodeLoad,
  neighbours: Pick<Neighbours, 'problemOn'>,
): Unfit {
  const reason = keptOut(pod, load.node) ?? withoutPort(pod, load)
  if (reason !== undefined) return [reason]
  const lacking = insufficient(load.node, request, load.requested)
  if (lacking.length > 0) return lacking
  const problem = neighbours.problemOn(load.node)
  return problem === undefined ? [] : [problem]
}

const INSUFFICIENT = 'Insufficient '
const TOO_MANY = 'Too many pods'
const NO_PORT = "node(s) didn't have free ports for the requested pod ports"
const CROWDED: ReadonlySet<string> = new Set([TOO_MANY, NO_PORT, ...CROWDED_NEIGHBOURS])

/** Whether what keeps the Pod out are other Pods alone, so that it would fit if they went. */
export function isCrowded(reasons: Unfit): boolean {
  return reasons.length > 0 && reasons.every((reason) => CROWDED.has(reason) || reason.startsWith(INSUFFICIENT))
}

function withoutPort(pod: PodObject, { ports }: NodeLoad): string | undefined {
  if (ports.length === 0) return undefined
  return hostPortsOf(pod).some((wanted) => ports.some((taken) => hostPortsConflict(wanted, taken)))
    ? NO_PORT
    : undefined
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
    return resource === 'pods' ? TOO_MANY : `${INSUFFICIENT}${resource}`
  })
}

/** `0/1 nodes are available: 1 Too many pods.`, as kube-scheduler's event says it. */
export function failedSchedulingMessage(nodes: readonly Unfit[]): string {
  return nodes.length === 0 ? 'no nodes available to schedule pods' : `${noneOf(nodes)}: ${counted(nodes.flat())}.`
}

/** Why nobody is made to go for the Pod. */
export function failedPreemptionMessage(nodes: readonly Unfit[]): string {
  const helpful = nodes.filter(isCrowded)
  const reasons = [
    ...helpful.map(() => 'No preemption victims found for incoming pod'),
    ...nodes.slice(helpful.length).map(() => 'Preemption is not helpful for scheduling'),
  ]
  return `${noneOf(nodes)}: ${counted(reasons)}.`
}

function noneOf(nodes: readonly Unfit[]): string {
  return `0/${nodes.length} nodes are available`
}

function counted(reasons: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  const list = [...counts].map(([reason, count]) => `${count} ${reason}`).sort()
  return list.join(', ')
}
