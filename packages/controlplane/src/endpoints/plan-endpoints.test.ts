import type { PodObject } from '@caisson/client'
import { expect, test } from 'vitest'
import { type EndpointsObject, planEndpoints } from './plan-endpoints.ts'
import type { ServiceObject } from './plan-slices.ts'

const service = (spec: ServiceObject['spec'] = {}): ServiceObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'default', uid: 'service-1', labels: { tier: 'front' } },
  spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 'http', protocol: 'TCP' }], ...spec },
})

const pod = (
  ip: string,
  { port = 8080, ready = true, ...metadata }: { port?: number; ready?: boolean; deletionTimestamp?: string } = {},
): PodObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: ip, namespace: 'default', uid: `uid-${ip}`, labels: { app: 'web' }, ...metadata },
  spec: { nodeName: 'node', containers: [{ name: 'main', ports: [{ name: 'http', containerPort: port }] }] },
  status: { phase: 'Running', podIP: ip, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
})

const address = (ip: string): object => ({
  ip,
  nodeName: 'node',
  targetRef: { kind: 'Pod', namespace: 'default', name: ip, uid: `uid-${ip}` },
})

const http = (port: number): object => ({ name: 'http', port, protocol: 'TCP' })

test('Pods are together where their ports have the same numbers, apart where they are not ready', () => {
  const pods = [
    pod('10.0.0.2'),
    pod('10.0.0.1'),
    pod('10.0.0.3', { ready: false }),
    pod('10.0.0.4', { port: 9090 }),
    pod('10.0.0.5', { deletionTimestamp: '2026-01-01T00:00:00Z' }),
  ]
  expect(planEndpoints(service(), pods, undefined)).toEqual({
    metadata: {
      name: 'web',
      namespace: 'default',
      labels: { tier: 'front', 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' },
      annotations: {},
      ownerReferences: [
        {
          apiVersion: 'v1',
          kind: 'Service',
          name: 'web',
          uid: 'service-1',
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    subsets: [
      {
        addresses: [address('10.0.0.1'), address('10.0.0.2')],
        notReadyAddresses: [address('10.0.0.3')],
        ports: [http(8080)],
      },
      { addresses: [address('10.0.0.4')], ports: [http(9090)] },
    ],
  })
})

test('a headless Service without ports has addresses alone, and those that are not ready where it publishes them', () => {
  const headless = service({ clusterIP: 'None', ports: [], publishNotReadyAddresses: true })
  const draft = planEndpoints(headless, [pod('10.0.0.1', { ready: false })], undefined)
  expect(draft?.metadata.labels).toHaveProperty(['service.kubernetes.io/headless'], '')
  expect(draft?.subsets).toEqual([{ addresses: [address('10.0.0.1')] }])
})

test('a Pod without a port of the name is not there', () => {
  const other = service({ ports: [{ name: 'admin', port: 1, targetPort: 'admin' }] })
  expect(planEndpoints(other, [pod('10.0.0.1')], undefined)?.subsets).toEqual([])
})

test('what is as it should be is not written again, whatever order its fields come in', () => {
  const draft = planEndpoints(service(), [pod('10.0.0.1')], undefined)
  const { metadata, subsets } = draft as EndpointsObject
  const reversed = Object.fromEntries(Object.entries(subsets?.[0] ?? {}).reverse())
  const stored: EndpointsObject = {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { ...metadata, resourceVersion: '1', annotations: { note: 'kept' } },
    subsets: [reversed],
  }
  expect(planEndpoints(service(), [pod('10.0.0.1')], stored)).toBeUndefined()
  expect(planEndpoints(service(), [], stored)?.subsets).toEqual([])
  // A label that the Service no longer has goes, what others have noted stays.
  const unlabelled = { ...service(), metadata: { ...service().metadata, labels: {} } }
  expect(planEndpoints(unlabelled, [pod('10.0.0.1')], stored)?.metadata).toEqual({
    ...stored.metadata,
    labels: { 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' },
  })
})

test.each<[string, ServiceObject]>([
  ['without a selector', service({ selector: {} })],
  ['that is a name of elsewhere', service({ type: 'ExternalName', externalName: 'example.com' })],
  ['that is being deleted', { ...service(), metadata: { ...service().metadata, deletionTimestamp: 'now' } }],
])('those of a Service %s are left alone', (_name, given) => {
  expect(planEndpoints(given, [pod('10.0.0.1')], undefined)).toBeUndefined()
})

test('beyond a thousand addresses they are cut, those that are not ready first, and say so', () => {
  const pods = Array.from({ length: 1002 }, (_, index) =>
    pod(`10.0.${index >> 8}.${index & 255}`, { ready: index > 2 }),
  )
  const draft = planEndpoints(service(), pods, undefined)
  expect(draft?.metadata.annotations).toEqual({ 'endpoints.kubernetes.io/over-capacity': 'truncated' })
  expect(draft?.subsets?.map((each) => [each.addresses?.length, each.notReadyAddresses?.length])).toEqual([[999, 1]])
})

test('of Pods that all have other numbers there are so many as an object may hold, and it says so', () => {
  const count = 6000
  const ports = Array.from({ length: count }, (_, index) => ({
    name: `p${index}`,
    port: index + 1,
    targetPort: 'http',
  }))
  const pods = [1, 2, 3, 4].map((index) => pod(`10.0.0.${index}`, { port: 9000 + index }))
  const { subsets, metadata } = planEndpoints(service({ ports }), pods, undefined) ?? {}
  expect(subsets?.map(({ addresses }) => addresses?.map(({ ip }) => ip))).toEqual([
    ['10.0.0.1'],
    ['10.0.0.2'],
    ['10.0.0.3'],
  ])
  expect(metadata?.annotations).toEqual({ 'endpoints.kubernetes.io/over-capacity': 'truncated' })
})
