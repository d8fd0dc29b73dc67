import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { convertMachines, MACHINES, machine, machineDefinition } from '../testing/convert-machines.ts'
import { MERGE, said } from '../testing/requests.ts'
import { startWebhookServer, type WebhookServer } from '../testing/webhook-server.ts'
import { startTemporaryServer, type WholeServer } from '../testing/whole-server.ts'

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const CRD = `${CRDS}/machines.convert.example.com`
const V1 = `${MACHINES}/v1/namespaces/default/machines`
const V2 = `${MACHINES}/v2/namespaces/default/machines`

let api: WholeServer
let server: WebhookServer
const dialed: string[] = []
/** What the webhook at `/late` waits for. */
const late = Promise.withResolvers<void>()

beforeAll(async () => {
  server = await startWebhookServer(async (path, request) => {
    if (path === '/late') await late.promise
    return convertMachines(path, request)
  })
  api = await startTemporaryServer({
    dialService: async ({ namespace, name, port }) => {
      dialed.push(`${namespace}/${name}:${port}`)
      const socket = connect(server.port, '127.0.0.1')
      await once(socket, 'connect')
      return socket
    },
  })
  await api.request('POST', CRDS, { body: machineDefinition(server) })
})

afterAll(async () => {
  await api[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

beforeEach(async () => {
  await convertBy('/convert')
  for (const { metadata } of (await api.request('GET', V2)).body.items)
    await api.request('DELETE', `${V2}/${metadata.name}`)
  server.seen.length = 0
})

async function change(body: object): Promise<void> {
  const { status, body: answer } = await api.request('PATCH', CRD, { body, headers: MERGE })
  expect([status, answer.message]).toEqual([200, undefined])
}

function convertBy(path: string): Promise<void> {
  const clientConfig = { url: `${server.url}${path}`, service: null, caBundle: server.caBundle }
  return change({ spec: { conversion: { webhook: { clientConfig } } } })
}

const create = (version: 'v1' | 'v2', name: string, spec: object) =>
  api.request('POST', version === 'v1' ? V1 : V2, { body: machine(version, name, spec) })

const reviews = () => server.seen.map(({ desiredAPIVersion, objects }) => [desiredAPIVersion.slice(-2), objects.length])

describe('writes', () => {
  test('are stored in the storage version, and answered in their own', async () => {
    const made = await create('v1', 'a', { address: 'h:1' })
    expect([made.status, made.body.apiVersion, made.body.spec]).toEqual([
      201,
      'convert.example.com/v1',
      { address: 'h:1', mode: 'old' },
    ])
    expect([made.body.metadata.generation, made.body.metadata.annotations]).toEqual([
      1,
      { converted: 'convert.example.com/v1' },
    ])
    expect(reviews()).toEqual([
      ['v2', 1],
      ['v1', 1],
    ])
    // Webhooks of Kubernetes never see a version of the store.
    expect(server.seen.flatMap(({ objects }) => objects[0].metadata.resourceVersion ?? [])).toEqual([])
    const stored = [...api.store.list('machines.convert.example.com')]
    expect(stored.map(({ apiVersion, spec }) => ({ apiVersion, spec }))).toEqual([
      { apiVersion: 'convert.example.com/v2', spec: { host: 'h', port: '1', mode: 'old' } },
    ])
  })

  test('in the storage version ask nobody', async () => {
    await create('v2', 'b', { host: 'h', port: '1' })
    await api.request('PATCH', `${V2}/b`, { body: { spec: { port: '2' } }, headers: MERGE })
    expect((await api.request('GET', `${V2}/b`)).body.spec).toEqual({ host: 'h', port: '2', mode: 'new' })
    expect(server.seen).toEqual([])
  })

  test('of every kind go through the version of the request', async () => {
    await create('v2', 'c', { host: 'h', port: '1', replicas: 1 })
    const patched = await api.request('PATCH', `${V1}/c`, { body: { spec: { address: 'x:9' } }, headers: MERGE })
    expect(patched.body.spec).toEqual({ address: 'x:9', mode: 'new', replicas: 1 })
    const put = await api.request('PUT', `${V1}/c`, {
      body: { ...patched.body, spec: { address: 'y:8', replicas: 1 } },
    })
    expect(put.body.spec).toEqual({ address: 'y:8', mode: 'old', replicas: 1 })
    const applied = await api.request('PATCH', `${V1}/c?fieldManager=me&force=true`, {
      body: machine('v1', 'c', { address: 'z:7' }),
      headers: { 'content-type': 'application/apply-patch+yaml' },
    })
    expect(applied.body.spec).toEqual({ address: 'z:7', mode: 'old', replicas: 1 })
    const status = await api.request('PATCH', `${V1}/c/status`, { body: { status: { replicas: 3 } }, headers: MERGE })
    expect(status.body.status).toEqual({ replicas: 3 })
    const scaled = await api.request('PATCH', `${V1}/c/scale`, { body: { spec: { replicas: 5 } }, headers: MERGE })
    expect([scaled.status, scaled.body.spec]).toEqual([200, { replicas: 5 }])
    expect((await api.request('GET', `${V1}/c/scale`)).body.status).toEqual({ replicas: 3 })
    expect((await api.request('GET', `${V2}/c`)).body.spec).toEqual({ host: 'z', port: '7', mode: 'old', replicas: 5 })
  })

  test('that nobody makes, in a dry run, are converted all the same', async () => {
    const made = await api.request('POST', `${V1}?dryRun=All`, { body: machine('v1', 'dry', { address: 'h:1' }) })
    expect([made.status, made.body.spec.address]).toEqual([201, 'h:1'])
    expect((await api.request('GET', `${V1}/dry`)).status).toBe(404)
  })

  test('and reads are without what the schema of the version has not', async () => {
    await convertBy('/more')
    expect((await create('v1', 'more', { address: 'h:1' })).body).not.toHaveProperty('unknown')
    expect([...api.store.list('machines.convert.example.com')][0]).not.toHaveProperty('unknown')
  })

  test('deletions are told of the object in their version', async () => {
    await create('v2', 'gone', { host: 'h', port: '1' })
    expect((await api.request('DELETE', `${V1}/gone`)).status).toBe(200)
    await create('v2', 'all', { host: 'h', port: '1' })
    const all = await api.request('DELETE', V1)
    expect(all.body.items.map((item: { spec: object }) => item.spec)).toEqual([{ address: 'h:1', mode: 'new' }])
    expect((await api.request('GET', V1)).body.items).toEqual([])
  })
})

describe('reads', () => {
  test('of one state in one version ask once, lists in batches', async () => {
    for (let index = 0; index < 250; index++) await create('v2', `m${index}`, { host: `h${index}`, port: '1' })
    const list = await api.request('GET', V1)
    expect(list.body.items).toHaveLength(250)
    expect(list.body.items[0].spec).toEqual({ address: 'h0:1', mode: 'new' })
    expect(reviews()).toHaveLength(3)
    expect(reviews()).toEqual(
      expect.arrayContaining([
        ['v1', 100],
        ['v1', 50],
      ]),
    )
    await api.request('GET', V1)
    await api.request('GET', `${V1}/m7`)
    expect(server.seen).toHaveLength(3)
  })

  test('ask only for the page that is wanted, and select by what the client sees', async () => {
    for (const name of ['a', 'b', 'c']) await create('v2', name, { host: name, port: '1' })
    expect((await api.request('GET', `${V1}?limit=2`)).body.items).toHaveLength(2)
    expect(reviews()).toEqual([['v1', 2]])
    const named = await api.request('GET', `${V1}?fieldSelector=metadata.name%3Dc`)
    expect(named.body.items.map((item: { spec: object }) => item.spec)).toEqual([{ address: 'c:1', mode: 'new' }])
  })

  test('are one question for all who ask at the same time', async () => {
    await create('v2', 'shared', { host: 'h', port: '1' })
    const answers = await Promise.all(Array.from({ length: 10 }, () => api.request('GET', `${V1}/shared`)))
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 200))
    expect(reviews()).toEqual([['v1', 1]])
  })

  test('watches tell of what is there and of what happens, in order', async () => {
    await create('v2', 'a', { host: 'h', port: '1' })
    const abort = new AbortController()
    const seen: unknown[] = []
    for await (const { type, object } of api.server
      .connect({ username: 'admin', groups: ['system:masters'] })
      .watch({ method: 'GET', path: V1, signal: abort.signal })) {
      const { metadata, spec } = object as unknown as { metadata: { name: string }; spec: { address: string } }
      seen.push([type, metadata.name, spec.address])
      if (seen.length === 1) {
        await create('v2', 'b', { host: 'x', port: '1' })
        await api.request('PATCH', `${V2}/b`, { body: { spec: { port: '2' } }, headers: MERGE })
        await create('v1', 'c', { address: 'y:1' })
        await api.request('DELETE', `${V2}/a`)
      }
      if (seen.length === 5) break
    }
    abort.abort()
    expect(seen).toEqual([
      ['ADDED', 'a', 'h:1'],
      ['ADDED', 'b', 'x:1'],
      ['MODIFIED', 'b', 'x:2'],
      ['ADDED', 'c', 'y:1'],
      ['DELETED', 'a', 'h:1'],
    ])
  })
})

test('after a change of the storage version what was stored before is read in every version', async () => {
  await create('v2', 'old', { host: 'h', port: '1' })
  const versions = (machineDefinition(server, 'v1') as { spec: { versions: object[] } }).spec.versions
  await change({ spec: { versions } })
  expect((await api.request('GET', CRD)).body.status.storedVersions).toEqual(['v2', 'v1'])
  expect((await api.request('GET', `${V1}/old`)).body.spec).toEqual({ address: 'h:1', mode: 'new' })
  expect((await api.request('GET', `${V2}/old`)).body.spec).toEqual({ host: 'h', port: '1', mode: 'new' })
  const patched = await api.request('PATCH', `${V2}/old`, { body: { spec: { port: '2' } }, headers: MERGE })
  expect(patched.body.spec).toEqual({ host: 'h', port: '2', mode: 'new' })
  expect([...api.store.list('machines.convert.example.com')].map(({ apiVersion }) => apiVersion)).toEqual([
    'convert.example.com/v1',
  ])
  await change({ spec: { versions: (machineDefinition(server) as { spec: { versions: object[] } }).spec.versions } })
})

test('a webhook behind a Service is reached through the cluster', async () => {
  const service = { namespace: 'default', name: 'hook', path: '/convert' }
  const clientConfig = { url: null, service, caBundle: server.caBundle }
  await change({ spec: { conversion: { webhook: { clientConfig } } } })
  const made = await create('v1', 'served', { address: 'h:1' })
  expect([made.status, dialed.at(-1)]).toEqual([201, 'default/hook:443'])
})

describe('a webhook that answers wrongly', () => {
  test.each([
    ['/failure', 'failed: no such machine'],
    ['/silent', "failed: response.result.status was 'Failure', not 'Success'"],
    ['/fewer', 'returned 0 objects, expected 1'],
    [
      '/version',
      'returned invalid object at index 0: invalid groupVersion (expected convert.example.com/v1, received convert.example.com/v2)',
    ],
    ['/name', 'returned invalid object: must have the same name: wrong != other'],
    ['/metadata', 'returned invalid object: must have the same name: wrong != '],
  ])('%s', async (path, expected) => {
    await create('v2', 'wrong', { host: 'h', port: '1' })
    await convertBy(path)
    const answer = await api.request('GET', `${V1}/wrong`)
    expect(said(answer)).toBe(`500 undefined: conversion webhook for convert.example.com/v2, Kind=Machine ${expected}`)
    // Nothing of it is remembered, and the version that is stored needs nobody.
    expect((await api.request('GET', `${V2}/wrong`)).status).toBe(200)
    await convertBy('/convert')
    expect((await api.request('GET', `${V1}/wrong`)).status).toBe(200)
  })

  test('stores nothing', async () => {
    await convertBy('/failure')
    expect((await create('v1', 'unstored', { address: 'h:1' })).status).toBe(500)
    expect((await api.request('GET', `${V2}/unstored`)).status).toBe(404)
  })

  test('ends a watch with what it said', async () => {
    await create('v2', 'watched', { host: 'h', port: '1' })
    await convertBy('/failure')
    const events: unknown[] = []
    const watch = api.server
      .connect({ username: 'admin', groups: ['system:masters'] })
      .watch({ method: 'GET', path: V1 })
    for await (const { type, object } of watch) events.push([type, (object as { message?: string }).message])
    expect(events).toEqual([
      ['ERROR', 'conversion webhook for convert.example.com/v2, Kind=Machine failed: no such machine'],
    ])
  })

  test('late keeps nobody waiting but those who need it', async () => {
    await create('v2', 'hung', { host: 'h', port: '1' })
    await convertBy('/late')
    let settled = false
    const hung = Promise.all(
      Array.from({ length: 20 }, (_, index) => create('v1', `n${index}`, { address: 'h:1' })),
    ).finally(() => {
      settled = true
    })
    expect((await api.request('GET', `${V2}/hung`)).status).toBe(200)
    expect((await create('v2', 'other', { host: 'h', port: '1' })).status).toBe(201)
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'beside' } }
    expect((await api.request('POST', '/api/v1/namespaces/default/configmaps', { body: map })).status).toBe(201)
    expect(settled).toBe(false)
    late.resolve()
    expect((await hung).map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 201))
  })
})

test('a definition goes with its objects, whatever has become of its webhook', async () => {
  await create('v2', 'last', { host: 'h', port: '1' })
  await convertBy('/failure')
  expect((await api.request('DELETE', CRD)).status).toBe(200)
  await expect.poll(async () => (await api.request('GET', CRD)).status).toBe(404)
  expect(api.reported).toEqual([])
})
