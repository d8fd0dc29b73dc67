/** Validation of a PodSpec as a whole: `spec` of a Pod. */
import type { Affinity, Pod, PodDNSConfig, PodSpec } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { duplicate, forbidden, invalidValue, notSupported, required } from '../field-error.ts'
import { ipFamily } from '../ip-address.ts'
import {
  dns1123Label,
  dns1123Subdomain,
  dns1123SubdomainWithUnderscore,
  inRange,
  type NameErrors,
  qualifiedName,
} from '../names.ts'
import { type LabelSelector, validateLabelName, validateLabelSelector, validateLabels } from '../object-meta.ts'
import {
  type ContainerScope,
  validateContainers,
  validateEphemeralContainers,
  validateImageUnpadded,
  validateInitContainers,
} from './containers.ts'
import { validateAffinity } from './pod-affinity.ts'
import { isMirrorPod, validateAnnotations } from './pod-annotations.ts'
import { validatePodLevelResources } from './pod-level-resources.ts'
import { validateHostProcesses, validateOs } from './pod-os.ts'
import { type PodResourceClaim, validateResourceClaims } from './pod-resource-claims.ts'
import { validateResourceRequirements } from './resource-requirements.ts'
import { validatePodSecurityContext } from './security-context.ts'
import { validatePreemptionPolicy } from './small-kinds.ts'
import { type Toleration, validateTolerations } from './tolerations.ts'
import { validateVolumes } from './volumes.ts'

const MAX_SECONDS = 2 ** 31 - 1

/** What is wrong with a Pod, its metadata aside; the same for creation and update. */
export function validatePodSpec(pod: Pod): FieldError[] {
  const errors: FieldError[] = []
  const spec = pod.spec as PodSpec
  validateAnnotations(pod, errors)
  if (spec.terminationGracePeriodSeconds === undefined) errors.push(required('spec.terminationGracePeriodSeconds'))
  const volumes = validateVolumes(spec.volumes ?? [], pod.metadata?.name ?? '', 'spec.volumes', errors)
  validateResourceClaims((spec.resourceClaims ?? []) as PodResourceClaim[], isMirrorPod(pod), errors)
  const containers = spec.containers ?? []
  const initContainers = spec.initContainers ?? []
  const scope: ContainerScope = {
    volumes,
    claimNames: new Set(spec.resourceClaims?.map(({ name }) => name)),
    gracePeriod: spec.terminationGracePeriodSeconds,
    restartPolicy: spec.restartPolicy ?? '',
    hostUsers: spec.hostUsers ?? true,
  }
  validateContainers(containers, scope, 'spec.containers', errors)
  validateInitContainers(initContainers, containers, scope, 'spec.initContainers', errors)
  const ephemeral = spec.ephemeralContainers ?? []
  validateEphemeralContainers(ephemeral, [...containers, ...initContainers], scope, 'spec.ephemeralContainers', errors)
  validatePodLevelResources(spec, scope.claimNames, errors)
  validateHostNetworkPorts(spec, errors)
  validatePolicies(spec, errors)
  validateLabels(spec.nodeSelector, 'spec.nodeSelector', errors)
  if (spec.securityContext) validatePodSecurityContext(spec.securityContext, 'spec.securityContext', errors)
  if (spec.securityContext?.sysctls || spec.shareProcessNamespace) validateHostNamespaces(spec, errors)
  if (spec.affinity) validateAffinity(spec.affinity as Affinity, 'spec.affinity', errors)
  validateDnsConfig(spec, errors)
  validateGates(spec, errors)
  validateSpreadConstraints(spec, errors)
  validateHostProcesses(spec, errors)
  validateHostUsers(spec, errors)
  validateNamesAndNumbers(spec, errors)
  return errors
}

/** What Pods may not have; templates may. */
export function validatePod(pod: Pod): FieldError[] {
  const errors = validatePodSpec(pod)
  const spec = pod.spec as PodSpec
  validateTokensNeedAccount(spec, errors)
  for (const list of ['containers', 'initContainers'] as const)
    spec[list]?.forEach((container, index) => {
      validateImageUnpadded(container.image ?? '', `spec.${list}[${index}]`, errors)
    })
  return errors
}

/** What only a new Pod may not have. */
export function validatePodCreate(pod: Pod): FieldError[] {
  const errors = validatePod(pod)
  const spec = pod.spec as PodSpec
  if (spec.ephemeralContainers?.length) errors.push(forbidden('spec.ephemeralContainers', 'cannot be set on create'))
  if (spec.nodeName && spec.schedulingGates?.length) {
    errors.push(forbidden('spec.nodeName', 'cannot be set until all schedulingGates have been cleared'))
  }
  return errors
}

function validateHostNetworkPorts(spec: PodSpec, errors: FieldError[]): void {
  if (!spec.hostNetwork) return
  spec.containers?.forEach((container, index) => {
    container.ports?.forEach((port, position) => {
      if ((port.hostPort ?? 0) === port.containerPort) return
      const said = 'must match `containerPort` when `hostNetwork` is true'
      errors.push(invalidValue(`spec.containers[${index}].ports[${position}].hostPort`, port.hostPort ?? 0, said))
    })
  })
}

const RESTART_POLICIES = ['Always', 'OnFailure', 'Never']
const DNS_POLICIES = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None']

function validatePolicies(spec: PodSpec, errors: FieldError[]): void {
  for (const [field, policy = '', supported] of [
    ['restartPolicy', spec.restartPolicy, RESTART_POLICIES],
    ['dnsPolicy', spec.dnsPolicy, DNS_POLICIES],
  ] as const) {
    if (supported.includes(policy)) continue
    errors.push(policy ? notSupported(`spec.${field}`, policy, supported) : required(`spec.${field}`))
  }
}

function validateHostNamespaces(spec: PodSpec, errors: FieldError[]): void {
  if (spec.shareProcessNamespace && spec.hostPID) {
    const said = 'ShareProcessNamespace and HostPID cannot both be enabled'
    errors.push(invalidValue('spec.securityContext.shareProcessNamespace', true, said))
  }
  spec.securityContext?.sysctls?.forEach(({ name }, index) => {
    const at = `spec.securityContext.sysctls[${index}].name`
    const dotted = name.replaceAll('/', '.')
    if (spec.hostNetwork && dotted.startsWith('net.')) {
      errors.push(invalidValue(at, name, "may not be specified when 'hostNetwork' is true"))
    }
    if (spec.hostIPC && /^(?:kernel\.(?:shm|msg|sem)|fs\.mqueue\.)/.test(dotted)) {
      errors.push(invalidValue(at, name, "may not be specified when 'hostIPC' is true"))
    }
  })
}

const MAX_NAMESERVERS = 3
const MAX_SEARCHES = 32
const MAX_SEARCH_BYTES = 2048

function validateDnsConfig(spec: PodSpec, errors: FieldError[]): void {
  const config: PodDNSConfig | undefined = spec.dnsConfig
  const { nameservers = [], searches = [], options = [] } = config ?? {}
  if (spec.dnsPolicy === 'None') {
    if (!config) {
      errors.push(required('spec.dnsConfig', 'must provide `dnsConfig` when `dnsPolicy` is None'))
      return
    }
    if (!nameservers.length) {
      const said = 'must provide at least one DNS nameserver when `dnsPolicy` is None'
      errors.push(required('spec.dnsConfig.nameservers', said))
      return
    }
  }
  if (nameservers.length > MAX_NAMESERVERS) {
    const said = `must not have more than ${MAX_NAMESERVERS} nameservers`
    errors.push(invalidValue('spec.dnsConfig.nameservers', nameservers, said))
  }
  nameservers.forEach((address, index) => validateAddress(address, `spec.dnsConfig.nameservers[${index}]`, errors))
  if (searches.length > MAX_SEARCHES) {
    const said = `must not have more than ${MAX_SEARCHES} search paths`
    errors.push(invalidValue('spec.dnsConfig.searches', searches, said))
  }
  if (searches.join(' ').length > MAX_SEARCH_BYTES) {
    const said = `must not have more than ${MAX_SEARCH_BYTES} characters (including spaces) in the search list`
    errors.push(invalidValue('spec.dnsConfig.searches', searches, said))
  }
  searches.forEach((search, index) => {
    if (search === '.') return
    const name = search.replace(/\.$/, '')
    for (const said of dns1123SubdomainWithUnderscore(name)) {
      errors.push(invalidValue(`spec.dnsConfig.searches[${index}]`, name, said))
    }
  })
  options.forEach(({ name }, index) => {
    if (!name) errors.push(required(`spec.dnsConfig.options[${index}]`, 'must not be empty'))
  })
}

function validateAddress(address: string, path: string, errors: FieldError[]): void {
  if (ipFamily(address ?? '') !== undefined) return
  errors.push(invalidValue(path, address, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'))
}

function validateGates(spec: PodSpec, errors: FieldError[]): void {
  spec.readinessGates?.forEach(({ conditionType }, index) => {
    for (const said of qualifiedName(conditionType)) {
      errors.push(invalidValue(`spec.readinessGates[${index}].conditionType`, conditionType, said))
    }
  })
  const seen = new Set<string>()
  spec.schedulingGates?.forEach(({ name }, index) => {
    const at = `spec.schedulingGates[${index}]`
    for (const said of qualifiedName(name)) errors.push(invalidValue(at, name, said))
    if (seen.has(name)) errors.push(duplicate(at, name))
    seen.add(name)
  })
}

function validateSpreadConstraints(spec: PodSpec, errors: FieldError[]): void {
  const constraints = spec.topologySpreadConstraints ?? []
  const last = new Map(
    constraints.map(
      ({ topologyKey, whenUnsatisfiable }, index) => [`${topologyKey}/${whenUnsatisfiable}`, index] as const,
    ),
  )
  constraints.forEach((constraint, index) => {
    const at = `spec.topologySpreadConstraints[${index}]`
    const { maxSkew, topologyKey, whenUnsatisfiable, minDomains } = constraint
    if (maxSkew <= 0) errors.push(invalidValue(`${at}.maxSkew`, maxSkew, 'must be greater than zero'))
    if (!topologyKey) errors.push(required(`${at}.topologyKey`, 'can not be empty'))
    if (whenUnsatisfiable !== 'DoNotSchedule' && whenUnsatisfiable !== 'ScheduleAnyway') {
      errors.push(notSupported(`${at}.whenUnsatisfiable`, whenUnsatisfiable, ['DoNotSchedule', 'ScheduleAnyway']))
    }
    const again = last.get(`${topologyKey}/${whenUnsatisfiable}`) !== index
    if (again) {
      errors.push(duplicate(`${at}.{topologyKey, whenUnsatisfiable}`, `{${topologyKey}, ${whenUnsatisfiable}}`))
    }
    if (minDomains !== undefined) {
      if (minDomains <= 0) errors.push(invalidValue(`${at}.minDomains`, minDomains, 'must be greater than zero'))
      if (whenUnsatisfiable !== 'DoNotSchedule') {
        const said = `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${whenUnsatisfiable}`
        errors.push(invalidValue(`${at}.minDomains`, minDomains, said))
      }
    }
    for (const field of ['nodeAffinityPolicy', 'nodeTaintsPolicy'] as const) {
      const policy = constraint[field]
      if (policy !== undefined && policy !== 'Honor' && policy !== 'Ignore') {
        errors.push(notSupported(`${at}.${field}`, policy, ['Honor', 'Ignore']))
      }
    }
    const keys = constraint.matchLabelKeys ?? []
    if (keys.length && !constraint.labelSelector) {
      errors.push(forbidden(`${at}.matchLabelKeys`, 'must not be specified when labelSelector is not set'))
    } else keys.forEach((key, position) => validateLabelName(key, `${at}.matchLabelKeys[${position}]`, errors))
    validateLabelSelector(constraint.labelSelector as LabelSelector | undefined, `${at}.labelSelector`, errors)
  })
}

function validateHostUsers(spec: PodSpec, errors: FieldError[]): void {
  if (spec.hostUsers !== false) return
  if (spec.hostNetwork) errors.push(forbidden('spec.hostNetwork', 'when `hostUsers` is false'))
  // Kubernetes writes these two in capitals.
  if (spec.hostPID) errors.push(forbidden('spec.HostPID', 'when `hostUsers` is false'))
  if (spec.hostIPC) errors.push(forbidden('spec.HostIPC', 'when `hostUsers` is false'))
  spec.containers?.forEach((container, index) => {
    if (!container.volumeDevices?.length) return
    errors.push(forbidden(`spec.containers[${index}].volumeDevices`, 'when `hostUsers` is false'))
  })
}

function validateNamesAndNumbers(spec: PodSpec, errors: FieldError[]): void {
  function check(field: keyof PodSpec, rule: (value: string) => NameErrors): void {
    const value = spec[field] as string | undefined
    if (!value) return
    for (const said of rule(value)) errors.push(invalidValue(`spec.${field}`, value, said))
  }
  check('serviceAccountName', dns1123Subdomain)
  check('nodeName', dns1123Subdomain)
  const deadline = spec.activeDeadlineSeconds
  if (deadline !== undefined) {
    for (const said of inRange(deadline, 1, MAX_SECONDS)) {
      errors.push(invalidValue('spec.activeDeadlineSeconds', deadline, said))
    }
  }
  check('hostname', dns1123Label)
  check('subdomain', dns1123Label)
  if (spec.tolerations) validateTolerations(spec.tolerations as Toleration[], 'spec.tolerations', errors)
  spec.hostAliases?.forEach((alias, index) => {
    validateAddress(alias.ip ?? '', `spec.hostAliases[${index}].ip`, errors)
    alias.hostnames?.forEach((name, position) => {
      for (const said of dns1123Subdomain(name)) {
        errors.push(invalidValue(`spec.hostAliases[${index}].hostnames[${position}]`, name, said))
      }
    })
  })
  check('priorityClassName', dns1123Subdomain)
  if (spec.runtimeClassName !== undefined) {
    for (const said of dns1123Subdomain(spec.runtimeClassName)) {
      errors.push(invalidValue('spec.runtimeClassName', spec.runtimeClassName, said))
    }
  }
  if (spec.preemptionPolicy !== undefined) {
    validatePreemptionPolicy(spec.preemptionPolicy, 'spec.preemptionPolicy', errors)
  }
  if (spec.overhead) {
    validateResourceRequirements({ limits: spec.overhead as Record<string, string> }, 'spec.overhead', errors)
  }
  validateOs(spec, errors)
}

function validateTokensNeedAccount(spec: PodSpec, errors: FieldError[]): void {
  if (spec.serviceAccountName) return
  spec.volumes?.forEach((volume, index) => {
    volume.projected?.sources?.forEach((source, position) => {
      if (!source.serviceAccountToken) return
      const at = `spec.volumes[${index}].projected.sources[${position}].serviceAccountToken`
      errors.push(forbidden(at, 'must not be specified when serviceAccountName is not set'))
    })
  })
}
