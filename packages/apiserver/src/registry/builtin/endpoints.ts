/** Endpoints and EndpointSlice: where a Service's traffic goes. */
import type { KubeObject } from '@caisson/api'
import type { EndpointAddress, EndpointPort, EndpointSubset } from 'kubernetes-types/core/v1.js'
import type { EndpointHints, EndpointSlice } from 'kubernetes-types/discovery/v1.js'
import type { FieldError } from '../../status-error.ts'
import { duplicate, invalidValue, notSupported, required, tooMany } from '../field-error.ts'
import { canonicalIpErrors, ipFamily, ipWarnings, validateIp, validateNonSpecialIp } from '../ip-address.ts'
import { dns1123Label, dns1123Subdomain, labelValueErrors, portNumber, qualifiedName } from '../names.ts'
import type { Strategy } from '../resource.ts'
import { deepEqual } from './deep-equal.ts'
import { immutable } from './immutable.ts'

interface Endpoints extends KubeObject {
  subsets?: EndpointSubset[]
}

const PROTOCOLS = ['SCTP', 'TCP', 'UDP']

export const endpointsStrategy: Strategy = {
  generation: false,
  createOnUpdate: true,
  defaults(object) {
    for (const subset of (object as Endpoints).subsets ?? []) {
      for (const port of subset.ports ?? []) port.protocol ||= 'TCP'
    }
  },
  validate: (object) => validateSubsets(object as Endpoints),
  validateUpdate: (next) => validateSubsets(next as Endpoints),
  warnings: (object) => subsetWarnings(object as Endpoints),
}

/** The controller of Kubernetes mends addresses itself. */
function subsetWarnings({ metadata, subsets = [] }: Endpoints): string[] {
  if (metadata.labels?.['endpoints.kubernetes.io/managed-by'] === 'endpoint-controller') return []
  return subsets.flatMap((subset, index) =>
    (['addresses', 'notReadyAddresses'] as const).flatMap((list) =>
      (subset[list] ?? []).flatMap(({ ip }, at) => ipWarnings(ip, `subsets[${index}].${list}[${at}].ip`)),
    ),
  )
}

function validateSubsets({ subsets = [] }: Endpoints): FieldError[] {
  const errors: FieldError[] = []
  subsets.forEach((subset, index) => {
    const path = `subsets[${index}]`
    if (!subset.addresses?.length && !subset.notReadyAddresses?.length) {
      errors.push(required(path, 'must specify `addresses` or `notReadyAddresses`'))
    }
    for (const list of ['addresses', 'notReadyAddresses'] as const) {
      subset[list]?.forEach((address, at) => validateAddress(address, `${path}.${list}[${at}]`, errors))
    }
    const named = (subset.ports?.length ?? 0) > 1
    subset.ports?.forEach((port, at) => validatePort(port, named, `${path}.ports[${at}]`, errors))
  })
  return errors
}

function validateAddress(address: EndpointAddress, path: string, errors: FieldError[]): void {
  validateIp(address.ip, `${path}.ip`, errors)
  if (address.hostname) {
    for (const said of dns1123Label(address.hostname)) {
      errors.push(invalidValue(`${path}.hostname`, address.hostname, said))
    }
  }
  if (address.nodeName !== undefined) {
    for (const said of dns1123Subdomain(address.nodeName)) {
      errors.push(invalidValue(`${path}.nodeName`, address.nodeName, said))
    }
  }
  validateNonSpecialIp(address.ip, `${path}.ip`, errors)
}

function validatePort(port: EndpointPort, named: boolean, path: string, errors: FieldError[]): void {
  if (named && !port.name) errors.push(required(`${path}.name`))
  else if (port.name)
    for (const said of dns1123Label(port.name)) errors.push(invalidValue(`${path}.name`, port.name, said))
  for (const said of portNumber(port.port)) errors.push(invalidValue(`${path}.port`, port.port, said))
  // An empty one is none.
  validateProtocol(port.protocol || undefined, path, errors)
  validateAppProtocol(port.appProtocol, path, errors)
}

function validateProtocol(protocol: string | undefined, path: string, errors: FieldError[]): void {
  if (protocol === undefined) errors.push(required(`${path}.protocol`))
  else if (!PROTOCOLS.includes(protocol)) errors.push(notSupported(`${path}.protocol`, protocol, PROTOCOLS))
}

function validateAppProtocol(protocol: string | undefined, path: string, errors: FieldError[]): void {
  if (protocol === undefined) return
  for (const said of qualifiedName(protocol)) errors.push(invalidValue(`${path}.appProtocol`, protocol, said))
}

const MAX_ENDPOINTS = 1000
const MAX_ADDRESSES = 100
const MAX_PORTS = 20_000
const MAX_HINTS = 8
const ADDRESS_TYPES = ['FQDN', 'IPv4', 'IPv6']

export const endpointSliceStrategy: Strategy = {
  defaults(object) {
    for (const port of asSlice(object).ports ?? []) {
      port.name ??= ''
      port.protocol ??= 'TCP'
    }
  },
  prepareForCreate: dropTopology,
  prepareForUpdate(next, current) {
    dropTopology(next)
    // Endpoint slices count a change of labels as one of content: what they serve is in a label.
    if (!deepEqual(next.metadata.labels, current.metadata.labels)) {
      next.metadata.generation = (current.metadata.generation ?? 0) + 1
    }
  },
  validate: (object) => validateSlice(asSlice(object), new Set()),
  validateUpdate(next, current) {
    // What was valid once stays so: only addresses that are new are looked at.
    const before = new Set((asSlice(current).endpoints ?? []).flatMap(({ addresses }) => addresses))
    const errors = validateSlice(asSlice(next), before)
    immutable(asSlice(next).addressType, asSlice(current).addressType, 'addressType', errors)
    return errors
  },
  warnings(object, current) {
    const isNewName = asSlice(object).addressType === 'FQDN' && !current
    return [...(isNewName ? ['spec.addressType: FQDN endpoints are deprecated'] : []), ...addressWarnings(object)]
  },
}

/** Controllers of Kubernetes mend addresses themselves. */
const MENDED_BY = new Set(['endpointslice-controller.k8s.io', 'endpointslicemirroring-controller.k8s.io'])

function addressWarnings(object: KubeObject): string[] {
  if (MENDED_BY.has(object.metadata.labels?.['endpointslice.kubernetes.io/managed-by'] ?? '')) return []
  return (asSlice(object).endpoints ?? []).flatMap(({ addresses }, index) =>
    addresses.flatMap((address, at) => ipWarnings(address, `endpoints[${index}].addresses[${at}]`)),
  )
}

function asSlice(object: KubeObject): EndpointSlice {
  return object as unknown as EndpointSlice
}

/** `deprecatedTopology` is read-only in v1. */
function dropTopology(object: KubeObject): void {
  for (const endpoint of asSlice(object).endpoints ?? []) delete endpoint.deprecatedTopology
}

function validateSlice(slice: EndpointSlice, before: ReadonlySet<string>): FieldError[] {
  const errors: FieldError[] = []
  const type = slice.addressType as string | undefined
  if (!type) errors.push(required('addressType'))
  else if (!ADDRESS_TYPES.includes(type)) errors.push(notSupported('addressType', type, ADDRESS_TYPES))
  validateSlicePorts(slice, errors)
  const endpoints = slice.endpoints ?? []
  if (endpoints.length > MAX_ENDPOINTS) {
    errors.push(tooMany('endpoints', endpoints.length, MAX_ENDPOINTS))
    return errors
  }
  endpoints.forEach((endpoint, index) => {
    const path = `endpoints[${index}]`
    const addresses = endpoint.addresses ?? []
    if (!addresses.length) errors.push(required(`${path}.addresses`, 'must contain at least 1 address'))
    else if (addresses.length > MAX_ADDRESSES) {
      errors.push(tooMany(`${path}.addresses`, addresses.length, MAX_ADDRESSES))
    }
    addresses.forEach((address, at) => {
      if (!before.has(address)) validateSliceAddress(address, type ?? '', `${path}.addresses`, at, errors)
    })
    if (endpoint.nodeName !== undefined) {
      for (const said of dns1123Subdomain(endpoint.nodeName)) {
        errors.push(invalidValue(`${path}.nodeName`, endpoint.nodeName, said))
      }
    }
    if (endpoint.hints) validateHints(endpoint.hints, `${path}.hints`, errors)
    if (endpoint.hostname !== undefined) {
      for (const said of dns1123Label(endpoint.hostname)) {
        errors.push(invalidValue(`${path}.hostname`, endpoint.hostname, said))
      }
    }
  })
  return errors
}

/** Zones, and since 1.34 nodes, whose clients should be led to an endpoint. */
type Hints = Record<'forZones' | 'forNodes', Array<{ name: string }> | undefined>

function validateHints(hints: EndpointHints & Partial<Hints>, path: string, errors: FieldError[]): void {
  for (const [list, nameErrors] of [
    ['forZones', labelValueErrors],
    ['forNodes', dns1123Subdomain],
  ] as const) {
    const named = hints[list] ?? []
    if (named.length > MAX_HINTS) {
      errors.push(tooMany(`${path}.${list}`, named.length, MAX_HINTS))
      return
    }
    const names = new Set<string>()
    named.forEach(({ name }, index) => {
      const at = `${path}.${list}[${index}].name`
      if (names.has(name)) errors.push(duplicate(at, name))
      names.add(name)
      for (const said of nameErrors(name)) errors.push(invalidValue(at, name, said))
    })
  }
}

function validateSlicePorts(slice: EndpointSlice, errors: FieldError[]): void {
  const ports = slice.ports ?? []
  if (ports.length > MAX_PORTS) {
    errors.push(tooMany('ports', ports.length, MAX_PORTS))
    return
  }
  const names = new Set<string>()
  ports.forEach((port, index) => {
    const path = `ports[${index}]`
    const { name = '' } = port
    if (name) for (const said of dns1123Label(name)) errors.push(invalidValue(`${path}.name`, name, said))
    if (names.has(name)) errors.push(duplicate(`${path}.name`, name))
    names.add(name)
    validateProtocol(port.protocol, path, errors)
    validateAppProtocol(port.appProtocol, path, errors)
  })
}

function validateSliceAddress(address: string, type: string, path: string, index: number, errors: FieldError[]): void {
  const at = `${path}[${index}]`
  if (type === 'FQDN') {
    const name = address.replace(/\.$/, '')
    if (!address) errors.push(required(at))
    const said = dns1123Subdomain(name)
    if (said.length) errors.push(invalidValue(at, address, said.join(',')))
    else if (!name.includes('.')) {
      errors.push(invalidValue(at, address, 'should be a domain with at least two segments separated by dots'))
    }
    return
  }
  if (type !== 'IPv4' && type !== 'IPv6') return
  const before = errors.length
  if (type === 'IPv4') validateIp(address, at, errors)
  else for (const said of canonicalIpErrors(address)) errors.push(invalidValue(at, address, said))
  if (errors.length > before) return
  if (`IPv${ipFamily(address)}` !== type) errors.push(invalidValue(path, address, `must be an ${type} address`))
  validateNonSpecialIp(address, at, errors)
}
