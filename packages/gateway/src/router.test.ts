/** The router as its clients meet it: a real API server that says which Pods there are, and real servers as sandboxes. */
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, request as httpRequest, type IncomingMessage, type RequestListener } from 'node:http'
import {
  connect as connectHttp2,
  createServer as createHttp2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { LABELS, nameHash, type UserInfo } from '@caisson/api'
import { startApiServer } from '@caisson/apiserver'
import {
  type Client,
  createClient,
  createHttpTransport,
  inProcessTransport,
  type PodObject,
  resources,
} from '@caisson/client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { mintScopedToken, type Router, type RouterOptions, startRouter } from './index.ts'

const ADMINISTRATOR: UserInfo = { username: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] }

let client: Client
/** Of a client that can upgrade connections. */
let overNetwork: Client
/** What the node was asked to connect to. */
const connected: string[] = []
let stopServer: () => Promise<void>
beforeAll(async () => {
  const directory = mkdtempSync(join(tmpdir(), 'router-'))
  const running = await startApiServer({
    directory: join(directory, 'state'),
    certificates: join(directory, 'pki'),
    host: '127.0.0.1',
    port: 0,
    node: () => ({
      request: (_request, response) => void response.writeHead(404).end(),
      upgrade({ url = '' }, socket) {
        connected.push(url)
        socket.destroy()
      },
    }),
  })
  const { authority, administrator } = running.certificates
  const transport = createHttpTransport({
    server: running.url,
    namespace: 'default',
    certificateAuthority: { data: authority },
    clientCertificate: {
      certificate: { data: administrator.certificate },
      key: { data: administrator.key },
    },
  })
  overNetwork = createClient(transport)
  client = createClient(inProcessTransport(running.server.connect(ADMINISTRATOR)))
  await client.create(resources.serviceAccounts, { metadata: { name: 'default' } }, { namespace: 'default' })
  stopServer = async () => {
    await transport[Symbol.asyncDispose]()
    await running[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true })
  }
})
afterAll(() => stopServer())

let stack: AsyncDisposableStack
beforeEach(() => {
  stack = new AsyncDisposableStack()
})
afterEach(() => stack.disposeAsync())

async function start(options: Partial<RouterOptions> = {}): Promise<Router & { url: string }> {
  const router = stack.use(
    await startRouter({
      client,
      listen: { host: '127.0.0.1', port: 0 },
      listenAdmin: { host: '127.0.0.1', port: 0 },
      authz: { mode: 'allow-all' },
      allowLoopbackPodIp: true,
      runtimeApi: false,
      retries: 0,
      version: '0.0.0',
      onError: (error) => {
        throw error
      },
      ...options,
    }),
  )
  await router.ready()
  return { ...router, url: `http://127.0.0.1:${router.port}`, [Symbol.asyncDispose]: router[Symbol.asyncDispose] }
}

interface PodOptions {
  ip?: string
  uid?: string
  labels?: Record<string, string>
  owner?: { apiVersion?: string; kind?: string; controller?: boolean }
  ready?: boolean
  ports?: number[]
}

/** A Pod as the controller and the kubelet leave it. */
async function pod(name: string, options: PodOptions = {}): Promise<PodObject> {
  const { ip = '127.0.0.1', uid = `uid-of-${name}`, labels, owner, ready = true } = options
  await client.create(
    resources.pods,
    {
      metadata: {
        name,
        labels: labels ?? { [LABELS.sandboxNameHash]: nameHash(name) },
        ownerReferences: [
          { apiVersion: 'agents.x-k8s.io/v1beta1', kind: 'Sandbox', name, uid, controller: true, ...owner },
        ],
      },
      spec: { containers: [{ name: 'main', image: 'x' }], automountServiceAccountToken: false },
    },
    { namespace: 'default' },
  )
  stack.defer(async () => {
    await client.delete(resources.pods, name, { namespace: 'default', gracePeriodSeconds: 0 }).catch(() => undefined)
  })
  const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }]
  const status = { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions }
  return await client.patch(resources.pods, name, { status } as never, { namespace: 'default', subresource: 'status' })
}

/** A server in the sandbox; gives its port. */
async function serve(answer: (...asked: Parameters<RequestListener>) => unknown): Promise<number> {
  const server = createServer((request, response) => void answer(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  stack.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

interface Answer {
  status: number
  headers: IncomingMessage['headers']
  body: string
}

interface Asked {
  method?: string
  path?: string
  headers?: Record<string, string>
  body?: string | Buffer
}

async function ask(url: string, { method = 'GET', path = '/', headers = {}, body }: Asked = {}): Promise<Answer> {
  const request = httpRequest(`${url}/`, { method, path, headers, agent: false })
  request.end(body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) }
}

const CANNOT = JSON.stringify({ detail: 'Could not connect to the backend sandbox: box' })

describe('a request', () => {
  test('arrives as it was sent, but for what is not the sandbox’s business', async () => {
    const { url } = await start()
    await pod('box')
    const seen: unknown[] = []
    const port = await serve(async (request, response) => {
      seen.push([request.method, request.url, await text(request), request.headers])
      response.end()
    })
    const headers = {
      'X-Sandbox-ID': 'box',
      'X-Sandbox-Port': String(port),
      Authorization: 'Bearer secret',
      'Proxy-Authorization': 'secret',
      Connection: 'close, X-Hop',
      'X-Hop': 'secret',
      'X-Forwarded-For': '1.2.3.4',
      'X-Kept': 'a',
      Origin: 'http://page.test',
      'Content-Type': 'text/plain',
    }
    await ask(url, { method: 'POST', path: '/a%2Fb/%2e%2e?q=%2F&x', headers, body: 'body' })
    expect(seen).toEqual([
      [
        'POST',
        '/a%2Fb/%2e%2e?q=%2F&x',
        'body',
        {
          host: `127.0.0.1:${port}`,
          'x-sandbox-id': 'box',
          'x-sandbox-port': String(port),
          'x-kept': 'a',
          origin: 'http://page.test',
          'content-type': 'text/plain',
          'content-length': '4',
          'x-forwarded-for': '127.0.0.1',
          'x-forwarded-host': new URL(url).host,
          'x-forwarded-proto': 'http',
          connection: 'close',
        },
      ],
    ])
  })

  test('gets the sandbox’s answer, redirects too, but for what was for the router', async () => {
    const { url } = await start()
    await pod('box')
    const port = await serve((_request, response) => {
      response.writeHead(307, {
        Location: '/else',
        'Set-Cookie': ['a=1', 'b=2'],
        Connection: 'close, X-Hop',
        'X-Hop': 'x',
      })
      response.end('moved')
    })
    const { status, headers, body } = await ask(url, {
      headers: { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) },
    })
    const { date: _, ...rest } = headers
    expect({ status, body, rest }).toEqual({
      status: 307,
      body: 'moved',
      rest: { location: '/else', 'set-cookie': ['a=1', 'b=2'], connection: 'close', 'transfer-encoding': 'chunked' },
    })
  })

  test('that names nobody, or badly, is told so', async () => {
    const { url } = await start()
    expect((await ask(url)).body).toBe(JSON.stringify({ detail: 'X-Sandbox-ID header is required.' }))
    expect(await ask(url, { headers: { 'X-Sandbox-ID': 'box' } })).toMatchObject({ status: 502, body: CANNOT })
    expect(await ask(url, { path: '/healthz' })).toMatchObject({ status: 200, body: '{"status":"ok"}' })
  })

  test('is routed by its path where that is on', async () => {
    const { url } = await start({ pathPrefix: '/router' })
    await pod('box')
    const port = await serve((request, response) => void response.end(request.url))
    const asked = await Promise.all([
      ask(url, { path: `/router/default/box/${port}/a%2Fb?c` }),
      ask(url, { path: `/router/default/box` }),
      ask(url, { path: '/other', headers: { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) } }),
    ])
    expect(asked.map(({ status, body }) => [status, body])).toEqual([
      [200, '/a%2Fb?c'],
      [400, '{"detail":"Path-routed request must have the form <prefix>/<namespace>/<id>/<port>/..."}'],
      [200, '/other'],
    ])
  })

  test('over HTTP/2 is carried over HTTP/1.1', async () => {
    const { url } = await start()
    await pod('box')
    const port = await serve(async (request, response) => void response.end(`${request.url} ${await text(request)}`))
    const session = connectHttp2(url)
    stack.defer(() => session.destroy())
    const stream = session.request({
      ':method': 'POST',
      ':path': '/x',
      'x-sandbox-id': 'box',
      'x-sandbox-port': String(port),
    })
    stream.end('body')
    const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders]
    expect([headers[':status'], await text(stream)]).toEqual([200, '/x body'])
  })
})

describe('bytes', () => {
  test.each(['GET', 'POST', 'DELETE'])('of a body are never a request of their own: %s', async (method) => {
    const { url } = await start()
    await pod('box')
    const heard = Promise.withResolvers<string>()
    const server = createTcpServer((socket) => {
      let seen = ''
      socket.on('data', (chunk) => {
        seen += chunk.toString('latin1')
        if (!seen.includes('/hidden')) return
        socket.end('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n')
        heard.resolve(seen)
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    stack.defer(() => void server.close())
    const { port } = server.address() as AddressInfo
    const body = 'GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n'
    await ask(url, {
      method,
      path: '/seen',
      headers: {
        'X-Sandbox-ID': 'box',
        'X-Sandbox-Port': String(port),
        'Content-Length': String(body.length),
        Connection: 'close, Content-Length, Host',
      },
      body,
    })
    const [head = '', ...rest] = (await heard.promise).split('\r\n\r\n')
    expect([
      head.toLowerCase().split('\r\n').includes(`content-length: ${body.length}`),
      rest.join('\r\n\r\n'),
    ]).toEqual([true, body])
  })

  test('of an upload without a length arrive, all of them', async () => {
    const { url } = await start()
    await pod('box')
    const port = await serve(async (request, response) => {
      let size = 0
      for await (const chunk of request as AsyncIterable<Buffer>) size += chunk.length
      response.end(String(size))
    })
    const request = httpRequest(url, {
      method: 'PUT',
      headers: { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) },
    })
    const part = Buffer.alloc(1 << 20)
    for (let index = 0; index < 40; index++) if (!request.write(part)) await once(request, 'drain')
    request.end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    expect(await text(response)).toBe(String(40 << 20))
  })

  test('that a sandbox does not take are not taken from its client', async () => {
    const { url } = await start()
    await pod('box')
    const port = await serve(() => {})
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    stack.defer(() => void socket.destroy())
    socket.write(
      `PUT / HTTP/1.1\r\nHost: x\r\nX-Sandbox-ID: box\r\nX-Sandbox-Port: ${port}\r\nContent-Length: 1000000000\r\n\r\n`,
    )
    const part = Buffer.alloc(1 << 20)
    // The buffers of two connections and of the router, which are bounded, and then nothing more.
    let written = 0
    while (written < 200 && socket.write(part)) written++
    for (;;) {
      const before = socket.bytesWritten - socket.writableLength
      const drained = await Promise.race([once(socket, 'drain'), new Promise((resolve) => setTimeout(resolve, 1000))])
      if (drained) for (let more = 0; more < 8; more++) socket.write(part)
      else if (before === socket.bytesWritten - socket.writableLength) break
      expect(socket.bytesWritten).toBeLessThan(64 << 20)
    }
  })

  test('that nobody waits for any more are not produced', async () => {
    const { url } = await start()
    await pod('box')
    const gone = Promise.withResolvers<void>()
    const port = await serve((_request, response) => {
      response.on('close', () => gone.resolve())
      response.write('begin')
    })
    const request = httpRequest(url, { headers: { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) } })
    request.end()
    request.on('error', () => {})
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    response.on('error', () => {})
    await once(response, 'data')
    request.destroy()
    await gone.promise
  })

  test('that do not come end the request, when the client says that it waits no longer', async () => {
    const { url } = await start()
    await pod('box')
    const port = await serve(() => {})
    const headers = { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port), 'X-Sandbox-Timeout': '0.2' }
    expect(await ask(url, { headers })).toMatchObject({
      status: 504,
      body: '{"detail":"The backend sandbox did not answer within 0.2 s: box"}',
    })
  })
})

describe('the target', () => {
  const from = async (url: string, headers: Record<string, string>): Promise<unknown[]> => {
    const { status, body } = await ask(url, { headers })
    return [status, body]
  }

  test('is a Pod that the Sandbox controls and that carries its hash, Ready and there', async () => {
    const { url } = await start()
    const port = await serve((_request, response) => void response.end('reached'))
    const to = (id: string): Promise<unknown[]> => from(url, { 'X-Sandbox-ID': id, 'X-Sandbox-Port': String(port) })
    await pod('box')
    await pod('unlabelled', { labels: {} })
    await pod('mislabelled', { labels: { [LABELS.sandboxNameHash]: nameHash('box') } })
    await pod('owned', { owner: { controller: false } })
    await pod('foreign', { owner: { apiVersion: 'example.org/v1' } })
    await pod('starting', { ready: false })
    expect(await to('box')).toEqual([200, 'reached'])
    for (const id of ['unlabelled', 'mislabelled', 'owned', 'foreign', 'starting'])
      expect([id, (await to(id))[0]]).toEqual([id, 502])
  })

  test('is never an address that is not that Sandbox’s', async () => {
    const { url } = await start()
    const port = await serve((request, response) => void response.end(request.socket.localAddress))
    await pod('box', { ip: '127.0.0.1' })
    await pod('other', { ip: '127.0.0.2' })
    const to = (ip: string): Promise<unknown[]> =>
      from(url, { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port), 'X-Sandbox-Pod-IP': ip })
    expect(await Promise.all(['127.0.0.1', '127.0.0.2', '10.96.0.1', '169.254.169.254'].map(to))).toEqual([
      [200, '127.0.0.1'],
      [200, '127.0.0.1'],
      [200, '127.0.0.1'],
      [400, '{"detail":"Invalid target IP address."}'],
    ])
  })

  test('is no Pod that has but the name, not even to wake it', async () => {
    const { url } = await start({ client: overNetwork })
    await client.create(
      resources.pods,
      { metadata: { name: 'stranger' }, spec: { nodeName: 'here', containers: [{ name: 'main', image: 'x' }] } },
      { namespace: 'default' },
    )
    stack.defer(async () => {
      await client.delete(resources.pods, 'stranger', { namespace: 'default', gracePeriodSeconds: 0 })
    })
    const headers = { 'X-Sandbox-ID': 'stranger', 'X-Sandbox-Port': '5432' }
    expect([(await ask(url, { headers })).status, connected]).toEqual([502, []])
  })

  test('is no address that cannot be a Pod’s, whatever its status says', async () => {
    const { url } = await start({ allowLoopbackPodIp: false })
    const port = await serve((_request, response) => void response.end('reached'))
    await pod('box')
    expect(await from(url, { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) })).toEqual([502, CANNOT])
  })

  test('is the very Sandbox that is meant, not another of its name', async () => {
    const { url } = await start()
    const port = await serve((_request, response) => void response.end('reached'))
    await pod('box', { uid: 'new' })
    const to = (uid: string): Promise<unknown[]> =>
      from(url, { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port), 'X-Sandbox-UID': uid })
    expect([await to('new'), await to('old')]).toEqual([
      [200, 'reached'],
      [502, CANNOT],
    ])
  })

  test('is none of a pool that nobody has claimed, but for who knows its UID', async () => {
    const { url } = await start()
    const port = await serve((_request, response) => void response.end('reached'))
    await pod('box', { labels: { [LABELS.sandboxNameHash]: nameHash('box'), [LABELS.warmPool]: 'x' }, uid: 'u' })
    const headers = { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) }
    expect([
      await from(url, headers),
      await from(url, { ...headers, 'X-Sandbox-Pod-IP': '127.0.0.1' }),
      await from(url, { ...headers, 'X-Sandbox-UID': 'u' }),
    ]).toEqual([
      [502, CANNOT],
      [502, CANNOT],
      [200, 'reached'],
    ])
  })

  test('is waited for where it was made just now', async () => {
    const { url } = await start({ retries: 3 })
    const port = await serve((_request, response) => void response.end('reached'))
    const asked = from(url, { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) })
    await pod('box')
    expect(await asked).toEqual([200, 'reached'])
  })

  test('is connected to again where it does not listen yet', async () => {
    const { url, adminPort } = await start({ retries: 3 })
    await pod('box')
    const server = createServer((_request, response) => void response.end('reached'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    const asked = from(url, { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) })
    const admin = `http://127.0.0.1:${adminPort}`
    await expect
      .poll(async () => (await ask(admin, { path: '/metrics' })).body)
      .toContain('sandbox_router_upstream_retries_total{sandbox_namespace="default"} 1')
    server.listen(port, '127.0.0.1')
    stack.defer(() => {
      server.close()
    })
    expect(await asked).toEqual([200, 'reached'])
  })
})

describe('another protocol', () => {
  test('WebSockets pass, without the page’s origin', async () => {
    const { url } = await start()
    await pod('box')
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    await once(server, 'listening')
    stack.defer(() => {
      server.close()
    })
    const heads: IncomingHttpHeaders[] = []
    server.on('connection', (socket, request) => {
      heads.push(request.headers)
      socket.on('message', (data) => socket.send(data))
    })
    const { port } = server.address() as AddressInfo
    const socket = new WebSocket(`${url.replace('http', 'ws')}/x`, {
      origin: 'http://page.test',
      headers: { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port), Authorization: 'Bearer secret' },
    })
    await once(socket, 'open')
    socket.send('x'.repeat(100_000))
    const [data] = (await once(socket, 'message')) as [Buffer]
    socket.close()
    await once(socket, 'close')
    expect([data.length, heads[0]?.origin, heads[0]?.['authorization'], heads[0]?.host]).toEqual([
      100_000,
      undefined,
      undefined,
      `127.0.0.1:${port}`,
    ])
  })

  test('is opened by paths for the router’s own pages, and for no others', async () => {
    const { url } = await start({ pathPrefix: '/router' })
    await pod('box')
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    await once(server, 'listening')
    stack.defer(() => {
      server.close()
    })
    const { port } = server.address() as AddressInfo
    const outcomes: unknown[] = []
    for (const origin of [url, 'http://page.test', 'null', 'http://127.0.0.1:1', undefined]) {
      const socket = new WebSocket(`${url.replace('http', 'ws')}/router/default/box/${port}/x`, {
        ...(origin && { origin }),
      })
      socket.on('error', () => {})
      const opened = once(socket, 'open').then(() => 101)
      const refused = once(socket, 'unexpected-response').then(([, answer]) => (answer as IncomingMessage).statusCode)
      outcomes.push(await Promise.race([opened, refused]))
      socket.terminate()
    }
    expect(outcomes).toEqual([101, 403, 403, 403, 101])
  })

  test('a sandbox that keeps its own answers, and nothing more passes on that connection', async () => {
    const { url } = await start()
    await pod('box')
    const asked: string[] = []
    const port = await serve((request, response) => {
      asked.push(request.url ?? '')
      response.end('no')
    })
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    const head = `Host: x\r\nX-Sandbox-ID: box\r\nX-Sandbox-Port: ${port}\r\n`
    socket.write(
      `GET /first HTTP/1.1\r\n${head}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /smuggled HTTP/1.1\r\n${head}\r\n`,
    )
    const answer = (await text(socket)).split('\r\n')
    expect([answer[0], answer.at(-1), asked]).toEqual(['HTTP/1.1 200 OK', 'no', ['/first']])
  })

  test('nobody there is a plain answer', async () => {
    const { url } = await start()
    const socket = new WebSocket(url.replace('http', 'ws'), { headers: { 'X-Sandbox-ID': 'box' } })
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage]
    expect([response.statusCode, await text(response)]).toEqual([502, CANNOT])
  })
})

describe('gRPC', () => {
  async function call(url: string, headers: Record<string, string>, body = 'request') {
    const session = connectHttp2(url)
    stack.defer(() => session.destroy())
    const stream = session.request({
      ':method': 'POST',
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    })
    const trailers = Promise.withResolvers<IncomingHttpHeaders>()
    stream.on('trailers', trailers.resolve)
    stream.on('end', () => trailers.resolve({}))
    stream.end(body)
    const [head] = (await once(stream, 'response')) as [IncomingHttpHeaders]
    const content = await buffer(stream)
    const { 'grpc-status': status, 'grpc-message': message } = { ...head, ...(await trailers.promise) }
    return { code: head[':status'], content: content.toString(), status, message }
  }

  test('calls pass with their trailers, and answers that are trailers alone', async () => {
    const { url } = await start()
    await pod('box')
    const server = createHttp2Server()
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      if (headers[':path'] === '/service/Refused') {
        stream.respond({ ':status': 200, 'grpc-status': '5', 'grpc-message': 'none' }, { endStream: true })
        return
      }
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.on('wantTrailers', () =>
        stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': headers['x-kept'] ?? '' }),
      )
      stream.pipe(stream)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    stack.defer(() => {
      server.close()
    })
    const { port } = server.address() as AddressInfo
    const routing = { 'x-sandbox-id': 'box', 'x-sandbox-port': String(port), 'x-kept': 'kept' }
    expect([
      await call(url, { ...routing, ':path': '/service/Echo' }),
      await call(url, { ...routing, ':path': '/service/Refused' }),
    ]).toEqual([
      { code: 200, content: 'request', status: '0', message: 'kept' },
      { code: 200, content: '', status: '5', message: 'none' },
    ])
  })

  test('nobody there is unavailable, in its own terms', async () => {
    const { url } = await start()
    expect(await call(url, { ':path': '/service/Echo', 'x-sandbox-id': 'box' })).toEqual({
      code: 200,
      content: '',
      status: '14',
      message: encodeURIComponent('Could not connect to the backend sandbox: box'),
    })
  })
})

describe('who may', () => {
  test('nobody by a name that a page could have lead here, where nobody is asked who he is', async () => {
    const { url } = await start()
    await pod('box')
    const port = await serve((_request, response) => void response.end('reached'))
    const by = async (Host: string): Promise<unknown> => {
      const { status, body } = await ask(url, {
        headers: { Host, 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) },
      })
      return [status, status === 200 ? body : (JSON.parse(body) as { detail: string }).detail]
    }
    expect([await by('localhost:1'), await by('page.test:1')]).toEqual([
      [200, 'reached'],
      [
        403,
        'This router asks nobody who he is, and so answers to no name of the internet: connect to an address or to localhost, or start it with --authz-mode.',
      ],
    ])
  })

  test('users of the cluster, as far as they may forward ports', async () => {
    const { url } = await start({ authz: { mode: 'tokenreview' } })
    await pod('box')
    const port = await serve((_request, response) => void response.end('reached'))
    await client.create(resources.serviceAccounts, { metadata: { name: 'may-not' } }, { namespace: 'default' })
    const outcomes: unknown[] = []
    for (const token of [await forwarderToken(), await tokenOf('may-not'), 'none', undefined]) {
      const headers = { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) }
      const { status, body } = await ask(url, {
        headers: { ...headers, ...(token && { Authorization: `Bearer ${token}` }) },
      })
      outcomes.push([status, body])
    }
    expect(outcomes).toEqual([
      [200, 'reached'],
      [403, '{"detail":"forbidden"}'],
      [401, '{"detail":"unauthenticated"}'],
      [401, '{"detail":"unauthenticated"}'],
    ])
  })

  test('nobody by such a name at the door that ports of Pods lead to', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'door-'))
    stack.defer(() => rmSync(directory, { recursive: true }))
    const path = join(directory, 'door.sock')
    await start({ runtimeApi: true, listenDoor: { path } })
    await pod('box')
    const by = async (host: string): Promise<string | undefined> => {
      const socket = connect(path)
      const about = { namespace: 'default', id: 'box', uid: 'uid-of-box', port: 8888 }
      socket.write(`${JSON.stringify(about)}\nGET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
      return (await text(socket)).split('\r\n')[0]
    }
    expect([await by('localhost:8888'), await by('page.test:8888')]).toEqual([
      'HTTP/1.1 200 OK',
      'HTTP/1.1 403 Forbidden',
    ])
  })

  const TYPES = ['text/plain', 'application/grpc', 'application/grpc+proto']
  test.each(TYPES)('whoever may only forward ports has nothing executed: %s', async (type) => {
    const { url } = await start({ authz: { mode: 'tokenreview' }, runtimeApi: true })
    await pod('box')
    const token = await forwarderToken()
    const { status, body } = await ask(url, {
      method: 'POST',
      path: '/execute',
      headers: {
        'X-Sandbox-ID': 'box',
        'X-Sandbox-Port': '8888',
        Authorization: `Bearer ${token}`,
        'Content-Type': type,
      },
      body: JSON.stringify({ command: 'true' }),
    })
    expect([status, body]).toEqual([403, '{"detail":"forbidden"}'])
  })

  /** Of a user who may forward ports of the Sandbox `box`, and nothing else. */
  async function forwarderToken(): Promise<string> {
    const at = { namespace: 'default' }
    const metadata = { name: 'forwarder' }
    const rule = { apiGroups: [''], resources: ['pods/portforward'], resourceNames: ['box'], verbs: ['create'] }
    const binding = {
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: metadata.name },
      subjects: [{ kind: 'ServiceAccount', name: metadata.name, ...at }],
    }
    await client.create(resources.serviceAccounts, { metadata }, at)
    stack.defer(() => client.delete(resources.serviceAccounts, metadata.name, at).then(() => undefined))
    await client.create(resources.roles, { metadata, rules: [rule] }, at)
    stack.defer(() => client.delete(resources.roles, metadata.name, at).then(() => undefined))
    await client.create(resources.roleBindings, binding, at)
    stack.defer(() => client.delete(resources.roleBindings, metadata.name, at).then(() => undefined))
    return await tokenOf(metadata.name)
  }

  async function tokenOf(name: string): Promise<string> {
    const { transport } = client
    const { body } = await transport.request({
      method: 'POST',
      path: `/api/v1/namespaces/default/serviceaccounts/${name}/token`,
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
    } as never)
    return (body as { status: { token: string } }).status.token
  }

  test('holders of a token for exactly this', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    const { x } = publicKey.export({ format: 'jwk' }) as { x: string }
    const keys = JSON.stringify({ keys: [{ kid: 'k1', publicKey: x }] })
    const { url } = await start({ authz: { mode: 'scoped-token', keys } })
    await pod('box', { uid: 'u' })
    const port = await serve((_request, response) => void response.end('reached'))
    const claims = {
      namespace: 'default',
      sandbox: 'box',
      sandboxUid: 'u',
      port,
      method: 'GET',
      path: '/a%2Fb',
      expires: Math.floor(Date.now() / 1000) + 60,
    }
    const to = async (changed: object, asked: Asked = {}, key = privateKey, kid = 'k1'): Promise<number> => {
      const token = mintScopedToken(key, kid, { ...claims, ...changed })
      const headers = {
        'X-Sandbox-ID': 'box',
        'X-Sandbox-UID': 'u',
        'X-Sandbox-Port': String(port),
        Authorization: `Bearer ${token}`,
        ...asked.headers,
      }
      return (await ask(url, { path: '/a%2fb?query', ...asked, headers })).status
    }
    const stranger = generateKeyPairSync('ed25519').privateKey
    expect({
      exactly: await to({}),
      expired: await to({ expires: Math.floor(Date.now() / 1000) }),
      namespace: await to({ namespace: 'other' }),
      name: await to({ sandbox: 'other' }),
      uid: await to({ sandboxUid: 'v' }),
      port: await to({ port: port + 1 }),
      method: await to({}, { method: 'POST' }),
      path: await to({}, { path: '/a/b' }),
      withoutUid: await to({ sandboxUid: '' }, { headers: { 'X-Sandbox-UID': '' } }),
      address: await to({}, { headers: { 'X-Sandbox-Pod-IP': '10.0.0.1' } }),
      otherKey: await to({}, {}, stranger),
      unknownKey: await to({}, {}, privateKey, 'k2'),
      none: await to({}, { headers: { Authorization: 'Bearer v2.k1.e30.AAAA' } }),
    }).toEqual({
      exactly: 200,
      expired: 401,
      namespace: 403,
      name: 403,
      uid: 403,
      port: 403,
      method: 403,
      path: 403,
      withoutUid: 403,
      address: 403,
      otherKey: 401,
      unknownKey: 401,
      none: 401,
    })
  })
})

test('what it counts has the names of agent-sandbox’s router', async () => {
  const { url, adminPort } = await start()
  await ask(url, { headers: { 'X-Sandbox-ID': 'box' } })
  const admin = `http://127.0.0.1:${adminPort}`
  const { body } = await ask(admin, { path: '/metrics' })
  expect(body).toContain('sandbox_router_requests_total{method="GET",code="502",sandbox_namespace="default"} 1')
  expect(body).toContain('sandbox_router_upstream_errors_total{sandbox_namespace="default",reason="dial"} 1')
  expect(body).toContain('sandbox_router_authz_decisions_total{sandbox_namespace="default",decision="allow"} 1')
  expect(await ask(admin, { path: '/readyz' })).toMatchObject({ status: 200, body: '{"status":"ok"}' })
})

test('connections that say nothing understandable are ended', async () => {
  const { port } = await start()
  const sockets: Socket[] = []
  for (const words of [
    'PRI * HTTP/2.0\r\n\r\nnonsense',
    'nonsense\r\n\r\n',
    'GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n',
  ]) {
    const socket = connect(port ?? 0, '127.0.0.1')
    socket.on('error', () => {})
    sockets.push(socket)
    socket.resume()
    socket.write(words)
  }
  await Promise.all(sockets.map((socket) => once(socket, 'close')))
})

test('a server that is no Pod’s is not one for it', async () => {
  // What a listener on the machine's own loopback would be: the API server, databases, other users' programs.
  const { url } = await start()
  const reached: string[] = []
  const server = createTcpServer((socket) => {
    reached.push('reached')
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  stack.defer(() => {
    server.close()
  })
  const { port } = server.address() as AddressInfo
  for (const headers of [
    { 'X-Sandbox-ID': 'localhost' },
    { 'X-Sandbox-ID': 'box', 'X-Sandbox-Pod-IP': '10.0.0.1' },
    { 'X-Sandbox-ID': 'kubernetes', 'X-Sandbox-Namespace': 'default' },
  ])
    expect((await ask(url, { headers: { ...headers, 'X-Sandbox-Port': String(port) } })).status).toBe(502)
  expect(reached).toEqual([])
})
