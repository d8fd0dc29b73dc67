import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Certificates, ensureCertificates, type KeyPair } from './authn/certificates.ts'
import { componentUsers } from './authn/component-users.ts'
import { builtinResources } from './registry/builtin/index.ts'
import { createSecurity, type Security } from './security.ts'
import { type ApiServer, createApiServer } from './server.ts'
import { openStore } from './storage/sqlite-store.ts'
import type { Store } from './storage/store.ts'

let directory: string
let certificates: Certificates
let store: Store
let security: Security
let server: ApiServer
let url: string
const reported: unknown[] = []

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'security-'))
  certificates = await ensureCertificates(join(directory, 'pki'), { hosts: ['127.0.0.1'], now: Date.now })
  store = openStore({ directory: join(directory, 'state') })
  security = await createSecurity({
    store,
    serviceAccountKey: certificates.serviceAccountKey,
    tokens: [{ token: 'tenant-token', user: { username: 'tenant', groups: [] } }],
    now: Date.now,
    report: (error) => reported.push(error),
  })
  server = createApiServer({
    ...security,
    store,
    resources: [...builtinResources(), ...security.resources],
    report: (error) => reported.push(error),
  })
  const { certificate: cert, key } = certificates.server
  const listening = await server.listen({
    host: '127.0.0.1',
    port: 0,
    tls: { cert, key, ca: certificates.authority },
  })
  url = listening.url
  for (const name of ['a', 'b']) await admin('POST', '/api/v1/namespaces', core('Namespace', { name }))
  await admin('POST', '/api/v1/namespaces/a/serviceaccounts', core('ServiceAccount', { name: 'robot' }))
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  security[Symbol.dispose]()
  await store[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
  expect(reported).toEqual([])
})

interface Credentials {
  pair?: KeyPair
  token?: string
  /** Lines of headers, so that one name can be there twice. */
  headers?: readonly (readonly [string, string])[]
}

interface Answer {
  code: number
  // oxlint-disable-next-line no-explicit-any -- answers of every shape are looked at
  body: any
}

function send(
  method: string,
  path: string,
  { pair, token, headers = [], body }: Credentials & { body?: object },
): Promise<Answer> {
  const text = body === undefined ? undefined : JSON.stringify(body)
  const lines = [
    ...headers,
    ...(token === undefined ? [] : [['authorization', `Bearer ${token}`] as const]),
    ...(text === undefined ? [] : [['content-type', 'application/json'] as const]),
    ['content-length', String(Buffer.byteLength(text ?? ''))] as const,
    ['host', '127.0.0.1'] as const,
  ]
  const agent = new Agent({ ca: certificates.authority, ...(pair && { cert: pair.certificate, key: pair.key }) })
  return new Promise((resolve, reject) => {
    const request = httpsRequest(`${url}${path}`, { method, agent, headers: lines.flat() }, (response) => {
      let received = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (received += chunk))
      response.on('end', () => {
        agent.destroy()
        resolve({ code: response.statusCode ?? 0, body: received.startsWith('{') ? JSON.parse(received) : received })
      })
    })
    request.on('error', reject)
    request.end(text)
  })
}

function admin(method: string, path: string, body?: object, headers: Credentials['headers'] = []): Promise<Answer> {
  return send(method, path, { pair: certificates.administrator, headers, ...(body && { body }) })
}

function core(kind: string, metadata: object, rest: object = {}): object {
  return { apiVersion: 'v1', kind, metadata, ...rest }
}

function rbac(kind: string, metadata: object, rest: object): object {
  return { apiVersion: 'rbac.authorization.k8s.io/v1', kind, metadata, ...rest }
}

const canCreateSandboxes = {
  apiVersion: 'authorization.k8s.io/v1',
  kind: 'SelfSubjectAccessReview',
  spec: {
    resourceAttributes: { verb: 'create', group: 'agents.x-k8s.io', resource: 'sandboxes', namespace: 'b' },
  },
}
const REVIEWS = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
const RBAC = '/apis/rbac.authorization.k8s.io/v1'

test('nobody gets 401, wherever', async () => {
  for (const path of ['/api/v1/pods', '/version', '/healthz', '/apis', '/nowhere']) {
    expect(await send('GET', path, {})).toMatchObject({ code: 401, body: { reason: 'Unauthorized' } })
  }
  expect((await send('GET', '/api', { token: 'wrong' })).code).toBe(401)
})

test('`kubectl auth can-i --as` of a service account answers truly', async () => {
  const as = [['impersonate-user', 'system:serviceaccount:a:robot']] as const
  const ask = () => admin('POST', REVIEWS, canCreateSandboxes, as)
  expect((await ask()).body.status).toEqual({ allowed: false })
  const subjects = [{ kind: 'ServiceAccount', name: 'robot', namespace: 'a' }]
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'edit' }
  const made = await admin(
    'POST',
    `${RBAC}/namespaces/b/rolebindings`,
    rbac('RoleBinding', { name: 'robots' }, { roleRef, subjects }),
  )
  expect(made.code).toBe(201)
  const { code, body } = await ask()
  expect([code, body.status]).toEqual([
    201,
    {
      allowed: true,
      reason: 'RBAC: allowed by RoleBinding "robots/b" of ClusterRole "edit" to ServiceAccount "robot/a"',
    },
  ])
  await admin('DELETE', `${RBAC}/namespaces/b/rolebindings/robots`)
  expect((await ask()).body.status).toEqual({ allowed: false })
})

describe('impersonation', () => {
  test('lines of one header are groups of their own', async () => {
    const headers = [
      ['impersonate-user', 'jane'],
      ['impersonate-group', 'developers'],
      ['impersonate-group', 'a, system:masters'],
      ['impersonate-extra-acme.com%2Fproject', 'x'],
    ] as const
    const { body } = await admin(
      'POST',
      '/apis/authentication.k8s.io/v1/selfsubjectreviews',
      review('SelfSubjectReview'),
      headers,
    )
    expect(body.status.userInfo).toEqual({
      username: 'jane',
      groups: ['developers', 'a, system:masters', 'system:authenticated'],
      extra: { 'acme.com/project': ['x'] },
    })
    expect((await admin('GET', '/api/v1/nodes', undefined, headers)).body.message).toBe(
      'nodes is forbidden: User "jane" cannot list resource "nodes" in API group "" at the cluster scope',
    )
  })

  test('is for those who may', async () => {
    const headers = [
      ['impersonate-user', 'kubernetes-admin'],
      ['impersonate-group', 'system:masters'],
    ] as const
    expect(await send('GET', '/api/v1/nodes', { token: 'tenant-token', headers })).toMatchObject({
      code: 403,
      body: {
        message:
          'users "kubernetes-admin" is forbidden: User "tenant" cannot impersonate resource "users" in API group "" at the cluster scope',
      },
    })
  })
})

function review(kind: string, spec?: object): object {
  const group = kind.includes('Access') ? 'authorization' : 'authentication'
  return { apiVersion: `${group}.k8s.io/v1`, kind, metadata: {}, ...(spec && { spec }) }
}

test('a service account token is issued, reviewed, used, and dies with its account', async () => {
  await admin('POST', '/api/v1/namespaces/a/serviceaccounts', core('ServiceAccount', { name: 'brief' }))
  const issued = await admin(
    'POST',
    '/api/v1/namespaces/a/serviceaccounts/brief/token',
    review('TokenRequest', { audiences: [], expirationSeconds: 600 }),
  )
  expect(issued.code).toBe(201)
  const { token } = issued.body.status
  const whoami = () =>
    send('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', { token, body: review('SelfSubjectReview') })
  expect((await whoami()).body.status.userInfo).toMatchObject({
    username: 'system:serviceaccount:a:brief',
    groups: ['system:serviceaccounts', 'system:serviceaccounts:a', 'system:authenticated'],
  })
  const reviewed = await admin('POST', '/apis/authentication.k8s.io/v1/tokenreviews', review('TokenReview', { token }))
  expect(reviewed.body.status).toMatchObject({
    authenticated: true,
    user: { username: 'system:serviceaccount:a:brief' },
  })
  // The discovery of issuers is open to service accounts.
  const keys = await send('GET', '/openid/v1/jwks', { token })
  expect(keys.body.keys).toEqual([expect.objectContaining({ use: 'sig', kty: 'EC', alg: 'ES256' })])
  expect((await send('GET', '/.well-known/openid-configuration', { token })).body.issuer).toBe(
    'https://kubernetes.default.svc.cluster.local',
  )
  await admin('DELETE', '/api/v1/namespaces/a/serviceaccounts/brief')
  expect((await whoami()).code).toBe(401)
})

test('who may see one name may list and watch it by that name', async () => {
  const rules = [{ verbs: ['list', 'get'], apiGroups: [''], resources: ['configmaps'], resourceNames: ['mine'] }]
  const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'tenant' }]
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'one' }
  await admin('POST', `${RBAC}/namespaces/a/roles`, rbac('Role', { name: 'one' }, { rules }))
  await admin('POST', `${RBAC}/namespaces/a/rolebindings`, rbac('RoleBinding', { name: 'one' }, { roleRef, subjects }))
  for (const name of ['mine', 'yours']) {
    await admin('POST', '/api/v1/namespaces/a/configmaps', core('ConfigMap', { name }))
  }
  const list = async (selector: string) => {
    const query = selector && `?fieldSelector=${encodeURIComponent(selector)}`
    const { code, body } = await send('GET', `/api/v1/namespaces/a/configmaps${query}`, { token: 'tenant-token' })
    return code === 200 ? body.items.map((item: { metadata: { name: string } }) => item.metadata.name) : code
  }
  expect(await Promise.all(['metadata.name=mine', 'metadata.name==mine'].map(list))).toEqual([['mine'], ['mine']])
  expect(await list('metadata.name=mine,metadata.name=yours')).toEqual([])
  for (const selector of ['', 'metadata.name=yours', 'metadata.name!=yours', 'metadata.namespace=a', '=mine']) {
    expect(await list(selector)).toBe(403)
  }
  await admin('DELETE', `${RBAC}/namespaces/a/rolebindings/one`)
})

describe('writes', () => {
  const pod = (securityContext: object = {}) =>
    core('Pod', { name: 'p' }, { spec: { containers: [{ name: 'c', image: 'busybox', securityContext }] } })

  test('a privileged Pod needs a privileged namespace', async () => {
    expect(await admin('POST', '/api/v1/namespaces/a/pods', pod({ privileged: true }))).toMatchObject({
      code: 403,
      body: {
        message:
          'pods "p" is forbidden: violates PodSecurity "baseline:latest": privileged (container "c" must not set securityContext.privileged=true)',
      },
    })
  })

  test('a Pod is completed', async () => {
    const { code, body } = await admin('POST', '/api/v1/namespaces/a/pods', pod())
    expect(code).toBe(201)
    expect(body.spec).toMatchObject({ serviceAccountName: 'default', priority: 0 })
    expect(body.spec.volumes).toHaveLength(1)
  })

  test('nothing is made in a namespace that is not there', async () => {
    expect(await admin('POST', '/api/v1/namespaces/nowhere/pods', pod())).toMatchObject({
      code: 404,
      body: { message: 'namespaces "nowhere" not found' },
    })
  })

  test('a node writes its own Node and no other', async () => {
    const pair = certificates.issueClientCertificate({ user: componentUsers.node('n') })
    expect((await send('POST', '/api/v1/nodes', { pair, body: core('Node', { name: 'n' }) })).code).toBe(201)
    expect(await send('POST', '/api/v1/nodes', { pair, body: core('Node', { name: 'm' }) })).toMatchObject({
      code: 403,
      body: { message: 'nodes "m" is forbidden: node "n" is not allowed to modify node "m"' },
    })
  })

  test('a tenant cannot make itself more', async () => {
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'admin' }
    const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'tenant' }]
    await admin(
      'POST',
      `${RBAC}/namespaces/b/rolebindings`,
      rbac('RoleBinding', { name: 'tenants' }, { roleRef, subjects }),
    )
    const bind = (name: string) =>
      send('POST', `${RBAC}/namespaces/b/rolebindings`, {
        token: 'tenant-token',
        body: rbac('RoleBinding', { name: `to-${name}` }, { roleRef: { ...roleRef, name }, subjects }),
      })
    expect((await bind('view')).code).toBe(201)
    const refused = await bind('cluster-admin')
    expect([refused.code, refused.body.message]).toEqual([
      403,
      'rolebindings.rbac.authorization.k8s.io "to-cluster-admin" is forbidden: user "tenant" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:["*"], Resources:["*"], Verbs:["*"]}\n{NonResourceURLs:["*"], Verbs:["*"]}',
    ])
    expect((await send('GET', '/api/v1/namespaces/a/secrets', { token: 'tenant-token' })).code).toBe(403)
  })
})
