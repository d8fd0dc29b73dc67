import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { beforeEach, expect, test } from 'vitest'
import type { WebSocket } from 'ws'
import { createClient } from './client.ts'
import { type ForwardPortOptions, forwardPort } from './port-forward.ts'
import { useScriptedServers } from './testing/scripted-fixture.ts'
import type { ScriptedServer } from './testing/scripted-server.ts'
import { onChannel, type ServedWebSocket, serveWebSockets } from './testing/web-socket-script.ts'

const { serve: startServer, open } = useScriptedServers()
let server: ScriptedServer

beforeEach(async () => {
  server = await startServer()
})

const port8080 = Buffer.of(0x90, 0x1f)

function serve(script: (served: ServedWebSocket) => void): void {
  serveWebSockets(server, ['v4.channel.k8s.io'], (served) => {
    served.socket.send(onChannel(0, port8080))
    served.socket.send(onChannel(1, port8080))
    script(served)
  })
}

function forward(options: Partial<ForwardPortOptions> = {}) {
  const transport = open(server.connection)
  return forwardPort(createClient(transport), 'web', { namespace: 'n', port: 8080, ...options })
}

test('bytes go both ways until the Pod has no more', async () => {
  let asked: ServedWebSocket | undefined
  serve((served) => {
    asked = served
    served.socket.on('message', () => {
      if (served.heard.length < 2) return
      served.socket.send(onChannel(0, 'HTTP/1.1 '))
      served.socket.send(onChannel(0, '200 OK'))
      served.socket.close(1000)
    })
  })
  const stream = await forward()
  stream.write('GET ')
  stream.end('/')
  expect(await text(stream)).toBe('HTTP/1.1 200 OK')
  expect([asked?.url, asked?.heard]).toEqual([
    '/api/v1/namespaces/n/pods/web/portforward?ports=8080',
    ['0:GET ', '0:/'],
  ])
})

test('the port’s number may come in parts', async () => {
  serveWebSockets(server, ['v4.channel.k8s.io'], ({ socket }) => {
    for (const content of [port8080.subarray(0, 1), port8080.subarray(1), Buffer.from('data')]) {
      socket.send(onChannel(0, content))
    }
    socket.close(1000)
  })
  expect(await text(await forward())).toBe('data')
})

test('a port where nobody listens fails with what the server says', async () => {
  serve(({ socket }) => {
    socket.send(onChannel(1, 'connection refused'))
    socket.close(1000)
  })
  await expect(text(await forward())).rejects.toMatchObject({ code: 'unreachable', message: 'connection refused' })
})

test('a connection that breaks fails', async () => {
  serve(({ socket }) => socket.terminate())
  await expect(text(await forward())).rejects.toMatchObject({ code: 'lost' })
})

test('leaving the stream, or the signal, ends the connection', async () => {
  const sockets: WebSocket[] = []
  serve(({ socket }) => void sockets.push(socket))
  const abort = new AbortController()
  const aborted = await forward({ signal: abort.signal })
  const failed = once(aborted, 'error')
  const left = await forward()
  const closed = sockets.map((socket) => once(socket, 'close'))
  abort.abort(new Error('enough'))
  left.destroy()
  expect(await failed).toEqual([new Error('enough')])
  await Promise.all(closed)
  expect(closed).toHaveLength(2)
})

test('neither side runs ahead of the other', async () => {
  let sent = 0
  serve(({ socket }) => {
    const block = onChannel(0, Buffer.alloc(32 * 1024))
    function more(): void {
      if (sent >= 4000 || socket.readyState !== socket.OPEN) return
      sent++
      socket.send(block, more)
    }
    more()
  })
  const stream = await forward()
  let before = -1
  await expect
    .poll(
      () => {
        const still = before === sent
        before = sent
        return still
      },
      { interval: 200, timeout: 20_000 },
    )
    .toBe(true)
  expect(sent).toBeLessThan(1000)
  stream.destroy()
})

test.each([0, 65_536, 1.5, Number.NaN])('%d is no port', async (port) => {
  await expect(forward({ port })).rejects.toThrow(TypeError)
})
