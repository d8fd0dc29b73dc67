import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KubeObject, UserInfo } from '@caisson/api'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStore } from '../storage/sqlite-store.ts'
import type { Store } from '../storage/store.ts'
import { reviewLocalSubjectAccess, reviewOwnAccess, reviewOwnRules, reviewSubjectAccess } from './access-reviews.ts'
import { componentUsers } from '../authn/component-users.ts'
import { startAggregation } from './aggregation.ts'
import { type Attributes, forbidden } from './attributes.ts'
import { type Authorizer, createAuthorizer } from './authorizer.ts'
import { ROLE_RESOURCES, type RoleRef, type Subject } from './binding-index.ts'
import { controllerUser, ensureBootstrapPolicy } from './bootstrap-policy.ts'
import { checkEscalation } from './escalation.ts'
import { type PolicyRule, ruleAllows, rulesOf } from './policy-rules.ts'

let directory: string
let store: Store
let authorizer: Authorizer

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'authorizer-'))
  store = openStore({ directory })
  authorizer = createAuthorizer(store)
  await ensureBootstrapPolicy(store, { now: () => 0 })
})
afterAll(async () => {
  authorizer[Symbol.dispose]()
  await store[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

function put(...objects: KubeObject[]): Promise<void> {
  return store.write((transaction) => {
    for (const object of objects) transaction.put(resourceOf(object), structuredClone(object))
  })
}

function remove(...objects: KubeObject[]): Promise<void> {
  return store.write((transaction) => {
    for (const object of objects) transaction.delete(resourceOf(object), object)
  })
}

function resourceOf({ kind }: KubeObject): string {
  const byKind: Record<string, string> = {
    Role: ROLE_RESOURCES.roles,
    ClusterRole: ROLE_RESOURCES.clusterRoles,
    RoleBinding: ROLE_RESOURCES.roleBindings,
    ClusterRoleBinding: ROLE_RESOURCES.clusterRoleBindings,
  }
  return byKind[kind] ?? ''
}

function role(name: string, rules: PolicyRule[], namespace?: string): KubeObject {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: namespace ? 'Role' : 'ClusterRole',
    metadata: { name, ...(namespace && { namespace }) },
    rules,
  }
}

function binding(
  name: string,
  roleRef: Omit<RoleRef, 'apiGroup'>,
  subjects: Subject[],
  namespace?: string,
): KubeObject {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: namespace ? 'RoleBinding' : 'ClusterRoleBinding',
    metadata: { name, ...(namespace && { namespace }) },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', ...roleRef },
    subjects,
  }
}

function user(username: string, ...groups: string[]): UserInfo {
  return { username, groups }
}

/** `get pods/log.group in a named x`, or `get /path`. */
function attributes(who: UserInfo, text: string): Attributes {
  const match = /^(\S+) (\/\S*)$/.exec(text)
  if (match) return { user: who, verb: match[1] ?? '', path: match[2] ?? '' }
  const [, verb = '', resource = '', subresource, group = '', namespace, name] =
    /^(\S+) ([^\s./]+)(?:\/([^\s.]+))?(?:\.(\S+))?(?: in (\S+))?(?: named (\S+))?$/.exec(text) ?? []
  return {
    user: who,
    verb,
    group,
    resource,
    ...(subresource && { subresource }),
    ...(namespace && { namespace }),
    ...(name && { name }),
  }
}

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
    [{ verbs: ['get'], nonResourceURLs: ['/*/secret'] }, 'get /a/secret', false],
    [{ verbs: ['*'], nonResourceURLs: ['*'] }, 'get pods in a', false],
    [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }, 'get /api', false],
  ])('%j on %s: %s', (rule, request, allowed) => {
    expect(ruleAllows(rule, attributes(user('x'), request))).toBe(allowed)
  })
})

describe('bootstrap policy', () => {
  test('is complete after one write and then writes nothing', async () => {
    const { revision } = store
    await ensureBootstrapPolicy(store, { now: () => 1 })
    expect(store.revision).toBe(revision)
  })

  test('gives back what was taken away, and keeps what was added', async () => {
    const view = store.get(ROLE_RESOURCES.clusterRoles, undefined, 'system:discovery') as KubeObject
    const added = { verbs: ['get'], nonResourceURLs: ['/mine'] }
    await put({ ...view, rules: [added] })
    await ensureBootstrapPolicy(store, { now: () => 1 })
    const restored = store.get(ROLE_RESOURCES.clusterRoles, undefined, 'system:discovery') as KubeObject
    expect(rulesOf(restored)[0]).toEqual(added)
    expect(authorizer.authorize(attributes(user('x', 'system:authenticated'), 'get /version')).allowed).toBe(true)
    const optedOut = { ...view.metadata.annotations, 'rbac.authorization.kubernetes.io/autoupdate': 'false' }
    await put({ ...view, rules: [], metadata: { ...view.metadata, annotations: optedOut } })
    await ensureBootstrapPolicy(store, { now: () => 1 })
    expect(rulesOf(store.get(ROLE_RESOURCES.clusterRoles, undefined, 'system:discovery') as KubeObject)).toEqual([])
    await put(view)
  })

  test.each<[who: UserInfo, request: string, allowed: boolean]>([
    [user('root', 'system:masters'), 'delete nodes named x', true],
    [user('x', 'system:authenticated'), 'get /apis/apps', true],
    [user('x', 'system:authenticated'), 'get /metrics', false],
    [user('x', 'system:monitoring'), 'get /metrics', true],
    [user('x', 'system:authenticated'), 'create selfsubjectaccessreviews.authorization.k8s.io', true],
    [user('x', 'system:authenticated'), 'create subjectaccessreviews.authorization.k8s.io', false],
    [user('x', 'system:authenticated'), 'list pods in default', false],
    [user('x'), 'get /apis', false],
    [user('system:kube-scheduler'), 'create pods/binding in a named x', true],
    [user('system:kube-scheduler'), 'get secrets in a named x', false],
    [user('system:node:n', 'system:nodes'), 'patch pods/status in a named x', true],
    [user('system:node:n', 'system:nodes'), 'create serviceaccounts/token in a named x', true],
    [user('system:node:n', 'system:nodes'), 'delete nodes named x', false],
    [user('system:node:n', 'system:nodes'), 'create clusterrolebindings.rbac.authorization.k8s.io', false],
    [user(controllerUser('namespace-controller')), 'deletecollection sandboxes.agents.x-k8s.io in a', true],
    [user(controllerUser('generic-garbage-collector')), 'delete pods in a named x', true],
    [user(controllerUser('root-ca-cert-publisher')), 'create configmaps in a', true],
    [user(controllerUser('root-ca-cert-publisher')), 'create secrets in a', false],
    [componentUsers.controlPlane, 'patch sandboxes.agents.x-k8s.io in a named x', true],
    [componentUsers.controlPlane, 'create pods/binding in a named x', true],
    [componentUsers.controlPlane, 'create pods in a', false],
    [componentUsers.controlPlane, 'create clusterrolebindings.rbac.authorization.k8s.io', false],
    [componentUsers.controlPlane, 'escalate clusterroles.rbac.authorization.k8s.io named x', false],
    [componentUsers.controlPlane, 'impersonate users named x', false],
    [componentUsers.sandboxController, 'create pods in a', true],
    [componentUsers.sandboxController, 'patch sandboxes/status.agents.x-k8s.io in a named x', true],
    [componentUsers.sandboxController, 'get secrets in a named x', false],
  ])('%j: %s is %s', (who, request, allowed) => {
    expect(authorizer.authorize(attributes(who, request)).allowed).toBe(allowed)
  })

  test.each([
    ['view', 'get sandboxes.agents.x-k8s.io in a named x', true],
    ['view', 'create sandboxes.agents.x-k8s.io in a', false],
    ['view', 'get secrets in a named x', false],
    ['view', 'get pods/log in a named x', true],
    ['edit', 'create sandboxclaims.extensions.agents.x-k8s.io in a', true],
    ['edit', 'patch sandboxes/scale.agents.x-k8s.io in a named x', true],
    ['edit', 'patch sandboxes/status.agents.x-k8s.io in a named x', false],
    ['edit', 'create pods/exec in a named x', true],
    ['edit', 'create roles.rbac.authorization.k8s.io in a', false],
    ['admin', 'create roles.rbac.authorization.k8s.io in a', true],
    ['admin', 'delete sandboxwarmpools.agents.x-k8s.io in a named x', true],
    ['admin', 'update namespaces named a', false],
    ['admin', 'create sandboxes.agents.x-k8s.io in b', false],
  ])('%s in a namespace: %s is %s', async (name, request, allowed) => {
    const bound = binding('bound', { kind: 'ClusterRole', name }, [{ kind: 'User', name: 'tester' }], 'a')
    await put(bound)
    expect(authorizer.authorize(attributes(user('tester'), request)).allowed).toBe(allowed)
    await remove(bound)
    expect(authorizer.authorize(attributes(user('tester'), request)).allowed).toBe(false)
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
    await put(...objects)
    const reasons = [
      authorizer.authorize(attributes(user('u'), 'get pods in a named x')),
      authorizer.authorize(attributes(user('x', 'g'), 'get pods in a named x')),
      authorizer.authorize(attributes(user('system:serviceaccount:a:s'), 'create pods in a')),
      authorizer.authorize(attributes(user('system:serviceaccount:a:s'), 'create pods in b')),
      authorizer.authorize(attributes(user('u'), 'delete pods in a named x')),
    ]
    expect(reasons).toEqual([
      { allowed: true, reason: 'RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to User "u"' },
      { allowed: true, reason: 'RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to Group "g"' },
      { allowed: true, reason: 'RBAC: allowed by RoleBinding "writers/a" of Role "writer" to ServiceAccount "s/a"' },
      { allowed: false, reason: '' },
      { allowed: false, reason: 'RBAC: clusterrole.rbac.authorization.k8s.io "nowhere" not found' },
    ])
    await remove(...objects)
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

describe('reviews', () => {
  const review = (kind: string, spec: object, metadata: object = {}) => ({
    apiVersion: 'authorization.k8s.io/v1',
    kind,
    metadata,
    spec,
  })
  const resourceAttributes = { verb: 'list', resource: 'pods', namespace: 'a' }

  test('answer what the authorizer decides', () => {
    const masters = review('SubjectAccessReview', { user: 'x', groups: ['system:masters'], resourceAttributes })
    expect(reviewSubjectAccess(authorizer, masters)).toEqual({ ...masters, status: { allowed: true } })
    const own = review('SelfSubjectAccessReview', { resourceAttributes })
    expect(reviewOwnAccess(authorizer, own, user('x')).status).toEqual({ allowed: false })
    const path = review('SelfSubjectAccessReview', { nonResourceAttributes: { verb: 'get', path: '/version' } })
    expect(reviewOwnAccess(authorizer, path, user('x', 'system:authenticated')).status).toEqual({
      allowed: true,
      reason: expect.stringContaining('RBAC: allowed by ClusterRoleBinding "system:'),
    })
    const local = review('LocalSubjectAccessReview', { user: 'x', resourceAttributes }, { namespace: 'a' })
    expect(reviewLocalSubjectAccess(authorizer, local, 'a').status).toEqual({ allowed: false })
  })

  test.each<[spec: object, metadata: object, message: string]>([
    [
      { user: 'x' },
      {},
      '.authorization.k8s.io "" is invalid: spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified',
    ],
    [
      { resourceAttributes },
      {},
      '.authorization.k8s.io "" is invalid: spec.user: Invalid value: "": at least one of user or group must be specified',
    ],
    [
      { user: 'x', resourceAttributes },
      { name: 'n' },
      '.authorization.k8s.io "" is invalid: metadata: Invalid value: {"name":"n"}: must be empty',
    ],
  ])('%j %j is refused', (spec, metadata, message) => {
    expect(() => reviewSubjectAccess(authorizer, review('SubjectAccessReview', spec, metadata))).toThrow(message)
  })

  test('rules of a namespace', async () => {
    const objects = [
      role('namer', [{ verbs: ['get'], apiGroups: [''], resources: ['pods'], resourceNames: ['x'] }], 'a'),
      binding('namers', { kind: 'Role', name: 'namer' }, [{ kind: 'User', name: 'u' }], 'a'),
      binding('broken', { kind: 'Role', name: 'gone' }, [{ kind: 'User', name: 'u' }], 'a'),
    ]
    await put(...objects)
    const answer = reviewOwnRules(authorizer, review('SelfSubjectRulesReview', { namespace: 'a' }), user('u'))
    expect(answer.status).toEqual({
      resourceRules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'], resourceNames: ['x'] }],
      nonResourceRules: [],
      incomplete: false,
      evaluationError: 'role.rbac.authorization.k8s.io "gone" not found',
    })
    await remove(...objects)
    expect(() => reviewOwnRules(authorizer, review('SelfSubjectRulesReview', {}), user('u'))).toThrow(
      'no namespace on request',
    )
  })
})

describe('escalation', () => {
  const podReader: PolicyRule = { verbs: ['get', 'list'], apiGroups: [''], resources: ['pods'] }
  const admin = user('admin-of-a', 'system:authenticated')
  const adminBinding = binding(
    'admins',
    { kind: 'ClusterRole', name: 'admin' },
    [{ kind: 'User', name: admin.username }],
    'a',
  )

  beforeAll(() => put(adminBinding))
  afterAll(() => remove(adminBinding))

  function attempt(object: KubeObject, who = admin, oldObject?: KubeObject): string {
    const resource = resourceOf(object).split('.')[0] ?? ''
    try {
      checkEscalation(authorizer, { resource, user: who, object, oldObject })
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
    await put(...objects)
    expect(attempt(role('r', everything, 'a'), user('e'))).toBe('allowed')
    expect(attempt(role('other', everything, 'a'), user('e'))).toContain('not currently held')
    expect(attempt(binding('b', { kind: 'ClusterRole', name: 'cluster-admin' }, []), user('e'))).toBe('allowed')
    expect(attempt(binding('b', { kind: 'ClusterRole', name: 'admin' }, []), user('e'))).toContain('not currently held')
    await remove(...objects)
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

  test('a rule that multiplies out to millions is refused without being multiplied out', () => {
    const many = Array.from({ length: 1000 }, (_, index) => `x${index}`)
    const bomb = role('r', [{ verbs: many, apiGroups: many, resources: many, resourceNames: many }], 'a')
    expect(attempt(bomb)).toContain('its rules stand for 1000000000000 permissions, more than the 10000')
  })
})

describe('aggregation', () => {
  test('follows labels, and settles for roles that select each other', async () => {
    const errors: unknown[] = []
    using _running = startAggregation(store, { onError: (error) => errors.push(error) })
    const rule = (resource: string): PolicyRule => ({ verbs: ['get'], apiGroups: ['x'], resources: [resource] })
    const selecting = (name: string, label: string, own: Record<string, string>): KubeObject => ({
      ...role(name, []),
      metadata: { name, labels: own },
      aggregationRule: { clusterRoleSelectors: [{ matchExpressions: [{ key: label, operator: 'Exists' }] }] },
    })
    const part = (name: string, labels: Record<string, string>): KubeObject => ({
      ...role(name, [rule(name)]),
      metadata: { name, labels },
    })
    const settled = async (): Promise<void> => {
      // Each pass is one write, and each write brings about the next pass; the last one changes nothing.
      for (let before = -1; before !== store.revision; ) {
        before = store.revision
        await store.write(() => undefined)
        await store.write(() => undefined)
      }
    }
    const objects = [
      selecting('one', 'a', { b: '' }),
      selecting('two', 'b', { a: '' }),
      part('p', { a: '' }),
      part('q', { b: '' }),
    ]
    await put(...objects)
    await settled()
    const rules = (name: string) => rulesOf(store.get(ROLE_RESOURCES.clusterRoles, undefined, name) as KubeObject)
    expect([rules('one'), rules('two')]).toEqual([
      [rule('p'), rule('q')],
      [rule('p'), rule('q')],
    ])
    await put(part('p', {}))
    await settled()
    expect([rules('one'), rules('two')]).toEqual([[rule('q')], [rule('q')]])
    await remove(...objects)
    await settled()
    expect(errors).toEqual([])
  })
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
              await remove(known)
            } else {
              held.set(key, object)
              await put(object)
            }
          }
          const objects = [...held.values()]
          using fresh = createAuthorizer(store)
          for (const [who, text] of questions) {
            const asked = attributes(who, text)
            const expected = naive(objects, asked)
            for (const index of [authorizer, fresh]) {
              const { allowed, reason } = index.authorize(asked)
              expect(allowed).toBe(expected.allowed)
              if (allowed) expect(expected.reasons).toContain(reason)
            }
          }
          await remove(...objects)
        },
      ),
      { numRuns: 200 },
    )
  })
})
