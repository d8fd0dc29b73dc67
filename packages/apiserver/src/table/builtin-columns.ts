/** The columns of the built-in kinds, each as kube-apiserver's printers have them. */
import type { KubeObject } from '@caisson/api'
import type { LabelSelector } from '../registry/object-meta.ts'
import type { Column } from '../registry/resource.ts'
import { age } from './duration.ts'
import { endpointsCell, sliceEndpointsCell, slicePortsCell } from './endpoint-cells.ts'
import { podSummary } from './pod-status.ts'

type Cell = Column['cell']
/** Any path into an object: columns read what may not be there. */
interface Loose {
  [field: string]: Loose | undefined
}

export function loose(object: unknown): Loose {
  return object as Loose
}

export function text(value: unknown, otherwise = ''): string {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' && value !== '' ? value : otherwise
}

export function list(value: unknown): Loose[] {
  return Array.isArray(value) ? (value as Loose[]) : []
}

export function column(name: string, cell: Cell, more: Partial<Column> = {}): Column {
  return { name, type: 'string', cell, ...more }
}

export function wide(name: string, cell: Cell, more: Partial<Column> = {}): Column {
  return column(name, cell, { priority: 1, ...more })
}

export const NAME = column('Name', ({ metadata }) => metadata.name ?? '', { format: 'name' })
export const AGE = column('Age', ({ metadata }, now) => age(metadata.creationTimestamp, now))
const CREATED_AT = column('Created At', ({ metadata }) => metadata.creationTimestamp ?? null, { type: 'date' })

/** Kinds whose printer knows nothing but when they were made. */
export const createdAtColumns: readonly Column[] = [NAME, CREATED_AT]

export const podColumns: readonly Column[] = [
  NAME,
  column('Ready', (pod) => `${podSummary(pod).ready}/${podSummary(pod).total}`),
  column('Status', (pod) => podSummary(pod).status),
  column('Restarts', (pod, now) => {
    const { restarts, lastRestart } = podSummary(pod)
    return restarts && lastRestart ? `${restarts} (${age(lastRestart, now)} ago)` : String(restarts)
  }),
  AGE,
  wide('IP', (pod) => text(list(loose(pod)['status']?.['podIPs'])[0]?.['ip'], '<none>')),
  wide('Node', (pod) => text(loose(pod)['spec']?.['nodeName'], '<none>')),
  wide('Nominated Node', (pod) => text(loose(pod)['status']?.['nominatedNodeName'], '<none>')),
  wide('Readiness Gates', (pod) => {
    const gates = list(loose(pod)['spec']?.['readinessGates'])
    if (!gates.length) return '<none>'
    const conditions = list(loose(pod)['status']?.['conditions'])
    const passed = gates.filter((gate) => {
      const condition = conditions.find(({ type }) => text(type) === text(gate['conditionType']))
      return text(condition?.['status']) === 'True'
    })
    return `${passed.length}/${gates.length}`
  }),
]

export const webhookColumns: readonly Column[] = [
  NAME,
  { ...column('Webhooks', (configuration) => list(loose(configuration)['webhooks']).length), type: 'integer' },
  AGE,
]

export const policyColumns: readonly Column[] = [
  NAME,
  { ...column('Validations', (policy) => list(loose(policy)['spec']?.['validations']).length), type: 'integer' },
  column('ParamKind', (policy) => {
    const kind = loose(policy)['spec']?.['paramKind']
    return kind ? `${text(kind['apiVersion'])}/${text(kind['kind'])}` : '<unset>'
  }),
  AGE,
]

export const policyBindingColumns: readonly Column[] = [
  NAME,
  column('PolicyName', (binding) => text(loose(binding)['spec']?.['policyName'])),
  column('ParamRef', (binding) => {
    const reference = loose(binding)['spec']?.['paramRef']
    if (!text(reference?.['name'])) return '<unset>'
    return `${text(reference?.['namespace'], '*')}/${text(reference?.['name'])}`
  }),
  AGE,
]

export const resourceQuotaColumns: readonly Column[] = [
  NAME,
  column('Request', (quota) => quotaCell(quota, false)),
  column('Limit', (quota) => quotaCell(quota, true)),
  AGE,
]

function quotaCell(quota: KubeObject, limits: boolean): string {
  const { hard, used } = loose(quota)['status'] ?? {}
  const names = Object.keys((hard ?? {}) as object).sort()
  return names
    .filter((name) => name.startsWith('limits.') === limits)
    .map((name) => `${name}: ${text((used as Loose | undefined)?.[name], '0')}/${text((hard as Loose)[name])}`)
    .join(', ')
}

export const serviceColumns: readonly Column[] = [
  NAME,
  column('Type', (service) => text(loose(service)['spec']?.['type'])),
  column('Cluster-IP', (service) => text(list(loose(service)['spec']?.['clusterIPs'])[0], '<none>')),
  column('External-IP', externalIp),
  column('Port(s)', (service) => {
    const ports = list(loose(service)['spec']?.['ports']).map((port) => {
      const nodePort = port['nodePort'] ? `:${text(port['nodePort'])}` : ''
      return `${text(port['port'])}${nodePort}/${text(port['protocol'])}`
    })
    return ports.join(',') || '<none>'
  }),
  AGE,
  wide('Selector', (service) => labels(loose(service)['spec']?.['selector'])),
]

function externalIp(service: KubeObject): string {
  const spec = loose(service)['spec'] ?? {}
  const external = list(spec['externalIPs']).map((address) => text(address))
  switch (text(spec['type'])) {
    case 'LoadBalancer': {
      const ingress = list(loose(service)['status']?.['loadBalancer']?.['ingress'])
      const addresses = [...new Set(ingress.map(({ ip, hostname }) => text(ip) || text(hostname)))]
        .filter(Boolean)
        .sort()
      return [...addresses, ...external].join(',') || '<pending>'
    }
    case 'ExternalName':
      return text(spec['externalName'])
    default:
      return external.join(',') || '<none>'
  }
}

export function labels(value: unknown): string {
  const entries = Object.entries((value ?? {}) as Record<string, string>)
  return (
    entries
      .map(([key, label]) => `${key}=${label}`)
      .sort()
      .join(',') || '<none>'
  )
}

export const nodeColumns: readonly Column[] = [
  NAME,
  column('Status', (node) => {
    const ready = list(loose(node)['status']?.['conditions']).find(({ type }) => text(type) === 'Ready')
    const status = !ready ? 'Unknown' : text(ready['status']) === 'True' ? 'Ready' : 'NotReady'
    return loose(node)['spec']?.['unschedulable'] ? `${status},SchedulingDisabled` : status
  }),
  column('Roles', ({ metadata }) => nodeRoles(metadata.labels ?? {})),
  AGE,
  column('Version', (node) => text(loose(node)['status']?.['nodeInfo']?.['kubeletVersion'])),
  wide('Internal-IP', (node) => nodeAddress(node, 'InternalIP')),
  wide('External-IP', (node) => nodeAddress(node, 'ExternalIP')),
  wide('OS-Image', (node) => text(loose(node)['status']?.['nodeInfo']?.['osImage'], '<unknown>')),
  wide('Kernel-Version', (node) => text(loose(node)['status']?.['nodeInfo']?.['kernelVersion'], '<unknown>')),
  wide('Container-Runtime', (node) => {
    return text(loose(node)['status']?.['nodeInfo']?.['containerRuntimeVersion'], '<unknown>')
  }),
]

const ROLE_LABEL = 'node-role.kubernetes.io/'

function nodeRoles(given: Readonly<Record<string, string>>): string {
  const roles = new Set<string>()
  for (const [key, value] of Object.entries(given)) {
    if (key.startsWith(ROLE_LABEL) && key !== ROLE_LABEL) roles.add(key.slice(ROLE_LABEL.length))
    else if (key === 'kubernetes.io/role' && value) roles.add(value)
  }
  return [...roles].sort().join(',') || '<none>'
}

function nodeAddress(node: KubeObject, type: string): string {
  const addresses = list(loose(node)['status']?.['addresses'])
  return text(addresses.find((address) => text(address['type']) === type)?.['address'], '<none>')
}

export const eventColumns: readonly Column[] = [
  column('Last Seen', (event, now) => {
    const { series, lastTimestamp } = loose(event)
    if (series) return age(text(series['lastObservedTime']), now)
    return lastTimestamp ? age(text(lastTimestamp), now) : firstSeen(event, now)
  }),
  column('Type', (event) => text(event['type'])),
  column('Reason', (event) => text(event['reason'])),
  column('Object', (event) => {
    const involved = loose(event)['involvedObject'] ?? {}
    const kind = text(involved['kind']).toLowerCase()
    return involved['name'] ? `${kind}/${text(involved['name'])}` : kind
  }),
  wide('Subobject', (event) => text(loose(event)['involvedObject']?.['fieldPath'])),
  wide('Source', (event) => {
    const { source, reportingComponent, reportingInstance } = loose(event)
    const component = text(source?.['component']) || text(reportingComponent)
    const host = text(source?.['host']) || text(reportingInstance)
    return host ? `${component}, ${host}` : component
  }),
  column('Message', (event) => text(event['message']).trim()),
  wide('First Seen', firstSeen),
  wide('Count', (event) => {
    const { series, count } = loose(event)
    return Number(series ? (series['count'] ?? 0) : count || 1)
  }),
  wide('Name', ({ metadata }) => metadata.name ?? '', { format: 'name' }),
]

function firstSeen(event: KubeObject, now: number): string {
  return age(text(event['firstTimestamp']) || text(event['eventTime']), now)
}

export const namespaceColumns: readonly Column[] = [
  NAME,
  column('Status', (namespace) => text(loose(namespace)['status']?.['phase'])),
  AGE,
]

export const secretColumns: readonly Column[] = [
  NAME,
  column('Type', (secret) => text(secret['type'])),
  column('Data', (secret) => Object.keys((secret['data'] ?? {}) as object).length),
  AGE,
]

export const configMapColumns: readonly Column[] = [
  NAME,
  column('Data', ({ data, binaryData }) => {
    return Object.keys((data ?? {}) as object).length + Object.keys((binaryData ?? {}) as object).length
  }),
  AGE,
]

export const serviceAccountColumns: readonly Column[] = [
  NAME,
  column('Secrets', (account) => list(account['secrets']).length),
  AGE,
]

const MODES: ReadonlyArray<[mode: string, shown: string]> = [
  ['ReadWriteOnce', 'RWO'],
  ['ReadOnlyMany', 'ROX'],
  ['ReadWriteMany', 'RWX'],
  ['ReadWriteOncePod', 'RWOP'],
]

function accessModes(modes: unknown): string {
  const given = new Set(list(modes).map((mode) => text(mode)))
  return MODES.flatMap(([mode, shown]) => (given.has(mode) ? [shown] : [])).join(',')
}

/** The annotation is what class names were before they became a field. */
function storageClass(object: KubeObject): string {
  const annotation = object.metadata.annotations?.['volume.beta.kubernetes.io/storage-class']
  return annotation ?? text(loose(object)['spec']?.['storageClassName'])
}

export const persistentVolumeColumns: readonly Column[] = [
  NAME,
  column('Capacity', (volume) => text(loose(volume)['spec']?.['capacity']?.['storage'], '0')),
  column('Access Modes', (volume) => accessModes(loose(volume)['spec']?.['accessModes'])),
  column('Reclaim Policy', (volume) => text(loose(volume)['spec']?.['persistentVolumeReclaimPolicy'])),
  column('Status', phaseOrTerminating),
  column('Claim', (volume) => {
    const claim = loose(volume)['spec']?.['claimRef']
    return claim ? `${text(claim['namespace'])}/${text(claim['name'])}` : ''
  }),
  column('StorageClass', storageClass),
  column('VolumeAttributesClass', (volume) => text(loose(volume)['spec']?.['volumeAttributesClassName'], '<unset>')),
  column('Reason', (volume) => text(loose(volume)['status']?.['reason'])),
  AGE,
  wide('VolumeMode', (volume) => text(loose(volume)['spec']?.['volumeMode'], '<unset>')),
]

export const persistentVolumeClaimColumns: readonly Column[] = [
  NAME,
  column('Status', phaseOrTerminating),
  column('Volume', (claim) => text(loose(claim)['spec']?.['volumeName'])),
  column('Capacity', (claim) => {
    if (!loose(claim)['spec']?.['volumeName']) return ''
    return text(loose(claim)['status']?.['capacity']?.['storage'], '0')
  }),
  column('Access Modes', (claim) => {
    return loose(claim)['spec']?.['volumeName'] ? accessModes(loose(claim)['status']?.['accessModes']) : ''
  }),
  column('StorageClass', storageClass),
  column('VolumeAttributesClass', (claim) => text(loose(claim)['spec']?.['volumeAttributesClassName'], '<unset>')),
  AGE,
  wide('VolumeMode', (claim) => text(loose(claim)['spec']?.['volumeMode'], '<unset>')),
]

function phaseOrTerminating(object: KubeObject): string {
  return object.metadata.deletionTimestamp ? 'Terminating' : text(loose(object)['status']?.['phase'])
}

export const endpointsColumns: readonly Column[] = [NAME, column('Endpoints', endpointsCell), AGE]

export const endpointSliceColumns: readonly Column[] = [
  NAME,
  column('AddressType', (slice) => text(slice['addressType'])),
  column('Ports', slicePortsCell),
  column('Endpoints', sliceEndpointsCell),
  AGE,
]

export const leaseColumns: readonly Column[] = [
  NAME,
  column('Holder', (lease) => text(loose(lease)['spec']?.['holderIdentity'])),
  AGE,
]

export const runtimeClassColumns: readonly Column[] = [NAME, column('Handler', (kind) => text(kind['handler'])), AGE]

export const storageClassColumns: readonly Column[] = [
  column(
    'Name',
    ({ metadata }) => {
      const annotation = metadata.annotations?.['storageclass.kubernetes.io/is-default-class']
      return `${metadata.name}${annotation === 'true' ? ' (default)' : ''}`
    },
    { format: 'name' },
  ),
  column('Provisioner', (kind) => text(kind['provisioner'])),
  column('ReclaimPolicy', (kind) => text(kind['reclaimPolicy'], 'Delete')),
  column('VolumeBindingMode', (kind) => text(kind['volumeBindingMode'], 'Immediate')),
  column('AllowVolumeExpansion', (kind) => kind['allowVolumeExpansion'] === true),
  AGE,
]

export const priorityClassColumns: readonly Column[] = [
  NAME,
  column('Value', (kind) => Number(kind['value'] ?? 0), { type: 'integer' }),
  column('Global-Default', (kind) => kind['globalDefault'] === true, { type: 'boolean' }),
  AGE,
  column('PreemptionPolicy', (kind) => text(kind['preemptionPolicy'])),
]

export const networkPolicyColumns: readonly Column[] = [
  NAME,
  column('Pod-Selector', (policy) => {
    const selector = loose(policy)['spec']?.['podSelector'] as unknown as LabelSelector | undefined
    return formatSelector(selector ?? {})
  }),
  AGE,
]

export function formatSelector({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const requirements = [
    ...Object.entries(matchLabels).map(([key, value]) => [key, `${key}=${value}`] as const),
    ...matchExpressions.map(({ key, operator, values = [] }) => {
      const set = `(${[...values].sort().join(',')})`
      if (operator === 'Exists') return [key, key] as const
      if (operator === 'DoesNotExist') return [key, `!${key}`] as const
      return [key, `${key} ${operator === 'In' ? 'in' : 'notin'} ${set}`] as const
    }),
  ]
  requirements.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return requirements.map(([, requirement]) => requirement).join(',') || '<none>'
}

export const bindingColumns: readonly Column[] = [
  NAME,
  column('Role', (binding) => {
    const role = loose(binding)['roleRef'] ?? {}
    return `${text(role['kind'])}/${text(role['name'])}`
  }),
  AGE,
  wide('Users', (binding) => subjects(binding, 'User')),
  wide('Groups', (binding) => subjects(binding, 'Group')),
  wide('ServiceAccounts', (binding) => subjects(binding, 'ServiceAccount')),
]

function subjects(binding: KubeObject, kind: string): string {
  return list(binding['subjects'])
    .filter((subject) => text(subject['kind']) === kind)
    .map((subject) => {
      return kind === 'ServiceAccount'
        ? `${text(subject['namespace'])}/${text(subject['name'])}`
        : text(subject['name'])
    })
    .join(', ')
}
