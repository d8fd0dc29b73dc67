import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { type RunningServer, startServer } from '../testing/running-server.ts'
import { isCompressed } from './compress.ts'

const MANY = 128 * 1024 + 1

test.each<[string | undefined, number, boolean]>([
  ['gzip', MANY, true],
  ['gzip', MANY - 1, false],
  ['deflate, gzip', MANY, true],
  ['gzip;q=1.0', MANY, false],
  ['GZIP', MANY, false],
  ['identity', MANY, false],
  [undefined, MANY, false],
])('Accept-Encoding %j and %d bytes: compressed %j', (header, bytes, expected) => {
  expect(isCompressed(header, bytes)).toBe(expected)
})

async function raw(
  { url, agent }: RunningServer,
  path: string,
  headers: Record<string, string>,
): Promise<{ headers: IncomingMessage['headers']; body: Buffer }> {
  const outgoing = request(`${url}${path}`, { agent, headers }).end()
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  const chunks = await response.toArray()
  return { headers: response.headers, body: Buffer.concat(chunks as Buffer[]) }
}

test('a large answer is the same, smaller', async () => {
  await using server = await startServer({})
  const path = '/api/v1/namespaces/default/configmaps/large'
  const data = { text: 'Bytes that repeat. '.repeat(20_000) }
  await server.request('POST', '/api/v1/namespaces/default/configmaps', {
    body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'large' }, data },
  })
  const [plain, compressed] = [await raw(server, path, {}), await raw(server, path, { 'accept-encoding': 'gzip' })]
  expect(plain.headers['content-encoding']).toBeUndefined()
  expect(compressed.headers).toMatchObject({
    'content-encoding': 'gzip',
    vary: 'Accept-Encoding',
    'content-type': 'application/json',
    'content-length': String(compressed.body.length),
  })
  expect(compressed.body.length).toBeLessThan(plain.body.length / 20)
  expect(gunzipSync(compressed.body).equals(plain.body)).toBe(true)
})
