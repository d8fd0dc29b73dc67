/** What the Pods of each node ask for together, kept up to date Pod by Pod. */
import { podResource, requestedResources } from '@caisson/api'
import type { PodObject } from '@caisson/client'

/** By resource; `pods` is how many there are. Cores and bytes, or what else a resource is counted in. */
export type Requested = ReadonlyMap<string, number>

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
}

export function isFinished(pod: PodObject): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
}

export function requestOf(pod: PodObject): Requested {
  const { spec } = pod
  if (!spec) return new Map([['pods', 1]])
  const names = [...requestedResources(spec)]
  return new Map([['pods', 1], ...names.map((name) => [name, podResource(spec, 'requests', name) ?? 0] as const)])
}

const EMPTY: Requested = new Map()

export function createNodeLoads(): NodeLoads {
  const placed = new Map<string, { node: string; request: Requested }>()
  const loads = new Map<string, Map<string, number>>()

  function add(node: string, request: Requested, sign: 1 | -1): void {
    const load = loads.get(node) ?? new Map<string, number>()
    loads.set(node, load)
    for (const [resource, amount] of request) load.set(resource, rounded((load.get(resource) ?? 0) + sign * amount))
  }

  function remove(uid: string): void {
    const known = placed.get(uid)
    if (!known) return
    placed.delete(uid)
    add(known.node, known.request, -1)
  }

  function place(pod: PodObject, node: string): void {
    const uid = pod.metadata.uid ?? ''
    remove(uid)
    const request = requestOf(pod)
    placed.set(uid, { node, request })
    add(node, request, 1)
  }

  return {
    observe(pod) {
      const node = pod.spec?.nodeName
      if (isFinished(pod)) remove(pod.metadata.uid ?? '')
      // One that is assumed somewhere stays there until its binding is heard of.
      else if (node) place(pod, node)
    },
    forget: (pod) => remove(pod.metadata.uid ?? ''),
    assume: place,
    of: (node) => loads.get(node) ?? EMPTY,
  }
}

/** Thousandths: added and taken away again they leave nothing behind. */
function rounded(amount: number): number {
  return Math.round(amount * 1000) / 1000
}
