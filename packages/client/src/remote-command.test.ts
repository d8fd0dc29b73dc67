import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { setImmediate as turn } from 'node:timers/promises'
import { beforeEach, describe, expect, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { createClient } from './client.ts'
import { attachToPod, type ExecOptions, execInPod, type RemoteCommand } from './remote-command.ts'
import { useScriptedServers } from './testing/scripted-fixture.ts'
import type { ScriptedServer } from './testing/scripted-server.ts'
import { onChannel, type ServedWebSocket, serveWebSockets } from './testing/web-socket-script.ts'

const { serve: startServer, open } = useScriptedServers()
let server: ScriptedServer

beforeEach(async () => {
  server = await startServer()
})

const serveNext = (protocols: readonly string[], script: (served: ServedWebSocket) => void) =>
  serveWebSockets(server, protocols, script)

const V5 = ['v5.channel.k8s.io']
const V4 = ['v4.channel.k8s.io']
const success = '{"metadata":{},"status":"Success"}'
const say = onChannel

function start(options: Partial<ExecOptions> = {}): Promise<RemoteCommand> {
  const transport = open({ ...server.connection, server: `${server.url}/root`, token: 'secret' })
  return execInPod(createClient(transport), 'web', { namespace: 'n', command: ['sh', '-c', 'echo a&b'], ...options })
}

describe('a command', () => {
  test('is asked for as Kubernetes wants it, gets its input to the end, and gives its outputs and its exit code', async () => {
    let asked: Partial<ServedWebSocket> = {}
    serveNext(V5, (served) => {
      asked = served
      const { socket, heard } = served
      socket.send(say(1, ''))
      socket.on('message', (message: Buffer) => {
        if (message[0] !== 255) return
        socket.send(say(1, 'größe '.slice(0, 3)))
        socket.send(say(2, 'oops'))
        socket.send(say(1, 'done'))
        const status = JSON.stringify({
          status: 'Failure',
          reason: 'NonZeroExitCode',
          details: { causes: [{ reason: 'ExitCode', message: '42' }] },
        })
        socket.send(say(3, status.slice(0, 20)))
        socket.send(say(3, status.slice(20)))
        socket.close(1000)
        expect(heard).toHaveLength(3)
      })
    })
    const command = await start({ stdin: true, container: 'main' })
    command.stdin?.write('first')
    command.stdin?.end('second')
    const [out, err, exit] = await Promise.all([
      text(command.stdout ?? expect.fail()),
      text(command.stderr ?? expect.fail()),
      command.exit,
    ])
    expect({ out, err, exit }).toEqual({ out: 'grödone', err: 'oops', exit: { exitCode: 42 } })
    expect(asked).toMatchObject({
      url: '/root/api/v1/namespaces/n/pods/web/exec?command=sh&command=-c&command=echo+a%26b&container=main&stdin=true&stdout=true&stderr=true',
      authorization: 'Bearer secret',
      heard: ['0:first', '0:second', '255:\0'],
    })
  })

  test('with a terminal has one output, and its size is told', async () => {
    let asked: Partial<ServedWebSocket> = {}
    serveNext(V5, (served) => {
      asked = served
      served.socket.on('message', () => {
        served.socket.send(say(3, success))
        served.socket.close(1000)
      })
    })
    const command = await start({ tty: true, stdin: true })
    expect(command.stderr).toBeUndefined()
    command.resize({ columns: 80, rows: 24 })
    command.stdout?.resume()
    expect(await command.exit).toEqual({ exitCode: 0 })
    expect(asked.url).toMatch(/\?command=sh&command=-c&command=echo\+a%26b&stdin=true&stdout=true&tty=true$/)
    expect(asked.heard).toEqual(['4:{"Width":80,"Height":24}'])
  })

  test('attach asks for no command', async () => {
    let url = ''
    serveNext(V5, (served) => {
      url = served.url
      served.socket.send(say(3, success))
      served.socket.close(1000)
    })
    const transport = open(server.connection)
    const command = await attachToPod(createClient(transport), 'web', { namespace: 'n', stderr: false })
    command.stdout?.resume()
    await command.exit
    expect(url).toBe('/api/v1/namespaces/n/pods/web/attach?stdout=true')
  })

  test('that could not be run says why', async () => {
    serveNext(V5, ({ socket }) => {
      socket.send(say(3, '{"status":"Failure","reason":"InternalError","message":"no such file","code":500}'))
      socket.close(1000)
    })
    await expect((await start()).exit).rejects.toMatchObject({ name: 'ApiError', message: 'no such file', code: 500 })
  })

  test('over v4 works, except that the end of its input cannot be said', async () => {
    serveNext(V4, ({ socket }) => {
      socket.on('message', (message: Buffer) => {
        socket.send(say(1, message.subarray(1)))
      })
    })
    const command = await start({ stdin: true })
    command.stdin?.write('a')
    expect(String((await once(command.stdout ?? expect.fail(), 'data'))[0])).toBe('a')
    const failed = once(command.stdin ?? expect.fail(), 'error')
    command.stdin?.end()
    expect((await failed)[0]).toMatchObject({ message: expect.stringContaining('v5.channel.k8s.io') })
    await command[Symbol.asyncDispose]()
  })
})

describe('the end', () => {
  test('after the status is in order however abrupt, and loses nothing', async () => {
    const block = Buffer.alloc(3_000_000, 'x')
    serveNext(V5, ({ socket }) => {
      socket.send(say(1, block))
      socket.send(say(3, success), () => setImmediate(() => socket.terminate()))
    })
    const command = await start()
    command.stderr?.resume()
    // Read late: the connection may have gone by then.
    await turn()
    const out = await text(command.stdout ?? expect.fail())
    expect({ length: out.length, exit: await command.exit }).toEqual({ length: block.length, exit: { exitCode: 0 } })
  })

  test.each<[string, (socket: WebSocket) => void, object]>([
    ['breaks', (socket) => socket.terminate(), { code: 'lost' }],
    [
      'is in order but without a status',
      (socket) => socket.close(1000),
      { code: 'lost', message: 'the connection ended without saying how the command did' },
    ],
    [
      'is the server’s wish',
      (socket) => socket.close(1011, 'restarting'),
      { code: 'lost', message: 'the server ended the connection: 1011 restarting' },
    ],
    [
      'has garbage as its status',
      (socket) => {
        socket.send(say(3, '}{'))
        socket.close(1000)
      },
      { code: 'malformed' },
    ],
    ['sends a message that is too long', (socket) => socket.send(Buffer.alloc(33 * 1024 * 1024)), { code: 'lost' }],
  ])('that %s is an error', async (_name, script, error) => {
    serveNext(V5, ({ socket }) => script(socket))
    const command = await start()
    command.stdout?.resume()
    command.stderr?.resume()
    await expect(command.exit).rejects.toMatchObject(error)
  })

  test('comes with the signal, or when the command is left', async () => {
    const gone: Promise<unknown>[] = []
    serveNext(V5, ({ socket }) => void gone.push(once(socket, 'close')))
    const abort = new AbortController()
    const aborted = await start({ signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(aborted.exit).rejects.toThrow('enough')
    const left = await start()
    await left[Symbol.asyncDispose]()
    await expect(left.exit).rejects.toMatchObject({ code: 'closed' })
    await Promise.all(gone)
    expect(gone).toHaveLength(2)
  })
})

test('neither side runs ahead of the other', async () => {
  let sent = 0
  const block = say(1, Buffer.alloc(32 * 1024))
  serveNext(V5, ({ socket }) => {
    socket.pause()
    function more(): void {
      if (sent >= 4000 || socket.readyState !== socket.OPEN) return
      sent++
      socket.send(block, more)
    }
    more()
  })
  const command = await start({ stdin: true })
  let written = 0
  const input = command.stdin ?? expect.fail()
  while (input.write(Buffer.alloc(32 * 1024))) written++
  void (async () => {
    for (; written < 4000 && !input.destroyed; written++)
      if (!input.write(Buffer.alloc(32 * 1024))) await once(input, 'drain').catch(() => {})
  })()
  let before = ''
  await expect
    .poll(
      () => {
        const still = before === `${sent} ${written}`
        before = `${sent} ${written}`
        return still
      },
      { interval: 200, timeout: 20_000 },
    )
    .toBe(true)
  // Of 125 MB each way.
  expect({ sent: sent < 1000, written: written < 1000 }).toEqual({ sent: true, written: true })
  await command[Symbol.asyncDispose]()
})

describe('a refusal', () => {
  test('is an ApiError with what the server says', async () => {
    const body = JSON.stringify({ kind: 'Status', code: 403, reason: 'Forbidden', message: 'pods "web" is forbidden' })
    server.upgrade = (_request, socket) => {
      socket.end(
        `HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      )
    }
    await expect(start()).rejects.toMatchObject({
      name: 'ApiError',
      reason: 'Forbidden',
      message: 'pods "web" is forbidden',
    })
  })

  test.each<[string, string, object]>([
    [
      'a redirect',
      'HTTP/1.1 302 Found\r\nLocation: https://elsewhere.test\r\nContent-Length: 0\r\n\r\n',
      { code: 'redirected' },
    ],
    ['no HTTP', 'SSH-2.0\r\n\r\n', { code: 'malformed' }],
    [
      'a wrong handshake',
      'HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n',
      { code: 'lost' },
    ],
  ])('may be %s', async (_name, answer, error) => {
    server.upgrade = (_request, socket) => void socket.end(answer)
    await expect(start()).rejects.toMatchObject(error)
  })

  test('of both protocols is said', async () => {
    const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => false })
    server.upgrade = (request, socket, head) => sockets.handleUpgrade(request, socket, head, () => {})
    await expect(start()).rejects.toMatchObject({
      code: 'malformed',
      message: 'the server speaks none of v5.channel.k8s.io, v4.channel.k8s.io',
    })
  })

  test('ends with the signal while the server thinks', async () => {
    const asked = Promise.withResolvers<void>()
    server.upgrade = () => asked.resolve()
    const abort = new AbortController()
    const starting = start({ signal: abort.signal })
    await asked.promise
    abort.abort(new Error('enough'))
    await expect(starting).rejects.toThrow('enough')
  })
})
