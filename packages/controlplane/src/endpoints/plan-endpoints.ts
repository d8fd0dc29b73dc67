/** The Endpoints of a Service: what its EndpointSlices say, in the form that Kubernetes had before them. */
import { controllerReference } from '@caisson/api'
import type { PodObject, Typed } from '@caisson/client'
import type { EndpointAddress, EndpointPort, EndpointSubset, Endpoints } from 'kubernetes-types/core/v1.d.ts'
import {
  addressIn,
  createPortsOf,
  endpointOf,
  portsKey,
  type ServiceObject,
  selectsPods,
  textOf,
} from './plan-slices.ts'

export type EndpointsObject = Typed<Endpoints>
export type EndpointsDraft = Pick<EndpointsObject, 'metadata' | 'subsets'>

/** Kubernetes' own bound; there are slices for more. */
const MOST_ADDRESSES = 1000
/** Of all subsets together: more make an object that is larger than any may be. */
const MOST_PORTS = 20_000
const OVER_CAPACITY = 'endpoints.kubernetes.io/over-capacity'

/** All that is to be written; undefined where it is as it should be, or they are not ours to keep. */
export function planEndpoints(
  service: ServiceObject,
  pods: readonly PodObject[],
  current: EndpointsObject | undefined,
): EndpointsDraft | undefined {
  if (service.metadata.deletionTimestamp || !selectsPods(service)) return undefined
  const { subsets, isCut } = subsetsOf(service, pods)
  const { name = '', namespace = '', labels = {} } = service.metadata
  const { [OVER_CAPACITY]: _, ...annotations } = current?.metadata.annotations ?? {}
  const draft: EndpointsDraft = {
    metadata: {
      ...current?.metadata,
      name,
      namespace,
      labels: {
        ...labels,
        'endpoints.kubernetes.io/managed-by': 'endpoint-controller',
        ...(service.spec?.clusterIP === 'None' && { 'service.kubernetes.io/headless': '' }),
      },
      annotations: { ...annotations, ...(isCut && { [OVER_CAPACITY]: 'truncated' }) },
      ownerReferences: [controllerReference(service as Parameters<typeof controllerReference>[0])],
    },
    subsets,
  }
  return current && textOf(shown(current)) === textOf(shown(draft)) ? undefined : draft
}

function shown({ metadata, subsets }: EndpointsDraft): object {
  const { labels, annotations, ownerReferences } = metadata
  return { labels, annotations: annotations ?? {}, ownerReferences, subsets: subsets ?? [] }
}

/** One for all Pods whose ports have the same numbers. Those that are ready count first where there are too many. */
function subsetsOf(service: ServiceObject, pods: readonly PodObject[]): { subsets: EndpointSubset[]; isCut: boolean } {
  const portsOf = createPortsOf(service)
  const all = pods
    .flatMap((pod) => {
      const address = addressIn(service, pod)
      if (address === undefined) return []
      const { conditions, hostname, nodeName, targetRef } = endpointOf(service, pod, address)
      const isReady = conditions?.ready === true
      if (pod.metadata.deletionTimestamp && !isReady) return []
      const ports = portsOf(pod)
      // None of the Service's ports is one of this Pod's.
      if (ports.length === 0 && service.spec?.ports?.length) return []
      const place = {
        ip: address,
        ...(hostname && { hostname }),
        ...(nodeName && { nodeName }),
        ...(targetRef && { targetRef }),
      }
      return [{ isReady, place, ports }]
    })
    .sort((a, b) => Number(b.isReady) - Number(a.isReady) || compare(a.place.ip, b.place.ip))
  const groups = new Map<Ports, { ready: EndpointAddress[]; waiting: EndpointAddress[] }>()
  let room = MOST_PORTS
  let isCut = all.length > MOST_ADDRESSES
  for (const { isReady, place, ports } of all.slice(0, MOST_ADDRESSES)) {
    const group = groups.get(ports) ?? { ready: [], waiting: [] }
    if (!groups.has(ports)) room -= ports.length
    if (room < 0) {
      isCut = true
      break
    }
    groups.set(ports, group)
    ;(isReady ? group.ready : group.waiting).push(place)
  }
  const subsets = Array.from(groups, ([ports, group]) => ({ key: portsKey(ports), ports, ...group }))
    .sort((a, b) => compare(a.key, b.key))
    .map(({ ports, ready, waiting }) => ({
      ...(ready.length > 0 && { addresses: ready }),
      ...(waiting.length > 0 && { notReadyAddresses: waiting }),
      ...(ports.length > 0 && { ports: ports.map(namedPort) }),
    }))
  return { subsets, isCut }
}

type Ports = ReturnType<ReturnType<typeof createPortsOf>>

function namedPort({ name, port, protocol, appProtocol }: Ports[number]): EndpointPort {
  return { ...(name && { name }), port: port ?? 0, ...(protocol && { protocol }), ...(appProtocol && { appProtocol }) }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
