import { Agent } from 'node:https'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { send } from './testing/running-server.ts'
import { startTemporaryServer, TENANT_TOKEN, type WholeServer } from './testing/whole-server.ts'

let server: WholeServer
let agent: Agent

/** `tenant` may do everything in the namespace `mine`, as who is given a namespace may, and nothing outside it. */
beforeAll(async () => {
  server = await startTemporaryServer()
  agent = new Agent({ keepAlive: true, ca: server.certificates.authority })
  const objects: Array<[path: string, body: object]> = [
    ['/api/v1/namespaces', { metadata: { name: 'mine' } }],
    ['/api/v1/namespaces', { metadata: { name: 'other' } }],
    ['/api/v1/nodes', { metadata: { name: 'other' } }],
    ['/api/v1/persistentvolumes', VOLUME],
    [
      '/apis/rbac.authorization.k8s.io/v1/namespaces/mine/rolebindings',
      {
        metadata: { name: 'all' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
        subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'tenant' }],
      },
    ],
  ]
  for (const [path, body] of objects) {
    const { status, text } = await server.request('POST', path, { body })
    expect(status, text).toBe(201)
  }
  expect(await asTenant('GET', '/api/v1/namespaces/mine/pods')).toBe(200)
})
afterAll(async () => {
  agent.destroy()
  await server[Symbol.asyncDispose]()
})

const VOLUME = {
  metadata: { name: 'other' },
  spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/nowhere' } },
}

async function asTenant(method: string, path: string): Promise<number> {
  const answer = await send(`${server.url}${path}`, {
    method,
    agent,
    headers: { authorization: `Bearer ${TENANT_TOKEN}` },
    ...(method === 'POST' || method === 'PUT' || method === 'PATCH' ? { body: { metadata: { name: 'other' } } } : {}),
  })
  return answer.status
}

interface ServedResource {
  name: string
  namespaced: boolean
}

/** What the server serves for the whole cluster: paths of its versions, and plurals with their subresources. */
async function clusterResources(): Promise<Array<[base: string, name: string]>> {
  const { groups } = JSON.parse((await server.request('GET', '/apis')).text) as {
    groups: Array<{ versions: Array<{ groupVersion: string }> }>
  }
  const versions = groups.flatMap((group) => group.versions.map(({ groupVersion }) => `/apis/${groupVersion}`))
  const found: Array<[string, string]> = []
  for (const base of ['/api/v1', ...versions]) {
    const { resources } = JSON.parse((await server.request('GET', base)).text) as { resources: ServedResource[] }
    for (const { name, namespaced } of resources) if (!namespaced) found.push([base, name])
  }
  return found
}

test('all rights in one namespace reach nothing of the whole cluster below it, by any verb, subresource or watch', async () => {
  const resources = await clusterResources()
  expect(resources.map(([, name]) => name)).toEqual(
    expect.arrayContaining([
      'namespaces',
      'namespaces/status',
      'nodes',
      'nodes/proxy',
      'persistentvolumes',
      'clusterroles',
    ]),
  )
  const before = await clusterState()
  const answered: string[] = []
  for (const [base, name] of resources) {
    const [plural = '', subresource] = name.split('/')
    const collection = `/namespaces/mine/${plural}`
    const item = `${collection}/other${subresource === undefined ? '' : `/${subresource}`}`
    const asked: Array<[method: string, path: string]> = [
      ...['GET', 'PUT', 'PATCH', 'POST', 'DELETE'].map((method) => [method, `${base}${item}`] as [string, string]),
      ['GET', `${base}${item}/pods`],
      ...['GET', 'POST', 'DELETE'].map((method) => [method, `${base}${collection}`] as [string, string]),
      ['GET', `${base}${collection}?watch=true&timeoutSeconds=1`],
      ['GET', `${base}/watch${collection}?timeoutSeconds=1`],
      ['GET', `${base}/watch${item}?timeoutSeconds=1`],
    ]
    for (const [method, path] of asked) {
      const status = await asTenant(method, path)
      if (status !== 404) answered.push(`${status} ${method} ${path}`)
    }
  }
  expect(answered).toEqual([])
  expect(await clusterState()).toEqual(before)
})

async function clusterState(): Promise<string[]> {
  const paths = ['/api/v1/namespaces', '/api/v1/nodes', '/api/v1/persistentvolumes']
  const answers = await Promise.all(paths.map((path) => server.request('GET', path)))
  return answers.map(({ text }) => JSON.stringify((JSON.parse(text) as { items: unknown }).items))
}

test.each<[path: string, status: number]>([
  ['/api/v1/namespaces/mine', 200],
  ['/api/v1/namespaces/mine/status', 200],
  ['/api/v1/namespaces/other', 403],
  ['/api/v1/nodes/other/proxy/pods', 403],
  ['/api/v1/namespaces/other/nodes/other/proxy/pods', 403],
])('the same user is told the truth at %s: %i', async (path, status) => {
  expect(await asTenant('GET', path)).toBe(status)
})
