import * as fc from 'fast-check'
import type { NetworkPolicySpec } from 'kubernetes-types/networking/v1.d.ts'
import { expect, test } from 'vitest'
import { createRuleMachine } from '../testing/rule-machine.ts'
import { allows, type Endpoint } from './allows.ts'
import { type Policy, type PolicyPod, type Protocol, readPolicy } from './policy-model.ts'
import { createPolicyRules } from './policy-rules.ts'

const labels = fc.dictionary(fc.constantFrom('app', 'tier'), fc.constantFrom('a', 'b'))
const NAME = 'kubernetes.io/metadata.name'
const selector = fc.oneof(
  labels.map((matchLabels) => ({ matchLabels })),
  fc.record({
    matchExpressions: fc.array(
      fc.record({
        key: fc.constantFrom('app', 'tier'),
        operator: fc.constantFrom('Exists', 'DoesNotExist', 'In', 'NotIn'),
        values: fc.constant(['a']),
      }),
      { maxLength: 2 },
    ),
  }),
)
const named = fc.constantFrom('one', 'two').map((name) => ({ matchLabels: { [NAME]: name } }))
const block = fc.constantFrom(
  { cidr: '0.0.0.0/0' },
  { cidr: '10.0.0.0/8', except: ['10.0.0.2/31', '10.0.0.4/32'] },
  { cidr: '10.0.0.0/29' },
  { cidr: '169.254.169.254/32' },
  { cidr: '169.254.0.0/16', except: ['169.254.169.254/32'] },
  { cidr: '::/0' },
)
const peer = fc.oneof(
  selector.map((podSelector) => ({ podSelector })),
  fc.oneof(selector, named).map((namespaceSelector) => ({ namespaceSelector })),
  fc.record({ podSelector: selector, namespaceSelector: fc.oneof(selector, named) }),
  block.map((ipBlock) => ({ ipBlock })),
)
const port = fc.constantFrom(
  { port: 80 },
  { port: 'http' },
  { protocol: 'UDP', port: 'dns' },
  { protocol: 'UDP' },
  { port: 79, endPort: 81 },
  { protocol: 'UDP', port: 53, endPort: 90 },
)
const rule = (peers: 'from' | 'to') =>
  fc.record(
    { [peers]: fc.array(peer, { maxLength: 3 }), ports: fc.array(port, { maxLength: 3 }) },
    { requiredKeys: [] },
  )
const policy = fc.record(
  {
    podSelector: selector,
    policyTypes: fc.subarray(['Ingress', 'Egress'], { minLength: 1 }),
    ingress: fc.array(rule('from'), { maxLength: 3 }),
    egress: fc.array(rule('to'), { maxLength: 3 }),
  },
  { requiredKeys: ['podSelector', 'policyTypes'] },
) as fc.Arbitrary<NetworkPolicySpec>
const namespace = fc.constantFrom('one', 'two')
const pod = fc.record({
  namespace,
  labels,
  namespaceLabels: labels,
  ports: fc.subarray([
    { name: 'http', protocol: 'tcp' as const, port: 80 },
    { name: 'http', protocol: 'tcp' as const, port: 8080 },
    { name: 'dns', protocol: 'udp' as const, port: 53 },
  ]),
  isolated: fc.constantFrom(false, false, true),
})
const index = fc.integer({ min: 1, max: 5 })
const step = fc.oneof(
  fc.record({ kind: fc.constant('pod' as const), index, pod, remade: fc.boolean() }),
  fc.record({ kind: fc.constant('no-pod' as const), index }),
  fc.record({ kind: fc.constant('policy' as const), index, namespace, policy, remade: fc.boolean() }),
  fc.record({ kind: fc.constant('no-policy' as const), index }),
  fc.record({ kind: fc.constant('take' as const) }),
)

test('after any history the rules, as their text is read, decide about every packet as Kubernetes does', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30, size: 'max' }), (steps) => {
      const rules = createPolicyRules()
      const machine = createRuleMachine()
      const pods = new Map<number, PolicyPod>()
      const policies = new Map<number, ReturnType<typeof readPolicy>>()
      for (const [time, each] of steps.entries()) {
        switch (each.kind) {
          case 'pod': {
            const namespaceLabels = { ...each.pod.namespaceLabels, [NAME]: each.pod.namespace }
            const known = pods.get(each.index)
            // Another one has the address then.
            const uid = each.remade ? `u${each.index}-${time}` : (known?.uid ?? `u${each.index}`)
            const made = { ...each.pod, namespaceLabels, uid, ip: `10.0.0.${each.index}` }
            if (known && known.uid !== uid) rules.removePod(known.uid)
            pods.set(each.index, made)
            rules.setPod(made)
            break
          }
          case 'no-pod':
            rules.removePod(pods.get(each.index)?.uid ?? 'none')
            pods.delete(each.index)
            break
          case 'policy': {
            const read = readPolicy({
              apiVersion: 'networking.k8s.io/v1',
              kind: 'NetworkPolicy',
              metadata: {
                name: 'p',
                namespace: each.namespace,
                uid: each.remade ? `${each.index} ${time}` : `${each.index} ${each.namespace}`,
              },
              spec: each.policy,
            })
            policies.set(each.index, read)
            rules.setPolicy(String(each.index), read)
            break
          }
          case 'no-policy':
            policies.delete(each.index)
            rules.removePolicy(String(each.index))
            break
          case 'take':
            machine.apply(rules.take())
        }
      }
      machine.apply(rules.take())
      const everyPod = [...pods.values()]
      const ends: Endpoint[] = [...everyPod, { ip: '192.0.2.1' }, { ip: '169.254.169.254' }, { ip: '169.254.1.1' }]
      const ports: [Protocol, number][] = [
        ['tcp', 80],
        ['tcp', 8080],
        ['udp', 53],
        ['udp', 80],
      ]
      for (const from of everyPod) {
        for (const to of ends) {
          for (const [protocol, number] of ports) {
            const expected = allows({ from, to, protocol, port: number }, [...policies.values()])
            const packet = { source: from.ip, destination: to.ip, protocol, port: number }
            expect([packet, machine.passes(packet)]).toEqual([packet, expected])
          }
        }
      }
    }),
    { numRuns: 300 },
  )
})

const read = (name: string, spec: NetworkPolicySpec): Policy =>
  readPolicy({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: 'one', uid: name },
    spec,
  })

const podOf = (number: number, fields: Partial<PolicyPod> = {}): PolicyPod => ({
  uid: `u${number}`,
  ip: `10.0.0.${number}`,
  namespace: 'one',
  labels: {},
  namespaceLabels: {},
  ports: [],
  isolated: false,
  ...fields,
})

test('a change gives only what differs because of it', () => {
  const rules = createPolicyRules()
  const isolating = read('p', { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] })
  rules.setPolicy('one/p', isolating)
  rules.setPod(podOf(1))
  rules.take()
  rules.setPod(podOf(2))
  expect([...rules.take().keys()]).toEqual(['pod u2 one/p', 'pod u2'])
  rules.setPod(podOf(1))
  rules.setPolicy('one/p', isolating)
  expect(rules.take().size).toBe(0)
  rules.setPolicy('one/p', read('p', { podSelector: {}, ingress: [] }))
  expect([...rules.take().keys()].sort()).toEqual([
    'namespace one',
    'pod u1',
    'pod u1 one/p',
    'pod u2',
    'pod u2 one/p',
    'policy one/p',
  ])
  rules.removePod('u1')
  rules.removePod('u2')
  expect([...rules.take()]).toEqual([
    ['pod u1', undefined],
    ['pod u2', undefined],
  ])
})

test('a policy that changes is one chain that is written again, however the labels of Pods mix', () => {
  const rules = createPolicyRules()
  const set = (key: string, ports: number): void => {
    const podSelector = { matchExpressions: [{ key, operator: 'Exists' }] }
    const ingress = Array.from({ length: ports }, (_, at) => ({ ports: [{ port: at + 1 }] }))
    rules.setPolicy(`one/${key}`, read(key, { podSelector, ingress }))
  }
  const keys = ['a', 'b', 'c', 'd', 'e']
  for (const key of keys) set(key, 1)
  for (let number = 1; number < 32; number++) {
    const own = keys.filter((_, at) => number & (1 << at))
    rules.setPod(podOf(number, { labels: Object.fromEntries(own.map((key) => [key, ''])) }))
  }
  const written = (): number[] =>
    [...rules.take().values()].flatMap((piece) => piece?.chains ?? []).map((chain) => chain.rules.length)
  // The namespace's, which asks all of them and refuses, and one of each policy.
  expect(written().sort((a, b) => a - b)).toEqual([1, 1, 1, 1, 1, 6])
  set('a', 2)
  expect(written()).toEqual([2])
  rules.removePolicy('one/a')
  expect(written()).toEqual([5])
})

test('a change has only those compared whom it may concern', () => {
  const compared = new Set<string>()
  const labelled = (uid: string, labels: Record<string, string>): Record<string, string> =>
    new Proxy(labels, {
      getOwnPropertyDescriptor(target, key) {
        compared.add(`${uid} ${String(key)}`)
        return Reflect.getOwnPropertyDescriptor(target, key)
      },
    })
  const seen = (): string[] => {
    const keys = [...compared].sort()
    compared.clear()
    return keys
  }
  const rules = createPolicyRules()
  const add = (number: number, namespace: string): void =>
    rules.setPod(
      podOf(number, {
        namespace,
        labels: labelled(`u${number}`, { a: 'x', b: 'x' }),
        namespaceLabels: labelled(`u${number}`, { [NAME]: namespace }),
      }),
    )
  const by = (key: string, beyond = false): NetworkPolicySpec => {
    const podSelector = { matchLabels: { [key]: 'x' } }
    return { podSelector, ingress: [{ from: [{ podSelector, ...(beyond && { namespaceSelector: {} }) }] }] }
  }
  const set = (key: string, spec: NetworkPolicySpec): void => rules.setPolicy(`one/${key}`, read(key, spec))
  set('a', by('a'))
  set('b', by('b', true))
  add(1, 'one')
  add(2, 'two')
  rules.take()
  expect(seen()).toEqual(['u1 a', 'u1 b', 'u2 b'])
  set('a', by('a'))
  rules.take()
  expect(seen()).toEqual(['u1 a'])
  set('b', by('b', true))
  rules.take()
  expect(seen()).toEqual(['u1 b', 'u2 b'])
  const ofTwo = { podSelector: { matchLabels: { b: 'x' } }, namespaceSelector: { matchLabels: { [NAME]: 'two' } } }
  add(5, 'three')
  rules.take()
  expect(seen()).toEqual(['u5 b'])
  set('c', { podSelector: { matchLabels: { a: 'x' } }, ingress: [{ from: [ofTwo] }] })
  rules.take()
  expect(seen()).toEqual(['u1 a', `u1 ${NAME}`, 'u2 b', `u2 ${NAME}`])
  rules.removePolicy('one/c')
  rules.removePolicy('one/b')
  rules.take()
  expect(seen()).toEqual([])
  add(3, 'two')
  rules.take()
  expect(seen()).toEqual([])
  add(4, 'one')
  rules.take()
  expect(seen()).toEqual(['u4 a'])
})
