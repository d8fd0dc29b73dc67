/** The addresses that a Service asks for or has: which go together, and which may change. */
import type { Service, ServiceSpec } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { duplicate, goJson, invalidValue, notSupported, required } from '../field-error.ts'
import { ipFamily, validateIp } from '../ip-address.ts'
import type { StrategyContext } from '../resource.ts'

export function isHeadless(spec: ServiceSpec): boolean {
  return spec.clusterIPs?.length === 1 && spec.clusterIPs[0] === 'None'
}

export function usesNodePorts(spec: ServiceSpec): boolean {
  return spec.type === 'NodePort' || spec.type === 'LoadBalancer'
}

export function needsHealthCheck(spec: ServiceSpec): boolean {
  return spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local'
}

/**
 * Also checked before an address is allocated: what is wrong with the request is wrong without one. Addresses that the
 * Service has already may stay, whatever they are.
 */
export function validateClusterIps(spec: ServiceSpec, old: ServiceSpec | undefined, errors: FieldError[]): void {
  const { clusterIP = '', clusterIPs = [] } = spec
  const path = 'spec.clusterIPs'
  if (clusterIP) {
    if (!clusterIPs.length) errors.push(required(path))
    else if (clusterIPs[0] !== clusterIP) {
      errors.push(invalidValue(path, clusterIPs, 'first value must match `clusterIP`'))
    }
  } else if (clusterIPs.length) {
    errors.push(invalidValue(path, clusterIPs, 'must be empty when `clusterIP` is not specified'))
  }
  const families = spec.ipFamilies ?? []
  const seen = new Set<string>()
  families.forEach((family, index) => {
    const at = `spec.ipFamilies[${index}]`
    if (family !== 'IPv4' && family !== 'IPv6') errors.push(notSupported(at, family, ['IPv4', 'IPv6']))
    if (seen.has(family)) errors.push(duplicate(at, family))
    seen.add(family)
  })
  const policies = ['PreferDualStack', 'RequireDualStack', 'SingleStack']
  if (spec.ipFamilyPolicy !== undefined && !policies.includes(spec.ipFamilyPolicy)) {
    errors.push(notSupported('spec.ipFamilyPolicy', spec.ipFamilyPolicy, policies))
  }
  let invalid = false
  clusterIPs.forEach((address, index) => {
    if (index === 0 && address === 'None') {
      if (clusterIPs.length === 1) return
      errors.push(invalidValue(path, clusterIPs, "'None' must be the first and only value"))
      invalid = true
      return
    }
    const before = errors.length
    if (!old?.clusterIPs?.includes(address)) validateIp(address, `${path}[${index}]`, errors)
    invalid ||= errors.length > before
  })
  if (clusterIPs.length > 2) errors.push(invalidValue(path, clusterIPs, 'may only hold up to 2 values'))
  if (invalid || isHeadless(spec)) return
  if (clusterIPs.length > 1 && ipFamily(clusterIPs[0] ?? '') === ipFamily(clusterIPs[1] ?? '')) {
    errors.push(invalidValue(path, clusterIPs, 'may specify no more than one IP for each IP family'))
  }
  clusterIPs.forEach((address, index) => {
    const family = families[index]
    if ((family !== 'IPv4' && family !== 'IPv6') || family === `IPv${ipFamily(address)}`) return
    const said = `expected an ${family} value as indicated by \`ipFamilies[${index}]\``
    errors.push(invalidValue(`${path}[${index}]`, address, said))
  })
}

export function validateClusterIpChange(spec: ServiceSpec, old: ServiceSpec, errors: FieldError[]): void {
  if (spec.type === 'ExternalName' || old.type === 'ExternalName') return
  if (isHeadless(spec) && isHeadless(old)) return
  const [next, before] = [spec.clusterIPs ?? [], old.clusterIPs ?? []]
  if (next.length === before.length) {
    before.forEach((address, index) => {
      if (address === next[index]) return
      errors.push(invalidClusterIps(`spec.clusterIPs[${index}]`, next, 'may not change once set'))
    })
  } else if (next.length === 0) {
    errors.push(invalidClusterIps('spec.clusterIPs[0]', next, 'primary clusterIP can not be unset'))
  } else {
    if (before.length && next[0] !== before[0]) {
      errors.push(invalidClusterIps('spec.clusterIPs[0]', next, 'may not change once set'))
    }
    if (before.length > 1 && next.length === 1 && spec.ipFamilyPolicy !== 'SingleStack') {
      const said = "must be set to 'SingleStack' when releasing the secondary clusterIP"
      errors.push(invalidValue('spec.ipFamilyPolicy', spec.ipFamilyPolicy ?? null, said))
    }
  }
}

function invalidClusterIps(field: string, addresses: readonly string[], said: string): FieldError {
  const printed = addresses.length ? goJson(addresses) : 'null'
  return { type: 'FieldValueInvalid', field, message: `Invalid value: ${printed}: ${said}` }
}

export function validateFamilyChange(spec: ServiceSpec, old: ServiceSpec, errors: FieldError[]): void {
  if (spec.type === 'ExternalName' || old.type === 'ExternalName') return
  if (isHeadless(spec) || isHeadless(old)) return
  const [next, before] = [spec.ipFamilies ?? [], old.ipFamilies ?? []]
  const path = 'spec.ipFamilies[0]'
  const shown = next.length === before.length ? next : (spec.clusterIPs ?? null)
  const compared = next.length === before.length ? before : before.slice(0, Math.min(1, next.length))
  compared.forEach((family, index) => {
    if (family !== next[index]) errors.push(invalidValue(path, shown, 'may not change once set'))
  })
  if (next.length >= before.length) return
  if (!spec.clusterIPs?.length) errors.push(invalidValue(path, next, 'primary ipFamily can not be unset'))
  if (next.length === 1 && spec.ipFamilyPolicy !== 'SingleStack') {
    const said = "must be set to 'SingleStack' when releasing the secondary ipFamily"
    errors.push(invalidValue('spec.ipFamilyPolicy', spec.ipFamilyPolicy ?? null, said))
  }
}

/** What other Services have. */
export function* otherSpecs(service: Service, context: StrategyContext): Iterable<ServiceSpec> {
  for (const other of context.list('services')) {
    const { name, namespace } = other.metadata
    if (name === service.metadata?.name && namespace === service.metadata?.namespace) continue
    yield other['spec'] as ServiceSpec
  }
}
