/** Which Pods each node has and what they ask for together, kept up to date Pod by Pod. */
import { type HostPort, hostPortsOf, podRequests, reservedSpec } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import { isAverse, type Placed } from './neighbours.ts'

/** By resource; `pods` is how many there are. Cores and bytes, or what else a resource is counted in. */
export type Requested = ReadonlyMap<string, number>

/** A Pod on a node, and what it takes of it. */
export interface Counted extends Placed {
  request: Requested
  ports: readonly HostPort[]
}

export interface NodeLoads {
  /** Counts the Pod on its node, or no longer where it has none or has ended. */
  observe(pod: PodObject): void
  forget(pod: PodObject): void
  /**
   * Counts a Pod that is being bound and whose binding no watch has told yet: or else several that are bound at the same
   * time would all be given the same room. Undone by `forget`, where it is not bound after all.
   */
  assume(pod: PodObject, node: string): void
  of(node: string): Requested
  portsOf(node: string): readonly HostPort[]
  /** Every Pod that is counted, or those of one node. */
  placed(node?: string): Iterable<Counted>
  /** Those that have required anti-affinity. */
  averse(): Iterable<Placed>
  /** Pods that have been promised a node, from which others are being made to go: counted nowhere. */
  nominated(): Iterable<Placed & Pick<Counted, 'request'>>
  /** Promises the Pod a node, until it is bound or gone. */
  nominate(pod: PodObject, node: string): void
}

export function isFinished(pod: PodObject): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
}

export function requestOf(pod: PodObject): Requested {
  if (!pod.spec) return new Map([['pods', 1]])
  return new Map([['pods', 1], ...podRequests(reservedSpec(pod.spec, pod.status))])
}

const EMPTY: Requested = new Map()

export function createNodeLoads(): NodeLoads {
  const placed = new Map<string, Counted>()
  const loads = new Map<string, Map<string, number>>()
  /** Of few Pods, by UID. */
  const averse = new Map<string, Placed>()
  const withPorts = new Map<string, Counted>()
  const nominated = new Map<string, Placed & Pick<Counted, 'request'>>()

  function add(node: string, request: Requested, sign: 1 | -1): void {
    const load = loads.get(node) ?? new Map<string, number>()
    loads.set(node, load)
    for (const [resource, amount] of request) load.set(resource, rounded((load.get(resource) ?? 0) + sign * amount))
  }

  function remove(uid: string): void {
    const known = placed.get(uid)
    if (!known) return
    placed.delete(uid)
    averse.delete(uid)
    withPorts.delete(uid)
    add(known.node, known.request, -1)
  }

  function place(pod: PodObject, node: string): void {
    const uid = pod.metadata.uid ?? ''
    remove(uid)
    nominated.delete(uid)
    const counted = { pod, node, request: requestOf(pod), ports: hostPortsOf(pod) }
    placed.set(uid, counted)
    if (isAverse(pod)) averse.set(uid, counted)
    if (counted.ports.length > 0) withPorts.set(uid, counted)
    add(node, counted.request, 1)
  }

  /** What it asks for is added up once, however often others are looked for a place. */
  function nominate(pod: PodObject, node: string): void {
    nominated.set(pod.metadata.uid ?? '', { pod, node, request: requestOf(pod) })
  }

  return {
    observe(pod) {
      const uid = pod.metadata.uid ?? ''
      const node = pod.spec?.nodeName
      const promised = pod.status?.nominatedNodeName
      if (isFinished(pod)) {
        remove(uid)
        nominated.delete(uid)
        // One that is assumed somewhere stays there until its binding is heard of.
      } else if (node) place(pod, node)
      else if (promised && !placed.has(uid)) nominate(pod, promised)
    },
    forget(pod) {
      remove(pod.metadata.uid ?? '')
      nominated.delete(pod.metadata.uid ?? '')
    },
    assume: place,
    of: (node) => loads.get(node) ?? EMPTY,
    portsOf: (node) => [...withPorts.values()].flatMap((each) => (each.node === node ? each.ports : [])),
    *placed(node) {
      for (const each of placed.values()) if (node === undefined || each.node === node) yield each
    },
    averse: () => averse.values(),
    nominated: () => nominated.values(),
    nominate,
  }
}

/** The sum of two requests. */
export function together(a: Requested, b: Requested, sign: 1 | -1 = 1): Requested {
  const sum = new Map(a)
  for (const [resource, amount] of b) sum.set(resource, rounded((sum.get(resource) ?? 0) + sign * amount))
  return sum
}

/** Thousandths: added and taken away again they leave nothing behind. */
function rounded(amount: number): number {
  return Math.round(amount * 1000) / 1000
}
