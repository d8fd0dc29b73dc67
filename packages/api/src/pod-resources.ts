/** What a Pod asks of its node: Kubernetes' sums over its containers. */
import type { Container, PodSpec, PodStatus } from 'kubernetes-types/core/v1.d.ts'
import { parseQuantity } from './quantity.ts'

/** Of which a container that runs may be given other amounts (`pods/resize`): Kubernetes' list. */
export const RESIZABLE_RESOURCES: readonly string[] = ['cpu', 'memory']

/**
 * What runs side by side is added up, an init container counts where it alone needs more, and the overhead comes on top.
 * Cores, bytes, or whatever the resource is counted in.
 * @returns undefined for a limit that a container does not have: then the Pod has none either
 */
export function podResource(spec: PodSpec, kind: 'limits' | 'requests', resource: string): number | undefined {
  const overhead = quantityOf(spec.overhead, resource) ?? 0
  const ofPod = quantityOf((spec as { resources?: Container['resources'] }).resources?.[kind], resource)
  if (ofPod !== undefined) return ofPod + overhead
  const amount = (container: Container): number => containerResource(container, kind, resource) ?? 0
  const inits = spec.initContainers ?? []
  if (kind === 'limits') {
    const all = [...inits, ...spec.containers]
    if (all.some((container) => containerResource(container, kind, resource) === undefined)) return undefined
  }
  let sidecars = 0
  let most = 0
  for (const container of inits) {
    const isSidecar = container.restartPolicy === 'Always'
    if (isSidecar) sidecars += amount(container)
    most = Math.max(most, sidecars + (isSidecar ? 0 : amount(container)))
  }
  const together = spec.containers.reduce((sum, container) => sum + amount(container), sidecars)
  return Math.max(together, most) + overhead
}

/**
 * What `podResource` says of the requests of each resource that the Pod names: each container is looked at once, where there may
 * be a thousand of them with resources of their own.
 */
export function podRequests(spec: PodSpec): Map<string, number> {
  const sidecars = new Map<string, number>()
  const most = new Map<string, number>()
  for (const container of spec.initContainers ?? []) {
    const isSidecar = container.restartPolicy === 'Always'
    for (const [name, amount] of containerRequests(container)) {
      if (isSidecar) add(sidecars, name, amount)
      const needed = (sidecars.get(name) ?? 0) + (isSidecar ? 0 : amount)
      most.set(name, Math.max(most.get(name) ?? 0, needed))
    }
  }
  const together = new Map(sidecars)
  for (const container of spec.containers)
    for (const [name, amount] of containerRequests(container)) add(together, name, amount)
  const { requests } = (spec as Pick<Container, 'resources'>).resources ?? {}
  return new Map(
    Array.from(requestedResources(spec), (name) => {
      const ofPod = quantityOf(requests, name) ?? Math.max(together.get(name) ?? 0, most.get(name) ?? 0)
      return [name, ofPod + (quantityOf(spec.overhead, name) ?? 0)]
    }),
  )
}

function add(to: Map<string, number>, name: string, amount: number): void {
  to.set(name, (to.get(name) ?? 0) + amount)
}

function containerRequests(container: Container): [name: string, amount: number][] {
  const { requests, limits } = container.resources ?? {}
  const names = new Set([...Object.keys(requests ?? {}), ...Object.keys(limits ?? {})])
  return Array.from(names, (name) => [name, containerResource(container, 'requests', name) ?? 0])
}

/** A request that is not stated is the limit; a limit of zero is none. */
export function containerResource(
  { resources }: Pick<Container, 'resources'>,
  kind: 'limits' | 'requests',
  resource: string,
): number | undefined {
  const limit = quantityOf(resources?.limits, resource) || undefined
  return kind === 'limits' ? limit : (quantityOf(resources?.requests, resource) ?? limit)
}

interface ToldContainer {
  name: string
  allocatedResources?: Record<string, string>
  resources?: { requests?: Record<string, string> }
}

/**
 * The spec with what is reserved for the Pod on its node: while its resources change (`pods/resize`), the most of what it
 * asks for, was granted and has. What its node can never grant is not reserved.
 */
export function reservedSpec(spec: PodSpec, status: PodStatus | undefined): PodSpec {
  const told = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])] as ToldContainer[]
  if (!told.some(({ allocatedResources }) => allocatedResources)) return spec
  const byName = new Map(told.toReversed().map((each) => [each.name, each]))
  const refused = status?.conditions?.some(({ type, reason }) => type === 'PodResizePending' && reason === 'Infeasible')
  const reserved = (container: Container): Container => {
    const { allocatedResources, resources } = byName.get(container.name) ?? {}
    if (!allocatedResources) return container
    const asked = refused ? [] : [container.resources?.requests ?? {}]
    const requests = most([...asked, allocatedResources, resources?.requests ?? {}])
    return {
      ...container,
      resources: { ...container.resources, requests: { ...container.resources?.requests, ...requests } },
    }
  }
  return {
    ...spec,
    containers: spec.containers.map(reserved),
    ...(spec.initContainers && { initContainers: spec.initContainers.map(reserved) }),
  }
}

/** The largest amount of each resource that can change. */
function most(lists: ReadonlyArray<Record<string, string>>): Record<string, string> {
  const largest: Record<string, string> = {}
  for (const list of lists) {
    for (const name of RESIZABLE_RESOURCES) {
      const quantity = list[name]
      const before = parseQuantity(largest[name] ?? '0') ?? 0
      if (quantity !== undefined && (parseQuantity(quantity) ?? 0) >= before) largest[name] = quantity
    }
  }
  return largest
}

/** Every resource that a Pod asks for. */
export function requestedResources(spec: PodSpec): Set<string> {
  const lists = [...(spec.initContainers ?? []), ...spec.containers, spec as Pick<Container, 'resources'>]
  const names = lists.flatMap(({ resources }) => [
    ...Object.keys(resources?.requests ?? {}),
    ...Object.keys(resources?.limits ?? {}),
  ])
  return new Set([...names, ...Object.keys(spec.overhead ?? {})])
}

function quantityOf(list: Record<string, string> | undefined, resource: string): number | undefined {
  const quantity = list?.[resource]
  return quantity === undefined ? undefined : parseQuantity(quantity)
}
