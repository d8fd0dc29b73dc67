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
 * target has a set of its own, which takes the kernel about 5 ms.
 */
const MOST = { ports: 100, pairs: 1_000, affinePairs: 100 }

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

/** Why a Service is too large to lead anywhere; undefined where it is not. */
export function serviceProblem({ spec }: ServiceObject, ports: readonly ServicePort[]): string | undefined {
  const count = spec?.ports?.length ?? 0
  if (count > MOST.ports) return `it has ${count} ports, and may have ${MOST.ports}`
  const pairs = ports.reduce((sum, { targets }) => sum + targets.length, 0)
  const most = spec?.sessionAffinity === 'ClientIP' ? MOST.affinePairs : MOST.pairs
  return pairs > most ? `it has ${pairs} pairs of a port and an endpoint, and may have ${most}` : undefined
}

/** None for a name of something elsewhere, nor for more ports than a Service may have here. */
export function servicePorts(service: ServiceObject, slices: readonly SliceObject[]): ServicePort[] {
  const { metadata, spec } = service
  if (!spec || spec.type === 'ExternalName' || (spec.ports?.length ?? 0) > MOST.ports) return []
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
    if (addressType !== 'IPv4' || port === undefined) return []
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

/** An endpoint that says nothing of it is ready. */
export function isReady({ conditions }: Endpoint): boolean {
  return conditions?.ready !== false
}

/** The one that the kernel can lead to: a range would be taken as well, and lead to all of it. */
export function addressesOf({ addresses }: Endpoint): string[] {
  return addresses.filter((address) => isIPv4(address)).slice(0, 1)
}
