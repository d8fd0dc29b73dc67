/**
 * Addresses and node ports of Services, from fixed ranges. What is taken is read off the Services that exist: the
 * allocation runs in the transaction that stores the Service, so that two can never be given the same.
 */
import type { Service, ServiceSpec } from 'kubernetes-types/core/v1.js'
import { type FieldError, invalid, StatusError } from '../../status-error.ts'
import { invalidValue } from '../field-error.ts'
import { canonicalIp, cidrContains, ipFamily, ipv4ToNumber, numberToIpv4, parseCidr } from '../ip-address.ts'
import type { StrategyContext } from '../resource.ts'
import { deepEqual } from './deep-equal.ts'
import { allocateNodePorts } from './node-ports.ts'
import { otherSpecs, validateClusterIps } from './service-addresses.ts'

/** The addresses of Services. */
export const SERVICE_CIDR = '10.96.0.0/16'
const RANGE = parseCidr(SERVICE_CIDR) as NonNullable<ReturnType<typeof parseCidr>>
const FIRST = ipv4ToNumber(RANGE.network)
const SIZE = 2 ** (32 - RANGE.bits)
/** The lower part is left to those who choose an address themselves, as in Kubernetes. */
const STATIC = Math.min(Math.max(16, SIZE / 16), 256)

/** Of Service `default/kubernetes`: the first of the range, as in Kubernetes. */
export const KUBERNETES_SERVICE_ADDRESS = numberToIpv4(FIRST + 1)

/**
 * Fills `clusterIP`, `clusterIPs`, the IP families and node ports of a Service that is about to be validated and stored.
 * An address that an update changes is not looked at: no Service that has one may have another one.
 *
 * @throws StatusError where what was asked for is taken or outside of the range
 */
export function allocateAddresses(service: Service, current: Service | undefined, context: StrategyContext): void {
  const spec = service.spec as ServiceSpec
  if (spec.type !== 'ExternalName') {
    setFamilies(service, spec, current?.spec)
    const isNew = !current || current.spec?.type === 'ExternalName'
    if (isNew && spec.clusterIPs?.[0] !== 'None') allocateClusterIp(service, spec, context)
  }
  allocateNodePorts(service, current, context)
}

function refuse(service: Service, errors: FieldError[]): void {
  if (errors.length > 0) throw invalid({ group: '', kind: 'Service' }, service.metadata?.name ?? '', errors)
}

const POLICY = 'spec.ipFamilyPolicy'

/** This cluster has one family: what a Service says of families is looked at, and filled in where it is left out. */
function setFamilies(service: Service, spec: ServiceSpec, old: ServiceSpec | undefined): void {
  if (old && prefersAsBefore(spec, old)) return
  const selectorless = spec.clusterIP === 'None' && Object.keys(spec.selector ?? {}).length === 0
  spec.ipFamilyPolicy ??= old?.ipFamilyPolicy ?? (selectorless ? 'RequireDualStack' : 'SingleStack')
  const errors: FieldError[] = []
  validateClusterIps(spec, old, errors)
  refuse(service, errors)
  if (old) releaseSecond(spec, old, errors)
  if (spec.ipFamilyPolicy === 'SingleStack') {
    const several = [spec.clusterIPs?.length === 2 && 'cluster IPs', spec.ipFamilies?.length === 2 && 'IP families']
    for (const what of several) {
      if (!what) continue
      const said = `must be 'RequireDualStack' or 'PreferDualStack' when multiple ${what} are specified`
      errors.push(invalidValue(POLICY, spec.ipFamilyPolicy, said))
    }
  }
  inferFamilies(spec, errors)
  refuse(service, errors)
  if (selectorless) {
    // Its addresses are whoever's endpoints they are, of either family.
    if (!spec.ipFamilies?.length) spec.ipFamilies = ['IPv4']
    if (spec.ipFamilies.length < 2 && spec.ipFamilyPolicy !== 'SingleStack') {
      spec.ipFamilies = [...spec.ipFamilies, spec.ipFamilies[0] === 'IPv4' ? 'IPv6' : 'IPv4']
    }
    return
  }
  if (spec.ipFamilyPolicy === 'RequireDualStack') {
    errors.push(invalidValue(POLICY, spec.ipFamilyPolicy, 'this cluster is not configured for dual-stack services'))
  }
  spec.ipFamilies?.forEach((family, index) => {
    if (family === 'IPv4') return
    errors.push(invalidValue(`spec.ipFamilies[${index}]`, family, 'not configured on this cluster'))
  })
  refuse(service, errors)
  if (!spec.ipFamilies?.length) spec.ipFamilies = ['IPv4']
}

/** Whoever prefers two families and changes nothing about them is left alone. */
function prefersAsBefore(spec: ServiceSpec, old: ServiceSpec): boolean {
  return (
    spec.ipFamilyPolicy === 'PreferDualStack' &&
    (old.ipFamilyPolicy ?? 'PreferDualStack') === 'PreferDualStack' &&
    old.type === spec.type &&
    deepEqual(old.clusterIPs ?? [], spec.clusterIPs ?? []) &&
    deepEqual(old.ipFamilies ?? [], spec.ipFamilies ?? [])
  )
}

function releaseSecond(spec: ServiceSpec, old: ServiceSpec, errors: FieldError[]): void {
  for (const [field, what] of [
    ['clusterIPs', 'cluster IP'],
    ['ipFamilies', 'IP family'],
  ] as const) {
    const [next, before] = [spec[field] ?? [], old[field] ?? []]
    if (spec.ipFamilyPolicy === 'SingleStack') {
      if (next.length > 1 && deepEqual(next, before)) spec[field] = next.slice(0, 1)
    } else if (next.length > 0 && next.length < before.length) {
      const said = `must be 'SingleStack' to release the secondary ${what}`
      errors.push(invalidValue(POLICY, spec.ipFamilyPolicy, said))
    }
  }
}

function inferFamilies(spec: ServiceSpec, errors: FieldError[]): void {
  if (spec.clusterIPs?.[0] === 'None') return
  const families = [...(spec.ipFamilies ?? [])]
  spec.clusterIPs?.forEach((address, index) => {
    if (index < families.length) return
    if (ipFamily(address) === 4) families.push('IPv4')
    else {
      const said = 'IPv6 is not configured on this cluster'
      errors.push(invalidValue(`spec.clusterIPs[${index}]`, spec.clusterIPs, said))
    }
  })
  if (families.length > 0) spec.ipFamilies = families
}

function allocateClusterIp(service: Service, spec: ServiceSpec, context: StrategyContext): void {
  const asked = spec.clusterIPs?.[0] ?? ''
  const taken = new Set<string>()
  for (const { clusterIP } of otherSpecs(service, context)) {
    if (clusterIP) taken.add(canonicalIp(clusterIP) ?? clusterIP)
  }
  const address = canonicalIp(asked) ?? freeAddress(taken, context.now)
  const said = !cidrContains(RANGE, address)
    ? `the provided IP (${address}) is not in the valid range. The range of valid IPs is ${SERVICE_CIDR}`
    : taken.has(address)
      ? 'provided IP is already allocated'
      : undefined
  if (said) {
    refuse(service, [invalidValue('spec.clusterIPs', spec.clusterIPs, `failed to allocate IP ${asked}: ${said}`)])
  }
  spec.clusterIP = asked || address
  spec.clusterIPs = [spec.clusterIP]
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
