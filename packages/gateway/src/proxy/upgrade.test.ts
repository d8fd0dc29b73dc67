/** WebSockets and other protocols that begin as requests. */
import { once } from 'node:events'
import { type IncomingMessage } from 'node:http'
import { type IncomingHttpHeaders } from 'node:http2'
import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { ask, routerFixture } from '../testing/router-fixture.ts'

const fixture = routerFixture()
const { start, pod, serve } = fixture
const CANNOT = JSON.stringify({ detail: 'Could not connect to the backend sandbox: box' })

const OTHER_HTTPS = ['h2c', 'websocket, H2C', 'HTTP/1.1', 'TLS/1.0']

describe('another protocol', () => {
  test('WebSockets pass, without the page’s origin', async () => {
    const { url } = await start()
    await pod('box')
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    await once(server, 'listening')
    fixture.stack.defer(() => {
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
    fixture.stack.defer(() => {
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

  test.each(OTHER_HTTPS)('%s is none that a token’s one path could hide in', async (protocol) => {
    const { url } = await start()
    await pod('box')
    let asked = 0
    const port = await serve((_request, response) => {
      asked++
      response.end()
    })
    const { status } = await ask(url, {
      headers: { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port), Connection: 'Upgrade', Upgrade: protocol },
    })
    expect([status, asked]).toEqual([400, 0])
  })

  test('nobody there is a plain answer', async () => {
    const { url } = await start()
    const socket = new WebSocket(url.replace('http', 'ws'), { headers: { 'X-Sandbox-ID': 'box' } })
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage]
    expect([response.statusCode, await text(response)]).toEqual([502, CANNOT])
  })
})
