/** An object that is followed on a real API server whose watches end as those of other servers may. */
import type { Status, WatchEvent } from '@caisson/api'
import {
  type ApiRequest,
  createClient,
  resources,
  type Transport,
  TransportError,
  type TransportErrorCode,
} from '@caisson/client'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { startTestServer, type TestServer } from './testing/api-server.ts'
import { watchNamed } from './watch-named.ts'

const at = { namespace: 'default' }

let server: TestServer
let transport: Transport
beforeAll(async () => {
  server = await startTestServer()
  transport = server.connect()
})
afterAll(() => server[Symbol.asyncDispose]())

type Watch = (request: ApiRequest) => AsyncIterable<WatchEvent>

/** Its first watches go as they are told, and all further ones as they are. */
function startingWith(...first: Watch[]) {
  const asked: string[] = []
  const client = createClient({
    ...transport,
    watch(request) {
      asked.push(String(request.query?.['resourceVersion']))
      return (first.shift() ?? transport.watch)(request)
    },
  })
  return { client, asked }
}

const failing = (code: number, reason: string): Watch =>
  async function* () {
    const object: Status = {
      apiVersion: 'v1',
      kind: 'Status',
      metadata: {},
      status: 'Failure',
      code,
      reason,
      message: `it is ${reason}`,
    }
    yield { type: 'ERROR', object }
  }

async function* follow({ client }: ReturnType<typeof startingWith>, name: string): AsyncGenerator<string> {
  const { signal } = new AbortController()
  for await (const { type, object } of watchNamed(client, resources.configMaps, { ...at, name, signal }))
    if (type !== 'BOOKMARK') yield `${type} ${(object as { data?: Record<string, string> }).data?.['is']}`
}

const plain = () => createClient(transport)
const create = (name: string) => plain().create(resources.configMaps, { metadata: { name }, data: { is: 'new' } }, at)
const patch = (name: string) => plain().patch(resources.configMaps, name, { data: { is: 'other' } }, at)

/** The first event of a watch, after which the server ends it. */
const one: Watch = async function* (request) {
  for await (const event of transport.watch(request)) {
    yield event
    return
  }
}

test('goes on where a watch ended', async () => {
  await create('ended')
  const server = startingWith(one)
  const said = follow(server, 'ended')
  expect((await said.next()).value).toBe('ADDED new')
  const next = said.next()
  await patch('ended')
  expect((await next).value).toBe('MODIFIED other')
  expect(server.asked).toHaveLength(2)
})

const broken = (code: TransportErrorCode, events: number): Watch =>
  async function* (request) {
    let left = events
    if (left > 0)
      for await (const event of transport.watch(request)) {
        yield event
        if (--left === 0) break
      }
    throw new TransportError(code, `the connection is ${code}`)
  }

test('goes on where the connection broke, once there was one', async () => {
  const { metadata } = await create('broken')
  const server = startingWith(broken('lost', 1), broken('unreachable', 0), broken('silent', 0))
  const said = follow(server, 'broken')
  expect((await said.next()).value).toBe('ADDED new')
  const next = said.next()
  await patch('broken')
  expect((await next).value).toBe('MODIFIED other')
  expect(server.asked).toEqual(['0', ...Array(3).fill(metadata.resourceVersion)])
})

test('fails at once where there never was a connection, and in the end where none comes back', async () => {
  await expect(follow(startingWith(broken('unreachable', 0)), 'any').next()).rejects.toThrow('unreachable')
  await create('away')
  const gone = Array.from({ length: 20 }, () => broken('unreachable', 0))
  const said = follow(startingWith(broken('lost', 1), ...gone), 'away')
  expect((await said.next()).value).toBe('ADDED new')
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  onTestFinished(() => void vi.useRealTimers())
  const failed = expect(said.next()).rejects.toThrow('unreachable')
  await vi.advanceTimersByTimeAsync(12_000)
  await failed
})

test('tells how the object is now where the server has forgotten what happened, and goes on from there', async () => {
  const { metadata } = await create('forgotten')
  const server = startingWith(one, failing(410, 'Expired'))
  const said = follow(server, 'forgotten')
  expect((await said.next()).value).toBe('ADDED new')
  const changed = await patch('forgotten')
  expect((await said.next()).value).toBe('MODIFIED other')
  const next = said.next()
  await plain().delete(resources.configMaps, 'forgotten', at)
  expect((await next).value).toBe('DELETED other')
  expect(server.asked).toEqual(['0', metadata.resourceVersion, changed.metadata.resourceVersion])
})

test('tells that the object is gone where that is forgotten too', async () => {
  await create('lost')
  const said = follow(startingWith(one, failing(410, 'Expired')), 'lost')
  expect((await said.next()).value).toBe('ADDED new')
  await plain().delete(resources.configMaps, 'lost', at)
  expect((await said.next()).value).toBe('DELETED new')
})

test('fails with what else the server says', async () => {
  await expect(follow(startingWith(failing(500, 'InternalError')), 'any').next()).rejects.toThrow('it is InternalError')
})

test('gives a server time that ends each watch at once', async () => {
  await create('hasty')
  const nothing: Watch = async function* () {}
  const server = startingWith(nothing, nothing)
  const begun = performance.now()
  expect((await follow(server, 'hasty').next()).value).toBe('ADDED new')
  expect(performance.now() - begun).toBeGreaterThan(1_990)
})
