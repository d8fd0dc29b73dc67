/** What clients keep of an API server's documents, as a cache of HTTP goes by it. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HERD_DEFINITION } from '../testing/herd-definition.ts'
import type { HttpResponse } from '../testing/running-server.ts'
import { startTemporaryServer, type WholeServer } from '../testing/whole-server.ts'

let server: WholeServer
beforeAll(async () => {
  server = await startTemporaryServer()
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

const get = (path: string, headers: Record<string, string> = {}) => server.request('GET', path, { headers })
/** A header that is there once. */
const header = ({ headers }: HttpResponse, name: string): string => String(headers[name] ?? '')
const AGGREGATED = { accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' }

test.each([
  ['/openapi/v2', {}, 'no-cache, private'],
  ['/openapi/v3', {}, 'no-cache, private'],
  ['/openapi/v3/api/v1', {}, 'no-cache, private'],
  ['/apis', AGGREGATED, 'public'],
  ['/api', AGGREGATED, 'public'],
])('%s is sent again only to who has another state of it', async (path, headers, cacheControl) => {
  const first = await get(path, headers)
  const tag = header(first, 'etag')
  expect([first.status, tag, first.headers['cache-control']]).toEqual([
    200,
    expect.stringMatching(/^"[0-9A-F]{128}"$/),
    cacheControl,
  ])
  expect(header(first, 'vary').split(', ')).toContain('Accept')
  for (const known of [tag, `"other", W/${tag}`]) {
    const again = await get(path, { ...headers, 'if-none-match': known })
    expect([again.status, again.text, again.headers['etag']]).toEqual([304, '', tag])
    // A cache would take them for those of what it has.
    expect([again.headers['content-type'], again.headers['content-length']]).toEqual([undefined, undefined])
  }
  const other = await get(path, { ...headers, 'if-none-match': '"other"' })
  expect([other.status, other.text === first.text]).toEqual([200, true])
})

test('a document of a group never changes by the address that the index gives, and leads to the new one by another', async () => {
  const address = async (): Promise<string> =>
    (await get('/openapi/v3')).body.paths['apis/scaled.example.com/v1']?.serverRelativeURL
  const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
  await server.request('POST', definitions, { body: HERD_DEFINITION })
  await expect.poll(address).toBeDefined()
  const first = await address()
  const kept = await get(first)
  expect([kept.status, kept.headers['cache-control']]).toEqual([200, 'public, immutable'])
  const left = Date.parse(header(kept, 'expires')) - Date.now()
  expect(left / 86_400_000).toBeGreaterThan(364)
  const tag = header(kept, 'etag')
  const index = await get('/openapi/v3')

  const description = [{ op: 'add', path: '/spec/versions/0/schema/openAPIV3Schema/description', value: 'Cattle.' }]
  const headers = { 'content-type': 'application/json-patch+json' }
  await server.request('PATCH', `${definitions}/${HERD_DEFINITION.metadata.name}`, { headers, body: description })
  await expect.poll(address).not.toBe(first)
  const moved = await get(first)
  expect([moved.status, moved.headers['location'], moved.text]).toEqual([301, await address(), ''])
  const next = await get(await address(), { 'if-none-match': tag })
  expect([next.status, next.text.includes('Cattle.')]).toEqual([200, true])
  const { status } = await get('/openapi/v3', { 'if-none-match': header(index, 'etag') })
  expect(status).toBe(200)
})
