/** What a Service leads to, read from its object and its EndpointSlices. */
import { createHash } from 'node:crypto'
import { isIPv4 } from 'node:net'
import type { Typed } from '@caisson/client'
import type { Service } from 'kubernetes-types/core/v1.d.ts'
import type { Endpoint, EndpointSlice } from 'kubernetes-types/discovery/v1.d.ts'
import type { Protocol } from '../policy/policy-model.ts'

export type ServiceObject = Typed<Service>
export type SliceObject = Typed<EndpointSlice>

export interface Target {
  ip: string
  port: number
}

export interface ServicePort {
  /** Names its chains; nobody can choose it. */
  id: string
  name: string
  /** Undefined for a headless Service. */
  clusterIp: string | undefined
  protocol: Protocol
  port: number
  nodePort: number | undefined
  /** Of endpoints that are ready; where none is, of those that end but still serve. In order. */
  targets: readonly Target[]
  /** How long a client stays with one target, seconds; undefined where it does not. */
  affinitySeconds: number | undefined
}

export const SERVICE_LABEL = 'kubernetes.io/service-name'
const DEFAULT_AFFINITY_SECONDS = 10_800

export function isHeadless({ spec }: ServiceObject): boolean {
  return spec?.clusterIP === 'None'
}

/**
 * What one Service may lead to, so that no tenant keeps the kernel busy for all. With affinity each pair of a port and a
 * target has a set of its own, which takes the kernel about 5 ms. And what is read to find that out, at each change of one
 * of its slices: their ports, and pairs of a port of the Service and an endpoint, ready or not.
 */
const MOST = { ports: 100, pairs: 1_000, affinePairs: 100, read: 5_000 }

/** What the Services of one namespace may cost: some 900 ports, 10,000 pairs of a port and an endpoint, or 200 with affinity. */
export const SERVICES_BUDGET = 10_000
const COST = { port: 10, pair: 1, affinePair: 50 }

/** What the kernel and this process keep for it. A headless one leads nowhere here, and one without endpoints to nobody. */
export function costOfService(ports: readonly ServicePort[]): number {
  return ports.reduce((sum, { clusterIp, nodePort, targets, affinitySeconds }) => {
    const led = clusterIp === undefined ? 0 : targets.length
    if (led === 0) return sum + (nodePort === undefined ? 0 : COST.port)
    return sum + COST.port + led * (affinitySeconds === undefined ? COST.pair : COST.affinePair)
  }, 0)
}

/** Why a Service with these ports is too large to lead anywhere; undefined where it is not. */
export function serviceProblem(
  service: ServiceObject,
  slices: readonly SliceObject[],
  ports: readonly ServicePort[],
): string | undefined {
  const unread = tooMuchToRead(service, slices)
  if (unread !== undefined) return unread
  const pairs = ports.reduce((sum, { targets }) => sum + targets.length, 0)
  const most = service.spec?.sessionAffinity === 'ClientIP' ? MOST.affinePairs : MOST.pairs
  return pairs > most ? `it has ${pairs} pairs of a port and an endpoint, and may have ${most}` : undefined
}

function tooMuchToRead({ spec }: ServiceObject, slices: readonly SliceObject[]): string | undefined {
  const own = spec?.ports?.length ?? 0
  if (own > MOST.ports) return `it has ${own} ports, and may have ${MOST.ports}`
  const read = slices.reduce((sum, { ports, endpoints }) => sum + lengthOf(ports) + own * lengthOf(endpoints), 0)
  return read > MOST.read
    ? `its EndpointSlices have ${read} ports and pairs of a port and an endpoint, ready or not, and may have ${MOST.read}`
    : undefined
}

/**
 * Of EndpointSlices the first, as many as are read for one query of a name: what has to be read is for whoever writes them
 * to say, and who asks may ask often.
 */
export function firstSlices(slices: readonly SliceObject[]): readonly SliceObject[] {
  let read = 0
  const end = slices.findIndex(({ ports, endpoints }) => {
    read += 1 + lengthOf(ports) + lengthOf(endpoints)
    return read > MOST.read
  })
  return end < 0 ? slices : slices.slice(0, end)
}

/** Of a list that the API server may have as null. */
function lengthOf(list: readonly unknown[] | null | undefined): number {
  return list?.length ?? 0
}

/** None for a name of something elsewhere, nor for one that takes more to read than a Service may here. */
export function servicePorts(service: ServiceObject, slices: readonly SliceObject[]): ServicePort[] {
  const { metadata, spec } = service
  if (!spec || spec.type === 'ExternalName' || tooMuchToRead(service, slices) !== undefined) return []
  const affine = spec.sessionAffinity === 'ClientIP'
  const seconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS
  return (spec.ports ?? []).map(({ name = '', protocol = 'TCP', port, nodePort }) => ({
    id: createHash('sha256').update(`${metadata.uid} ${protocol} ${port}`).digest('hex').slice(0, 16),
    name,
    clusterIp: isHeadless(service) ? undefined : spec.clusterIP,
    protocol: protocol.toLowerCase() as Protocol,
    port,
    nodePort,
    targets: targetsOf(slices, name, protocol),
    affinitySeconds: affine ? seconds : undefined,
  }))
}

function targetsOf(slices: readonly SliceObject[], name: string, protocol: string): Target[] {
  const found = slices.flatMap(({ addressType, ports, endpoints }) => {
    const port = (ports ?? []).find((each) => (each.name ?? '') === name && (each.protocol ?? 'TCP') === protocol)?.port
    if (addressType !== 'IPv4' || !isPort(port)) return []
    return (endpoints ?? []).flatMap((endpoint) => addressesOf(endpoint).map((ip) => ({ endpoint, ip, port })))
  })
  const ready = found.filter(({ endpoint }) => isReady(endpoint))
  const used =
    ready.length > 0
      ? ready
      : found.filter(({ endpoint: { conditions } }) => conditions?.serving && conditions.terminating)
  const byAddress = new Map(used.map(({ ip, port }) => [`${ip} ${port}`, { ip, port }]))
  return [...byAddress].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, target]) => target)
}

/**
 * Of a slice: Kubernetes takes any number, and the kernel refuses what is none of a port, which costs everybody who waits
 * for their own change until it is found.
 */
export function isPort(port: number | undefined): port is number {
  return port !== undefined && port > 0 && port < 65_536
}

/** An endpoint that says nothing of it is ready. */
export function isReady({ conditions }: Endpoint): boolean {
  return conditions?.ready !== false
}

/** The one that the kernel can lead to: a range would be taken as well, and lead to all of it. */
export function addressesOf({ addresses }: Endpoint): string[] {
  return addresses.filter((address) => isIPv4(address)).slice(0, 1)
}
