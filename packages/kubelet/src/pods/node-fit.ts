/**
 * Whether a Pod that was bound to this node fits on it, in kubelet's words: not everybody who binds Pods is a scheduler, and
 * what a scheduler knew may have changed meanwhile.
 */
import {
  hostPortsConflict,
  hostPortsOf,
  matchesNodeSelector,
  parseQuantity,
  podResource,
  RESIZABLE_RESOURCES,
  requestedResources,
} from '@caisson/api'
import type { PodObject, Typed } from '@caisson/client'
import type { Node } from 'kubernetes-types/core/v1.d.ts'
import { type Eviction, type PendingResize, specOf } from './observed-pod.ts'

/** In the order in which the first that there is not enough of is told. */
const PODS = 'pods'
const FIRST = [PODS, 'cpu', 'memory', 'ephemeral-storage']

/** The Pods that this node has taken and that have not ended. */
export interface TakenPods {
  /** There are no more than so many: enough to know where there is room for as many. */
  atMost: number
  list(): readonly PodObject[]
}

/** Why the Pod does not fit; undefined where it does. The others are looked at only where that depends on them. */
export function misfit(pod: PodObject, node: Typed<Node>, others: TakenPods): Eviction | undefined {
  const room = node.status?.allocatable ?? {}
  const wanted = [...requestedResources(specOf(pod))].filter((name) => !FIRST.includes(name)).sort()
  for (const resource of [...FIRST, ...wanted]) {
    // Of what no node says that it has any, nobody here keeps count.
    if (room[resource] === undefined) continue
    const message = shortage(pod, { resource, room, others })
    if (message !== undefined) return { reason: `OutOf${resource}`, message }
  }
  if (!matchesNodeSelector(specOf(pod), node.metadata)) {
    const message = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
    return { reason: 'NodeAffinity', message }
  }
  const ports = hostPortsOf(pod)
  if (ports.length === 0) return undefined
  const taken = others.list().flatMap(hostPortsOf)
  if (!ports.some((port) => taken.some((other) => hostPortsConflict(port, other)))) return undefined
  const message = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
  return { reason: 'NodePorts', message }
}

interface Wanted {
  resource: string
  /** What the node has for Pods. */
  room: Readonly<Record<string, string>>
  others: TakenPods
}

/** What there is not enough of; undefined where there is. */
function shortage(pod: PodObject, { resource, room, others }: Wanted): string | undefined {
  const requested = requestOf(pod, resource)
  const capacity = parseQuantity(room[resource] ?? '0') ?? 0
  if (requested === 0 || (resource === PODS && others.atMost + requested <= capacity)) return undefined
  const used = others.list().reduce((sum, other) => sum + requestOf(other, resource), 0)
  if (used + requested <= capacity) return undefined
  const [r, u, c] = [requested, used, capacity].map((amount) => counted(resource, amount))
  return `Node didn't have enough resource: ${resource}, requested: ${r}, used: ${u}, capacity: ${c}`
}

/** Why a Pod that runs cannot have what it asks for by now; undefined where it can. */
export function resizeRefusal(pod: PodObject, node: Typed<Node>, others: TakenPods): PendingResize | undefined {
  const room = node.status?.allocatable ?? {}
  for (const resource of ['memory', 'cpu']) {
    const [requested, capacity] = [requestOf(pod, resource), parseQuantity(room[resource] ?? '0') ?? 0]
    if (requested <= capacity) continue
    const [r, c] = [requested, capacity].map((amount) => counted(resource, amount))
    const message = `Node didn't have enough capacity: ${resource}, requested: ${r}, capacity: ${c}`
    return { reason: 'Infeasible', message }
  }
  for (const resource of RESIZABLE_RESOURCES) {
    const message = shortage(pod, { resource, room, others })
    if (message !== undefined) return { reason: 'Deferred', message }
  }
  return undefined
}

function requestOf(pod: PodObject, resource: string): number {
  return resource === PODS ? 1 : (podResource(specOf(pod), 'requests', resource) ?? 0)
}

/** Processors are counted in thousandths. */
function counted(resource: string, amount: number): number {
  return Math.round(resource === 'cpu' ? amount * 1000 : amount)
}
