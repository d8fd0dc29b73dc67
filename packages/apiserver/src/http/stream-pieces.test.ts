import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { connect, type TLSSocket } from 'node:tls'
import { gunzipSync } from 'node:zlib'
import type { KubeObject } from '@caisson/api'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { encodeObject } from '../protobuf/encode.ts'
import { builtinResources } from '../registry/builtin/index.ts'
import { type RunningServer, startServer } from '../testing/running-server.ts'

const COUNT = 400
const ELEMENTS = Array.from({ length: COUNT }, (_, index) => ({ index, text: 'ä'.repeat(100_000) }))

let server: RunningServer
let made: number
let ended: number
const reported: unknown[] = []

function* elements(): Generator<object> {
  try {
    for (const element of ELEMENTS) {
      made++
      yield element
    }
  } finally {
    ended++
  }
}

beforeEach(async () => {
  made = 0
  ended = 0
  reported.length = 0
  server = await startServer({
    resources: builtinResources(),
    report: (error) => reported.push(error),
    findPath: (path) =>
      path === '/long'
        ? () => ({ status: 200, body: { kind: 'Long' }, elements: { field: 'items', of: elements() } })
        : undefined,
  })
})
afterEach(() => server[Symbol.asyncDispose]())

/** Has asked for the list, of which something has come. */
async function asking(): Promise<TLSSocket> {
  const { administrator, authority } = server.certificates
  const { certificate: cert, key } = administrator
  const socket = connect({ host: '127.0.0.1', port: Number(new URL(server.url).port), ca: authority, cert, key })
  await once(socket, 'secureConnect')
  socket.write('GET /long HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n')
  await once(socket, 'readable')
  return socket
}

test('of a long list no more is made than its client takes, and others are answered meanwhile', async () => {
  const socket = await asking()
  for (let count = 0; count < 50; count++) expect((await server.request('GET', '/version')).status).toBe(200)
  // What does not fit into the buffers of the system, which are some megabytes.
  expect(made).toBeLessThan(COUNT / 2)
  const chunks = await socket.toArray()
  expect(made).toBe(COUNT)
  expect(Buffer.concat(chunks as Buffer[]).subarray(-7)).toEqual(Buffer.from('\r\n0\r\n\r\n'))
})

async function compressed(accept: string, query = ''): Promise<Buffer> {
  const { url, agent } = server
  const headers = { accept, 'accept-encoding': 'gzip' }
  const asked = request(`${url}/api/v1/namespaces/default/configmaps${query}`, { agent, headers }).end()
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  expect(response.headers).toMatchObject({ 'content-encoding': 'gzip', 'transfer-encoding': 'chunked' })
  return gunzipSync(Buffer.concat((await response.toArray()) as Buffer[]))
}

test('nothing is made for a client that has gone, and nobody is told of it', async () => {
  const socket = await asking()
  socket.destroy()
  await expect.poll(() => ended).toBe(1)
  expect(made).toBeLessThan(COUNT / 2)
  expect(reported).toEqual([])
})

test('of a long list that is not asked for itself the head is told', async () => {
  const { url, agent } = server
  const asked = request(`${url}/long`, { agent, method: 'HEAD' }).end()
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  expect([response.statusCode, await response.toArray()]).toEqual([200, []])
})

describe('a long list is the same', () => {
  test('in JSON', async () => {
    expect((await server.request('GET', '/long')).body).toEqual({ kind: 'Long', items: ELEMENTS })
  })

  test('in protobuf and as a Table, compressed', async () => {
    const names = Array.from({ length: 5 }, (_, index) => `c-${index}`)
    await server.store.write((transaction) => {
      for (const name of names) {
        const metadata = { name, namespace: 'default' }
        const data = { text: 'ä'.repeat(100_000) }
        transaction.put('configmaps', { kind: 'ConfigMap', apiVersion: 'v1', metadata, data })
      }
    })
    const metadata = { resourceVersion: String(server.store.revision) }
    const items = [...server.store.list('configmaps', 'default')]
    const list = encodeObject({ kind: 'ConfigMapList', apiVersion: 'v1', metadata, items } as KubeObject)
    expect(await compressed('application/vnd.kubernetes.protobuf')).toEqual(Buffer.from(list, 'latin1'))
    const partial = { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1' }
    const { text } = await server.request('GET', '/api/v1/namespaces/default/configmaps', {
      headers: { accept: 'application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1' },
    })
    const metadataList = { ...partial, kind: 'PartialObjectMetadataList', metadata }
    const shown = items.map((item) => ({ ...partial, metadata: item.metadata }))
    expect(text).toBe(
      Buffer.from(encodeObject({ ...metadataList, items: shown } as KubeObject), 'latin1').toString('utf8'),
    )
    const table = await compressed('application/json;as=Table;g=meta.k8s.io;v=v1', '?includeObject=Object')
    const rows = JSON.parse(table.toString()).rows as Array<{ cells: unknown[] }>
    expect(rows.map(({ cells }) => cells[0])).toEqual(names)
  })
})
