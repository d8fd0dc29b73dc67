/** Tenants that store all they can, against a whole server with little room. */
import { rmSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { componentUsers } from '../authn/component-users.ts'
import type { HttpResponse } from '../testing/running-server.ts'
import { startWholeServer, TENANT_TOKEN, type WholeServer } from '../testing/whole-server.ts'
import { storageLimits } from './refuse-full.ts'

const MIB = 2 ** 20
const STORAGE = { total: 4 * MIB, perNamespace: 1 * MIB }
const LARGE = 'x'.repeat(100_000)

let api: WholeServer
beforeAll(async () => {
  api = await startWholeServer({ storage: STORAGE })
  const role = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'edit' }
  const bound = await api.request('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    body: { metadata: { name: 'tenant' }, roleRef: role, subjects: [{ kind: 'User', name: 'tenant' }] },
  })
  expect(bound.status).toBe(201)
  for (const name of ['a', 'b', 'c', 'd'])
    expect((await api.request('POST', '/api/v1/namespaces', { body: { metadata: { name } } })).status).toBe(201)
})
afterAll(async () => {
  await api[Symbol.asyncDispose]()
  rmSync(api.directory, { recursive: true })
  expect(api.reported).toEqual([])
})

function asTenant(method: string, path: string, body?: unknown): Promise<HttpResponse> {
  const headers = {
    authorization: `Bearer ${TENANT_TOKEN}`,
    ...(method === 'PATCH' && { 'content-type': 'application/merge-patch+json' }),
  }
  return api.request(method, path, { anonymous: true, headers, body })
}

const collection = (namespace: string): string => `/api/v1/namespaces/${namespace}/configmaps`
const configMap = (name: string, text = LARGE, finalizers: string[] = []) => ({
  metadata: { name, finalizers },
  data: { text },
})

/** Stores until something else than 201 comes back, which is returned. */
async function fill(namespace: string, finalizers: string[] = []): Promise<{ stored: number; answer: HttpResponse }> {
  for (let stored = 0; ; stored++) {
    const answer = await asTenant('POST', collection(namespace), configMap(`m${stored}`, LARGE, finalizers))
    if (answer.status !== 201) return { stored, answer }
  }
}

async function asComponent(namespace: string, name: string): Promise<number> {
  const body = {
    metadata: { name, namespace },
    involvedObject: { kind: 'Pod', namespace, name: 'p' },
    reason: 'Seen',
    message: 'x',
  }
  const path = `/api/v1/namespaces/${namespace}/events`
  const { status } = await api.server.connect(componentUsers.node('n')).request({ method: 'POST', path, body })
  return status
}

test('a namespace that has its share gets no more, and nobody else is hindered', async () => {
  const { stored, answer } = await fill('a', ['example.com/held'])
  expect([stored, answer.body]).toEqual([
    11,
    {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message:
        'configmaps "m11" is forbidden: exceeded quota: the objects of namespace "a" take 1.1 MiB of at most 1.0 MiB: delete what is not needed any more',
      reason: 'Forbidden',
      details: { name: 'm11', kind: 'configmaps' },
      code: 403,
    },
  ])
  // Others, the cluster's own parts and administrators go on.
  expect((await asTenant('POST', collection('b'), configMap('other'))).status).toBe(201)
  expect(await asComponent('a', 'seen')).toBe(201)
  expect((await api.request('POST', collection('a'), { body: configMap('administrator') })).status).toBe(201)
  // What is there may shrink and go, not grow.
  const grown = await asTenant('PATCH', `${collection('a')}/m0`, { data: { more: 'x' } })
  expect([grown.status, grown.body.reason]).toEqual([403, 'Forbidden'])
  expect((await asTenant('PATCH', `${collection('a')}/m0`, { data: { text: 'x' } })).status).toBe(200)
  for (let index = 1; index < 4; index++) {
    expect((await asTenant('DELETE', `${collection('a')}/m${index}`)).status).toBe(200)
    const freed = await asTenant('PATCH', `${collection('a')}/m${index}`, { metadata: { finalizers: null } })
    expect(freed.status).toBe(200)
  }
  expect((await asTenant('POST', collection('a'), configMap('again'))).status).toBe(201)
})

test('a cluster that is full says so, keeps its own parts working, and takes deletions', async () => {
  let last = await fill('b')
  for (const namespace of ['c', 'd']) last = await fill(namespace)
  const { code, reason, message } = last.answer.body
  expect([code, reason, message.replace(/\d+\.\d/, 'N')]).toEqual([
    507,
    'InternalError',
    'database space exceeded: the objects of this cluster take N MiB of at most 4.0 MiB: delete what is not needed any more, or start the server with more memory (NODE_OPTIONS=--max-old-space-size=MIB)',
  ])
  expect(await asComponent('default', 'seen')).toBe(201)
  expect((await api.request('POST', '/api/v1/namespaces', { body: { metadata: { name: 'late' } } })).status).toBe(201)
  const { text } = await api.request('GET', '/metrics')
  expect(text).toContain(`\ncaisson_stored_bytes ${api.store.bytes()}\n`)
  expect(text).toContain(`\ncaisson_stored_bytes_limit{of="namespace"} ${MIB}\n`)

  const { directory } = api
  await api[Symbol.asyncDispose]()
  api = await startWholeServer({ storage: STORAGE }, directory)
  expect((await asTenant('POST', collection('late'), configMap('after-restart'))).status).toBe(507)
  expect((await asTenant('DELETE', collection('b'))).status).toBe(200)
  expect((await asTenant('POST', collection('late'), configMap('after-deletion'))).status).toBe(201)
})

test('the limits follow the memory that the process may use, up to what etcd takes', () => {
  expect(storageLimits(4096 * MIB)).toEqual({ total: 512 * MIB, perNamespace: 256 * MIB })
  expect(storageLimits(64 * 1024 * MIB)).toEqual({ total: 2048 * MIB, perNamespace: 1024 * MIB })
})
