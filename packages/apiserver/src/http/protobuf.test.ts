import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import type { KubeObject } from '@caisson/api'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { decodeProtobuf } from '../protobuf/decode.ts'
import { encodeObject } from '../protobuf/encode.ts'
import { builtinResources } from '../registry/builtin/index.ts'
import { type RunningServer, startServer } from '../testing/running-server.ts'

const PROTOBUF = 'application/vnd.kubernetes.protobuf'
const PATH = '/api/v1/namespaces/default/configmaps'

let server: RunningServer

beforeAll(async () => {
  server = await startServer({ resources: builtinResources() })
  await server.request('POST', '/api/v1/namespaces', { body: { metadata: { name: 'default' } } })
})
afterAll(() => server[Symbol.asyncDispose]())

interface Sent {
  accept?: string
  body?: KubeObject | Buffer
  contentType?: string
}

async function ask(method: string, path: string, { accept = PROTOBUF, body, contentType = PROTOBUF }: Sent = {}) {
  const bytes = body === undefined || Buffer.isBuffer(body) ? body : Buffer.from(encodeObject(body), 'latin1')
  const headers = { accept, ...(bytes && { 'content-type': contentType, 'content-length': bytes.length }) }
  const outgoing = request(`${server.url}${path}`, { method, agent: server.agent, headers })
  outgoing.end(bytes)
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  const answer = Buffer.concat((await response.toArray()) as Buffer[])
  return { status: response.statusCode, type: response.headers['content-type'], bytes: answer }
}

function configMap(name: string): KubeObject & { data: Record<string, string> } {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { text: 'grün' } }
}

test('an object is created, read, listed and deleted without any JSON', async () => {
  const created = await ask('POST', PATH, { body: configMap('whole') })
  const read = await ask('GET', `${PATH}/whole`)
  expect([created.status, created.type, read.status, read.type]).toEqual([201, PROTOBUF, 200, PROTOBUF])
  expect(read.bytes.equals(created.bytes)).toBe(true)
  const json = (await server.request('GET', `${PATH}/whole`)).body as KubeObject
  expect(read.bytes.toString('latin1')).toBe(encodeObject(json))

  const list = decodeProtobuf((await ask('GET', `${PATH}?fieldSelector=metadata.name=whole`)).bytes)
  expect([list['kind'], (list['items'] as KubeObject[]).length]).toEqual(['ConfigMapList', 1])
  expect((list['items'] as object[])[0]).toMatchObject({ data: { text: 'grün' }, metadata: { uid: json.metadata.uid } })

  const options = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid: 'another' } }
  const kept = await ask('DELETE', `${PATH}/whole`, { body: options as unknown as KubeObject })
  expect([kept.status, kept.type, decodeProtobuf(kept.bytes)['reason']]).toEqual([409, PROTOBUF, 'Conflict'])
  const deleted = await ask('DELETE', `${PATH}/whole`, {
    body: { ...options, preconditions: { uid: json.metadata.uid } } as unknown as KubeObject,
  })
  expect([deleted.status, decodeProtobuf(deleted.bytes)['status']]).toEqual([200, 'Success'])
})

test('a list of objects that fill many packets comes whole, every item once', async () => {
  for (let index = 0; index < 3; index++)
    await ask('POST', PATH, {
      body: { ...configMap(`large-${index}`), data: { text: 'ü'.repeat(100_000) } } as KubeObject,
    })
  const { bytes } = await ask('GET', PATH)
  expect((decodeProtobuf(bytes)['items'] as KubeObject[]).map(({ metadata }) => metadata.name)).toEqual([
    'large-0',
    'large-1',
    'large-2',
  ])
})

/** The events of a stream of `WatchEvent`s with their lengths. */
function events(bytes: Buffer): unknown[] {
  const found: unknown[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32BE(at)
    const event = bytes.subarray(at + 4, end)
    const typeEnd = 2 + (event[1] as number)
    const object = decodeProtobuf(event.subarray(event.indexOf('k8s\0')))
    found.push([event.toString('utf8', 2, typeEnd), object['kind'], (object['metadata'] as { name: string }).name])
    at = end
  }
  return found
}

test('a watch is a stream of events with their lengths', async () => {
  const { body } = await server.request('GET', PATH)
  await ask('POST', PATH, { body: configMap('watched') })
  await ask('DELETE', `${PATH}/watched`)
  const since = `resourceVersion=${(body as KubeObject).metadata.resourceVersion}`
  const watched = await ask('GET', `${PATH}?watch=1&timeoutSeconds=1&${since}`)
  expect([watched.status, watched.type, events(watched.bytes)]).toEqual([
    200,
    `${PROTOBUF};stream=watch`,
    [
      ['ADDED', 'ConfigMap', 'watched'],
      ['DELETED', 'ConfigMap', 'watched'],
    ],
  ])
  const refused = await ask('GET', `${PATH}?watch=1&resourceVersion=x`)
  expect([refused.status, decodeProtobuf(refused.bytes)['kind']]).toEqual([500, 'Status'])
})

test.each<[accept: string, status: number, type: string]>([
  [`${PROTOBUF},application/json`, 200, PROTOBUF],
  [`application/json,${PROTOBUF}`, 200, 'application/json'],
  [`${PROTOBUF};q=0.5,application/json`, 200, 'application/json'],
  [`application/json;q=0.5,${PROTOBUF}`, 200, PROTOBUF],
  [`${PROTOBUF};as=Table;g=meta.k8s.io;v=v1,application/json`, 200, 'application/json'],
  [`${PROTOBUF};as=Table;g=meta.k8s.io;v=v1`, 406, 'application/json'],
  [`${PROTOBUF};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1`, 200, PROTOBUF],
  [`${PROTOBUF};stream=watch`, 200, PROTOBUF],
  [`${PROTOBUF};stream=other`, 406, 'application/json'],
  ['*/*', 200, 'application/json'],
])('Accept: %s is answered with %d and %s', async (accept, status, type) => {
  const answer = await ask('GET', PATH, { accept })
  expect([answer.status, answer.type]).toEqual([status, type])
})

test('an empty body is no object, and no options', async () => {
  const created = await ask('POST', PATH, { body: Buffer.alloc(0) })
  expect([created.status, decodeProtobuf(created.bytes)['message']]).toEqual([
    400,
    'the object provided is unrecognized (must be of type ConfigMap): empty data (<empty>)',
  ])
  await ask('POST', PATH, { body: configMap('deleted') })
  expect((await ask('DELETE', `${PATH}/deleted`, { body: Buffer.alloc(0) })).status).toBe(200)
})

test.each<[name: string, body: Buffer]>([
  ['no message', Buffer.from('{}')],
  ['another kind', Buffer.from(encodeObject({ apiVersion: 'v1', kind: 'Secret' }), 'latin1')],
  ['a length beyond the end', Buffer.from('k8s\0\x0a\x7f')],
])('a body that is %s is refused with a Status', async (_name, body) => {
  const answer = await ask('POST', PATH, { body })
  expect([answer.status, answer.type, decodeProtobuf(answer.bytes)['reason']]).toEqual([400, PROTOBUF, 'BadRequest'])
})
