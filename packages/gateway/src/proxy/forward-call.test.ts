/** Calls of gRPC. */
import { once } from 'node:events'
import {
  connect as connectHttp2,
  createServer as createHttp2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { ask, routerFixture } from '../testing/router-fixture.ts'

const fixture = routerFixture()
const { start, pod } = fixture

describe('gRPC', () => {
  async function call(url: string, headers: Record<string, string>, body = 'request') {
    const session = connectHttp2(url)
    fixture.stack.defer(() => session.destroy())
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
    fixture.stack.defer(() => {
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

  test.each([
    ['http2-settings', undefined],
    ['connection', '14'],
  ])('an answer with %s, which is none of HTTP/2, ends the call at most', async (name, expected) => {
    const { url } = await start()
    await pod('box')
    // What no library sends: the frame SETTINGS, and one with the head of an answer.
    const frame = (type: number, flags: number, stream: number, content: Buffer): Buffer =>
      Buffer.concat([Buffer.from([0, 0, content.length, type, flags, 0, 0, 0, stream]), content])
    const field = Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([1]), Buffer.from('x')])
    const status200 = Buffer.from([0x88])
    const server = createTcpServer((socket) => {
      socket.on('error', () => {})
      socket.write(frame(4, 0, 0, Buffer.alloc(0)))
      socket.once('data', () => socket.write(frame(1, 5, 1, Buffer.concat([status200, field]))))
      socket.resume()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    fixture.stack.defer(() => {
      server.close()
    })
    const routing = { 'x-sandbox-id': 'box', 'x-sandbox-port': String((server.address() as AddressInfo).port) }
    const { status } = await call(url, { ...routing, ':path': '/service/Echo' })
    expect([status, (await ask(url, { path: '/healthz' })).status]).toEqual([expected, 200])
  })
})
