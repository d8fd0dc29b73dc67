/** The compiled policies in a real kernel: what real packets get through is what `allows` says, for every pair of ends. */
import type { NetworkPolicyPeer, NetworkPolicySpec } from 'kubernetes-types/networking/v1.d.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ProbedNetwork, startProbedNetwork } from '../testing/packet-probe.ts'
import { allows, type Endpoint } from './allows.ts'
import { NAMESPACE_NAME, type PolicyPod, type Protocol, readPolicy } from './policy-model.ts'
import { createPolicyRules } from './policy-rules.ts'

const PORTS: Array<[Protocol, number]> = [
  ['tcp', 79],
  ['tcp', 80],
  ['tcp', 82],
  ['tcp', 8080],
  ['udp', 53],
  ['udp', 80],
]
/** The last is one of those that clouds use for what only their machines should have. */
const ELSEWHERE = ['203.0.113.2', '203.0.113.9', '169.254.77.7']
const OUTSIDE = { namespace: 'caisson-test-policies', link: 'cstpol0', near: '203.0.113.1', addresses: ELSEWHERE }

const http = (port: number): PolicyPod['ports'] => [{ name: 'http', protocol: 'tcp', port }]
/** What has a name of its own has a label `app` of that name besides. */
const PODS: Record<string, Pick<PolicyPod, 'namespace' | 'labels' | 'ports'>> = {
  web: {
    namespace: 'shop',
    labels: { tier: 'front' },
    ports: [...http(8080), { name: 'dns', protocol: 'udp', port: 53 }],
  },
  db: { namespace: 'shop', labels: { tier: 'back' }, ports: http(80) },
  other: { namespace: 'lab', labels: { tier: 'front' }, ports: http(82) },
  bare: { namespace: 'plain', labels: {}, ports: [] },
}
const NAMESPACES: Record<string, Record<string, string>> = { shop: { team: 'a' }, lab: { team: 'b' }, plain: {} }

let network: ProbedNetwork
let pods: PolicyPod[]
const rules = createPolicyRules()

beforeAll(async () => {
  network = await startProbedNetwork(PORTS, OUTSIDE)
  const made = Object.entries(PODS).map(
    async ([uid, { namespace, labels, ports }]): Promise<PolicyPod> => ({
      uid,
      ip: await network.start(uid),
      namespace,
      labels: { app: uid, ...labels },
      namespaceLabels: { [NAMESPACE_NAME]: namespace, ...NAMESPACES[namespace] },
      ports,
      isolated: false,
    }),
  )
  pods = await Promise.all(made)
  for (const pod of pods) rules.setPod(pod)
})
afterAll(() => network[Symbol.asyncDispose]())

const addressOf = (uid: string): string => pods.find((pod) => pod.uid === uid)?.ip ?? ''
const app = (...values: string[]) => ({ matchExpressions: [{ key: 'app', operator: 'In', values }] })
/** Into the Pods of a namespace. */
const into = (from: NetworkPolicyPeer[], fields: Partial<NetworkPolicySpec> = {}): NetworkPolicySpec => ({
  podSelector: {},
  ingress: [{ from }],
  ...fields,
})
/** Out of them. */
const outOf = (to: NetworkPolicyPeer[], ports: object[] = []): NetworkPolicySpec => ({
  podSelector: {},
  policyTypes: ['Egress'],
  egress: [{ to, ports }],
})

/** By namespace. A function, since addresses are not known before there are Pods. */
test.each<[string, () => Array<[namespace: string, spec: NetworkPolicySpec]>]>([
  ['none but what nobody opened', () => []],
  [
    'deny by default, one direction each',
    () => [
      ['shop', { podSelector: {} }],
      ['lab', { podSelector: {}, policyTypes: ['Egress'] }],
    ],
  ],
  [
    'deny by default, both directions, for some',
    () => [['shop', { podSelector: app('db'), policyTypes: ['Ingress', 'Egress'] }]],
  ],
  [
    'blocks of addresses with exceptions, of Pods and elsewhere',
    () => [
      ['shop', into([{ ipBlock: { cidr: '10.0.0.0/8', except: [`${addressOf('other')}/32`] } }])],
      ['shop', outOf([{ ipBlock: { cidr: '203.0.113.0/24', except: ['203.0.113.8/29'] } }])],
      ['lab', outOf([{ ipBlock: { cidr: '0.0.0.0/0', except: [`${addressOf('web')}/32`, '203.0.113.2/32'] } }])],
    ],
  ],
  [
    'what clouds serve, for whom it was opened by its own range',
    () => [
      ['shop', outOf([{ ipBlock: { cidr: '169.254.0.0/16' } }], [{ port: 80 }])],
      ['lab', outOf([{ ipBlock: { cidr: '169.254.0.0/16', except: ['169.254.77.0/24'] } }])],
    ],
  ],
  [
    'ranges of ports',
    () => [
      [
        'shop',
        {
          podSelector: {},
          ingress: [
            {
              ports: [
                { port: 79, endPort: 81 },
                { protocol: 'UDP', port: 54, endPort: 80 },
              ],
            },
          ],
        },
      ],
      [
        'lab',
        outOf(
          [],
          [
            { port: 81, endPort: 65_535 },
            { protocol: 'UDP', port: 1, endPort: 53 },
          ],
        ),
      ],
    ],
  ],
  [
    'ports by number, of all numbers of a protocol, and of a protocol that nobody speaks',
    () => [
      ['shop', { podSelector: app('web'), ingress: [{ ports: [{ port: 80 }, { protocol: 'UDP' }] }] }],
      ['shop', { podSelector: app('db'), ingress: [{ ports: [{ protocol: 'SCTP', port: 80 }] }] }],
    ],
  ],
  [
    'ports by name, which each Pod has its own number for',
    () => [
      ['shop', { podSelector: {}, ingress: [{ ports: [{ port: 'http' }, { protocol: 'UDP', port: 'dns' }] }] }],
      ['lab', outOf([{ namespaceSelector: {} }], [{ port: 'http' }])],
      ['plain', outOf([{ ipBlock: { cidr: '10.0.0.0/8', except: [`${addressOf('db')}/32`] } }], [{ port: 'http' }])],
    ],
  ],
  [
    'namespaces by their labels',
    () => [
      ['shop', into([{ namespaceSelector: { matchLabels: { team: 'b' } } }])],
      ['lab', outOf([{ namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'DoesNotExist' }] } }])],
      ['plain', outOf([{ namespaceSelector: { matchLabels: { [NAMESPACE_NAME]: 'shop' } } }])],
    ],
  ],
  [
    'Pods by expressions about their labels',
    () => [
      [
        'shop',
        into([{ podSelector: { matchExpressions: [{ key: 'tier', operator: 'NotIn', values: ['back'] }] } }], {
          podSelector: app('db'),
        }),
      ],
      [
        'lab',
        into([{ namespaceSelector: {}, podSelector: { matchExpressions: [{ key: 'tier', operator: 'Exists' }] } }]),
      ],
      ['plain', into([{ namespaceSelector: { matchLabels: { team: 'a' } }, podSelector: app('web', 'other') }])],
    ],
  ],
  [
    'namespace or Pod, where they are two peers',
    () => [
      ['shop', into([{ namespaceSelector: { matchLabels: { team: 'b' } } }, { podSelector: app('web', 'bare') }])],
    ],
  ],
  [
    'several that select one Pod, which open what any of them opens',
    () => [
      ['shop', { podSelector: {} }],
      ['shop', { podSelector: app('db'), ingress: [{ from: [{ podSelector: app('web') }], ports: [{ port: 80 }] }] }],
      [
        'shop',
        { podSelector: { matchLabels: { tier: 'back' } }, ingress: [{ ports: [{ protocol: 'UDP', port: 53 }] }] },
      ],
    ],
  ],
  [
    'an egress that the other end’s ingress has to agree with',
    () => [
      ['shop', into([{ namespaceSelector: { matchLabels: { team: 'b' } } }])],
      ['lab', outOf([{ namespaceSelector: {}, podSelector: app('web', 'bare') }], [{ port: 80 }])],
      ['plain', { podSelector: {}, ingress: [{ ports: [{ port: 8080 }] }] }],
    ],
  ],
])('the kernel lets through what Kubernetes does: %s', async (_name, written) => {
  const policies = written().map(([namespace, spec], at) =>
    readPolicy({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: `p${at}`, namespace, uid: `p${at}` },
      spec,
    }),
  )
  for (const [at, policy] of policies.entries()) rules.setPolicy(String(at), policy)
  expect(await network.runtime.network.change(rules.take())).toEqual(new Map())
  const ends: Endpoint[] = [...pods, ...ELSEWHERE.map((ip) => ({ ip }))]
  const outcomes = await Promise.all(
    pods.map(async (from) => {
      const probes = ends.flatMap((to) =>
        PORTS.map(([protocol, port]) => ({
          to: to.ip,
          protocol,
          port,
          expected: allows({ from, to, protocol, port }, policies),
        })),
      )
      const reached = await network.send(from.uid, probes)
      const named = (to: string): string => pods.find(({ ip }) => ip === to)?.uid ?? to
      return probes.map(({ to, protocol, port, expected }, at) => {
        const packet = `${from.uid} to ${named(to)} ${protocol} ${port}`
        return { expected: `${packet} ${expected}`, found: `${packet} ${reached[at]}`, isOpen: expected }
      })
    }),
  )
  for (const at of policies.keys()) rules.removePolicy(String(at))
  const all = outcomes.flat()
  expect(new Set(all.map(({ isOpen }) => isOpen))).toEqual(new Set([true, false]))
  expect(all.map(({ found }) => found)).toEqual(all.map(({ expected }) => expected))
})
