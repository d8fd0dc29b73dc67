import { expect, test } from 'vitest'
import { createLoopbackPorts } from './loopback-ports.ts'
import type { ServiceObject, SliceObject } from './service-model.ts'
import { createServiceRules } from './service-rules.ts'

const service = (ports: number, sessionAffinity: string): ServiceObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'default', uid: 'u' },
  spec: {
    clusterIP: '10.96.0.7',
    sessionAffinity,
    ports: Array.from({ length: ports }, (_, index) => ({ name: `p${index}`, port: index + 1, protocol: 'TCP' })),
  },
})
const slice = (ports: number, endpoints: number): SliceObject => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'web-1', namespace: 'default' },
  addressType: 'IPv4',
  ports: Array.from({ length: ports }, (_, index) => ({ name: `p${index}`, port: index + 1, protocol: 'TCP' })),
  endpoints: Array.from({ length: endpoints }, (_, index) => ({ addresses: [`10.0.0.${index + 1}`] })),
})

test('a Service that is larger than any may be leads nowhere until it is smaller, which is told once', async () => {
  const onError = (error: unknown): never => {
    throw error
  }
  await using loopback = createLoopbackPorts(onError)
  const told: string[] = []
  const rules = createServiceRules({
    loopback,
    isPod: () => true,
    onLeftOut: ({ metadata }, why) => told.push(`${metadata.name}: ${why}`),
    onError,
  })
  const set = (ports: number, endpoints: number, affinity = 'None'): boolean | undefined => {
    rules.set('default/web', service(ports, affinity), [slice(ports, endpoints)])
    const change = rules.take()
    return change.has('service default/web') ? change.get('service default/web') !== undefined : undefined
  }
  expect([
    set(100, 10),
    set(100, 11),
    set(100, 11),
    set(100, 9),
    set(101, 1),
    set(3_000, 2),
    set(1, 1),
    set(10, 10, 'ClientIP'),
    set(10, 11, 'ClientIP'),
  ]).toEqual([true, false, undefined, true, false, undefined, true, true, false])
  expect(told).toEqual([
    'web: it has 1100 pairs of a port and an endpoint, and may have 1000',
    'web: it has 101 ports, and may have 100',
    'web: it has 3000 ports, and may have 100',
    'web: it has 110 pairs of a port and an endpoint, and may have 100',
  ])
})
