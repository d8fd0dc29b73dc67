/** Which EndpointSlices a Service should have: a pure function of the Service, its Pods and the slices that are there. */
import { controllerReference, selects } from '@caisson/api'
import type { PodObject, Typed } from '@caisson/client'
import type { Service, ServicePort } from 'kubernetes-types/core/v1.d.ts'
import type { Endpoint, EndpointPort, EndpointSlice } from 'kubernetes-types/discovery/v1.d.ts'
import { isFinished } from '../scheduler/node-loads.ts'

export type ServiceObject = Typed<Service>
export type SliceObject = Typed<EndpointSlice>

export interface SlicePlan {
  /** Without names: the server gives them. */
  create: readonly Omit<SliceObject, 'apiVersion' | 'kind'>[]
  update: readonly SliceObject[]
  remove: readonly SliceObject[]
}

export const SERVICE_LABEL = 'kubernetes.io/service-name'
export const MANAGER_LABEL = 'endpointslice.kubernetes.io/managed-by'
const MANAGER = 'endpointslice-controller.k8s.io'
const HEADLESS_LABEL = 'service.kubernetes.io/headless'
/** Kubernetes' own bound. */
const ENDPOINTS_PER_SLICE = 100

const NOTHING: SlicePlan = { create: [], update: [], remove: [] }

/** Slices of a Service without a selector are somebody else's. */
export function planSlices(
  service: ServiceObject,
  pods: readonly PodObject[],
  slices: readonly SliceObject[],
): SlicePlan {
  const own = slices.filter(({ metadata }) => metadata.labels?.[MANAGER_LABEL] === MANAGER)
  if (service.metadata.deletionTimestamp) return NOTHING
  if (!selectsPods(service)) return { ...NOTHING, remove: own }

  const portsOf = createPortsOf(service)
  const groups = new Map<EndpointPort[], Map<string, Endpoint>>()
  for (const pod of pods) {
    const address = addressIn(service, pod)
    if (address === undefined) continue
    const ports = portsOf(pod)
    const endpoints = groups.get(ports) ?? new Map<string, Endpoint>()
    endpoints.set(pod.metadata.uid ?? '', endpointOf(service, pod, address))
    groups.set(ports, endpoints)
  }
  // A Service without Pods has a slice that says so.
  if (groups.size === 0) groups.set([], new Map())

  const labels = labelsOf(service)
  const create: SlicePlan['create'][number][] = []
  const update: SliceObject[] = []
  const left = new Set(own)
  const withPorts = Map.groupBy(own, ({ ports }) => portsKey(ports ?? []))
  for (const [ports, endpoints] of groups) {
    const waiting = new Map(endpoints)
    const kept = (withPorts.get(portsKey(ports)) ?? []).map((slice) => {
      // Where an endpoint is it stays: whoever watches sees one slice change, not all.
      const stay = (slice.endpoints ?? []).flatMap(({ targetRef }) => {
        const endpoint = waiting.get(targetRef?.uid ?? '')
        waiting.delete(targetRef?.uid ?? '')
        return endpoint ?? []
      })
      return { slice, endpoints: stay }
    })
    for (const { endpoints: room } of kept) fill(room, waiting)
    const used = kept.filter(({ endpoints: held }, index) => held.length > 0 || (endpoints.size === 0 && index === 0))
    for (const { slice, endpoints: held } of used) {
      left.delete(slice)
      const next = { ...slice, endpoints: held, metadata: { ...slice.metadata, labels } }
      if (!sameSlice(slice, next)) update.push(next)
    }
    while (waiting.size > 0 || (endpoints.size === 0 && used.length === 0 && create.length === 0)) {
      const made: Endpoint[] = []
      fill(made, waiting)
      create.push({ ...template(service, labels), ports, endpoints: made })
    }
  }
  return { create, update, remove: [...left] }
}

/** What else is behind a Service is somebody else's to say. */
export function selectsPods({ spec: { selector, type } = {} }: ServiceObject): boolean {
  return selector !== undefined && Object.keys(selector).length > 0 && type !== 'ExternalName'
}

/** Undefined where the Pod is not one of the Service's, or has none. */
export function addressIn({ spec }: ServiceObject, pod: PodObject): string | undefined {
  if (isFinished(pod) || !selects({ matchLabels: spec?.selector ?? {} }, pod.metadata.labels)) return undefined
  return pod.status?.podIP || undefined
}

function fill(room: Endpoint[], waiting: Map<string, Endpoint>): void {
  for (const [uid, endpoint] of waiting) {
    if (room.length >= ENDPOINTS_PER_SLICE) return
    room.push(endpoint)
    waiting.delete(uid)
  }
}

function template(
  service: ServiceObject,
  labels: Record<string, string>,
): Pick<SliceObject, 'metadata' | 'addressType'> {
  const { name = '', namespace = '' } = service.metadata
  return {
    metadata: {
      generateName: `${name}-`,
      namespace,
      labels,
      ownerReferences: [controllerReference(service as Parameters<typeof controllerReference>[0])],
    },
    addressType: 'IPv4',
  }
}

function labelsOf({ metadata, spec }: ServiceObject): Record<string, string> {
  const own = Object.entries(metadata.labels ?? {}).filter(
    ([key]) => key !== SERVICE_LABEL && key !== MANAGER_LABEL && key !== HEADLESS_LABEL,
  )
  return {
    ...Object.fromEntries(own),
    [SERVICE_LABEL]: metadata.name ?? '',
    [MANAGER_LABEL]: MANAGER,
    ...(spec?.clusterIP === 'None' && { [HEADLESS_LABEL]: '' }),
  }
}

/**
 * The Service's ports as numbers of a Pod's; one that is named as none of its ports is left out. It is the same list for all
 * Pods with the same numbers: a Service may have thousands of ports, and so may each of its Pods.
 */
export function createPortsOf({ spec }: ServiceObject): (pod: PodObject) => EndpointPort[] {
  const ports = spec?.ports ?? []
  const named = ports.some(({ targetPort }) => typeof targetPort === 'string')
  const known = new Map<string, EndpointPort[]>()
  return (pod) => {
    const names = named ? namedPorts(pod) : NO_NAMES
    const numbers = ports.map((port) => numberOf(port, names))
    const key = named ? numbers.join() : ''
    const found = known.get(key) ?? ports.flatMap((port, index) => resolved(port, numbers[index]))
    known.set(key, found)
    return found
  }
}

/** Equal texts for lists of the same ports in the same order. */
export function portsKey(ports: readonly EndpointPort[]): string {
  return JSON.stringify(ports.map(({ name, port, protocol, appProtocol }) => [name, port, protocol, appProtocol]))
}

const NO_NAMES: ReadonlyMap<string, number> = new Map()

/** By name and protocol; of equal ones the first. */
function namedPorts({ spec }: PodObject): ReadonlyMap<string, number> {
  const sidecars = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always')
  const names = new Map<string, number>()
  for (const { ports = [] } of [...(spec?.containers ?? []), ...sidecars])
    for (const { name, protocol = 'TCP', containerPort } of ports) {
      const key = `${protocol} ${name}`
      if (name !== undefined && !names.has(key)) names.set(key, containerPort)
    }
  return names
}

function numberOf(
  { targetPort: target, port, protocol = 'TCP' }: ServicePort,
  names: ReadonlyMap<string, number>,
): number | undefined {
  if (typeof target === 'number' && target > 0) return target
  return target === undefined || target === 0 ? port : names.get(`${protocol} ${target}`)
}

function resolved({ name = '', protocol = 'TCP', appProtocol }: ServicePort, port: number | undefined): EndpointPort[] {
  if (port === undefined) return []
  return [{ name, port, protocol: protocol as 'TCP', ...(appProtocol && { appProtocol }) }]
}

export function endpointOf(service: ServiceObject, { metadata, spec, status }: PodObject, address: string): Endpoint {
  const isReady = status?.conditions?.some((each) => each.type === 'Ready' && each.status === 'True') ?? false
  const terminating = metadata.deletionTimestamp !== undefined
  const published = service.spec?.publishNotReadyAddresses === true
  const { name = '', namespace = '', uid = '' } = metadata
  return {
    addresses: [address],
    conditions: { ready: published || (isReady && !terminating), serving: isReady, terminating },
    ...(spec?.hostname && spec.subdomain === service.metadata.name && { hostname: spec.hostname }),
    ...(spec?.nodeName && { nodeName: spec.nodeName }),
    targetRef: { kind: 'Pod', namespace, name, uid },
  }
}

function sameSlice(before: SliceObject, after: SliceObject): boolean {
  // A slice that somebody else has written may lack them.
  const shown = ({ endpoints, metadata: { labels } }: Partial<SliceObject> & Pick<SliceObject, 'metadata'>): string =>
    textOf({ endpoints: endpoints ?? [], labels })
  return shown(before) === shown(after)
}

export function textOf(value: unknown): string {
  return JSON.stringify(sortedKeys(value))
}

/** What the server gives back has its fields in an order of its own. */
function sortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedKeys)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, each]) => [key, sortedKeys(each)]))
}
