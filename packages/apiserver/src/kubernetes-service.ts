/**
 * Service `default/kubernetes`, by which Pods reach this server, and ServiceCIDR `kubernetes`, from which its address is:
 * made at start, and mended when somebody changes them or the server listens on another port.
 *
 * It is written past admission and validation, as kube-apiserver writes it: Endpoints of other Services may not be on
 * loopback, where alone this server listens. Whoever routes ClusterIPs has to carry the connections there.
 */
import { randomUUID } from 'node:crypto'
import type { KubeObject } from '@caisson/api'
import { createPersist } from './persist.ts'
import { KUBERNETES_SERVICE_ADDRESS, SERVICE_CIDR } from './registry/builtin/service-allocation.ts'
import { deepEqual } from './storage/freeze.ts'
import type { ResourceKey, Store, Transaction } from './storage/store.ts'
import { timestamp } from './verbs/metadata.ts'

const NAME = 'kubernetes'
const NAMESPACE = 'default'
const READY = { type: 'Ready', status: 'True', reason: '', message: 'Kubernetes default Service CIDR is ready' }

export interface KubernetesServiceOptions {
  /** Where the server listens. */
  host: string
  port: number
  /** ms since the epoch. */
  now(): number
  report(error: unknown): void
}

interface Wanted {
  resource: ResourceKey
  namespace?: string
  kind: string
  apiVersion: string
  labels: Readonly<Record<string, string>>
  /** Everything but metadata. */
  content: Readonly<Record<string, unknown>>
}

/** Resolves when the Service, its Endpoints and its EndpointSlice are right; keeps them so until it is disposed of. */
export async function keepKubernetesService(store: Store, options: KubernetesServiceOptions): Promise<Disposable> {
  const wanted = wantedObjects(options)
  const ensure = (): Promise<void> =>
    store.write((transaction) => {
      if (addressTaken(transaction))
        throw new Error(
          `another Service has ${KUBERNETES_SERVICE_ADDRESS}, the address of Service ${NAMESPACE}/${NAME}: delete it, so that Pods reach the API server`,
        )
      for (const each of wanted) put(transaction, each, options.now())
    })
  const persist = createPersist({ store, report: options.report })
  const first = Promise.withResolvers<void>()
  persist.do(NAME, () => ensure().finally(first.resolve))
  await first.promise
  const subscriptions = wanted.map(({ resource }) =>
    store.subscribe(resource, store.revision, ({ object, type }) => {
      const { name, namespace } = object.metadata
      const each = wanted.find((other) => other.resource === resource)
      if (namespace !== each?.namespace || name !== NAME) return
      if (type !== 'DELETED' && each && isRight(object, each)) return
      persist.do(NAME, ensure)
    }),
  )
  return {
    [Symbol.dispose]() {
      persist[Symbol.dispose]()
      for (const each of subscriptions) each?.[Symbol.dispose]()
    },
  }
}

function wantedObjects({ host, port }: KubernetesServiceOptions): Wanted[] {
  const address = host === 'localhost' ? '127.0.0.1' : host
  const family = address.includes(':') ? 'IPv6' : 'IPv4'
  const ports = [{ name: 'https', port, protocol: 'TCP' }]
  return [
    {
      resource: 'services',
      namespace: NAMESPACE,
      kind: 'Service',
      apiVersion: 'v1',
      labels: { component: 'apiserver', provider: NAME },
      content: {
        spec: {
          ports: [{ name: 'https', protocol: 'TCP', port: 443, targetPort: port }],
          clusterIP: KUBERNETES_SERVICE_ADDRESS,
          clusterIPs: [KUBERNETES_SERVICE_ADDRESS],
          type: 'ClusterIP',
          sessionAffinity: 'None',
          ipFamilies: ['IPv4'],
          ipFamilyPolicy: 'SingleStack',
          internalTrafficPolicy: 'Cluster',
        },
        status: { loadBalancer: {} },
      },
    },
    {
      resource: 'endpoints',
      namespace: NAMESPACE,
      kind: 'Endpoints',
      apiVersion: 'v1',
      labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' },
      content: { subsets: [{ addresses: [{ ip: address }], ports }] },
    },
    {
      resource: 'endpointslices.discovery.k8s.io',
      namespace: NAMESPACE,
      kind: 'EndpointSlice',
      apiVersion: 'discovery.k8s.io/v1',
      labels: { 'kubernetes.io/service-name': NAME },
      content: { addressType: family, endpoints: [{ addresses: [address], conditions: { ready: true } }], ports },
    },
    {
      resource: 'servicecidrs.networking.k8s.io',
      kind: 'ServiceCIDR',
      apiVersion: 'networking.k8s.io/v1',
      labels: {},
      content: { spec: { cidrs: [SERVICE_CIDR] }, status: { conditions: [READY] } },
    },
  ]
}

function put(transaction: Transaction, wanted: Wanted, now: number): void {
  const { resource, namespace, kind, apiVersion, labels, content } = wanted
  const current = transaction.get(resource, namespace, NAME)
  if (current && isRight(current, wanted)) return
  const metadata: KubeObject['metadata'] = current
    ? { ...current.metadata, labels: { ...current.metadata.labels, ...labels } }
    : {
        name: NAME,
        ...(namespace !== undefined && { namespace }),
        uid: randomUUID(),
        creationTimestamp: timestamp(now),
        ...(Object.keys(labels).length > 0 && { labels: { ...labels } }),
      }
  delete metadata.deletionTimestamp
  delete metadata.deletionGracePeriodSeconds
  transaction.put(resource, { kind, apiVersion, metadata, ...withMoment(content, timestamp(now)) } as KubeObject)
}

/** With the moment in its condition, where it has one. */
function withMoment(content: Wanted['content'], lastTransitionTime: string): Wanted['content'] {
  const { conditions } = (content['status'] ?? {}) as { conditions?: object[] }
  if (!conditions) return content
  return { ...content, status: { conditions: conditions.map((condition) => ({ ...condition, lastTransitionTime })) } }
}

function isRight({ metadata, ...content }: KubeObject, wanted: Wanted): boolean {
  if (metadata.deletionTimestamp !== undefined) return false
  if (!Object.entries(wanted.labels).every(([key, value]) => metadata.labels?.[key] === value)) return false
  const [condition] =
    (content.status as { conditions?: Array<{ lastTransitionTime?: string }> } | undefined)?.conditions ?? []
  const right = withMoment(wanted.content, condition?.lastTransitionTime ?? '')
  return deepEqual(content, { kind: wanted.kind, apiVersion: wanted.apiVersion, ...right })
}

function addressTaken(transaction: Transaction): boolean {
  for (const { metadata, ...rest } of transaction.list('services')) {
    if (metadata.name === NAME && metadata.namespace === NAMESPACE) continue
    if ((rest['spec'] as { clusterIP?: string } | undefined)?.clusterIP === KUBERNETES_SERVICE_ADDRESS) return true
  }
  return false
}
