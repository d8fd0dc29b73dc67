import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startWebhookServer, type WebhookServer } from '../../testing/webhook-server.ts'
import { startTemporaryServer, TENANT_TOKEN, type WholeServer } from '../../testing/whole-server.ts'

const HOOKS = '/apis/admissionregistration.k8s.io/v1'
const MAPS = '/api/v1/namespaces/default/configmaps'

let api: WholeServer
let server: WebhookServer
let next = 0
/** What a webhook does beyond answering, by its path. */
const during = new Map<string, () => Promise<unknown>>()

function patch(operations: object[]): object {
  return {
    allowed: true,
    patchType: 'JSONPatch',
    patch: Buffer.from(JSON.stringify(operations)).toString('base64'),
  }
}

beforeAll(async () => {
  server = await startWebhookServer(async (path, request) => {
    await during.get(path)?.()
    const { labels = {} } = request.object?.metadata ?? {}
    switch (path) {
      case '/label':
        return {
          ...patch([{ op: 'add', path: '/metadata/labels', value: { ...labels, hooked: 'yes' } }]),
          warnings: ['labelled'],
        }
      case '/count':
        return patch([{ op: 'add', path: '/data', value: { labels: JSON.stringify(labels) } }])
      case '/grant':
        // Only once another one has had its say.
        return labels['hooked']
          ? patch([{ op: 'add', path: '/rules', value: [{ apiGroups: [''], resources: ['secrets'], verbs: ['*'] }] }])
          : { allowed: true }
      case '/deny':
        return { allowed: false, status: { code: 418, reason: 'Teapot', message: 'short and stout' } }
      case '/wrong':
        return patch([{ op: 'add', path: '/metadata/name', value: 'another' }])
      case '/never':
        return undefined
      default:
        return { allowed: true }
    }
  })
  api = await startTemporaryServer({
    dialService: async ({ name, namespace, port }) => {
      if (name !== 'hook' || namespace !== 'default' || port !== 443) throw new Error('no endpoints available')
      const socket = connect(server.port, '127.0.0.1')
      await once(socket, 'connect')
      return socket
    },
  })
  await api.request('POST', '/api/v1/namespaces/default/serviceaccounts', { body: { metadata: { name: 'default' } } })
})

afterAll(async () => {
  await api[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

beforeEach(async () => {
  for (const kind of ['mutating', 'validating']) await api.request('DELETE', `${HOOKS}/${kind}webhookconfigurations`)
  server.seen.length = 0
  during.clear()
})

async function install(
  kind: 'mutating' | 'validating',
  hooks: Array<{ path: string; [field: string]: unknown }>,
): Promise<void> {
  const { status, body } = await api.request('POST', `${HOOKS}/${kind}webhookconfigurations`, {
    body: {
      metadata: { name: `hooks-${next++}` },
      webhooks: hooks.map(({ path, ...more }, index) => ({
        name: `h${index}.example.com`,
        clientConfig: { url: `${server.url}${path}`, caBundle: server.caBundle },
        rules: [{ operations: ['*'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] }],
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
        ...more,
      })),
    },
  })
  expect([status, body.message]).toEqual([201, undefined])
}

async function make(name: string, rest: object = {}, query = '') {
  return api.request('POST', `${MAPS}${query}`, { body: { metadata: { name }, ...rest } })
}

test('a Pod that is given its token is one that webhooks can judge, and change', async () => {
  const rules = [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }]
  await install('mutating', [{ path: '/label', rules }])
  await install('validating', [{ path: '/allow', rules }])
  const { status, body } = await api.request('POST', '/api/v1/namespaces/default/pods', {
    body: { metadata: { name: 'judged' }, spec: { containers: [{ name: 'main', image: 'some' }] } },
  })
  expect([status, body.metadata.labels]).toEqual([201, { hooked: 'yes' }])
  expect(body.spec.volumes.map(({ name }: { name: string }) => name)).toEqual([
    expect.stringMatching(/^kube-api-access-[a-z0-9]{5}$/),
  ])
})

describe('mutating webhooks', () => {
  test('hand out no more than the user may who writes a role, however late they change it', async () => {
    const bindings = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings'
    const roles = '/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles'
    await api.request('POST', '/apis/rbac.authorization.k8s.io/v1/clusterroles', {
      body: {
        metadata: { name: 'writer' },
        rules: [{ apiGroups: ['rbac.authorization.k8s.io'], resources: ['roles'], verbs: ['create'] }],
      },
    })
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'writer' }
    const subjects = [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'tenant' }]
    await api.request('POST', bindings, { body: { metadata: { name: 'writer' }, roleRef, subjects } })
    const about = { operations: ['*'], apiGroups: ['rbac.authorization.k8s.io'], apiVersions: ['v1'], resources: ['*'] }
    await install('mutating', [
      { path: '/grant', rules: [about], reinvocationPolicy: 'IfNeeded' },
      { path: '/label', rules: [about] },
    ])
    const asTenant = { anonymous: true, headers: { authorization: `Bearer ${TENANT_TOKEN}` } }
    const { status, body } = await api.request('POST', roles, { ...asTenant, body: { metadata: { name: 'r' } } })
    expect([status, body.message]).toEqual([
      403,
      expect.stringContaining('is attempting to grant RBAC permissions not currently held'),
    ])
    // The webhook itself does what it is asked to.
    const { body: made } = await api.request('POST', roles, { body: { metadata: { name: 'r' } } })
    expect(made.rules).toEqual([{ apiGroups: [''], resources: ['secrets'], verbs: ['*'] }])
  })

  test('change what is stored, and warn', async () => {
    await install('mutating', [{ path: '/label' }])
    const { status, body, headers } = await make('mutated')
    expect([status, body.metadata.labels, headers['warning']]).toEqual([201, { hooked: 'yes' }, '299 - "labelled"'])
    expect((await api.request('GET', `${MAPS}/mutated`)).body.metadata.labels).toEqual({ hooked: 'yes' })
    expect(server.seen).toHaveLength(1)
  })

  test('see what the ones before them made, and are asked again after them where they wish', async () => {
    await install('mutating', [{ path: '/count', reinvocationPolicy: 'IfNeeded' }])
    await install('mutating', [{ path: '/label' }])
    const { body } = await make('reinvoked')
    expect(body.data).toEqual({ labels: '{"hooked":"yes"}' })
    expect(server.seen).toHaveLength(3)
  })

  test('give a generated name to what they changed', async () => {
    await install('mutating', [{ path: '/label' }])
    const { status, body } = await api.request('POST', MAPS, { body: { metadata: { generateName: 'made-' } } })
    expect([status, body.metadata.labels]).toEqual([201, { hooked: 'yes' }])
    expect(body.metadata.name).toMatch(/^made-.{5}$/)
  })

  test('are asked again where the object changed while they thought', async () => {
    await make('busy', { data: { by: 'nobody' } })
    await install('mutating', [
      {
        path: '/label',
        matchConditions: [{ name: 'a', expression: 'request.userInfo.username == "kubernetes-admin"' }],
      },
    ])
    const other = api.server.connect({ username: 'other', groups: ['system:masters'] })
    during.set('/label', async () => {
      during.clear()
      await other.request({
        method: 'PATCH',
        path: `${MAPS}/busy`,
        body: { data: { other: 'yes' } },
        patchType: 'application/merge-patch+json',
      })
    })
    const { status, body } = await api.request('PATCH', `${MAPS}/busy`, {
      body: { data: { by: 'me' } },
      headers: { 'content-type': 'application/merge-patch+json' },
    })
    expect([status, body.data, body.metadata.labels]).toEqual([200, { by: 'me', other: 'yes' }, { hooked: 'yes' }])
    expect(server.seen.map((request) => request.oldObject.data)).toEqual([
      { by: 'nobody' },
      { by: 'nobody', other: 'yes' },
    ])
  })

  test('cannot make another object of it', async () => {
    await install('mutating', [{ path: '/wrong' }])
    await make('mine')
    const { status } = await api.request('PUT', `${MAPS}/mine`, { body: { metadata: { name: 'mine' } } })
    expect(status).toBeGreaterThanOrEqual(400)
    expect((await api.request('GET', `${MAPS}/mine`)).status).toBe(404)
  })
})

describe('validating webhooks', () => {
  test('refuse in their own words, and nothing is stored', async () => {
    await install('validating', [{ path: '/deny' }])
    const { status, body } = await make('refused')
    expect([status, body]).toEqual([
      418,
      {
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: 'admission webhook "h0.example.com" denied the request: short and stout',
        reason: 'Teapot',
        code: 418,
      },
    ])
    expect((await api.request('GET', `${MAPS}/refused`)).status).toBe(404)
  })

  test('are told of each write as kube-apiserver tells it', async () => {
    await make('told')
    await install('validating', [{ path: '/ok' }])
    await api.request('PATCH', `${MAPS}/told?fieldManager=me`, {
      body: { data: { a: '1' } },
      headers: { 'content-type': 'application/merge-patch+json' },
    })
    await api.request('DELETE', `${MAPS}/told?dryRun=All`)
    await api.request('DELETE', MAPS, { body: {} })
    const brief = server.seen.map(({ operation, name, object, oldObject, dryRun, options }) => ({
      operation,
      name,
      data: [oldObject?.data ?? null, object?.data ?? null],
      dryRun,
      options,
    }))
    const meta = { apiVersion: 'meta.k8s.io/v1' }
    expect(brief.filter(({ name }) => name === 'told')).toEqual([
      {
        operation: 'UPDATE',
        name: 'told',
        data: [null, { a: '1' }],
        dryRun: false,
        options: { ...meta, kind: 'UpdateOptions', fieldManager: 'me' },
      },
      {
        operation: 'DELETE',
        name: 'told',
        data: [{ a: '1' }, null],
        dryRun: true,
        options: { ...meta, kind: 'DeleteOptions', dryRun: ['All'] },
      },
      {
        operation: 'DELETE',
        name: 'told',
        data: [{ a: '1' }, null],
        dryRun: false,
        options: { ...meta, kind: 'DeleteOptions' },
      },
    ])
  })

  test('are chosen by namespace, labels, conditions and rules', async () => {
    const rules = [{ operations: ['DELETE'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] }]
    const matchConditions = [{ name: 'a', expression: 'has(object.data) && object.data.x == "1"' }]
    await install('validating', [
      { path: '/deny', rules },
      { path: '/deny', namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'elsewhere' } } },
      { path: '/deny', objectSelector: { matchLabels: { deny: 'yes' } } },
      { path: '/deny', matchConditions },
    ])
    const denied = async (name: string, rest: object) => (await make(name, rest)).body.message
    expect([
      await denied('free', {}),
      await denied('a', { metadata: { name: 'a', labels: { deny: 'yes' } } }),
      await denied('b', { data: { x: '1' } }),
      (await api.request('DELETE', `${MAPS}/free`)).body.message,
    ]).toEqual([
      undefined,
      'admission webhook "h2.example.com" denied the request: short and stout',
      'admission webhook "h3.example.com" denied the request: short and stout',
      'admission webhook "h0.example.com" denied the request: short and stout',
    ])
  })

  test('that fail or take too long refuse, or do not, as their policy says', async () => {
    await install('validating', [
      { path: '/never', timeoutSeconds: 1, failurePolicy: 'Ignore' },
      { path: '/ok', clientConfig: { url: server.url }, failurePolicy: 'Ignore' },
    ])
    expect((await make('let-through')).status).toBe(201)
    expect(api.reported.splice(0)).toHaveLength(2)
    await install('validating', [{ path: '/never', timeoutSeconds: 1 }])
    const { status, body } = await make('too-late')
    expect([status, body.message]).toEqual([
      500,
      `Internal error occurred: failed calling webhook "h0.example.com": failed to call webhook: Post "${server.url}/never?timeout=1s": context deadline exceeded`,
    ])
    api.reported.length = 0
  })

  test('do not judge what configures them', async () => {
    await install('validating', [
      { path: '/deny', rules: [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'] }] },
    ])
    expect((await make('refused')).status).toBe(418)
    expect((await api.request('DELETE', `${HOOKS}/validatingwebhookconfigurations`)).status).toBe(200)
    expect((await make('free-again')).status).toBe(201)
  })
})

test('a webhook behind a Service is reached by its name', async () => {
  const { caBundle } = server
  await install('validating', [
    { path: '', clientConfig: { service: { name: 'hook', namespace: 'default', path: '/deny' }, caBundle } },
  ])
  expect((await make('by-service')).status).toBe(418)
  await install('validating', [
    {
      path: '',
      clientConfig: { service: { name: 'other', namespace: 'default' }, caBundle },
      objectSelector: { matchLabels: { a: 'b' } },
    },
  ])
  await api.request('DELETE', `${HOOKS}/validatingwebhookconfigurations/hooks-${next - 2}`)
  expect((await make('nobody', { metadata: { name: 'nobody', labels: { a: 'b' } } })).body.message).toBe(
    'Internal error occurred: failed calling webhook "h0.example.com": failed to call webhook: Post "https://other.default.svc:443/?timeout=10s": no endpoints available',
  )
})

test('custom resources are shown in the version that the webhook knows', async () => {
  const version = (name: string, storage: boolean) => ({
    name,
    storage,
    served: true,
    schema: {
      openAPIV3Schema: {
        type: 'object',
        properties: { spec: { type: 'object', properties: { size: { type: 'integer' } } } },
      },
    },
  })
  await api.request('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
    body: {
      metadata: { name: 'boxes.example.com' },
      spec: {
        group: 'example.com',
        scope: 'Namespaced',
        names: { plural: 'boxes', kind: 'Box' },
        versions: [version('v1', true), version('v2', false)],
      },
    },
  })
  await install('validating', [
    {
      path: '/ok',
      rules: [{ operations: ['CREATE'], apiGroups: ['example.com'], apiVersions: ['v1'], resources: ['boxes'] }],
    },
  ])
  const { status } = await api.request('POST', '/apis/example.com/v2/namespaces/default/boxes', {
    body: { apiVersion: 'example.com/v2', kind: 'Box', metadata: { name: 'a' }, spec: { size: 1 } },
  })
  const [{ kind, requestKind, object }] = server.seen as [Record<string, { apiVersion?: string }>]
  expect([status, kind, requestKind, object?.apiVersion]).toEqual([
    201,
    { group: 'example.com', version: 'v1', kind: 'Box' },
    { group: 'example.com', version: 'v2', kind: 'Box' },
    'example.com/v1',
  ])
})

describe('what is created below an object', () => {
  const PODS = '/api/v1/namespaces/default/pods'
  const rules = [
    {
      operations: ['CREATE'],
      apiGroups: [''],
      apiVersions: ['v1'],
      resources: ['serviceaccounts/token', 'pods/binding', 'pods/eviction', 'bindings'],
    },
  ]
  const requests: Array<[what: string, path: string, kind: string, body: object]> = [
    ['a token', '/api/v1/namespaces/default/serviceaccounts/default/token', 'TokenRequest', { spec: {} }],
    [
      'a binding',
      `${PODS}/bound/binding`,
      'Binding',
      { metadata: { name: 'bound' }, target: { kind: 'Node', name: 'here' } },
    ],
    [
      'a Binding of its own',
      '/api/v1/namespaces/default/bindings',
      'Binding',
      { metadata: { name: 'bound' }, target: { kind: 'Node', name: 'here' } },
    ],
    ['an eviction', `${PODS}/bound/eviction`, 'Eviction', { metadata: { name: 'bound' } }],
  ]

  beforeAll(async () => {
    const spec = { containers: [{ name: 'main', image: 'x' }] }
    const { status, text } = await api.request('POST', PODS, { body: { metadata: { name: 'bound' }, spec } })
    expect(status, text).toBe(201)
  })

  test.each(requests)('is asked about: %s', async (_what, path, kind, body) => {
    await install('validating', [{ path: '/deny', rules }])
    const refused = await api.request('POST', path, { body })
    expect([refused.status, refused.body.reason]).toEqual([418, 'Teapot'])
    expect(server.seen.map(({ kind: shown }) => shown.kind)).toEqual([kind])
  })

  test.each(requests.filter(([what]) => what !== 'a Binding of its own'))(
    'and goes on where it may: %s',
    async (_what, path, _kind, body) => {
      await install('validating', [{ path: '/allow', rules }])
      const { status, text } = await api.request('POST', path, { body })
      expect([status, server.seen.length], text).toEqual([201, 1])
    },
  )
})
