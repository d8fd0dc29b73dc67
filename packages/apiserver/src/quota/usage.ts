/** What one object counts for in a quota. By the rules of Kubernetes' quota evaluators. */
import type { KubeObject } from '@caisson/api'
import { allContainers, list, type PodSpec, specOf } from '../admission/pod-shape.ts'
import type { ResourceQuota, ScopeRequirement } from '../registry/builtin/resource-quota.ts'
import type { ResourceList } from '../registry/builtin/resource-requirements.ts'
import { isExtended } from '../registry/builtin/resource-requirements.ts'
import type { Quantity } from '../registry/quantity.ts'
import type { ResourceKey } from '../storage/store.ts'
import { podAmounts, resourcesOf } from './pod-resources.ts'
import { type Amounts, addAmounts, amountsOf, count } from './resource-amounts.ts'

const ONE = count(1)
const STORAGE_CLASS = '.storageclass.storage.k8s.io/'
/** Kinds that are counted under a name from before `count/…` too. */
const ALIASES: ReadonlySet<ResourceKey> = new Set(['configmaps', 'resourcequotas', 'replicationcontrollers', 'secrets'])
const IGNORED: ReadonlySet<ResourceKey> = new Set(['events', 'events.events.k8s.io'])
const POD_RESOURCES: ReadonlySet<string> = new Set([
  'count/pods',
  'cpu',
  'memory',
  'ephemeral-storage',
  'requests.cpu',
  'requests.memory',
  'requests.ephemeral-storage',
  'limits.cpu',
  'limits.memory',
  'limits.ephemeral-storage',
  'pods',
])
const SERVICE_RESOURCES: ReadonlySet<string> = new Set([
  'count/services',
  'services',
  'services.nodeports',
  'services.loadbalancers',
])
const CLAIM_RESOURCES = ['persistentvolumeclaims', 'requests.storage'] as const

export function isCounted(key: ResourceKey): boolean {
  return !IGNORED.has(key)
}

/** Which of the names in a quota objects of the kind count for. Of most kinds they are not looked for among all that it names. */
export function namesOf(key: ResourceKey, names: ReadonlySet<string>): string[] {
  switch (key) {
    case 'pods':
      return [...names].filter(isOfPods)
    case 'services':
      return [...SERVICE_RESOURCES].filter((name) => names.has(name))
    case 'persistentvolumeclaims':
      return [...names].filter(isOfClaims)
    default:
      return [`count/${key}`, ...(ALIASES.has(key) ? [key] : [])].filter((name) => names.has(name))
  }
}

function isOfPods(name: string): boolean {
  return (
    POD_RESOURCES.has(name) ||
    name.startsWith('hugepages-') ||
    name.startsWith('requests.hugepages-') ||
    (name.startsWith('requests.') && isExtended(name.slice('requests.'.length)))
  )
}

function isOfClaims(name: string): boolean {
  return (
    name === 'count/persistentvolumeclaims' ||
    CLAIM_RESOURCES.some((resource) => name === resource || name.endsWith(STORAGE_CLASS + resource))
  )
}

/** @param now ms since the epoch */
export function usageOf(key: ResourceKey, object: KubeObject, now: number): Amounts {
  switch (key) {
    case 'pods':
      return podUsage(object, now)
    case 'services':
      return serviceUsage(object)
    case 'persistentvolumeclaims':
      return claimUsage(object)
    default: {
      const usage = new Map([[`count/${key}`, ONE]])
      if (ALIASES.has(key)) usage.set(key, ONE)
      return usage
    }
  }
}

function podUsage(pod: KubeObject, now: number): Amounts {
  const usage = new Map([['count/pods', ONE]])
  if (!isCharged(pod, now)) return usage
  const spec = specOf(pod)
  addAmounts(usage, computeUsage(podAmounts(spec, 'requests', true), podAmounts(spec, 'limits', true)))
  return usage
}

/** Pods that have ended take nothing any more, nor do those whose node does not end them in time. */
function isCharged({ metadata, ...pod }: KubeObject, now: number): boolean {
  const { phase } = (pod['status'] as { phase?: string } | undefined) ?? {}
  if (phase === 'Failed' || phase === 'Succeeded') return false
  const { deletionTimestamp, deletionGracePeriodSeconds: grace } = metadata
  return !deletionTimestamp || grace === undefined || now <= Date.parse(deletionTimestamp) + grace * 1000
}

const COMPUTE = ['cpu', 'memory', 'ephemeral-storage'] as const

function computeUsage(requests: Amounts, limits: Amounts): Map<string, Quantity> {
  const usage = new Map([['pods', ONE]])
  for (const name of COMPUTE) {
    const [request, limit] = [requests.get(name), limits.get(name)]
    if (request) usage.set(name, request).set(`requests.${name}`, request)
    if (limit) usage.set(`limits.${name}`, limit)
  }
  for (const [name, request] of requests) {
    if (name.startsWith('hugepages-')) usage.set(name, request)
    if (name.startsWith('hugepages-') || isExtended(name)) usage.set(`requests.${name}`, request)
  }
  return usage
}

interface ServiceSpec {
  type?: string
  ports?: ReadonlyArray<{ nodePort?: number }> | null
  allocateLoadBalancerNodePorts?: boolean
}

function serviceUsage(service: KubeObject): Amounts {
  const { type, ports, allocateLoadBalancerNodePorts } = (service.spec ?? {}) as ServiceSpec
  const balanced = type === 'LoadBalancer'
  const all = list(ports)
  const counted =
    balanced && allocateLoadBalancerNodePorts === false
      ? all.filter(({ nodePort }) => nodePort).length
      : balanced || type === 'NodePort'
        ? all.length
        : 0
  return new Map([
    ['count/services', ONE],
    ['services', ONE],
    ['services.loadbalancers', count(balanced ? 1 : 0)],
    ['services.nodeports', count(counted)],
  ])
}

interface ClaimSpec {
  storageClassName?: string
  resources?: { requests?: ResourceList }
}

function claimUsage(claim: KubeObject): Amounts {
  const spec = (claim.spec ?? {}) as ClaimSpec
  const status = (claim.status ?? {}) as { allocatedResources?: ResourceList }
  const usage = new Map([
    ['count/persistentvolumeclaims', ONE],
    ['persistentvolumeclaims', ONE],
  ])
  const className = claim.metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ?? spec.storageClassName
  const asked = amountsOf(spec.resources?.requests).get('storage')
  const allocated = amountsOf(status.allocatedResources).get('storage')
  const storage = asked && allocated && allocated.nano > asked.nano ? allocated : asked
  if (storage) usage.set('requests.storage', storage)
  if (!className) return usage
  usage.set(`${className}${STORAGE_CLASS}persistentvolumeclaims`, ONE)
  if (storage) usage.set(`${className}${STORAGE_CLASS}requests.storage`, storage)
  return usage
}

/** Quotas of cpu and memory want each container to say what it takes: a mistake of old that is part of the API. */
const REQUIRED = new Set(['cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory'])

/** What of `names` the containers of a Pod have to state and do not; undefined where nothing is missing. */
export function missingResources(spec: PodSpec, names: readonly string[]): string | undefined {
  const wanted = names.filter((name) => REQUIRED.has(name))
  const missing = new Map<string, Set<string>>()
  for (const container of [...list(spec.containers), ...list(spec.initContainers)]) {
    const has = computeUsage(amountsOf(resourcesOf(container, 'requests')), amountsOf(resourcesOf(container, 'limits')))
    for (const name of wanted) {
      if (has.has(name)) continue
      missing.set(name, (missing.get(name) ?? new Set()).add(container.name ?? ''))
    }
  }
  if (missing.size === 0) return undefined
  const parts = [...missing.keys()]
    .sort()
    .map((name) => `${name} for: ${[...(missing.get(name) ?? [])].sort().join(',')}`)
  return `must specify ${parts.join('; ')}`
}

/** Whether the object is one of those that the quota's scopes choose. */
export function inScope(key: ResourceKey, object: KubeObject, { spec }: ResourceQuota): boolean {
  const requirements: ScopeRequirement[] = [
    ...(spec?.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists' })),
    ...(spec?.scopeSelector?.matchExpressions ?? []),
  ]
  return requirements.every((requirement) => {
    if (key === 'pods') return podInScope(specOf(object), requirement)
    if (key !== 'persistentvolumeclaims' || requirement.scopeName !== 'VolumeAttributesClass') return false
    const { volumeAttributesClassName } = (object.spec ?? {}) as { volumeAttributesClassName?: string }
    return selects(requirement, volumeAttributesClassName)
  })
}

function podInScope(spec: PodSpec, requirement: ScopeRequirement): boolean {
  const terminating = typeof spec.activeDeadlineSeconds === 'number' && spec.activeDeadlineSeconds >= 0
  switch (requirement.scopeName) {
    case 'Terminating':
      return terminating
    case 'NotTerminating':
      return !terminating
    case 'BestEffort':
      return isBestEffort(spec)
    case 'NotBestEffort':
      return !isBestEffort(spec)
    case 'PriorityClass':
      return selects(requirement, spec.priorityClassName ?? undefined)
    case 'CrossNamespacePodAffinity':
      return hasCrossNamespaceAffinity(spec)
    default:
      return false
  }
}

/** As a label selector of one requirement does over the one label that is there or not. */
function selects({ operator, values }: ScopeRequirement, value: string | undefined): boolean {
  const named = value !== undefined && value !== ''
  switch (operator) {
    case 'Exists':
      return named
    case 'DoesNotExist':
      return !named
    case 'In':
      return named && (values ?? []).includes(value)
    case 'NotIn':
      return !named || !(values ?? []).includes(value)
    default:
      return false
  }
}

function isBestEffort(spec: PodSpec): boolean {
  const sides = ['requests', 'limits'] as const
  const measured = (amounts: Amounts): boolean => ['cpu', 'memory'].some((name) => (amounts.get(name)?.nano ?? 0n) > 0n)
  if (sides.some((side) => measured(podAmounts({ ...spec, containers: [], initContainers: [] }, side, false))))
    return false
  return !allContainers({ ...spec, ephemeralContainers: [] }).some((container) =>
    sides.some((side) => measured(amountsOf(resourcesOf(container, side)))),
  )
}

interface AffinityTerm {
  namespaces?: readonly string[] | null
  namespaceSelector?: object | null
}

interface Affinity {
  requiredDuringSchedulingIgnoredDuringExecution?: readonly AffinityTerm[] | null
  preferredDuringSchedulingIgnoredDuringExecution?: ReadonlyArray<{ podAffinityTerm?: AffinityTerm }> | null
}

function hasCrossNamespaceAffinity({ affinity }: PodSpec): boolean {
  const { podAffinity, podAntiAffinity } = (affinity ?? {}) as { podAffinity?: Affinity; podAntiAffinity?: Affinity }
  return [podAffinity, podAntiAffinity].some((one) => {
    const preferred = list(one?.preferredDuringSchedulingIgnoredDuringExecution)
    const terms = [
      ...list(one?.requiredDuringSchedulingIgnoredDuringExecution),
      ...preferred.map(({ podAffinityTerm }) => podAffinityTerm ?? {}),
    ]
    return terms.some(({ namespaces, namespaceSelector }) => list(namespaces).length > 0 || Boolean(namespaceSelector))
  })
}
