/**
 * Service `default/kubernetes`, by which Pods reach this server: made at start, and mended when somebody changes it or
 * the server listens on another port.
 *
 * It is written past admission and validation, as kube-apiserver writes it: Endpoints of other Services may not be on
 * loopback, where alone this server listens. Whoever routes ClusterIPs has to carry the connections there.
 */
import { randomUUID } from 'node:crypto'
import type { KubeObject } from '@caisson/api'
import { KUBERNETES_SERVICE_ADDRESS } from './registry/builtin/service-allocation.ts'
import { deepEqual } from './storage/freeze.ts'
import type { ResourceKey, Store, Transaction } from './storage/store.ts'
import { timestamp } from './verbs/metadata.ts'

const NAME = 'kubernetes'
const NAMESPACE = 'default'

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
  await ensure().catch(options.report)
  const subscriptions = wanted.map(({ resource }) =>
    store.subscribe(resource, store.revision, ({ object, type }) => {
      const { name, namespace } = object.metadata
      if (namespace !== NAMESPACE || name !== NAME) return
      const each = wanted.find((other) => other.resource === resource)
      if (type !== 'DELETED' && each && isRight(object, each)) return
      // Refused writes are those of a server that stops.
      ensure().catch((error: unknown) => store.failure === undefined && options.report(error))
    }),
  )
  return {
    [Symbol.dispose]() {
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
      kind: 'Endpoints',
      apiVersion: 'v1',
      labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' },
      content: { subsets: [{ addresses: [{ ip: address }], ports }] },
    },
    {
      resource: 'endpointslices.discovery.k8s.io',
      kind: 'EndpointSlice',
      apiVersion: 'discovery.k8s.io/v1',
      labels: { 'kubernetes.io/service-name': NAME },
      content: { addressType: family, endpoints: [{ addresses: [address], conditions: { ready: true } }], ports },
    },
  ]
}

function put(transaction: Transaction, wanted: Wanted, now: number): void {
  const { resource, kind, apiVersion, labels, content } = wanted
  const current = transaction.get(resource, NAMESPACE, NAME)
  if (current && isRight(current, wanted)) return
  const metadata = current
    ? { ...current.metadata, labels: { ...current.metadata.labels, ...labels } }
    : { name: NAME, namespace: NAMESPACE, uid: randomUUID(), creationTimestamp: timestamp(now), labels: { ...labels } }
  delete metadata.deletionTimestamp
  delete metadata.deletionGracePeriodSeconds
  transaction.put(resource, { kind, apiVersion, metadata, ...content } as KubeObject)
}

function isRight({ metadata, ...content }: KubeObject, wanted: Wanted): boolean {
  if (metadata.deletionTimestamp !== undefined) return false
  if (!Object.entries(wanted.labels).every(([key, value]) => metadata.labels?.[key] === value)) return false
  return deepEqual(content, { kind: wanted.kind, apiVersion: wanted.apiVersion, ...wanted.content })
}

function addressTaken(transaction: Transaction): boolean {
  for (const { metadata, ...rest } of transaction.list('services')) {
    if (metadata.name === NAME && metadata.namespace === NAMESPACE) continue
    if ((rest['spec'] as { clusterIP?: string } | undefined)?.clusterIP === KUBERNETES_SERVICE_ADDRESS) return true
  }
  return false
}
