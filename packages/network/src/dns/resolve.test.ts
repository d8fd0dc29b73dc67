import { decode, encode, type Packet, type RecordType } from 'dns-packet'
import { describe, expect, test } from 'vitest'
import type { ServiceObject, SliceObject } from '../services/service-model.ts'
import type { MayAsk } from './may-ask.ts'
import type { NameView } from './records.ts'
import { resolve } from './resolve.ts'
import type { Upstream } from './upstream.ts'

const service = (name: string, spec: ServiceObject['spec']): ServiceObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'default', uid: name },
  spec: { clusterIP: '10.96.0.7', ports: [{ name: 'http', port: 80, protocol: 'TCP' }], ...spec },
})
const slice = (count: number): SliceObject => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'db-1', namespace: 'default' },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  endpoints: Array.from({ length: count }, (_, index) => ({
    addresses: [`10.0.${Math.floor(index / 200)}.${index % 200}`],
    conditions: { ready: index !== 1 },
    ...(index === 0 && { hostname: 'db-0' }),
  })),
})
const LONG = 'm'.repeat(63)
const SERVICES = new Map([
  [
    'no-port',
    {
      service: service('no-port', { clusterIP: 'None' }),
      slices: [{ ...slice(3), ports: [{ name: 'http', port: 70_000, protocol: 'TCP' }] }],
    },
  ],
  [LONG, { service: service(LONG, { clusterIP: 'None' }), slices: [slice(400)] }],
  ['web', { service: service('web', {}), slices: [] }],
  ['db', { service: service('db', { clusterIP: 'None' }), slices: [slice(3)] }],
  ['many', { service: service('many', { clusterIP: 'None' }), slices: [slice(400)] }],
  [
    'long-out',
    { service: service('long-out', { type: 'ExternalName', externalName: `${'x'.repeat(200)}.com` }), slices: [] },
  ],
  ['out', { service: service('out', { type: 'ExternalName', externalName: 'api.example.com' }), slices: [] }],
])
/** How many endpoints were read of the Service `large`. */
let read = 0
const counted: SliceObject = {
  ...slice(1_000),
  endpoints: new Proxy(slice(1_000).endpoints ?? [], {
    get(target, key, receiver) {
      if (typeof key === 'string' && /^\d+$/.test(key)) read++
      return Reflect.get(target, key, receiver)
    },
  }),
}
SERVICES.set('large', {
  service: service('large', { clusterIP: 'None' }),
  slices: Array.from({ length: 100 }, () => counted),
})
const view: NameView = {
  domain: 'cluster.local',
  hasNamespace: (name) => name === 'default',
  service: (namespace, name) => (namespace === 'default' ? SERVICES.get(name) : undefined),
  serviceAt: (ip) => (ip === '10.96.0.7' ? SERVICES.get('web')?.service : undefined),
  // Its slices name a Pod of another namespace and an address that is no Pod's, too.
  endpointsAt: (namespace, ip) =>
    ['default 10.0.0.0', 'default 10.0.0.1', 'default 192.0.2.9'].includes(`${namespace} ${ip}`)
      ? [{ service: service('db', { clusterIP: 'None' }), hostname: 'db-0' }]
      : [],
  podNamespaceAt: (ip) => ({ '10.0.0.0': 'default', '10.0.0.1': 'other', '10.0.0.9': 'default' })[ip],
  isOwn: (ip) => ip.startsWith('10.'),
}

async function ask(
  name: string,
  type: RecordType = 'A',
  options: { mayAsk?: MayAsk; tcp?: boolean; asked?: string[] } = {},
): Promise<Packet> {
  const upstream: Upstream = {
    ask: async (query) => {
      const packet = decode(query)
      options.asked?.push(packet.questions?.[0]?.name ?? '')
      const answers = packet.questions?.map((each) => ({
        type: 'A' as const,
        name: each.name,
        ttl: 1,
        data: '192.0.2.1',
      }))
      return encode({ ...packet, type: 'response', answers: answers ?? [] })
    },
  }
  const query = encode({ type: 'query', id: 7, flags: 256, questions: [{ type, name }] })
  const { mayAsk = 'cluster', tcp = false } = options
  const { signal } = new AbortController()
  const reply = await resolve(query, { view, upstream, mayAsk, ip: '10.0.0.9', tcp, signal })
  if (!reply) throw new Error('no answer')
  return decode(reply)
}

const shown = (packet: Packet): unknown => [
  (packet as { rcode?: string }).rcode,
  ...(packet.answers ?? []).map(
    (each) => `${each.name} ${each.type} ${JSON.stringify((each as { data: unknown }).data)}`,
  ),
]

test('an address has no name by a slice of a namespace that it is no Pod of', async () => {
  expect(shown(await ask('0.0.0.10.in-addr.arpa', 'PTR'))).toHaveLength(2)
  expect(shown(await ask('1.0.0.10.in-addr.arpa', 'PTR'))).toEqual(['NXDOMAIN'])
  const asked: string[] = []
  await ask('9.2.0.192.in-addr.arpa', 'PTR', { mayAsk: 'everything', asked })
  expect(asked).toEqual(['9.2.0.192.in-addr.arpa'])
})

test.each<[string, RecordType]>([
  ['large', 'A'],
  ['none.large', 'A'],
  ['_http._tcp.large', 'SRV'],
])('%s is asked of the first slices alone, where there are many', async (name, type) => {
  read = 0
  await ask(`${name}.default.svc.cluster.local`, type)
  expect(read).toBe(4_000)
})

describe('a name of the cluster', () => {
  test.each<[string, RecordType, unknown[]]>([
    ['web.default.svc.cluster.local', 'A', ['NOERROR', 'web.default.svc.cluster.local A "10.96.0.7"']],
    ['WEB.Default.SVC.cluster.local', 'A', ['NOERROR', 'WEB.Default.SVC.cluster.local A "10.96.0.7"']],
    ['web.default.svc.cluster.local', 'AAAA', ['NOERROR']],
    ['x.default.svc.cluster.local', 'A', ['NXDOMAIN']],
    ['web.other.svc.cluster.local', 'A', ['NXDOMAIN']],
    ['default.svc.cluster.local', 'A', ['NOERROR']],
    ['secret.web.default.svc.cluster.local', 'A', ['NXDOMAIN']],
    [
      'db.default.svc.cluster.local',
      'A',
      ['NOERROR', 'db.default.svc.cluster.local A "10.0.0.0"', 'db.default.svc.cluster.local A "10.0.0.2"'],
    ],
    ['db-0.db.default.svc.cluster.local', 'A', ['NOERROR', 'db-0.db.default.svc.cluster.local A "10.0.0.0"']],
    ['10-0-0-2.db.default.svc.cluster.local', 'A', ['NOERROR', '10-0-0-2.db.default.svc.cluster.local A "10.0.0.2"']],
    ['10-0-0-9.default.pod.cluster.local', 'A', ['NOERROR', '10-0-0-9.default.pod.cluster.local A "10.0.0.9"']],
    ['10-0-0-8.default.pod.cluster.local', 'A', ['NXDOMAIN']],
    [
      '_http._tcp.web.default.svc.cluster.local',
      'SRV',
      [
        'NOERROR',
        '_http._tcp.web.default.svc.cluster.local SRV {"priority":0,"weight":100,"port":80,"target":"web.default.svc.cluster.local"}',
      ],
    ],
    ['_http._udp.web.default.svc.cluster.local', 'SRV', ['NXDOMAIN']],
    ['long-out.default.svc.cluster.local', 'A', ['NXDOMAIN']],
    ['_http._tcp.no-port.default.svc.cluster.local', 'SRV', ['NXDOMAIN']],
    ['7.0.96.10.in-addr.arpa', 'PTR', ['NOERROR', '7.0.96.10.in-addr.arpa PTR "web.default.svc.cluster.local"']],
    ['0.0.0.10.in-addr.arpa', 'PTR', ['NOERROR', '0.0.0.10.in-addr.arpa PTR "db-0.db.default.svc.cluster.local"']],
    ['5.5.5.10.in-addr.arpa', 'PTR', ['NXDOMAIN']],
    ['dns-version.cluster.local', 'TXT', ['NOERROR', expect.stringContaining('TXT')]],
  ])('%s %s', async (name, type, expected) => {
    expect(shown(await ask(name, type))).toEqual(expected)
  })

  test('has each endpoint of a headless Service with its port', async () => {
    const { answers, additionals } = await ask('_http._tcp.db.default.svc.cluster.local', 'SRV')
    expect(answers?.map((each) => (each as { data: { target: string; port: number } }).data)).toMatchObject([
      { target: 'db-0.db.default.svc.cluster.local', port: 8080 },
      { target: '10-0-0-2.db.default.svc.cluster.local', port: 8080 },
    ])
    expect(additionals).toHaveLength(2)
  })

  test('that does not fit into a packet is asked for again by TCP', async () => {
    expect(await ask('many.default.svc.cluster.local')).toMatchObject({ flag_tc: true, answers: [] })
    expect((await ask('many.default.svc.cluster.local', 'A', { tcp: true })).answers).toHaveLength(399)
    // All 399 with their addresses do not go into the 64 KiB that an answer may have, nor does half of them.
    const ports = await ask(`_http._tcp.${LONG}.default.svc.cluster.local`, 'SRV', { tcp: true })
    expect(ports.answers).toHaveLength(99)
  })
})

describe('a name outside', () => {
  test('is not passed on for whom it is closed, in whatever form it comes', async () => {
    const asked: string[] = []
    for (const [name, type] of [
      ['secret.attacker.example', 'A'],
      ['secret.attacker.example', 'TXT'],
      ['1.2.0.192.in-addr.arpa', 'PTR'],
      ['cluster.local.attacker.example', 'A'],
      ['xcluster.local', 'A'],
    ] as const)
      expect(shown(await ask(name, type, { asked }))).toEqual(['REFUSED'])
    // An alias leads out only for whom names outside are open.
    expect(shown(await ask('out.default.svc.cluster.local', 'A', { asked }))).toEqual([
      'NOERROR',
      'out.default.svc.cluster.local CNAME "api.example.com"',
    ])
    // Nor does a name below the cluster's own that is not there.
    await ask('secret.default.svc.cluster.local', 'A', { mayAsk: 'everything', asked })
    await ask('5.5.5.10.in-addr.arpa', 'PTR', { mayAsk: 'everything', asked })
    expect(asked).toEqual([])
  })

  test('of any kind is not told to whom the name server is closed that it was not given', async () => {
    const asked: string[] = []
    for (const name of ['web.default.svc.cluster.local', 'none.default.svc.cluster.local', 'example.com'])
      expect(shown(await ask(name, 'A', { mayAsk: 'nothing', asked }))).toEqual(['REFUSED'])
    expect(asked).toEqual([])
  })

  test('is passed on for whom it is open', async () => {
    expect(shown(await ask('example.com', 'A', { mayAsk: 'everything' }))).toEqual([
      'NOERROR',
      'example.com A "192.0.2.1"',
    ])
    expect(shown(await ask('example.com', 'AAAA', { mayAsk: 'everything' }))).toEqual(['NOERROR'])
    expect(shown(await ask('out.default.svc.cluster.local', 'A', { mayAsk: 'everything' }))).toEqual([
      'NOERROR',
      'out.default.svc.cluster.local CNAME "api.example.com"',
      'api.example.com A "192.0.2.1"',
    ])
  })
})

test.each<[string, Buffer, string | undefined]>([
  ['too short', Buffer.alloc(11), undefined],
  ['an answer', encode({ type: 'response', id: 1, questions: [] }), undefined],
  ['without a question', encode({ type: 'query', id: 1, questions: [] }), 'FORMERR'],
  [
    'of two questions',
    encode({
      type: 'query',
      id: 1,
      questions: [
        { type: 'A', name: 'a' },
        { type: 'A', name: 'b' },
      ],
    }),
    'FORMERR',
  ],
  [
    'too long',
    Buffer.concat([encode({ type: 'query', id: 1, questions: [{ type: 'A', name: 'a' }] }), Buffer.alloc(600)]),
    'FORMERR',
  ],
  ['a name that points at itself', Buffer.from('0001010000010000000000c00c00010001'.padEnd(36, '0'), 'hex'), 'FORMERR'],
])('a query that is %s', async (_what, query, rcode) => {
  const upstream: Upstream = { ask: () => Promise.reject(new Error('nobody asks')) }
  const { signal } = new AbortController()
  const reply = await resolve(query, { view, upstream, mayAsk: 'everything', ip: '10.0.0.9', tcp: false, signal })
  expect(reply && (decode(reply) as { rcode?: string }).rcode).toBe(rcode)
})
