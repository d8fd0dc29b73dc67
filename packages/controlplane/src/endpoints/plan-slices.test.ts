import type { PodObject } from '@caisson/client'
import { describe, expect, test } from 'vitest'
import { planSlices, type ServiceObject, type SliceObject } from './plan-slices.ts'

const service = (spec: ServiceObject['spec'] = {}): ServiceObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'default', uid: 'service-1', labels: { tier: 'front' } },
  spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 'http', protocol: 'TCP' }], ...spec },
})

const pod = (name: string, changes: { metadata?: object; spec?: object; status?: object } = {}): PodObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', uid: name, labels: { app: 'web' }, ...changes.metadata },
  spec: {
    nodeName: 'node',
    containers: [{ name: 'main', ports: [{ name: 'http', containerPort: 8080 }] }],
    ...changes.spec,
  },
  status: {
    phase: 'Running',
    podIP: `10.0.0.${name.length}`,
    conditions: [{ type: 'Ready', status: 'True' }],
    ...changes.status,
  },
})

const stored = (name: string, draft: object): SliceObject => {
  const { metadata, ...rest } = draft as SliceObject
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    addressType: rest.addressType,
    ...(rest.ports && { ports: rest.ports }),
    endpoints: rest.endpoints,
    metadata: { ...metadata, name },
  }
}

test('a Service with a Pod has a slice with its address and the number of its port', () => {
  expect(planSlices(service(), [pod('a'), pod('other', { metadata: { labels: {} } })], [])).toEqual({
    create: [
      {
        metadata: {
          generateName: 'web-',
          namespace: 'default',
          labels: {
            tier: 'front',
            'kubernetes.io/service-name': 'web',
            'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
          },
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
        addressType: 'IPv4',
        ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
        endpoints: [
          {
            addresses: ['10.0.0.1'],
            conditions: { ready: true, serving: true, terminating: false },
            nodeName: 'node',
            targetRef: { kind: 'Pod', namespace: 'default', name: 'a', uid: 'a' },
          },
        ],
      },
    ],
    update: [],
    remove: [],
  })
})

describe('an endpoint', () => {
  const endpoint = (one: PodObject, spec: ServiceObject['spec'] = {}): unknown =>
    planSlices(service(spec), [one], []).create[0]?.endpoints?.[0]
  test.each([
    ['of a Pod that is not ready', pod('a', { status: { conditions: [] } }), {}, [false, false, false]],
    [
      'that is published anyway',
      pod('a', { status: { conditions: [] } }),
      { publishNotReadyAddresses: true },
      [true, false, false],
    ],
    ['of a Pod that ends', pod('a', { metadata: { deletionTimestamp: 'now' } }), {}, [false, true, true]],
  ])('%s', (_what, one, spec, [ready, serving, terminating]) => {
    expect(endpoint(one, spec)).toMatchObject({ conditions: { ready, serving, terminating } })
  })
  test.each([
    ['without an address', pod('a', { status: { podIP: undefined } })],
    ['that has ended', pod('a', { status: { phase: 'Succeeded' } })],
  ])('is there for no Pod %s', (_what, one) => expect(endpoint(one)).toBeUndefined())
  test('has the hostname that the Pod asks for within this Service', () => {
    expect(endpoint(pod('a', { spec: { hostname: 'db-0', subdomain: 'web' } }))).toMatchObject({ hostname: 'db-0' })
    expect(endpoint(pod('a', { spec: { hostname: 'db-0', subdomain: 'x' } }))).not.toHaveProperty('hostname')
  })
})

test('Pods that number a named port differently are in slices of their own', () => {
  const other = pod('bb', { spec: { containers: [{ name: 'm', ports: [{ name: 'http', containerPort: 9090 }] }] } })
  const without = pod('ccc', { spec: { containers: [] } })
  expect(
    planSlices(service(), [pod('a'), other, without], []).create.map(({ ports, endpoints }) => [
      ports?.map(({ port }) => port),
      endpoints?.map(({ targetRef }) => targetRef?.name),
    ]),
  ).toEqual([
    [[8080], ['a']],
    [[9090], ['bb']],
    [[], ['ccc']],
  ])
})

test('a Service without Pods has one empty slice', () => {
  const { create } = planSlices(service(), [], [])
  expect(create).toMatchObject([{ ports: [], endpoints: [] }])
  expect(planSlices(service(), [], [stored('web-1', create[0] ?? {})])).toEqual({ create: [], update: [], remove: [] })
})

test('what is there stays as it is, and what changes changes in its place', () => {
  const pods = Array.from({ length: 101 }, (_, index) => pod('x'.repeat(index + 1)))
  const { create } = planSlices(service(), pods, [])
  expect(create.map(({ endpoints }) => endpoints?.length)).toEqual([100, 1])
  const slices = create.map((draft, index) => stored(`web-${index}`, draft))
  expect(planSlices(service(), pods, slices)).toEqual({ create: [], update: [], remove: [] })
  expect(planSlices(service(), pods.slice(0, 100), slices)).toEqual({ create: [], update: [], remove: [slices[1]] })
  const plan = planSlices(service(), [...pods.slice(1), pod('new')], slices)
  expect([plan.create, plan.remove, plan.update.map(({ metadata }) => metadata.name)]).toEqual([[], [], ['web-0']])
  expect(plan.update[0]?.endpoints?.length).toBe(100)
})

test.each([
  ['without a selector', { selector: {} }],
  ['of type ExternalName', { type: 'ExternalName' as const }],
])('a Service %s loses the slices that were made for it, and keeps those of others', (_what, spec) => {
  const [draft] = planSlices(service(), [pod('a')], []).create
  const own = stored('web-1', draft ?? {})
  const foreign = { ...own, metadata: { ...own.metadata, labels: {} } }
  expect(planSlices(service(spec), [pod('a')], [own, foreign])).toEqual({ create: [], update: [], remove: [own] })
})

test('ports that a Service names are looked for once in each Pod, however many there are', () => {
  const count = 300
  let reads = 0
  const names = Array.from({ length: count }, (_, index) => `p${index}`)
  const containerPorts = names.map((name, index) => ({
    get name() {
      reads++
      return name
    },
    containerPort: 8000 + index,
  }))
  const ports = names.map((name, index) => ({ name, port: index + 1, targetPort: name, protocol: 'TCP' }))
  const pods = ['a', 'bb'].map((name) => pod(name, { spec: { containers: [{ name: 'main', ports: containerPorts }] } }))
  const [slice, ...others] = planSlices(service({ ports }), pods, []).create
  expect([slice?.ports?.map(({ port }) => port), slice?.endpoints?.length, others]).toEqual([
    names.map((_, index) => 8000 + index),
    2,
    [],
  ])
  expect(reads).toBeLessThan(3 * count * pods.length)
})
