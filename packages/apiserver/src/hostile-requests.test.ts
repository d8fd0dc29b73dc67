/** What is sent to make the server take one request for another, or a page's for its user's. */
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AUTHORIZATION, head, rawClient, statusLine } from './testing/raw-client.ts'
import { startTemporaryServer, type WholeServer } from './testing/whole-server.ts'

let api: WholeServer
const client = rawClient(() => api)
const { sendRaw } = client
beforeEach(async () => {
  api = await startTemporaryServer()
})
afterEach(async () => {
  client[Symbol.dispose]()
  await api[Symbol.asyncDispose]()
  expect(api.reported).toEqual([])
})

describe('requests within requests', () => {
  const inner = `GET /api/v1/secrets HTTP/1.1\r\nHost: 127.0.0.1\r\n${AUTHORIZATION}\r\n\r\n`
  const post = 'POST /api/v1/namespaces/default/configmaps HTTP/1.1'
  test.each([
    ['both lengths', head(post, 'Content-Length: 5', 'Transfer-Encoding: chunked') + `0\r\n\r\n${inner}`],
    ['two lengths', head(post, 'Content-Length: 0', `Content-Length: ${inner.length}`) + inner],
    ['a length with a sign', head(post, 'Content-Length: +0') + inner],
    ['an unknown coding', head(post, 'Transfer-Encoding: xchunked') + `0\r\n\r\n${inner}`],
    ['a coding after chunked', head(post, 'Transfer-Encoding: chunked, identity') + `0\r\n\r\n${inner}`],
    ['a space before the colon', head(post, 'Content-Length : 0') + inner],
    ['a folded header', head(post, 'X-A: b\r\n Content-Length: 5') + inner],
    ['a chunk with a bare line feed', head(post, 'Transfer-Encoding: chunked') + `1\n{\n0\n\n${inner}`],
    [
      'a chunk of a length beyond numbers',
      head(post, 'Transfer-Encoding: chunked') + `fffffffffffffffff\r\n{\r\n0\r\n\r\n${inner}`,
    ],
    ['a header without a name', head(post, ': 1') + inner],
    ['a null byte', head(post, 'X-A: \0') + inner],
  ])('%s are refused, once', async (_, text) => {
    const answer = await sendRaw(text)
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400'])
    expect((await api.request('GET', '/api/v1/namespaces/default')).status).toBe(200)
  })
})

describe('pages in a browser', () => {
  const asAdministrator = (headers: Record<string, string>) =>
    api.request('POST', '/api/v1/namespaces/default/configmaps', { body: { metadata: { name: 'page' } }, headers })

  test.each([
    ['of another origin', { origin: 'https://evil.example' }],
    ['of another port of this machine', { origin: 'https://127.0.0.1:1' }],
    ['without an origin of their own', { origin: 'null' }],
    ['of another site, by what the browser adds', { 'sec-fetch-site': 'cross-site' }],
  ])('%s are not served, with whatever credentials', async (_, headers) => {
    const { status, body, headers: answered } = await asAdministrator(headers)
    expect([status, body.reason, answered['access-control-allow-origin']]).toEqual([403, 'Forbidden', undefined])
    expect((await api.request('GET', '/api/v1/namespaces/default/configmaps/page')).status).toBe(404)
  })

  test('whose name was bound to 127.0.0.1 are not served', async () => {
    const answer = await sendRaw(
      [
        'GET /api/v1/secrets HTTP/1.1',
        'Host: evil.example',
        'Origin: https://evil.example',
        'Sec-Fetch-Site: same-origin',
        AUTHORIZATION,
        'Connection: close',
        '',
        '',
      ].join('\r\n'),
    )
    expect(statusLine(answer)).toBe('HTTP/1.1 403 Forbidden')
  })

  test('cannot open a WebSocket either', async () => {
    const answer = await sendRaw(
      head(
        'GET /api/v1/namespaces/default/pods/a/exec?command=sh HTTP/1.1',
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        'Origin: https://evil.example',
      ),
    )
    expect(statusLine(answer)).toBe('HTTP/1.1 403 Forbidden')
  })

  test('what names the server itself as its origin, as some clients do, is served', async () => {
    const { status } = await asAdministrator({ origin: api.url })
    expect(status).toBe(201)
  })

  test('a preflight allows nothing', async () => {
    const { status, headers } = await api.request('OPTIONS', '/api/v1/namespaces', {
      anonymous: true,
      headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
    })
    expect([status, headers['access-control-allow-origin']]).toEqual([403, undefined])
  })
})

describe('TLS', () => {
  test('a client cannot renegotiate', async () => {
    const socket = client.begin({ maxVersion: 'TLSv1.2' })
    await once(socket, 'secureConnect')
    const failed = once(socket, 'error').then(([error]) => (error as NodeJS.ErrnoException).code)
    socket.renegotiate({}, () => undefined)
    expect(await failed).toBe('ERR_SSL_NO_RENEGOTIATION')
  })

  test('versions before 1.2 are not spoken', async () => {
    const socket = client.begin({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' })
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
    expect(error.code).toBe('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION')
  })
})
