/** What names stand for now, out of the caches. */
import { type Informer, joinKey } from '@caisson/client'
import type { NameView } from './dns/records.ts'
import { contains, ipv4Range, type NumberRange } from './policy/address-range.ts'
import type { PolicyRules } from './policy/policy-rules.ts'
import {
  addressesOf,
  firstSlices,
  isHeadless,
  isReady,
  SERVICE_LABEL,
  type ServiceObject,
  type SliceObject,
} from './services/service-model.ts'

export const SLICES_BY_SERVICE = 'service'
const SLICES_BY_ADDRESS = 'address'
const SERVICES_BY_ADDRESS = 'cluster-ip'

export interface ClusterNamesOptions {
  domain: string
  services: Informer<ServiceObject>
  slices: Informer<SliceObject>
  namespaces: { get(key: string): unknown }
  rules: PolicyRules
  /** Of Services and of Pods. */
  ranges: () => readonly string[]
}

export function slicesByService({ metadata }: SliceObject): string[] {
  const name = metadata.labels?.[SERVICE_LABEL]
  return name ? [joinKey(metadata.namespace, name)] : []
}

export function clusterNames(options: ClusterNamesOptions): NameView {
  const { domain, services, slices, namespaces, rules, ranges } = options
  slices.addIndex(SLICES_BY_ADDRESS, addressesOfSlice)
  services.addIndex(SERVICES_BY_ADDRESS, addressOfService)
  return {
    domain,
    hasNamespace: (name) => namespaces.get(name) !== undefined,
    service(namespace, name) {
      const key = joinKey(namespace, name)
      const service = services.get(key)
      return service && { service, slices: slices.byIndex(SLICES_BY_SERVICE, key) }
    },
    serviceAt: (clusterIp) => services.byIndex(SERVICES_BY_ADDRESS, clusterIp)[0],
    endpointsAt: (namespace, ip) =>
      firstSlices(slices.byIndex(SLICES_BY_ADDRESS, joinKey(namespace, ip))).flatMap((slice) => {
        const [key] = slicesByService(slice)
        const service = key === undefined ? undefined : services.get(key)
        if (!service || !isHeadless(service)) return []
        return (slice.endpoints ?? [])
          .filter((endpoint) => isReady(endpoint) && addressesOf(endpoint).includes(ip))
          .map(({ hostname }) => ({ service, hostname: hostname ?? ip.replaceAll('.', '-') }))
      }),
    podNamespaceAt: (ip) => rules.podAt(ip)?.namespace,
    isOwn(ip) {
      const address = ipv4Range(ip)?.from ?? -1
      return contains(
        ranges().flatMap((range): NumberRange[] => (ipv4Range(range) ? [ipv4Range(range) as NumberRange] : [])),
        address,
      )
    },
  }
}

/** With its namespace: what others say of an address concerns nobody. */
function addressesOfSlice({ metadata, endpoints }: SliceObject): string[] {
  const addresses = new Set((endpoints ?? []).flatMap(addressesOf))
  return [...addresses].map((address) => joinKey(metadata.namespace, address))
}

function addressOfService({ spec }: ServiceObject): string[] {
  return spec?.clusterIP && spec.clusterIP !== 'None' ? [spec.clusterIP] : []
}
