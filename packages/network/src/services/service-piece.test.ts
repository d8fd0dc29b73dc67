import { expect, test } from 'vitest'
import { type ServiceObject, type SliceObject, servicePorts } from './service-model.ts'
import { servicePiece } from './service-piece.ts'

const service = (spec: ServiceObject['spec'] = {}): ServiceObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'default', uid: 'u' },
  spec: { clusterIP: '10.96.0.7', ports: [{ name: 'http', port: 80, protocol: 'TCP', nodePort: 30_080 }], ...spec },
})
const slice = (...endpoints: SliceObject['endpoints']): SliceObject => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'web-1', namespace: 'default' },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  endpoints,
})
const ready = (address: string): SliceObject['endpoints'][number] => ({
  addresses: [address],
  conditions: { ready: true },
})
const ending = (address: string): SliceObject['endpoints'][number] => ({
  addresses: [address],
  conditions: { ready: false, serving: true, terminating: true },
})
const pieceOf = (one: ServiceObject, ...slices: SliceObject[]) => servicePiece(servicePorts(one, slices))

test('each port has a chain that picks one of the ready endpoints', () => {
  expect(pieceOf(service(), slice(ready('10.0.0.3'), ending('10.0.0.9')), slice(ready('10.0.0.2')))).toEqual({
    sets: [],
    chains: [
      {
        name: 'seb56e899ab73fc27',
        rules: ['meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.0.0.2 . 8080, 1 : 10.0.0.3 . 8080 }'],
      },
    ],
    elements: [{ set: 'services', key: '10.96.0.7 . tcp . 80', value: 'goto seb56e899ab73fc27' }],
  })
})

test('where none is ready, those that end go on serving', () => {
  expect(pieceOf(service(), slice(ending('10.0.0.9'))).chains?.[0]?.rules).toEqual([
    'meta l4proto tcp dnat ip to 10.0.0.9:8080',
  ])
})

test.each<[string, ServiceObject, SliceObject]>([
  ['without endpoints', service(), slice()],
  ['whose endpoints are not ready', service(), slice({ addresses: ['10.0.0.2'], conditions: { ready: false } })],
  ['whose endpoints have other ports', service({ ports: [{ name: 'x', port: 80 }] }), slice(ready('10.0.0.2'))],
  ['without an address', service({ clusterIP: 'None' }), slice(ready('10.0.0.2'))],
  ['that is only a name', service({ type: 'ExternalName' }), slice(ready('10.0.0.2'))],
  ['whose endpoints are ranges', service(), slice(ready('10.0.0.0/8'), ready('0.0.0.0/0'))],
  ...[70_000, 65_536, 0, -1].map((port): [string, ServiceObject, SliceObject] => [
    `whose endpoints have port ${port}, which is none`,
    service(),
    { ...slice(ready('10.0.0.2')), ports: [{ name: 'http', port, protocol: 'TCP' }] },
  ]),
  ['whose endpoints are of IPv6', service(), { ...slice(ready('fd00::2')), addressType: 'IPv6' }],
])('a Service %s has no rules', (_what, one, endpoints) => {
  expect(pieceOf(one, endpoints)).toEqual({ sets: [], chains: [], elements: [] })
})

test('with affinity each endpoint remembers its clients', () => {
  const affine = service({ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } })
  const { sets = [], chains = [] } = pieceOf(affine, slice(ready('10.0.0.2'), ready('10.0.0.3')))
  const [one = '', two = ''] = sets.map(({ name }) => name.slice(1))
  expect(sets.map(({ declaration }) => declaration)).toEqual(
    [1, 2].map(() => 'type ipv4_addr; size 65535; flags dynamic,timeout; timeout 60s'),
  )
  expect(chains.map(({ rules }) => rules)).toEqual([
    [`update @a${one} { ip saddr }`, 'meta l4proto tcp dnat ip to 10.0.0.2:8080'],
    [`update @a${two} { ip saddr }`, 'meta l4proto tcp dnat ip to 10.0.0.3:8080'],
    [
      `ip saddr @a${one} goto e${one}`,
      `ip saddr @a${two} goto e${two}`,
      `numgen random mod 2 vmap { 0 : goto e${one}, 1 : goto e${two} }`,
    ],
  ])
})
