import { describe, expect, test } from 'vitest'
import type { EndpointsObject } from './plan-endpoints.ts'
import { planMirror } from './plan-mirror.ts'
import type { ServiceObject, SliceObject } from './plan-slices.ts'

const service = (changes: { metadata?: object; spec?: object } = {}): ServiceObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'db', namespace: 'default', uid: 'service-1', ...changes.metadata },
  spec: { ports: [{ port: 5432 }], ...changes.spec },
})

const endpoints = (subsets: EndpointsObject['subsets'], metadata: object = {}): EndpointsObject => ({
  apiVersion: 'v1',
  kind: 'Endpoints',
  metadata: { name: 'db', namespace: 'default', uid: 'endpoints-1', ...metadata },
  subsets: subsets ?? [],
})

const ports = [{ port: 5432 }]
const ONE = endpoints([{ addresses: [{ ip: '10.1.2.3' }], ports }])

/** As the server keeps it: with a name, fields in another order. */
function stored(name: string, draft: object): SliceObject {
  const { metadata, ...rest } = draft as SliceObject
  const { generateName: _, ...kept } = metadata
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, resourceVersion: '7', ...kept },
    ...Object.fromEntries(Object.entries(rest).reverse()),
  } as unknown as SliceObject
}

const [DRAFT] = planMirror({ service: service(), endpoints: ONE, slices: [] }).create
const SLICE = stored('db-1', DRAFT as object)
const NOTHING = { create: [], update: [], remove: [] }

test('Endpoints of a Service without a selector have slices of their own', () => {
  const given = endpoints(
    [
      {
        addresses: [{ ip: '10.1.2.3', hostname: 'a', nodeName: 'n', targetRef: { kind: 'Pod', name: 'a' } }],
        notReadyAddresses: [{ ip: '10.1.2.4' }],
        ports: [{ name: 'sql', port: 5432, protocol: 'TCP', appProtocol: 'postgres' }],
      },
      { addresses: [{ ip: 'fd00::1' }] },
    ],
    {
      labels: { tier: 'back' },
      annotations: { note: 'x', 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
    },
  )
  const metadata = {
    generateName: 'db-',
    namespace: 'default',
    labels: {
      tier: 'back',
      'kubernetes.io/service-name': 'db',
      'endpointslice.kubernetes.io/managed-by': 'endpointslicemirroring-controller.k8s.io',
    },
    annotations: { note: 'x' },
    ownerReferences: [
      {
        apiVersion: 'v1',
        kind: 'Endpoints',
        name: 'db',
        uid: 'endpoints-1',
        controller: true,
        blockOwnerDeletion: true,
      },
    ],
  }
  expect(planMirror({ service: service(), endpoints: given, slices: [] })).toEqual({
    create: [
      {
        metadata,
        addressType: 'IPv4',
        ports: [{ name: 'sql', port: 5432, protocol: 'TCP', appProtocol: 'postgres' }],
        endpoints: [
          { addresses: ['10.1.2.4'], conditions: { ready: false } },
          {
            addresses: ['10.1.2.3'],
            conditions: { ready: true },
            hostname: 'a',
            nodeName: 'n',
            targetRef: { kind: 'Pod', name: 'a' },
          },
        ],
      },
      {
        metadata,
        addressType: 'IPv6',
        ports: [],
        endpoints: [{ addresses: ['fd00::1'], conditions: { ready: true } }],
      },
    ],
    update: [],
    remove: [],
  })
})

test('what is as it should be is left alone; what changed is changed where it is', () => {
  expect(planMirror({ service: service(), endpoints: ONE, slices: [SLICE] })).toEqual(NOTHING)
  const moved = endpoints([{ addresses: [{ ip: '10.2.3.4' }], ports }])
  const endpointsThen = [{ addresses: ['10.2.3.4'], conditions: { ready: true } }]
  expect(planMirror({ service: service(), endpoints: moved, slices: [SLICE] })).toEqual({
    ...NOTHING,
    update: [{ ...SLICE, endpoints: endpointsThen }],
  })
})

test('other ports are another slice', () => {
  const other = endpoints([{ addresses: [{ ip: '10.1.2.3' }], ports: [{ port: 1 }] }])
  const plan = planMirror({ service: service(), endpoints: other, slices: [SLICE] })
  expect([plan.create.map((slice) => slice.ports), plan.update, plan.remove]).toEqual([
    [[{ name: '', port: 1, protocol: 'TCP' }]],
    [],
    [SLICE],
  ])
})

test('an address that is ready and not ready is not ready; subsets with the same ports are one', () => {
  const twice = endpoints([
    { addresses: [{ ip: '10.0.0.1' }], notReadyAddresses: [{ ip: '10.0.0.1' }], ports },
    { addresses: [{ ip: '10.0.0.2' }], ports },
  ])
  expect(planMirror({ service: service(), endpoints: twice, slices: [] }).create.map((each) => each.endpoints)).toEqual(
    [
      [
        { addresses: ['10.0.0.1'], conditions: { ready: false } },
        { addresses: ['10.0.0.2'], conditions: { ready: true } },
      ],
    ],
  )
})

test('a thousand addresses are as many as a slice has', () => {
  const addresses = Array.from({ length: 1001 }, (_, index) => ({ ip: `10.0.${index >> 8}.${index & 255}` }))
  const { create } = planMirror({ service: service(), endpoints: endpoints([{ addresses }]), slices: [] })
  expect(create.map((slice) => slice.endpoints.length)).toEqual([1000])
})

describe('nothing is mirrored, and what was goes', () => {
  const others = stored('db-2', {
    ...SLICE,
    metadata: { ...SLICE.metadata, labels: { 'kubernetes.io/service-name': 'db' } },
  })
  test.each<[string, ServiceObject | undefined, EndpointsObject | undefined]>([
    ['without the Endpoints', service(), undefined],
    ['without the Service', undefined, ONE],
    ['of a Service with a selector', service({ spec: { selector: { app: 'db' } } }), ONE],
    ['of a Service that is being deleted', service({ metadata: { deletionTimestamp: 'now' } }), ONE],
    ['of Endpoints that are being deleted', service(), endpoints(ONE.subsets, { deletionTimestamp: 'now' })],
    [
      'of Endpoints that ask not to be',
      service(),
      endpoints(ONE.subsets, { labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } }),
    ],
    [
      'of locks',
      service(),
      endpoints(ONE.subsets, { annotations: { 'control-plane.alpha.kubernetes.io/leader': '{}' } }),
    ],
  ])('%s', (_name, ofService, given) => {
    expect(planMirror({ service: ofService, endpoints: given, slices: [SLICE, others] })).toEqual({
      ...NOTHING,
      remove: [SLICE],
    })
  })
})

test('ports are looked at once for all the addresses that have them, and for all slices', () => {
  const count = 300
  let reads = 0
  const many = Array.from({ length: count }, (_, index) => ({
    name: `p${index}`,
    get port() {
      reads++
      return index + 1
    },
  }))
  const addresses = Array.from({ length: count }, (_, index) => ({ ip: `10.1.${index >> 8}.${index & 255}` }))
  const given = endpoints([{ addresses, ports: many }])
  const drafts = planMirror({ service: service(), endpoints: given, slices: [] }).create
  expect(drafts.map((draft) => [draft.endpoints.length, draft.ports?.length])).toEqual([[count, count]])
  const slices = drafts.map((draft) => stored('db-1', draft))
  expect(planMirror({ service: service(), endpoints: given, slices })).toEqual(NOTHING)
  expect(reads).toBeLessThan(10 * count)
})
