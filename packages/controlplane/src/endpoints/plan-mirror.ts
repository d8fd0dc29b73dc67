/**
 * The EndpointSlices of Endpoints that somebody writes for a Service without a selector: those who read slices alone, this
 * cluster's own network among them, would else not know of them.
 */
import { isIP } from 'node:net'
import { controllerReference } from '@caisson/api'
import type { EndpointAddress, EndpointPort as OldPort } from 'kubernetes-types/core/v1.d.ts'
import type { Endpoint, EndpointPort } from 'kubernetes-types/discovery/v1.d.ts'
import type { EndpointsObject } from './plan-endpoints.ts'
import {
  MANAGER_LABEL,
  portsKey,
  SERVICE_LABEL,
  type ServiceObject,
  type SliceObject,
  type SlicePlan,
  textOf,
} from './plan-slices.ts'

const MIRROR = 'endpointslicemirroring-controller.k8s.io'
const SKIP_LABEL = 'endpointslice.kubernetes.io/skip-mirror'
/** Locks that old clients keep in Endpoints. */
const LEADER_ANNOTATION = 'control-plane.alpha.kubernetes.io/leader'
const NOT_MIRRORED: ReadonlySet<string> = new Set([
  'endpoints.kubernetes.io/last-change-trigger-time',
  'kubectl.kubernetes.io/last-applied-configuration',
])
/** Kubernetes' own bound, which is a slice's too: what is beyond it is left out. */
const MOST_ADDRESSES = 1000

export interface Mirrored {
  service: ServiceObject | undefined
  endpoints: EndpointsObject | undefined
  /** All that are labelled with the Service. */
  slices: readonly SliceObject[]
}

interface Group {
  addressType: 'IPv4' | 'IPv6'
  ports: EndpointPort[]
  endpoints: Map<string, Endpoint>
}

/** One slice for all addresses of one family that have the same ports. */
export function planMirror({ service, endpoints, slices }: Mirrored): SlicePlan {
  const own = slices.filter(({ metadata }) => metadata.labels?.[MANAGER_LABEL] === MIRROR)
  if (!endpoints || !isMirrored(service, endpoints)) return { create: [], update: [], remove: own }
  const left = new Set(own)
  const create: SlicePlan['create'][number][] = []
  const update: SliceObject[] = []
  const ofKind = Map.groupBy(own, ({ addressType, ports }) => kindOf(addressType, portsKey(ports ?? [])))
  for (const [kind, group] of groupsOf(endpoints)) {
    const draft = { ...template(endpoints), ...group, endpoints: [...group.endpoints.values()] }
    const [kept] = ofKind.get(kind) ?? []
    if (!kept) create.push(draft)
    else {
      left.delete(kept)
      const { generateName: _, ...metadata } = draft.metadata
      const next: SliceObject = { ...kept, ...draft, metadata: { ...kept.metadata, ...metadata } }
      if (textOf(shown(kept)) !== textOf(shown(next))) update.push(next)
    }
  }
  return { create, update, remove: [...left] }
}

function isMirrored(service: ServiceObject | undefined, { metadata }: EndpointsObject): boolean {
  if (!service || service.metadata.deletionTimestamp || metadata.deletionTimestamp) return false
  if (Object.keys(service.spec?.selector ?? {}).length > 0) return false
  return metadata.labels?.[SKIP_LABEL] !== 'true' && metadata.annotations?.[LEADER_ANNOTATION] === undefined
}

/** By their kind. */
function groupsOf({ subsets = [] }: EndpointsObject): Map<string, Group> {
  const groups = new Map<string, Group>()
  for (const { addresses = [], notReadyAddresses = [], ports: given = [] } of subsets) {
    const ports = given.map(portOf)
    const key = portsKey(ports)
    // An address that is in both is not ready.
    const all = [
      ...notReadyAddresses.map((each) => endpointOf(each, false)),
      ...addresses.map((each) => endpointOf(each, true)),
    ]
    for (const endpoint of all) {
      const addressType = isIP(endpoint.addresses[0] ?? '') === 6 ? 'IPv6' : 'IPv4'
      const kind = kindOf(addressType, key)
      const group = groups.get(kind) ?? { addressType, ports, endpoints: new Map<string, Endpoint>() }
      groups.set(kind, group)
      const identity = textOf([endpoint.addresses, endpoint.targetRef ?? null])
      if (!group.endpoints.has(identity) && group.endpoints.size < MOST_ADDRESSES)
        group.endpoints.set(identity, endpoint)
    }
  }
  return groups
}

/** @param ports their key */
function kindOf(addressType: string, ports: string): string {
  return `${addressType} ${ports}`
}

function endpointOf({ ip, hostname, nodeName, targetRef }: EndpointAddress, ready: boolean): Endpoint {
  return {
    addresses: [ip],
    conditions: { ready },
    ...(hostname && { hostname }),
    ...(nodeName && { nodeName }),
    ...(targetRef && { targetRef }),
  }
}

function portOf({ name = '', port, protocol = 'TCP', appProtocol }: OldPort): EndpointPort {
  return { name, port, protocol: protocol as 'TCP', ...(appProtocol && { appProtocol }) }
}

function template(endpoints: EndpointsObject): Pick<SliceObject, 'metadata'> {
  const { name = '', namespace = '', labels = {}, annotations = {} } = endpoints.metadata
  return {
    metadata: {
      generateName: `${name}-`,
      namespace,
      labels: { ...labels, [SERVICE_LABEL]: name, [MANAGER_LABEL]: MIRROR },
      annotations: Object.fromEntries(Object.entries(annotations).filter(([key]) => !NOT_MIRRORED.has(key))),
      ownerReferences: [controllerReference(endpoints as Parameters<typeof controllerReference>[0])],
    },
  }
}

function shown({ endpoints, metadata }: Pick<SliceObject, 'metadata' | 'endpoints'>): object {
  const { labels, annotations = {}, ownerReferences } = metadata
  const byAddress = (endpoints ?? []).map((each) => [textOf(each), each] as const).sort(([a], [b]) => (a < b ? -1 : 1))
  return { labels, annotations, ownerReferences, endpoints: byAddress.map(([, each]) => each) }
}
