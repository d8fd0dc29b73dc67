import type { KubeObject, WatchEvent } from '@caisson/api'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Client, createClient } from './client.ts'
import { resources } from './core-resources.ts'
import { inProcessTransport } from './in-process-transport.ts'
import { defineResource } from './resource.ts'
import type { ApiRequest, ApiResponse, InProcessServer } from './transport.ts'

const widgets = defineResource<KubeObject>({
  group: 'test.example',
  version: 'v1',
  plural: 'widgets',
  kind: 'Widget',
  namespaced: true,
})
const object = { apiVersion: 'test.example/v1', kind: 'Widget', metadata: { name: 'a', namespace: 'n' } }
const at = '/apis/test.example/v1/namespaces/n/widgets'

/** A client of a server that answers every request with `answer`, and what that server was asked. */
function answered(
  answer: Partial<ApiResponse> | ((request: ApiRequest) => Partial<ApiResponse>) = {},
  fieldManager?: string,
) {
  const asked: ApiRequest[] = []
  const server: InProcessServer = {
    async request(request) {
      asked.push(request)
      return { status: 200, body: object, warnings: [], ...(typeof answer === 'function' ? answer(request) : answer) }
    },
    async *watch(request): AsyncGenerator<WatchEvent> {
      asked.push(request)
      yield* []
    },
    async *stream(request) {
      asked.push(request)
      yield Buffer.from('log')
    },
  }
  const transport = inProcessTransport(server)
  onTestFinished(() => transport[Symbol.asyncDispose]())
  return { client: createClient(transport, fieldManager === undefined ? {} : { fieldManager }), asked, server }
}

/** The one request as it would be on the wire. */
function wire(asked: ApiRequest[]) {
  expect(asked).toHaveLength(1)
  const [{ method, path, query = {}, body, patchType } = expect.fail()] = asked
  const said = Object.entries(query).filter(([, value]) => value !== undefined)
  return {
    request: `${method} ${path}${said.length > 0 ? `?${said.map((pair) => pair.join('=')).join('&')}` : ''}`,
    body,
    patchType,
  }
}

describe('each verb is the request that Kubernetes knows', () => {
  test.each<[string, (client: Client) => Promise<unknown>, string, unknown?, string?]>([
    [
      'get',
      (client) => client.get(widgets, 'a', { namespace: 'n', resourceVersion: '0' }),
      `GET ${at}/a?resourceVersion=0`,
    ],
    [
      'get of a subresource',
      (client) => client.get(widgets, 'a', { namespace: 'n', subresource: 'scale' }),
      `GET ${at}/a/scale`,
    ],
    [
      'create',
      (client) =>
        client.create(
          widgets,
          { metadata: { generateName: 'a-' }, spec: {} },
          { namespace: 'n', dryRun: true, fieldValidation: 'Strict' },
        ),
      `POST ${at}?dryRun=All&fieldManager=me&fieldValidation=Strict`,
      { apiVersion: 'test.example/v1', kind: 'Widget', metadata: { generateName: 'a-' }, spec: {} },
    ],
    ['update', (client) => client.update(widgets, object), `PUT ${at}/a?fieldManager=me`, object],
    [
      'updateStatus',
      (client) => client.updateStatus(widgets, object, { fieldManager: 'other' }),
      `PUT ${at}/a/status?fieldManager=other`,
      object,
    ],
    [
      'patch',
      (client) => client.patch(widgets, 'a', { spec: null }, { namespace: 'n' }),
      `PATCH ${at}/a?fieldManager=me`,
      { spec: null },
      'application/merge-patch+json',
    ],
    [
      'patch as JSON Patch',
      (client) => client.patch(widgets, 'a', [{ op: 'test' }], { namespace: 'n', type: 'json' }),
      `PATCH ${at}/a?fieldManager=me`,
      [{ op: 'test' }],
      'application/json-patch+json',
    ],
    [
      'patchStatus',
      (client) => client.patchStatus(widgets, 'a', { status: {} }, { namespace: 'n' }),
      `PATCH ${at}/a/status?fieldManager=me`,
      { status: {} },
      'application/merge-patch+json',
    ],
    [
      'apply',
      (client) => client.apply(widgets, { metadata: { name: 'a', namespace: 'n' } }, { force: true }),
      `PATCH ${at}/a?fieldManager=me&force=true`,
      object,
      'application/apply-patch+yaml',
    ],
    [
      'applyStatus',
      (client) => client.applyStatus(widgets, object),
      `PATCH ${at}/a/status?fieldManager=me`,
      object,
      'application/apply-patch+yaml',
    ],
    [
      'delete',
      (client) =>
        client.delete(widgets, 'a', {
          namespace: 'n',
          propagationPolicy: 'Foreground',
          gracePeriodSeconds: 0,
          preconditions: { uid: 'u' },
        }),
      `DELETE ${at}/a`,
      {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        propagationPolicy: 'Foreground',
        gracePeriodSeconds: 0,
        preconditions: { uid: 'u' },
      },
    ],
    [
      'deleteCollection',
      (client) => client.deleteCollection(widgets, { namespace: 'n', labelSelector: 'a=b', dryRun: true }),
      `DELETE ${at}?labelSelector=a=b`,
      { apiVersion: 'v1', kind: 'DeleteOptions', dryRun: ['All'] },
    ],
    [
      'an eviction',
      (client) => client.createSubresource(resources.pods, 'p', 'eviction', { kind: 'Eviction' }, { namespace: 'n' }),
      'POST /api/v1/namespaces/n/pods/p/eviction?fieldManager=me',
      { kind: 'Eviction' },
    ],
    [
      'logs',
      async (client) =>
        Array.fromAsync(client.logs('p', { namespace: 'n', container: 'c', follow: true, tailLines: 0 })),
      'GET /api/v1/namespaces/n/pods/p/log?container=c&follow=true&tailLines=0',
    ],
    [
      'watch',
      async (client) =>
        Array.fromAsync(
          client.watch(widgets, {
            namespace: 'n',
            resourceVersion: '5',
            allowWatchBookmarks: true,
            timeoutSeconds: 300,
            labelSelector: 'a',
          }),
        ),
      `GET ${at}?labelSelector=a&watch=true&resourceVersion=5&allowWatchBookmarks=true&timeoutSeconds=300`,
    ],
  ])('%s', async (_name, call, request, body, patchType) => {
    const { client, asked } = answered({}, 'me')
    await call(client)
    expect(wire(asked)).toEqual({ request, body, patchType })
  })
})

describe('lists', () => {
  const page = (items: object[] | null, metadata: object) => ({
    body: { kind: 'PodList', apiVersion: 'v1', items, metadata },
  })

  test('give every item its kind', async () => {
    const frozen = Object.freeze({ metadata: { name: 'p' } })
    const { client } = answered(page([frozen], { resourceVersion: '7', remainingItemCount: 3, continue: 'next' }))
    expect(await client.list(resources.pods, { limit: 1 })).toEqual({
      items: [{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' } }],
      resourceVersion: '7',
      continue: 'next',
      remainingItemCount: 3,
    })
  })

  test('of nothing are empty however the server says it', async () => {
    const { client } = answered(page(null, { resourceVersion: '7', continue: '' }))
    expect(await client.list(resources.pods)).toEqual({
      items: [],
      resourceVersion: '7',
      continue: undefined,
      remainingItemCount: undefined,
    })
  })

  test('go over all pages, the later ones by their token alone', async () => {
    const { client, asked } = answered(({ query }) =>
      query?.['continue']
        ? page([{ metadata: { name: 'c' } }], {})
        : page([{ metadata: { name: 'a' } }, { metadata: { name: 'b' } }], { continue: 'token' }),
    )
    const names: (string | undefined)[] = []
    for await (const pod of client.listAll(resources.pods, {
      resourceVersion: '3',
      resourceVersionMatch: 'Exact',
      limit: 2,
    }))
      names.push(pod.metadata.name)
    expect(names).toEqual(['a', 'b', 'c'])
    expect(asked.map(({ query }) => JSON.stringify(query))).toEqual([
      '{"limit":"2","resourceVersion":"3","resourceVersionMatch":"Exact"}',
      '{"limit":"2","continue":"token"}',
    ])
  })

  test.each([{ body: 'text' }, { body: { kind: 'PodList' } }, { body: { metadata: {}, items: {} } }])(
    'that are none are refused: %j',
    async (answer) => {
      await expect(answered(answer).client.list(resources.pods)).rejects.toMatchObject({ code: 'malformed' })
    },
  )
})

test('what a client asks for with each write it asks for over other transports too', async () => {
  const { asked, server } = answered()
  const none = inProcessTransport(answered().server)
  onTestFinished(() => none[Symbol.asyncDispose]())
  const client = createClient(none, { fieldManager: 'me', fieldValidation: 'Ignore' }).over(inProcessTransport(server))
  await client.patch(widgets, 'a', {}, { namespace: 'n' })
  await client.patchStatus(widgets, 'a', {}, { namespace: 'n', fieldValidation: 'Strict' })
  expect(asked.map(({ query }) => query)).toEqual([
    { dryRun: undefined, fieldManager: 'me', fieldValidation: 'Ignore' },
    { dryRun: undefined, fieldManager: 'me', fieldValidation: 'Strict' },
  ])
})

test('a refusal is an ApiError with what the Status says', async () => {
  const status = {
    kind: 'Status',
    message: 'pods "a" not found',
    reason: 'NotFound',
    code: 404,
    details: { name: 'a', retryAfterSeconds: 2 },
  }
  const { client } = answered({ status: 404, body: status })
  await expect(client.get(resources.pods, 'a', { namespace: 'n' })).rejects.toMatchObject({
    name: 'ApiError',
    message: 'pods "a" not found',
    code: 404,
    reason: 'NotFound',
    retryAfter: 2000,
    details: { name: 'a' },
  })
})

test('warnings go to who asked for them', async () => {
  const { client } = answered({ warnings: ['old', 'unused'] })
  const said: string[] = []
  await client.get(widgets, 'a', { namespace: 'n', onWarning: (warning) => said.push(warning) })
  await client.get(widgets, 'a', { namespace: 'n' })
  expect(said).toEqual(['old', 'unused'])
})

describe('what cannot be asked is refused before it is', () => {
  test.each<[string, (client: Client) => unknown, string]>([
    [
      'a new object without a namespace',
      (client) => client.create(widgets, { metadata: {} }),
      'a new Widget needs a namespace: in its metadata or in the options',
    ],
    [
      'an object without a name',
      (client) => client.update(widgets, { metadata: { namespace: 'n' } }),
      'the Widget needs metadata.name',
    ],
    [
      'an object without a namespace',
      (client) => client.get(widgets, 'a'),
      'Widget "a" needs a namespace: say which in the options',
    ],
    [
      'apply by nobody',
      (client) => client.apply(widgets, object),
      'apply needs a fieldManager: give one to createClient or in the options',
    ],
  ])('%s', async (_name, call, message) => {
    const { client, asked } = answered()
    await expect(async () => call(client)).rejects.toThrow(new TypeError(message))
    expect(asked).toEqual([])
  })
})

describe('a server of this process', () => {
  test('refuses with its own errors, which become those of the client', async () => {
    const { client, server } = answered()
    server.watch = async function* () {
      yield* []
      throw Object.assign(new Error('no'), {
        toStatus: () => ({ kind: 'Status', code: 403, reason: 'Forbidden', message: 'no' }),
      })
    }
    await expect(Array.fromAsync(client.watch(widgets))).rejects.toMatchObject({
      name: 'ApiError',
      code: 403,
      reason: 'Forbidden',
    })
  })

  test('is told when the transport ends', async () => {
    const { client, server } = answered()
    server.watch = async function* ({ signal }) {
      yield* []
      await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    }
    const opened = Promise.withResolvers<void>()
    const watch = Array.fromAsync(client.watch(widgets, { onOpen: opened.resolve }))
    await opened.promise
    await client.transport[Symbol.asyncDispose]()
    await expect(watch).rejects.toMatchObject({ code: 'closed' })
    await expect(client.get(widgets, 'a', { namespace: 'n' })).rejects.toMatchObject({ code: 'closed' })
  })
})
