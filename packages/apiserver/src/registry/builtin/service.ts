/** Service: a stable name, an address from the cluster's range unless headless, ports. */
import type { KubeObject } from '@caisson/api'
import type { Service, ServicePort, ServiceSpec } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { duplicate, forbidden, invalidValue, notSupported, required } from '../field-error.ts'
import { validateCidr, validateIp, validateNonSpecialIp } from '../ip-address.ts'
import { dns1123Label, dns1123Subdomain, inRange, nameIsLabel1035, portNumber, qualifiedName } from '../names.ts'
import { validateLabels } from '../object-meta.ts'
import type { Strategy } from '../resource.ts'
import { pointsOf, pointWarnings, validatePoints } from './balancer-status.ts'
import { validatePort } from './probes.ts'
import {
  isHeadless,
  needsHealthCheck,
  usesNodePorts,
  validateClusterIpChange,
  validateClusterIps,
  validateFamilyChange,
} from './service-addresses.ts'
import { allocateAddresses } from './service-allocation.ts'
import { serviceWarnings, TOPOLOGY_HINTS, TOPOLOGY_MODE } from './service-warnings.ts'

const CLIENT_IP_SECONDS = 10_800

export const serviceStrategy: Strategy = {
  nameRule: nameIsLabel1035,
  generation: false,
  createOnUpdate: true,
  returnsDeleted: true,
  defaults: (object) => applyDefaults(object as unknown as Service & { spec: ServiceSpec }),
  prepareForCreate(object, context) {
    object.status = { loadBalancer: {} }
    if (specOf(object).type === 'ExternalName') delete specOf(object).internalTrafficPolicy
    alignClusterIps(specOf(object), undefined)
    allocateAddresses(object as unknown as Service, undefined, context)
  },
  prepareForUpdate(next, current, context) {
    next.status = structuredClone(current.status)
    const [spec, old] = [specOf(next), specOf(current)]
    if (spec.type === 'ExternalName') delete spec.internalTrafficPolicy
    keepAllocated(spec, old)
    alignClusterIps(spec, old)
    allocateAddresses(next as unknown as Service, current as unknown as Service, context)
    dropTypeDependentFields(spec, old)
    if (spec.type !== 'LoadBalancer') next.status = { ...(next.status as object), loadBalancer: {} }
  },
  validate: (object) => validateService(object as unknown as Service, undefined),
  validateUpdate(next, current) {
    const errors: FieldError[] = []
    const [spec, old] = [specOf(next), specOf(current)]
    validateClusterIpChange(spec, old, errors)
    validateFamilyChange(spec, old, errors)
    if (
      spec.type === 'LoadBalancer' &&
      old.type === 'LoadBalancer' &&
      spec.loadBalancerClass !== old.loadBalancerClass
    ) {
      errors.push(invalidValue('spec.loadBalancerClass', spec.loadBalancerClass ?? null, 'may not change once set'))
    }
    if (needsHealthCheck(spec) && needsHealthCheck(old) && spec.healthCheckNodePort !== old.healthCheckNodePort) {
      errors.push(forbidden('spec.healthCheckNodePort', 'field is immutable'))
    }
    return errors.concat(validateService(next as unknown as Service, current as unknown as Service))
  },
  warnings: (object) => serviceWarnings(object as unknown as Service),
  validateStatusUpdate: (next, current) =>
    specOf(next).type !== 'LoadBalancer' && pointsOf(next).length > 0
      ? [forbidden('status.loadBalancer.ingress', "may only be used when `spec.type` is 'LoadBalancer'")]
      : validatePoints(next, current, { modes: true }),
  statusWarnings: pointWarnings,
}

function specOf(object: KubeObject): ServiceSpec {
  return object['spec'] as ServiceSpec
}

function isExternallyAccessible(spec: ServiceSpec): boolean {
  if (spec.type === 'LoadBalancer' || spec.type === 'NodePort') return true
  return spec.type === 'ClusterIP' && Boolean(spec.externalIPs?.length)
}

function applyDefaults({ spec, status }: Service & { spec: ServiceSpec }): void {
  spec.sessionAffinity ||= 'None'
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig
  else if (spec.sessionAffinity === 'ClientIP') {
    if (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds === undefined) {
      spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: CLIENT_IP_SECONDS } }
    }
  }
  spec.type ||= 'ClusterIP'
  for (const port of spec.ports ?? []) {
    port.protocol ||= 'TCP'
    port.targetPort ||= port.port
  }
  if (isExternallyAccessible(spec)) spec.externalTrafficPolicy ||= 'Cluster'
  if (spec.type !== 'ExternalName') spec.internalTrafficPolicy ??= 'Cluster'
  if (spec.type !== 'LoadBalancer') return
  spec.allocateLoadBalancerNodePorts ??= true
  for (const point of pointsOf({ status })) if (point.ip) point.ipMode ??= 'VIP'
}

/** `clusterIP` and `clusterIPs` are one thing under two names; whichever was changed is right. */
function alignClusterIps(spec: ServiceSpec, old: ServiceSpec | undefined): void {
  if (!old) {
    if (spec.clusterIP && !spec.clusterIPs?.length) spec.clusterIPs = [spec.clusterIP]
    return
  }
  if (spec.clusterIP === old.clusterIP) {
    if (!spec.clusterIPs?.length && old.clusterIPs) spec.clusterIPs = [...old.clusterIPs]
  } else if (same(spec.clusterIPs ?? [], old.clusterIPs ?? [])) {
    if (spec.clusterIP) spec.clusterIPs = [spec.clusterIP]
    else delete spec.clusterIPs
  }
}

/** An update that leaves out what the server chose does not mean to give it up. */
function keepAllocated(spec: ServiceSpec, old: ServiceSpec): void {
  if (spec.type !== 'ExternalName' && old.type !== 'ExternalName') {
    if (old.clusterIP) spec.clusterIP ||= old.clusterIP
    if (!spec.clusterIPs?.length && old.clusterIPs) spec.clusterIPs = [...old.clusterIPs]
  }
  if (usesNodePorts(spec) && usesNodePorts(old)) {
    const known = new Map(old.ports?.map(({ name, nodePort }) => [name, nodePort]))
    const taken = new Set(spec.ports?.map(({ nodePort }) => nodePort))
    for (const port of spec.ports ?? []) {
      const nodePort = known.get(port.name)
      if (!port.nodePort && nodePort && !taken.has(nodePort)) port.nodePort = nodePort
    }
  }
  if (needsHealthCheck(spec) && needsHealthCheck(old) && old.healthCheckNodePort) {
    spec.healthCheckNodePort ||= old.healthCheckNodePort
  }
}

/** What belonged to the old type, and was left as it was, goes with it. */
function dropTypeDependentFields(spec: ServiceSpec, old: ServiceSpec): void {
  if (old.type !== 'ExternalName' && spec.type === 'ExternalName') {
    if (spec.clusterIP === old.clusterIP && same(spec.clusterIPs, old.clusterIPs)) {
      delete spec.clusterIP
      delete spec.clusterIPs
    }
    if (same(spec.ipFamilies, old.ipFamilies)) delete spec.ipFamilies
    if (spec.ipFamilyPolicy === old.ipFamilyPolicy) delete spec.ipFamilyPolicy
  }
  if (usesNodePorts(old) && !usesNodePorts(spec)) {
    const before = new Set(old.ports?.map((port) => port.nodePort))
    if (spec.ports?.every((port) => !port.nodePort || before.has(port.nodePort))) {
      for (const port of spec.ports) delete port.nodePort
    }
  }
  if (needsHealthCheck(old) && !needsHealthCheck(spec) && spec.healthCheckNodePort === old.healthCheckNodePort) {
    delete spec.healthCheckNodePort
  }
  if (old.type === 'LoadBalancer' && spec.type !== 'LoadBalancer') {
    if (spec.allocateLoadBalancerNodePorts === old.allocateLoadBalancerNodePorts) {
      delete spec.allocateLoadBalancerNodePorts
    }
    if (spec.loadBalancerClass === old.loadBalancerClass) delete spec.loadBalancerClass
  }
  if (isExternallyAccessible(old) && !isExternallyAccessible(spec)) {
    if (spec.externalTrafficPolicy === old.externalTrafficPolicy) delete spec.externalTrafficPolicy
  }
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function validateService(service: Service, current: Service | undefined): FieldError[] {
  const errors: FieldError[] = []
  const { metadata: { annotations = {} } = {}, spec = {} } = service
  const mode = annotations[TOPOLOGY_MODE]
  const hints = annotations[TOPOLOGY_HINTS]
  if (mode !== undefined && hints !== undefined && mode !== hints) {
    const said = `must match annotations[${TOPOLOGY_HINTS}] when both are specified`
    errors.push(invalidValue(`metadata.annotations[${TOPOLOGY_MODE}]`, mode, said))
  }
  const { type = '', sessionAffinity = '' } = spec
  const ports = spec.ports ?? []
  if (!ports.length && !isHeadless(spec) && type !== 'ExternalName') errors.push(required('spec.ports'))
  if (isHeadless(spec) && usesNodePorts(spec)) {
    errors.push(invalidValue('spec.clusterIPs[0]', 'None', `may not be set to 'None' for ${type} services`))
  }
  if (type === 'ExternalName') validateExternalName(spec, errors)
  const names = new Set<string>()
  ports.forEach((port, index) => validateServicePort(port, ports.length > 1, names, `spec.ports[${index}]`, errors))
  validateLabels(spec.selector, 'spec.selector', errors)
  if (!sessionAffinity) errors.push(required('spec.sessionAffinity'))
  else if (sessionAffinity !== 'ClientIP' && sessionAffinity !== 'None') {
    errors.push(notSupported('spec.sessionAffinity', sessionAffinity, ['ClientIP', 'None']))
  }
  validateAffinityConfig(spec, errors)
  if (type !== 'ExternalName') validateClusterIps(spec, current?.spec, errors)
  const externalIPs = new Set(current?.spec?.externalIPs)
  spec.externalIPs?.forEach((address, index) => {
    const before = errors.length
    if (!externalIPs.has(address)) validateIp(address, `spec.externalIPs[${index}]`, errors)
    if (errors.length === before) validateNonSpecialIp(address, `spec.externalIPs[${index}]`, errors)
  })
  const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort']
  if (!type) errors.push(required('spec.type'))
  else if (!types.includes(type)) errors.push(notSupported('spec.type', type, types))
  validatePortsTogether(spec, errors)
  validateSourceRanges(service, current, errors)
  validateLoadBalancer(spec, errors)
  validateTrafficPolicies(spec, errors)
  return errors
}

function validateExternalName(spec: ServiceSpec, errors: FieldError[]): void {
  for (const field of ['clusterIPs', 'ipFamilies'] as const) {
    if (spec[field]?.length) errors.push(forbidden(`spec.${field}`, 'may not be set for ExternalName services'))
  }
  if (spec.ipFamilyPolicy !== undefined) {
    errors.push(forbidden('spec.ipFamilyPolicy', 'may not be set for ExternalName services'))
  }
  const name = (spec.externalName ?? '').replace(/\.$/, '')
  if (!name) errors.push(required('spec.externalName'))
  else for (const said of dns1123Subdomain(name)) errors.push(invalidValue('spec.externalName', name, said))
}

const PROTOCOLS = ['SCTP', 'TCP', 'UDP']

function validateServicePort(
  port: ServicePort,
  needsName: boolean,
  names: Set<string>,
  path: string,
  errors: FieldError[],
): void {
  if (needsName && !port.name) errors.push(required(`${path}.name`))
  else if (port.name) {
    for (const said of dns1123Label(port.name)) errors.push(invalidValue(`${path}.name`, port.name, said))
    if (names.has(port.name)) errors.push(duplicate(`${path}.name`, port.name))
    names.add(port.name)
  }
  for (const said of portNumber(port.port)) errors.push(invalidValue(`${path}.port`, port.port, said))
  const protocol = port.protocol as string | undefined
  if (!protocol) errors.push(required(`${path}.protocol`))
  else if (!PROTOCOLS.includes(protocol)) errors.push(notSupported(`${path}.protocol`, protocol, PROTOCOLS))
  validatePort(port.targetPort ?? 0, `${path}.targetPort`, errors)
  if (port.appProtocol !== undefined) {
    for (const said of qualifiedName(port.appProtocol)) {
      errors.push(invalidValue(`${path}.appProtocol`, port.appProtocol, said))
    }
  }
}

function validateAffinityConfig(spec: ServiceSpec, errors: FieldError[]): void {
  const path = 'spec.sessionAffinityConfig'
  if (spec.sessionAffinity === 'None' && spec.sessionAffinityConfig) {
    errors.push(forbidden(path, 'must not be set when session affinity is None'))
  }
  if (spec.sessionAffinity !== 'ClientIP') return
  const seconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds
  if (seconds === undefined) errors.push(required(path, 'when session affinity type is ClientIP'))
  else if (seconds <= 0 || seconds > 86_400) {
    errors.push(invalidValue(`${path}.clientIP.timeoutSeconds`, seconds, 'must be greater than 0 and less than 86400'))
  }
}

function validatePortsTogether(spec: ServiceSpec, errors: FieldError[]): void {
  const nodePorts = new Set<string>()
  const ports = new Set<string>()
  spec.ports?.forEach((port, index) => {
    if (!port.nodePort) return
    if (spec.type === 'ClusterIP') {
      errors.push(forbidden(`spec.ports[${index}].nodePort`, "may not be used when `type` is 'ClusterIP'"))
    }
  })
  spec.ports?.forEach((port, index) => {
    const key = `${port.protocol}/${port.nodePort}`
    if (port.nodePort && nodePorts.has(key)) errors.push(duplicate(`spec.ports[${index}].nodePort`, port.nodePort))
    nodePorts.add(key)
  })
  spec.ports?.forEach((port, index) => {
    const key = `${port.protocol}/${port.port}`
    if (ports.has(key)) errors.push(duplicate(`spec.ports[${index}]`, goServicePort(port)))
    ports.add(key)
  })
}

/** Go prints its internal struct, of which only the compared fields are set. */
function goServicePort(port: ServicePort): unknown {
  return {
    Name: '',
    Protocol: port.protocol,
    AppProtocol: null,
    Port: port.port,
    TargetPort: 0,
    NodePort: 0,
  }
}

const SOURCE_RANGES = 'service.beta.kubernetes.io/load-balancer-source-ranges'

/** The field, or where that is left out the annotation that came before it. */
function validateSourceRanges(
  { metadata, spec = {} }: Service,
  current: Service | undefined,
  errors: FieldError[],
): void {
  const ranges = spec.loadBalancerSourceRanges ?? []
  const annotation = metadata?.annotations?.[SOURCE_RANGES]
  if (ranges.length === 0 && annotation === undefined) return
  const path = ranges.length > 0 ? 'spec.LoadBalancerSourceRanges' : `metadata.annotations[${SOURCE_RANGES}]`
  if (spec.type !== 'LoadBalancer') errors.push(forbidden(path, "may only be used when `type` is 'LoadBalancer'"))
  if (ranges.length > 0) {
    const known = new Set(current?.spec?.loadBalancerSourceRanges?.map((range) => range.trim()))
    ranges.forEach((range, index) => {
      if (!known.has(range.trim())) validateCidr(range.trim(), `${path}[${index}]`, errors)
    })
  } else if (annotation?.trim() && annotation !== current?.metadata?.annotations?.[SOURCE_RANGES]) {
    for (const range of annotation.split(',')) validateCidr(range.trim(), path, errors)
  }
}

function validateLoadBalancer(spec: ServiceSpec, errors: FieldError[]): void {
  const isLoadBalancer = spec.type === 'LoadBalancer'
  const only = "may only be used when `type` is 'LoadBalancer'"
  if (spec.allocateLoadBalancerNodePorts !== undefined && !isLoadBalancer) {
    errors.push(forbidden('spec.allocateLoadBalancerNodePorts', only))
  }
  if (spec.loadBalancerClass === undefined) return
  if (!isLoadBalancer) errors.push(forbidden('spec.loadBalancerClass', only))
  else {
    for (const said of qualifiedName(spec.loadBalancerClass)) {
      errors.push(invalidValue('spec.loadBalancerClass', spec.loadBalancerClass, said))
    }
  }
}

function validateTrafficPolicies(spec: ServiceSpec, errors: FieldError[]): void {
  const external = spec.externalTrafficPolicy ?? ''
  if (!isExternallyAccessible(spec)) {
    if (external) {
      const said = 'may only be set for externally-accessible services'
      errors.push(invalidValue('spec.externalTrafficPolicy', external, said))
    }
  } else if (!external) errors.push(required('spec.externalTrafficPolicy'))
  else if (external !== 'Cluster' && external !== 'Local') {
    errors.push(notSupported('spec.externalTrafficPolicy', external, ['Cluster', 'Local']))
  }
  const healthPort = spec.healthCheckNodePort ?? 0
  if (!needsHealthCheck(spec)) {
    if (healthPort) {
      const said = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
      errors.push(invalidValue('spec.healthCheckNodePort', healthPort, said))
    }
  } else if (!healthPort) errors.push(required('spec.healthCheckNodePort'))
  else
    for (const said of inRange(healthPort, 1, 65535))
      errors.push(invalidValue('spec.healthCheckNodePort', healthPort, said))
  const internal = spec.internalTrafficPolicy
  if (internal === undefined) {
    if (spec.type !== 'ExternalName') errors.push(required('spec.internalTrafficPolicy'))
  } else if (internal !== 'Cluster' && internal !== 'Local') {
    errors.push(notSupported('spec.internalTrafficPolicy', internal, ['Cluster', 'Local']))
  }
  const distribution = spec.trafficDistribution
  const distributions = ['PreferClose', 'PreferSameZone', 'PreferSameNode']
  if (distribution !== undefined && !distributions.includes(distribution)) {
    errors.push(notSupported('spec.trafficDistribution', distribution, distributions))
  }
}
