import type { KubeObject } from '@caisson/api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type AuthorizedCluster,
  binding,
  resourceOf,
  role,
  startAuthorizedCluster,
  user,
} from '../testing/authorized-cluster.ts'
import { checkEscalation } from './escalation.ts'
import type { PolicyRule } from './policy-rules.ts'

let cluster: AuthorizedCluster
beforeAll(async () => {
  cluster = await startAuthorizedCluster()
})
afterAll(() => cluster[Symbol.asyncDispose]())

describe('escalation', () => {
  const podReader: PolicyRule = { verbs: ['get', 'list'], apiGroups: [''], resources: ['pods'] }
  const admin = user('admin-of-a', 'system:authenticated')
  const adminBinding = binding(
    'admins',
    { kind: 'ClusterRole', name: 'admin' },
    [{ kind: 'User', name: admin.username }],
    'a',
  )

  beforeAll(() => cluster.put(adminBinding))
  afterAll(() => cluster.remove(adminBinding))

  function attempt(object: KubeObject, who = admin, oldObject?: KubeObject): string {
    const resource = resourceOf(object).split('.')[0] ?? ''
    try {
      checkEscalation(cluster.authorizer, { resource, user: who, object, oldObject })
      return 'allowed'
    } catch (error) {
      return (error as Error).message
    }
  }

  test('what the writer holds may be handed out', () => {
    expect(attempt(role('r', [podReader], 'a'))).toBe('allowed')
    expect(attempt(binding('b', { kind: 'ClusterRole', name: 'view' }, [], 'a'))).toBe('allowed')
  })

  test('what the writer does not hold may not', () => {
    expect(
      attempt(
        role(
          'r',
          [
            { ...podReader, verbs: ['*'] },
            { verbs: ['get', 'put'], nonResourceURLs: ['/x'] },
          ],
          'a',
        ),
      ),
    ).toMatchInlineSnapshot(`
        "roles.rbac.authorization.k8s.io "r" is forbidden: user "admin-of-a" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:
        {APIGroups:[""], Resources:["pods"], Verbs:["*"]}
        {NonResourceURLs:["/x"], Verbs:["get"]}
        {NonResourceURLs:["/x"], Verbs:["put"]}"
      `)
    expect(attempt(role('r', [podReader], 'b'))).toContain('not currently held')
    expect(attempt(role('r', [podReader]))).toContain('not currently held')
    expect(attempt(binding('b', { kind: 'ClusterRole', name: 'cluster-admin' }, [], 'a'))).toMatchInlineSnapshot(`
      "rolebindings.rbac.authorization.k8s.io "b" is forbidden: user "admin-of-a" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:
      {APIGroups:["*"], Resources:["*"], Verbs:["*"]}
      {NonResourceURLs:["*"], Verbs:["*"]}"
    `)
    expect(attempt(binding('b', { kind: 'Role', name: 'gone' }, [], 'a'))).toBe(
      'rolebindings.rbac.authorization.k8s.io "gone" not found',
    )
  })

  test('superusers, and those allowed to escalate or to bind, may', async () => {
    const everything: PolicyRule[] = [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }]
    expect(attempt(role('r', everything), user('root', 'system:masters'))).toBe('allowed')
    const objects = [
      role('escalator', [
        { verbs: ['escalate'], apiGroups: ['rbac.authorization.k8s.io'], resources: ['roles'], resourceNames: ['r'] },
        {
          verbs: ['bind'],
          apiGroups: ['rbac.authorization.k8s.io'],
          resources: ['clusterroles'],
          resourceNames: ['cluster-admin'],
        },
      ]),
      binding('escalators', { kind: 'ClusterRole', name: 'escalator' }, [{ kind: 'User', name: 'e' }]),
    ]
    await cluster.put(...objects)
    expect(attempt(role('r', everything, 'a'), user('e'))).toBe('allowed')
    expect(attempt(role('other', everything, 'a'), user('e'))).toContain('not currently held')
    expect(attempt(binding('b', { kind: 'ClusterRole', name: 'cluster-admin' }, []), user('e'))).toBe('allowed')
    expect(attempt(binding('b', { kind: 'ClusterRole', name: 'admin' }, []), user('e'))).toContain('not currently held')
    await cluster.remove(...objects)
  })

  test('an aggregation rule is for those who hold everything', () => {
    const aggregated = { ...role('agg', []), aggregationRule: { clusterRoleSelectors: [{}] } }
    expect(attempt(aggregated)).toBe(
      'clusterroles.rbac.authorization.k8s.io "agg" is forbidden: must have cluster-admin privileges to use the aggregationRule',
    )
    expect(attempt(role('agg', []), admin, aggregated)).toContain('must have cluster-admin privileges')
  })

  test('garbage collection may finish off what it could not write', () => {
    const powerful = role('r', [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }], 'a')
    const before = { ...powerful, metadata: { ...powerful.metadata, finalizers: ['x'], resourceVersion: '1' } }
    const after = { ...powerful, metadata: { ...powerful.metadata, resourceVersion: '2' } }
    const renamed = { ...powerful, metadata: { ...powerful.metadata, labels: { x: 'y' } } }
    const bound = binding('b', { kind: 'ClusterRole', name: 'cluster-admin' }, [], 'a')
    expect(attempt(after, admin, before)).toBe('allowed')
    expect(attempt(renamed, admin, before)).toContain('not currently held')
    expect(attempt({ ...bound, metadata: { ...bound.metadata, finalizers: [] } }, admin, bound)).toBe('allowed')
    expect(attempt({ ...bound, subjects: [{ kind: 'User', name: 'me' }] }, admin, bound)).toContain(
      'not currently held',
    )
  })

  test('of what is not held no more is said than anybody reads', () => {
    const many = Array.from({ length: 100 }, (_, index) => `x${index}`)
    const rule = { verbs: ['get'], apiGroups: many, resources: many, resourceNames: ['n'.repeat(1 << 20)] }
    expect(attempt(role('r', [rule], 'b')).length).toBeLessThan(1_300_000)
  })

  test('thousands of permissions are found among as many rules', async () => {
    const rules = Array.from({ length: 9000 }, (_, index) => ({
      ...podReader,
      verbs: ['get'],
      resourceNames: [`n-${index}`],
    }))
    const objects = [
      role('many', rules, 'a'),
      binding('many', { kind: 'Role', name: 'many' }, [{ kind: 'User', name: 'reader' }], 'a'),
    ]
    await cluster.put(...objects)
    const started = performance.now()
    expect(attempt(role('r', rules.toReversed(), 'a'), user('reader'))).toBe('allowed')
    expect(attempt(role('r', [...rules, { ...podReader, verbs: ['get'] }], 'a'), user('reader'))).toContain(
      'currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["get"]}',
    )
    // Each compared with each would be seconds.
    expect(performance.now() - started).toBeLessThan(1000)
    await cluster.remove(...objects)
  })

  test('a rule that multiplies out to millions is refused without being multiplied out', () => {
    const many = Array.from({ length: 1000 }, (_, index) => `x${index}`)
    const bomb = role('r', [{ verbs: many, apiGroups: many, resources: many, resourceNames: many }], 'a')
    expect(attempt(bomb)).toContain('its rules stand for 1000000000000 permissions, more than the 10000')
  })
})
