/** What the router tells of itself, and how it bears strangers. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { CONNECTION_TIMES } from './proxy/listener.ts'
import { ask, routerFixture } from './testing/router-fixture.ts'

const fixture = routerFixture()
const { start, pod, serve } = fixture

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

test('connections on which nothing is asked are ended, whichever HTTP they speak, and no others', async () => {
  const { port, url } = await start({ times: { ...CONNECTION_TIMES, idleMs: 200 } })
  await pod('box')
  const inside = await serve(() => {})
  const routing = { 'x-sandbox-id': 'box', 'x-sandbox-port': String(inside) }
  const waiting = connectHttp2(url)
  fixture.stack.defer(() => waiting.destroy())
  const open = waiting.request({ ':path': '/', ...routing })
  open.on('error', () => {})
  const idle = connectHttp2(url)
  idle.on('error', () => {})
  const socket = connect(port ?? 0, '127.0.0.1')
  socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
  socket.resume()
  const silent = connect(port ?? 0, '127.0.0.1').resume()
  await Promise.all([once(idle, 'close'), once(socket, 'close'), once(silent, 'close')])
  expect([waiting.destroyed, open.closed]).toEqual([false, false])
})

test('a connection that a client has made and not used yet is closed by the client, after its 90 s', () => {
  expect(CONNECTION_TIMES.idleMs).toBeGreaterThan(90_000)
})

test('a connection may be silent for longer than a request may take to say what it wants', async () => {
  const { port } = await start({ times: { idleMs: 60_000, headersMs: 300 } })
  const opened = async (words: string): Promise<Socket> => {
    const socket = connect(port ?? 0, '127.0.0.1')
    socket.on('error', () => {})
    fixture.stack.defer(() => void socket.destroy())
    await once(socket, 'connect')
    socket.write(words)
    return socket
  }
  const silent = await opened('')
  const slow = await Promise.all(['P', 'PRI *', 'G', 'GET / HTTP/1.1\r\nX-Slow: '].map(opened))
  for (const socket of slow) socket.resume()
  await Promise.all(slow.map((socket) => once(socket, 'close')))
  expect(silent.destroyed).toBe(false)
  silent.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
  const [answer] = (await once(silent, 'data')) as [Buffer]
  expect(answer.toString().split('\r\n')[0]).toBe('HTTP/1.1 200 OK')
})

test('a client that has been refused does not go on sending for ever', async () => {
  const { port } = await start()
  const socket = connect(port ?? 0, '127.0.0.1')
  socket.on('error', () => {})
  socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n')
  const [answer] = (await once(socket, 'data')) as [Buffer]
  const sending = setInterval(() => socket.write('x'), 100)
  fixture.stack.defer(() => clearInterval(sending))
  await once(socket, 'close')
  expect(answer.toString().split('\r\n')[0]).toBe('HTTP/1.1 400 Bad Request')
})

test('statuses that no server has are counted together', async () => {
  const { url, adminPort } = await start()
  await pod('box')
  const port = await serve((_request, response) => void response.writeHead(799).end())
  await ask(url, { headers: { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) } })
  const { body } = await ask(`http://127.0.0.1:${adminPort}`, { path: '/metrics' })
  expect(body).toContain('sandbox_router_requests_total{method="GET",code="other",sandbox_namespace="default"} 1')
})

test('calls and upgrades at the door that ports of Pods lead to are counted as all are', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'door-'))
  fixture.stack.defer(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'door.sock')
  const { adminPort } = await start({ runtimeApi: true, listenDoor: { path } })
  const knock = (): Socket => {
    const socket = connect(path)
    socket.write(`${JSON.stringify({ namespace: 'default', id: 'box', uid: 'uid-of-box', port: 8888 })}\n`)
    return socket
  }
  const session = connectHttp2('http://localhost', { createConnection: knock })
  fixture.stack.defer(() => session.destroy())
  const call = session.request({ ':method': 'POST', ':path': '/', 'content-type': 'application/grpc' })
  const [headers] = (await once(call.resume(), 'response')) as [IncomingHttpHeaders]
  expect(headers['grpc-status']).toBe('14')
  const upgrade = knock()
  upgrade.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  expect(await text(upgrade)).toMatch(/^HTTP\/1.1 502 /)
  const { body } = await ask(`http://127.0.0.1:${adminPort}`, { path: '/metrics' })
  for (const method of ['POST', 'GET'])
    expect(body).toContain(`sandbox_router_requests_total{method="${method}",code="502",sandbox_namespace="default"} 1`)
})
