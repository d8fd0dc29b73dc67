import type { NetworkPolicySpec } from 'kubernetes-types/networking/v1.d.ts'
import { describe, expect, test } from 'vitest'
import { allows, type Endpoint } from './allows.ts'
import { type PolicyPod, type Protocol, readPolicy } from './policy-model.ts'

const pod = (ip: string, fields: Partial<PolicyPod> = {}): PolicyPod => {
  const { namespace = 'default' } = fields
  return {
    uid: ip,
    ip,
    namespace,
    labels: {},
    namespaceLabels: { 'kubernetes.io/metadata.name': namespace },
    ports: [],
    isolated: false,
    ...fields,
  }
}

const web = pod('10.0.0.2', { labels: { app: 'web' }, ports: [{ name: 'http', protocol: 'tcp', port: 8080 }] })
const client = pod('10.0.0.3', { labels: { app: 'client' } })
const other = pod('10.0.0.4', { namespace: 'other', labels: { app: 'client' } })
const outside = { ip: '192.0.2.7' }
const metadata = { ip: '169.254.169.254' }

function asked(
  spec: NetworkPolicySpec,
  connection: { from: Endpoint; to: Endpoint; protocol?: Protocol; port?: number },
  ...more: NetworkPolicySpec[]
): boolean {
  const policies = [spec, ...more].map((each, index) =>
    readPolicy({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: `p${index}`, namespace: 'default', uid: String(index) },
      spec: each,
    }),
  )
  return allows({ protocol: 'tcp', port: 80, ...connection }, policies)
}

const toWeb = (from: Endpoint, port = 80): { from: Endpoint; to: Endpoint; port: number } => ({ from, to: web, port })
const ingress = (from: NetworkPolicySpec['ingress']): NetworkPolicySpec => ({ podSelector: {}, ingress: from ?? [] })
const egress = (to: NetworkPolicySpec['egress']): NetworkPolicySpec => ({
  podSelector: {},
  policyTypes: ['Egress'],
  egress: to ?? [],
})

describe('a policy', () => {
  test.each<[string, NetworkPolicySpec, ReturnType<typeof toWeb>, boolean]>([
    ['that selects somebody else changes nothing', { podSelector: { matchLabels: { app: 'x' } } }, toWeb(client), true],
    ['without rules isolates', ingress([]), toWeb(client), false],
    ['without rules does not isolate the other direction', ingress([]), { from: web, to: outside, port: 80 }, true],
    ['lets everybody in with an empty rule', ingress([{}]), toWeb(outside), true],
    ['never keeps a Pod from itself', ingress([]), toWeb(web), true],
    ['selects Pods of its own namespace', ingress([{ from: [{ podSelector: {} }] }]), toWeb(client), true],
    ['and of no other', ingress([{ from: [{ podSelector: {} }] }]), toWeb(other), false],
    ['selects whole namespaces', ingress([{ from: [{ namespaceSelector: {} }] }]), toWeb(other), true],
    [
      'selects by both at once',
      ingress([
        {
          from: [
            {
              namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'other' } },
              podSelector: { matchLabels: { app: 'web' } },
            },
          ],
        },
      ]),
      toWeb(other),
      false,
    ],
    [
      'with two peers is for either',
      ingress([
        {
          from: [
            { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'other' } } },
            { podSelector: { matchLabels: { app: 'web' } } },
          ],
        },
      ]),
      toWeb(other),
      true,
    ],
    [
      'takes an exception out of a block',
      ingress([{ from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.0.0.3/32'] } }] }]),
      toWeb(client),
      false,
    ],
    [
      'leaves the rest of the block',
      ingress([{ from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.0.0.3/32'] } }] }]),
      toWeb(other),
      true,
    ],
    ['opens a port', ingress([{ ports: [{ port: 80 }] }]), toWeb(client), true],
    ['and no other', ingress([{ ports: [{ port: 80 }] }]), toWeb(client, 81), false],
    ['opens ports up to an end', ingress([{ ports: [{ port: 80, endPort: 90 }] }]), toWeb(client, 90), true],
    ['and not beyond', ingress([{ ports: [{ port: 80, endPort: 90 }] }]), toWeb(client, 91), false],
    ['means TCP where it says no protocol', ingress([{ ports: [{ protocol: 'UDP' }] }]), toWeb(client), false],
    ['means the receiver’s port by its name', ingress([{ ports: [{ port: 'http' }] }]), toWeb(client, 8080), true],
    ['and no other by it', ingress([{ ports: [{ port: 'http' }] }]), toWeb(client, 80), false],
    ['does so in egress too', egress([{ ports: [{ port: 'http' }] }]), toWeb(client, 8080), true],
    [
      'knows no names of ports outside',
      egress([{ ports: [{ port: 'http' }] }]),
      { from: web, to: outside, port: 8080 },
      false,
    ],
    ['is read as egress too where it has such rules', { podSelector: {}, egress: [{}] }, toWeb(client), false],
    ['opens the world with an empty egress rule', egress([{}]), { from: web, to: outside, port: 80 }, true],
    ['but not the metadata addresses', egress([{}]), { from: web, to: metadata, port: 80 }, false],
    [
      'nor with a block of everything',
      egress([{ to: [{ ipBlock: { cidr: '0.0.0.0/0' } }] }]),
      { from: web, to: metadata, port: 80 },
      false,
    ],
    [
      'opens them by their own block',
      egress([{ to: [{ ipBlock: { cidr: '169.254.169.254/32' } }] }]),
      { from: web, to: metadata, port: 80 },
      true,
    ],
    [
      'says nothing of IPv4 with a block of IPv6',
      ingress([{ from: [{ ipBlock: { cidr: '::/0' } }] }]),
      toWeb(client),
      false,
    ],
  ])('%s', (_what, spec, connection, expected) => {
    expect(asked(spec, connection)).toBe(expected)
  })
})

test('several policies open what any of them opens', () => {
  const here = ingress([{ from: [{ podSelector: {} }] }])
  const there = ingress([{ from: [{ namespaceSelector: {} }], ports: [{ port: 81 }] }])
  expect([client, other].map((from) => asked(here, toWeb(from), there))).toEqual([true, false])
  expect([client, other].map((from) => asked(here, toWeb(from, 81), there))).toEqual([true, true])
})

test('both ends have to agree', () => {
  expect(asked(egress([{}]), toWeb(client), ingress([{ ports: [{ port: 81 }] }]))).toBe(false)
  expect(asked(egress([{}]), toWeb(client, 81), ingress([{ ports: [{ port: 81 }] }]))).toBe(true)
})

test('a Pod that is isolated of itself gets what policies open, and nothing else', () => {
  const closed = { ...web, isolated: true }
  const none = { podSelector: { matchLabels: { app: 'x' } } }
  expect(asked(none, { from: client, to: closed })).toBe(false)
  expect(asked(none, { from: closed, to: outside })).toBe(false)
  expect(asked(ingress([{ from: [{ podSelector: {} }] }]), { from: client, to: closed })).toBe(true)
  expect(asked(ingress([{}]), { from: closed, to: outside })).toBe(false)
})

test('without policies a Pod reaches everything but the metadata addresses', () => {
  const none = { podSelector: { matchLabels: { app: 'x' } } }
  expect([other, outside, metadata].map((to) => asked(none, { from: web, to }))).toEqual([true, true, false])
})

describe('a policy that is larger than any may be opens nothing for whom it selects', () => {
  const many = <T>(each: T, count: number): T[] => Array.from({ length: count }, () => each)
  test.each<[string, NetworkPolicySpec, NetworkPolicySpec]>([
    ['rules', { podSelector: {}, ingress: many({}, 100) }, { podSelector: {}, ingress: many({}, 101) }],
    [
      'peers',
      { podSelector: {}, ingress: [{ from: many({ podSelector: {} }, 100) }] },
      { podSelector: {}, ingress: [{ from: many({ podSelector: {} }, 101) }] },
    ],
    [
      'exceptions',
      { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: '0.0.0.0/0', except: many('192.0.2.0/24', 99) } }] }] },
      { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: '0.0.0.0/0', except: many('192.0.2.0/24', 100) } }] }] },
    ],
    [
      'ports',
      { podSelector: {}, ingress: [{ ports: many({ port: 80 }, 100) }] },
      { podSelector: {}, ingress: [{ ports: many({ port: 80 }, 101) }] },
    ],
  ])('by its %s', (_what, within, over) => {
    expect(asked(within, { from: client, to: web })).toBe(true)
    expect(asked(over, { from: client, to: web })).toBe(false)
    expect(asked(over, { from: web, to: client })).toBe(false)
    expect(asked({ ...over, podSelector: { matchLabels: { app: 'web' } } }, { from: web, to: client })).toBe(true)
  })
})
