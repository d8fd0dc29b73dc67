import type { KubeObject } from '@caisson/api'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type AuthorizedCluster,
  attributes,
  binding,
  role,
  startAuthorizedCluster,
  user,
} from '../testing/authorized-cluster.ts'
import { type Attributes, forbidden } from './attributes.ts'
import { createAuthorizer } from './authorizer.ts'
import type { RoleRef, Subject } from './binding-index.ts'
import { type PolicyRule, ruleAllows, rulesOf } from './policy-rules.ts'

let cluster: AuthorizedCluster
beforeAll(async () => {
  cluster = await startAuthorizedCluster()
})
afterAll(() => cluster[Symbol.asyncDispose]())

describe('rules', () => {
  test.each<[rule: PolicyRule, request: string, allowed: boolean]>([
    [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }, 'get pods in a named x', true],
    [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }, 'list pods in a', false],
    [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }, 'get pods/exec in a named x', false],
    [{ verbs: ['get'], apiGroups: ['apps'], resources: ['pods'] }, 'get pods in a named x', false],
    [{ verbs: ['get'], apiGroups: [], resources: ['pods'] }, 'get pods in a named x', false],
    [{ verbs: ['*'], apiGroups: [''], resources: ['pods'] }, 'escalate pods', true],
    [{ verbs: ['get'], apiGroups: ['*'], resources: ['pods'] }, 'get pods.metrics.k8s.io', true],
    [{ verbs: ['get'], apiGroups: [''], resources: ['*'] }, 'get pods/exec in a named x', true],
    [{ verbs: ['get'], apiGroups: [''], resources: ['pods/exec'] }, 'get pods/exec in a named x', true],
    [{ verbs: ['get'], apiGroups: [''], resources: ['pods/*'] }, 'get pods/exec in a named x', false],
    [{ verbs: ['get'], apiGroups: ['apps'], resources: ['*/scale'] }, 'get deployments/scale.apps named x', true],
    [{ verbs: ['get'], apiGroups: ['apps'], resources: ['*/scale'] }, 'get deployments.apps named x', false],
    [{ verbs: ['get'], apiGroups: ['apps'], resources: ['*/scale'] }, 'get deployments/status.apps named x', false],
    [{ verbs: ['get'], apiGroups: [''], resources: ['pods'], resourceNames: ['x'] }, 'get pods in a named x', true],
    [{ verbs: ['get'], apiGroups: [''], resources: ['pods'], resourceNames: ['x'] }, 'get pods in a named y', false],
    [{ verbs: ['list'], apiGroups: [''], resources: ['pods'], resourceNames: ['x'] }, 'list pods in a', false],
    [{ verbs: ['create'], apiGroups: [''], resources: ['pods'], resourceNames: ['x'] }, 'create pods in a', false],
    [{ verbs: ['list'], apiGroups: [''], resources: ['pods'], resourceNames: [] }, 'list pods in a', true],
    [{ verbs: ['get'], nonResourceURLs: ['/healthz'] }, 'get /healthz', true],
    [{ verbs: ['get'], nonResourceURLs: ['/healthz'] }, 'get /healthz/etcd', false],
    [{ verbs: ['get'], nonResourceURLs: ['/healthz/*'] }, 'get /healthz/etcd', true],
    [{ verbs: ['get'], nonResourceURLs: ['/healthz/*'] }, 'get /healthz', false],
    [{ verbs: ['get'], nonResourceURLs: ['/health*'] }, 'get /healthz', true],
    [{ verbs: ['get'], nonResourceURLs: ['*'] }, 'get /anything', true],
    [{ verbs: ['post'], nonResourceURLs: ['*'] }, 'get /anything', false],
    [{ verbs: ['get'], nonResourceURLs: ['/a**'] }, 'get /abc', true],
    [{ verbs: ['get'], nonResourceURLs: ['/*/secret'] }, 'get /a/secret', false],
    [{ verbs: ['*'], nonResourceURLs: ['*'] }, 'get pods in a', false],
    [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }, 'get /api', false],
  ])('%j on %s: %s', (rule, request, allowed) => {
    expect(ruleAllows(rule, attributes(user('x'), request))).toBe(allowed)
  })

  test('a million stars in a URL take no longer than one', () => {
    const rule = { verbs: ['get'], nonResourceURLs: [`/${'*'.repeat(1 << 20)}x*`] }
    expect(ruleAllows(rule, { user: user('x'), verb: 'get', path: '/x' })).toBe(false)
  })
})

describe('decisions', () => {
  test('give the reason of kube-apiserver', async () => {
    const objects = [
      role('reader', [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }]),
      role('writer', [{ verbs: ['create'], apiGroups: [''], resources: ['pods'] }], 'a'),
      binding('readers', { kind: 'ClusterRole', name: 'reader' }, [
        { kind: 'Group', name: 'g' },
        { kind: 'User', name: 'u' },
      ]),
      binding('writers', { kind: 'Role', name: 'writer' }, [{ kind: 'ServiceAccount', name: 's' }], 'a'),
      binding('broken', { kind: 'ClusterRole', name: 'nowhere' }, [{ kind: 'User', name: 'u' }]),
    ]
    await cluster.put(...objects)
    const reasons = [
      cluster.authorizer.authorize(attributes(user('u'), 'get pods in a named x')),
      cluster.authorizer.authorize(attributes(user('x', 'g'), 'get pods in a named x')),
      cluster.authorizer.authorize(attributes(user('system:serviceaccount:a:s'), 'create pods in a')),
      cluster.authorizer.authorize(attributes(user('system:serviceaccount:a:s'), 'create pods in b')),
      cluster.authorizer.authorize(attributes(user('u'), 'delete pods in a named x')),
    ]
    expect(reasons).toEqual([
      { allowed: true, reason: 'RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to User "u"' },
      { allowed: true, reason: 'RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to Group "g"' },
      { allowed: true, reason: 'RBAC: allowed by RoleBinding "writers/a" of Role "writer" to ServiceAccount "s/a"' },
      { allowed: false, reason: '' },
      { allowed: false, reason: 'RBAC: clusterrole.rbac.authorization.k8s.io "nowhere" not found' },
    ])
    await cluster.remove(...objects)
  })

  test.each([
    [
      'list pods in y',
      'pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "y"',
      { kind: 'pods' },
    ],
    [
      'get pods/exec in y named p',
      'pods "p" is forbidden: User "x" cannot get resource "pods/exec" in API group "" in the namespace "y"',
      { kind: 'pods', name: 'p' },
    ],
    [
      'create sandboxes.agents.x-k8s.io',
      'sandboxes.agents.x-k8s.io is forbidden: User "x" cannot create resource "sandboxes" in API group "agents.x-k8s.io" at the cluster scope',
      { kind: 'sandboxes', group: 'agents.x-k8s.io' },
    ],
    ['get /metrics', 'forbidden: User "x" cannot get path "/metrics"', {}],
  ])('the 403 of %s', (request, message, details) => {
    expect(forbidden(attributes(user('x'), request), '').toStatus()).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      reason: 'Forbidden',
      details,
      code: 403,
    })
  })

  test('a name in a 403 cannot carry markup or a second line', () => {
    const { message } = forbidden(attributes(user('<b>\n"x"'), 'list pods in y'), '')
    expect(message).toContain(String.raw`User "&lt;b&gt;\n\"x\"" cannot list`)
  })
})

test('of a user each role is looked at once, and no more of them than can be', async () => {
  const rulesOfBytes = (bytes: number) => [{ verbs: ['x'.repeat(bytes)], apiGroups: [''], resources: ['pods'] }]
  const names = Array.from({ length: 9 }, (_, index) => `large-${index}`)
  const subjects = [{ kind: 'User', name: 'u' }]
  const objects = [
    role('small', rulesOfBytes(1), 'crowded'),
    ...['a', 'b'].map((name) => binding(name, { kind: 'Role', name: 'small' }, subjects, 'crowded')),
    ...names.map((name) => role(name, rulesOfBytes(1 << 20), 'crowded')),
    ...names.map((name) => binding(name, { kind: 'Role', name }, subjects, 'crowded')),
  ]
  await cluster.put(...objects)
  const { rules, errors } = cluster.authorizer.rulesFor(user('u'), 'crowded')
  expect(rules.map(({ verbs }) => verbs?.[0]?.length)).toEqual([1, ...Array(7).fill(1 << 20)])
  const said = 'only the first 8388608 bytes of the rules of a user are looked at'
  expect(errors).toEqual([said])
  const denied = { allowed: false, reason: `RBAC: ${said}` }
  expect(cluster.authorizer.authorize(attributes(user('u'), 'get pods in crowded'))).toEqual(denied)
  await cluster.remove(...objects)
})

describe('the index', () => {
  const namespaces = ['a', 'b']
  const names = ['r1', 'r2', 'r3']
  const people = ['ann', 'bob', 'system:serviceaccount:a:s', 'system:serviceaccount:b:s']
  const subject = fc.oneof(
    fc.record({ kind: fc.constant('User'), name: fc.constantFrom(...people) }),
    fc.record({ kind: fc.constant('Group'), name: fc.constantFrom('g', 'h') }),
    fc.record(
      { kind: fc.constant('ServiceAccount'), name: fc.constant('s'), namespace: fc.constantFrom('a', 'b') },
      { requiredKeys: ['kind', 'name'] },
    ),
    fc.record({ kind: fc.constant('Robot'), name: fc.constantFrom(...people) }),
  ) as fc.Arbitrary<Subject>
  const rule = fc.record({
    verbs: fc.subarray(['get', 'list', '*'], { minLength: 1 }),
    apiGroups: fc.subarray(['', 'apps', '*']),
    resources: fc.subarray(['pods', 'pods/log', '*/log']),
    resourceNames: fc.subarray(['x']),
  })
  const scope = fc.option(fc.constantFrom(...namespaces), { nil: undefined })
  const change = fc.oneof(
    fc
      .tuple(fc.constantFrom(...names), fc.array(rule, { maxLength: 2 }), scope)
      .map(([name, rules, namespace]) => role(name, rules, namespace)),
    fc
      .tuple(
        fc.constantFrom('b1', 'b2', 'b3', 'b4'),
        fc.record({ kind: fc.constantFrom('Role', 'ClusterRole'), name: fc.constantFrom(...names) }),
        fc.array(subject, { maxLength: 3 }),
        scope,
      )
      .map(([name, ref, subjects, namespace]) => binding(name, ref, subjects, namespace)),
  )
  const question = fc.tuple(
    fc.record({ username: fc.constantFrom(...people), groups: fc.subarray(['g', 'h']) }),
    fc.constantFrom(
      'get pods in a named x',
      'list pods in a',
      'get pods/log.apps in b named y',
      'get pods named x',
      'list pods',
    ),
  )

  /** RBAC without an index: every binding, every subject, every rule. */
  function naive(objects: readonly KubeObject[], asked: Attributes): { allowed: boolean; reasons: string[] } {
    const scopeOf = 'path' in asked ? undefined : asked.namespace
    const reasons: string[] = []
    for (const one of objects.filter(({ kind }) => kind.endsWith('Binding'))) {
      const { namespace, name } = one.metadata
      if (namespace && namespace !== scopeOf) continue
      const ref = one.roleRef as RoleRef
      const bound = objects.find(
        (other) =>
          other.kind === ref.kind &&
          other.metadata.name === ref.name &&
          (ref.kind === 'ClusterRole' || (namespace && other.metadata.namespace === namespace)),
      )
      if (!bound || !rulesOf(bound).some((rule) => ruleAllows(rule, asked))) continue
      for (const { kind, name: whom, namespace: home = namespace } of one.subjects as Subject[]) {
        const applies =
          (kind === 'User' && whom === asked.user.username) ||
          (kind === 'Group' && asked.user.groups.includes(whom)) ||
          (kind === 'ServiceAccount' && home && asked.user.username === `system:serviceaccount:${home}:${whom}`)
        if (!applies) continue
        const by = namespace ? `RoleBinding "${name}/${namespace}"` : `ClusterRoleBinding "${name}"`
        const to = kind === 'ServiceAccount' ? `${whom}/${home}` : whom
        reasons.push(`RBAC: allowed by ${by} of ${ref.kind} "${ref.name}" to ${kind} "${to}"`)
      }
    }
    return { allowed: reasons.length > 0, reasons }
  }

  test('decides as a scan of everything would, after any changes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(change, fc.boolean()), { maxLength: 25 }),
        fc.array(question, { minLength: 5, maxLength: 10 }),
        async (changes, questions) => {
          const held = new Map<string, KubeObject>()
          for (const [object, removal] of changes) {
            const key = `${object.kind}/${object.metadata.namespace}/${object.metadata.name}`
            const known = held.get(key)
            if (removal && known) {
              held.delete(key)
              await cluster.remove(known)
            } else {
              held.set(key, object)
              await cluster.put(object)
            }
          }
          const objects = [...held.values()]
          using fresh = createAuthorizer(cluster.store)
          for (const [who, text] of questions) {
            const asked = attributes(who, text)
            const expected = naive(objects, asked)
            for (const index of [cluster.authorizer, fresh]) {
              const { allowed, reason } = index.authorize(asked)
              expect(allowed).toBe(expected.allowed)
              if (allowed) expect(expected.reasons).toContain(reason)
            }
          }
          await cluster.remove(...objects)
        },
      ),
      { numRuns: 200 },
    )
  })
})
