/**
 * Addresses and node ports of Services, from fixed ranges. What is taken is read off the Services that exist: the
 * allocation runs in the transaction that stores the Service, so that two can never be given the same.
 */
import type { Service, ServiceSpec } from 'kubernetes-types/core/v1.js'
import { type FieldError, invalid, StatusError } from '../../status-error.ts'
import { invalidValue } from '../field-error.ts'
import { canonicalIp, cidrContains, ipFamily, ipv4ToNumber, numberToIpv4, parseCidr } from '../ip-address.ts'
import type { StrategyContext } from '../resource.ts'
import { usesNodePorts, validateClusterIps } from './service-addresses.ts'

/** The addresses of Services. */
export const SERVICE_CIDR = '10.96.0.0/16'
const RANGE = parseCidr(SERVICE_CIDR) as NonNullable<ReturnType<typeof parseCidr>>
const FIRST = ipv4ToNumber(RANGE.network)
const SIZE = 2 ** (32 - RANGE.bits)
/** The lower part is left to those who choose an address themselves, as in Kubernetes. */
const STATIC = Math.min(Math.max(16, SIZE / 16), 256)

/** Of Service `default/kubernetes`: the first of the range, as in Kubernetes. */
export const KUBERNETES_SERVICE_ADDRESS = numberToIpv4(FIRST + 1)

const NODE_PORT_FIRST = 30_000
const NODE_PORT_COUNT = 2_768

/**
 * Fills `clusterIP`, `clusterIPs`, the IP families and node ports of a Service that is about to be validated and stored.
 *
 * @throws StatusError where what was asked for is taken or outside of the range
 */
export function allocateAddresses(service: Service, current: Service | undefined, context: StrategyContext): void {
  const spec = service.spec as ServiceSpec
  if (spec.type !== 'ExternalName') {
    const errors: FieldError[] = []
    validateClusterIps(spec, errors)
    if (errors.length) throw invalid({ group: '', kind: 'Service' }, service.metadata?.name ?? '', errors)
    setFamilies(service, spec, current?.spec)
    if (spec.clusterIP !== 'None' && !(spec.clusterIPs?.[0] === 'None'))
      allocateClusterIp(service, spec, current, context)
  }
  if (usesNodePorts(spec)) allocateNodePorts(service, spec, current, context)
}

function refuse(service: Service, field: string, value: unknown, said: string): StatusError {
  return invalid({ group: '', kind: 'Service' }, service.metadata?.name ?? '', [invalidValue(field, value, said)])
}

function setFamilies(service: Service, spec: ServiceSpec, old: ServiceSpec | undefined): void {
  const selectorless = spec.clusterIP === 'None' && Object.keys(spec.selector ?? {}).length === 0
  spec.ipFamilyPolicy ??= old?.ipFamilyPolicy ?? (selectorless ? 'RequireDualStack' : 'SingleStack')
  if (selectorless) {
    // Its addresses are whoever's endpoints they are, of either family.
    spec.ipFamilies ??= ['IPv4']
    if (spec.ipFamilies.length < 2 && spec.ipFamilyPolicy !== 'SingleStack') {
      spec.ipFamilies = [...spec.ipFamilies, spec.ipFamilies[0] === 'IPv4' ? 'IPv6' : 'IPv4']
    }
    return
  }
  if (spec.ipFamilyPolicy === 'RequireDualStack') {
    const said = 'this cluster is not configured for dual-stack services'
    throw refuse(service, 'spec.ipFamilyPolicy', spec.ipFamilyPolicy, said)
  }
  const several = (spec.ipFamilies?.length ?? 0) > 1 || (spec.clusterIPs?.length ?? 0) > 1
  if (spec.ipFamilyPolicy === 'SingleStack' && several) {
    const what = (spec.ipFamilies?.length ?? 0) > 1 ? 'IP families' : 'cluster IPs'
    const said = `must be 'RequireDualStack' or 'PreferDualStack' when multiple ${what} are specified`
    throw refuse(service, 'spec.ipFamilyPolicy', spec.ipFamilyPolicy, said)
  }
  spec.clusterIPs?.forEach((address, index) => {
    if (ipFamily(address) !== 6) return
    throw refuse(service, `spec.clusterIPs[${index}]`, spec.clusterIPs, 'IPv6 is not configured on this cluster')
  })
  spec.ipFamilies?.forEach((family, index) => {
    if (family !== 'IPv6') return
    throw refuse(service, `spec.ipFamilies[${index}]`, family, 'not configured on this cluster')
  })
  spec.ipFamilies ??= ['IPv4']
}

function* others(service: Service, context: StrategyContext): Iterable<ServiceSpec> {
  for (const other of context.list('services')) {
    const { name, namespace } = other.metadata
    if (name === service.metadata?.name && namespace === service.metadata?.namespace) continue
    yield other['spec'] as ServiceSpec
  }
}

function allocateClusterIp(
  service: Service,
  spec: ServiceSpec,
  current: Service | undefined,
  context: StrategyContext,
): void {
  const asked = spec.clusterIPs?.[0] ?? spec.clusterIP ?? ''
  if (asked && asked === current?.spec?.clusterIP) return
  const taken = new Set<string>()
  for (const other of others(service, context)) if (other.clusterIP) taken.add(other.clusterIP)
  const chosen = asked || freeAddress(taken, context.now)
  if (asked) {
    const said = !cidrContains(RANGE, asked)
      ? `the provided IP (${canonicalIp(asked)}) is not in the valid range. The range of valid IPs is ${SERVICE_CIDR}`
      : taken.has(asked)
        ? 'provided IP is already allocated'
        : undefined
    const failed = `failed to allocate IP ${asked}: `
    if (said) throw refuse(service, 'spec.clusterIPs', spec.clusterIPs ?? [asked], failed + said)
  }
  spec.clusterIP = chosen
  spec.clusterIPs = [chosen]
}

/** Starts at a place that differs from time to time: an address that was just freed is not given out again at once. */
function freeAddress(taken: ReadonlySet<string>, now: number): string {
  const count = SIZE - STATIC - 1
  for (let step = 0; step < count; step++) {
    const address = numberToIpv4(FIRST + STATIC + ((now + step) % count))
    if (!taken.has(address)) return address
  }
  for (let offset = 1; offset < STATIC; offset++) {
    const address = numberToIpv4(FIRST + offset)
    if (!taken.has(address)) return address
  }
  throw new StatusError('InternalError', 'Internal error occurred: failed to allocate a serviceIP: range is full')
}

function allocateNodePorts(
  service: Service,
  spec: ServiceSpec,
  current: Service | undefined,
  context: StrategyContext,
): void {
  const taken = new Set<string>()
  for (const other of others(service, context)) {
    for (const port of other.ports ?? []) if (port.nodePort) taken.add(`${port.protocol}/${port.nodePort}`)
  }
  const before = new Set(current?.spec?.ports?.map((port) => `${port.protocol}/${port.nodePort}`))
  const byPort = new Map<number, number>()
  spec.ports?.forEach((port, index) => {
    const wanted = port.nodePort
    if (!wanted) return
    const key = `${port.protocol}/${wanted}`
    const inRange = wanted >= NODE_PORT_FIRST && wanted < NODE_PORT_FIRST + NODE_PORT_COUNT
    const path = `spec.ports[${index}].nodePort`
    if (!inRange) {
      const range = `${NODE_PORT_FIRST}-${NODE_PORT_FIRST + NODE_PORT_COUNT - 1}`
      throw refuse(
        service,
        path,
        wanted,
        `provided port is not in the valid range. The range of valid ports is ${range}`,
      )
    }
    if (taken.has(key) && !before.has(key)) throw refuse(service, path, wanted, 'provided port is already allocated')
    byPort.set(port.port, wanted)
  })
  if (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts === false) return
  for (const port of spec.ports ?? []) {
    if (port.nodePort) continue
    port.nodePort = byPort.get(port.port) ?? freeNodePort(taken, context.now)
    byPort.set(port.port, port.nodePort)
    taken.add(`${port.protocol}/${port.nodePort}`)
  }
}

function freeNodePort(taken: ReadonlySet<string>, now: number): number {
  for (let step = 0; step < NODE_PORT_COUNT; step++) {
    const port = NODE_PORT_FIRST + ((now + step) % NODE_PORT_COUNT)
    if (['TCP', 'UDP', 'SCTP'].every((protocol) => !taken.has(`${protocol}/${port}`))) return port
  }
  throw new StatusError('InternalError', 'Internal error occurred: failed to allocate a nodePort: range is full')
}
