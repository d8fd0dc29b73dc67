/** What a sandbox sees of a request, and its client of the answer. */
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { ask, routerFixture } from '../testing/router-fixture.ts'

const fixture = routerFixture()
const { start, pod, serve } = fixture
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
    fixture.stack.defer(() => session.destroy())
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
    fixture.stack.defer(() => void server.close())
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
    fixture.stack.defer(() => void socket.destroy())
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

describe('a sandbox that', () => {
  /** Answers everything with these bytes. */
  async function saying(bytes: string): Promise<number> {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => socket.write(bytes, 'latin1'))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    fixture.stack.defer(() => void server.close())
    return (server.address() as AddressInfo).port
  }

  test.each([
    ['changes the protocol unasked', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'],
    ['has no status', 'HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n'],
    ['has control characters in a header', 'HTTP/1.1 200 OK\r\nX: a\x01b\r\nContent-Length: 0\r\n\r\n'],
    ['speaks no HTTP', 'SSH-2.0-x\r\n'],
    ['says two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx'],
    ['says a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ])('%s is a bad gateway, and nothing that the router waits for', async (_what, bytes) => {
    const { url } = await start()
    await pod('box')
    const headers = { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(await saying(bytes)) }
    expect((await ask(url, { headers })).status).toBe(502)
  })

  test('is reached by a path has its cookies and redirects brought below that', async () => {
    const { url } = await start({ pathPrefix: '/router' })
    await pod('box')
    const port = await serve((_request, response) => {
      response.writeHead(302, { Location: '/login', 'Set-Cookie': 'a=1; Path=/' }).end()
    })
    const { headers } = await ask(url, { path: `/router/default/box/${port}/` })
    const base = `/router/default/box/${port}`
    expect([headers.location, headers['set-cookie']]).toEqual([`${base}/login`, [`a=1; Path=${base}/`]])
  })
})
