import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createHostProcesses } from '../testing/host-processes.ts'
import { serveOnePod } from '../testing/served-pod.ts'
import type { NodeApi } from './node-api.ts'

const UID = '11111111-2222-3333-4444-555555555555'
const PREFIX = '/api/v1/namespaces/default/pods/web/proxy'

let pod: Server
let answer: (request: IncomingMessage, response: ServerResponse) => unknown
let front: Server
/** What the API server asks the node for. */
let asked: { uid: string; port: number; tls: boolean }
let offered: string | undefined
let node: NodeApi

beforeEach(async () => {
  pod = createServer((request, response) => answer(request, response))
  pod.on('upgrade', (request, socket: Socket) => {
    offered = request.headers['sec-websocket-protocol']
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nSet-Cookie: a=b\r\n\r\n')
    socket.on('error', () => {}).pipe(socket)
  })
  node = serveOnePod(createHostProcesses())
  const target = (request: IncomingMessage) => ({
    ...asked,
    namespace: 'default',
    name: 'web',
    url: request.url ?? '/',
    prefix: PREFIX,
  })
  front = createServer((request, response) => node.proxy(target(request), { request, response }))
  front.on('upgrade', (request, socket, head) => node.proxyUpgrade(target(request), { request, socket, head }))
  for (const server of [pod, front]) {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  }
  asked = { uid: UID, port: portOf(pod), tls: false }
})

afterEach(() => {
  for (const server of [pod, front]) {
    server.closeAllConnections()
    server.close()
  }
})

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

function open(method: string, path: string, headers: Record<string, string> = {}) {
  return httpRequest({ port: portOf(front), host: '127.0.0.1', method, path, headers, agent: false })
}

async function send(
  method: string,
  path: string,
  { headers = {}, body = '' }: { headers?: Record<string, string>; body?: string } = {},
): Promise<{ status: number | undefined; headers: IncomingMessage['headers']; body: string }> {
  const request = open(method, path, headers)
  request.end(body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const { connection: _, 'keep-alive': _alive, date: _date, 'transfer-encoding': _te, ...kept } = response.headers
  return { status: response.statusCode, headers: kept, body: await text(response) }
}

test('carries method, path, body and headers, and neither credentials nor what is for this hop', async () => {
  answer = async (request, response) => {
    const { host: _host, ...headers } = request.headers
    response.end(JSON.stringify([request.method, request.url, headers, await text(request)]))
  }
  const { status, body } = await send('PUT', '/a%2Fb?c=d', {
    headers: {
      Authorization: 'Bearer secret',
      Cookie: 'session=secret',
      'X-Forwarded-For': 'forged',
      'X-Own': 'kept',
      'X-Hop': 'dropped',
      Connection: 'X-Hop',
    },
    body: 'content',
  })
  expect([status, JSON.parse(body)]).toEqual([
    200,
    [
      'PUT',
      '/a%2Fb?c=d',
      {
        'x-own': 'kept',
        'content-length': '7',
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-host': `127.0.0.1:${portOf(front)}`,
        'x-forwarded-proto': 'https',
        'x-forwarded-uri': `${PREFIX}/a%2Fb`,
        connection: 'close',
      },
      'content',
    ],
  ])
})

test('passes the answer on, but for what speaks for more than itself, and gives it no origin', async () => {
  answer = (_request, response) => {
    response.writeHead(404, {
      'Content-Type': 'text/html',
      'Content-Security-Policy': "default-src 'self'",
      'Set-Cookie': 'a=b',
      'Clear-Site-Data': '"*"',
      'Strict-Transport-Security': 'max-age=1',
      'Service-Worker-Allowed': '/',
    })
    response.end('<p>no such page')
  }
  expect(await send('GET', '/')).toEqual({
    status: 404,
    headers: {
      'content-type': 'text/html',
      'content-security-policy': "default-src 'self', sandbox allow-scripts allow-forms allow-popups allow-downloads",
    },
    body: '<p>no such page',
  })
})

test.each([
  ['/login', `${PREFIX}/login`],
  [`${PREFIX}/login`, `${PREFIX}/login`],
  ['login', 'login'],
  ['https://example.com/', 'https://example.com/'],
  ['//example.com/', '//example.com/'],
])('redirected to %s, the client goes to %s', async (location, expected) => {
  answer = (_request, response) => response.writeHead(302, { Location: location }).end()
  const { status, headers } = await send('GET', '/')
  expect([status, headers.location]).toEqual([302, expected])
})

test('streams both ways at once, and ends what nobody listens to any more', async () => {
  let seen: IncomingMessage | undefined
  answer = (request, response) => {
    seen = request
    response.writeHead(200)
    request.pipe(response)
  }
  const request = open('POST', '/', { 'Transfer-Encoding': 'chunked' })
  request.on('error', () => {})
  request.write('one')
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.on('error', () => {})
  expect(String((await once(response, 'data'))[0])).toBe('one')
  request.write('two')
  expect(String((await once(response, 'data'))[0])).toBe('two')
  request.destroy()
  await expect.poll(() => seen?.destroyed).toBe(true)
})

test('breaks off where the Pod does', async () => {
  answer = (_request, response) => {
    response.writeHead(200, { 'Content-Length': '100' })
    response.write('half', () => response.destroy())
  }
  await expect(send('GET', '/')).rejects.toMatchObject({ code: 'ECONNRESET' })
})

test('carries another protocol', async () => {
  const token = 'base64url.bearer.authorization.k8s.io.c2VjcmV0'
  const protocols = `chat, ${token}, v2.chat`
  const request = open('GET', '/socket', {
    Connection: 'Upgrade',
    Upgrade: 'echo',
    'Sec-WebSocket-Protocol': protocols,
  })
  request.end()
  const [response, socket] = (await once(request, 'upgrade')) as [IncomingMessage, Socket]
  expect([response.statusCode, response.headers['set-cookie']]).toEqual([101, undefined])
  // A browser's token is for the API server.
  expect(offered).toBe('chat, v2.chat')
  socket.write('hello')
  expect(String((await once(socket, 'data'))[0])).toBe('hello')
  socket.end()
  await once(socket, 'close')
})

test.each<[why: string, change: () => void, message: () => string]>([
  [
    'where nobody listens',
    () => pod.close(),
    () => `error trying to reach service: dial tcp 127.0.0.1:${asked.port}: connect: connection refused`,
  ],
  [
    'of a Pod that was there before',
    () => Object.assign(asked, { uid: 'another' }),
    () => 'error trying to reach service: pod "web" does not run on its node',
  ],
  [
    'to a process of the cluster',
    () => {
      node = serveOnePod(createHostProcesses(), { connect: createHostProcesses().connect.bind(undefined, 'sandbox') })
    },
    () => 'error trying to reach service: pod "web" is a process of the cluster: port-forward leads to it',
  ],
  [
    'of who speaks no TLS',
    () => Object.assign(asked, { tls: true }),
    () => expect.stringMatching(/^error trying to reach service: .*SSL/) as unknown as string,
  ],
])('a request %s is answered with a Status', async (_why, change, message) => {
  answer = (_request, response) => response.end('not to be seen')
  change()
  const expected = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: message(),
    reason: 'ServiceUnavailable',
    code: 503,
  }
  const { status, body } = await send('GET', '/')
  expect([status, JSON.parse(body)]).toEqual([503, expected])
  const upgrade = open('GET', '/', { Connection: 'Upgrade', Upgrade: 'echo' })
  upgrade.end()
  const [response] = (await once(upgrade, 'response')) as [IncomingMessage]
  expect([response.statusCode, JSON.parse(await text(response))]).toEqual([503, expected])
})
