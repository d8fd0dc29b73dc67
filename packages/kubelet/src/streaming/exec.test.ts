import { once } from 'node:events'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { createHostProcesses, type HostProcesses } from '../testing/host-processes.ts'
import { type KubectlServer, startKubectlServer } from '../testing/kubectl-server.ts'
import { serveOnePod } from '../testing/served-pod.ts'
import { connectSpdy } from '../testing/spdy-client.ts'

let open: AsyncDisposableStack | undefined
afterEach(async () => {
  await open?.disposeAsync()
  open = undefined
})

async function serve(options: { tty?: boolean } = {}): Promise<{ server: KubectlServer; runtime: HostProcesses }> {
  open = new AsyncDisposableStack()
  const runtime = createHostProcesses()
  const server = open.use(await startKubectlServer(serveOnePod(runtime, options)))
  return { server, runtime }
}

function execPath(args: readonly string[], streams: string, container = 'main'): string {
  return `/exec/default/web/${container}?${args.map((arg) => `command=${encodeURIComponent(arg)}`).join('&')}&${streams}`
}

/** Messages of a whole session, as `channel:text`, empty ones left out, and the code with which it was closed. */
async function session(
  port: number,
  options: { path: string; protocols: string[]; send?: Array<string | Buffer> },
): Promise<{ messages: string[]; code: number; protocol: string }> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${options.path}`, options.protocols)
  const messages: string[] = []
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    const channel = isBinary ? data[0] : data.toString('latin1', 0, 1)
    const text = isBinary ? data.toString('utf8', 1) : Buffer.from(data.toString('latin1', 1), 'base64').toString()
    const last = messages.at(-1)
    if (text === '') return
    if (last?.startsWith(`${channel}:`)) messages[messages.length - 1] = last + text
    else messages.push(`${channel}:${text}`)
  })
  const closed = once(socket, 'close') as Promise<[number]>
  await once(socket, 'open')
  for (const message of options.send ?? []) socket.send(message)
  const [code] = await closed
  return { messages, code, protocol: socket.protocol }
}

const SUCCESS = '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}'

describe('exec over a WebSocket', () => {
  test('v5: output, an end of input, the exit code', async () => {
    const { server } = await serve()
    const path = execPath(['sh', '-c', 'cat; echo done >&2; sleep 0; exit 7'], 'input=1&output=1&error=1')
    expect(
      await session(server.port, {
        path,
        protocols: ['v5.channel.k8s.io'],
        send: [Buffer.from('\0hello'), Buffer.of(255, 0)],
      }),
    ).toEqual({
      protocol: 'v5.channel.k8s.io',
      code: 1000,
      messages: [
        '1:hello',
        '2:done\n',
        `3:${JSON.stringify({
          kind: 'Status',
          apiVersion: 'v1',
          metadata: {},
          status: 'Failure',
          message:
            'command terminated with non-zero exit code: error executing command [sh -c cat; echo done >&2; sleep 0; exit 7], exit code 7',
          reason: 'NonZeroExitCode',
          details: { causes: [{ reason: 'ExitCode', message: '7' }] },
        })}`,
      ],
    })
  })

  test.each<[protocols: string[], chosen: string, messages: string[]]>([
    [['v4.channel.k8s.io'], 'v4.channel.k8s.io', ['1:x\n', `3:${SUCCESS}`]],
    [['v4.base64.channel.k8s.io'], 'v4.base64.channel.k8s.io', ['1:x\n', `3:${SUCCESS}`]],
    [['unknown', 'channel.k8s.io', 'v4.channel.k8s.io'], 'channel.k8s.io', ['1:x\n']],
    [['base64.channel.k8s.io'], 'base64.channel.k8s.io', ['1:x\n']],
    [[], '', ['1:x\n']],
  ])('speaks what the client names first: %j', async (protocols, protocol, messages) => {
    const { server } = await serve()
    const path = execPath(['echo', 'x'], 'stdout=true&stderr=true')
    expect(await session(server.port, { path, protocols })).toEqual({ messages, code: 1000, protocol })
  })

  test('before v4, a failure is text and success is silence', async () => {
    const { server } = await serve()
    const path = execPath(['sh', '-c', 'exit 2'], 'output=1')
    const { messages } = await session(server.port, { path, protocols: ['base64.channel.k8s.io'] })
    expect(messages).toEqual([
      '3:command terminated with non-zero exit code: error executing command [sh -c exit 2], exit code 2',
    ])
  })

  test('base64 input is decoded, and what is no base64 is dropped', async () => {
    const { server } = await serve()
    const path = execPath(['head', '-c', '5'], 'input=1&output=1')
    const { messages } = await session(server.port, {
      path,
      protocols: ['v4.base64.channel.k8s.io'],
      send: ['0*broken*', `0${Buffer.from('hello').toString('base64')}`],
    })
    expect(messages).toEqual(['1:hello', `3:${SUCCESS}`])
  })

  test('sizes of the terminal reach the process, in whatever pieces they come', async () => {
    const { server, runtime } = await serve()
    const path = execPath(['cat'], 'input=1&output=1&tty=1')
    await session(server.port, {
      path,
      protocols: ['v5.channel.k8s.io'],
      send: [
        Buffer.from('\u0004{"Width":80,"He'),
        Buffer.from('\u0004ight":24}\n{"Width":132,"Height":50}'),
        Buffer.from('\u0004{"Width":-1,"Height":1}'),
        Buffer.from('\u0004{"Width":1,"Height":1}'),
        Buffer.of(255, 0),
      ],
    })
    expect(runtime.sizes).toEqual([
      { columns: 80, rows: 24 },
      { columns: 132, rows: 50 },
    ])
  })

  test('a client that goes away takes its process with it', async () => {
    const { server, runtime } = await serve()
    const socket = new WebSocket(
      `ws://127.0.0.1:${server.port}${execPath(['sh', '-c', 'echo up; exec sleep 1000'], 'output=1')}`,
      ['v5.channel.k8s.io'],
    )
    await new Promise<void>((resolve) => socket.on('message', (data: Buffer) => data.length > 1 && resolve()))
    const [pid = 0] = runtime.pids
    socket.terminate()
    await expect.poll(() => alive(pid)).toBe(false)
  })

  test('a client that goes away while its input is not read takes its process with it', async () => {
    const { server, runtime } = await serve()
    const path = execPath(['sh', '-c', 'echo up; exec sleep 1000'], 'input=1&output=1')
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}${path}`, ['v5.channel.k8s.io'])
    socket.on('error', () => {})
    await new Promise<void>((resolve) => socket.on('message', (data: Buffer) => data.length > 1 && resolve()))
    const [pid = 0] = runtime.pids
    // Far more than every buffer on the way, so that the server stops reading.
    for (let sent = 0; sent < 64; sent++) socket.send(Buffer.alloc(1024 * 1024))
    await expect.poll(() => socket.bufferedAmount).toBeGreaterThan(0)
    socket.terminate()
    await expect.poll(() => alive(pid), { timeout: 20_000 }).toBe(false)
  })

  test('a process that never reads or writes too much holds a bounded number of bytes', async () => {
    const { server } = await serve()
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}${execPath(['yes'], 'output=1')}`, ['v5.channel.k8s.io'])
    await once(socket, 'open')
    socket.pause()
    const before = process.memoryUsage().external
    // As many turns of the event loop as would let an unbounded server buffer hundreds of megabytes.
    for (let turn = 0; turn < 20_000; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(process.memoryUsage().external - before).toBeLessThan(16 * 1024 * 1024)
    socket.terminate()
  })

  test.each<[name: string, path: string, protocols: string[], expected: string]>([
    [
      'a container that does not run, over v5',
      execPath(['ls'], 'output=1', 'stopped'),
      ['v5.channel.k8s.io'],
      '3:{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Internal error occurred: unable to upgrade connection: container not found (\\"stopped\\")","reason":"InternalError","details":{"causes":[{"message":"unable to upgrade connection: container not found (\\"stopped\\")"}]},"code":500}',
    ],
    [
      'the same over v4',
      execPath(['ls'], 'output=1', 'stopped'),
      ['v4.channel.k8s.io'],
      '500 container not found ("stopped")',
    ],
    [
      'no stream',
      execPath(['ls'], ''),
      ['v5.channel.k8s.io'],
      '400 you must specify at least 1 of stdin, stdout, stderr',
    ],
    [
      'no command',
      '/exec/default/web/main?output=1',
      ['v4.channel.k8s.io'],
      '400 you must specify at least one command to run',
    ],
    ['another Pod', '/exec/default/other/main?command=ls&output=1', ['v4.channel.k8s.io'], '404 pod does not exist'],
    ['another uid', '/exec/default/web/uid/main?command=ls&output=1', ['v4.channel.k8s.io'], '404 pod does not exist'],
    ['a path of nothing', '/exec/default/%', ['v4.channel.k8s.io'], '404 404 page not found'],
    [
      'a path with a traversal',
      '/exec/default/web/..%2f..?command=ls&output=1',
      ['v4.channel.k8s.io'],
      '500 container not found ("../..")',
    ],
    [
      'unknown protocols',
      execPath(['ls'], 'output=1'),
      ['v6.channel.k8s.io'],
      '403 none of the requested WebSocket protocols is supported, which are: v5.channel.k8s.io, v4.channel.k8s.io, v4.base64.channel.k8s.io, channel.k8s.io, base64.channel.k8s.io',
    ],
    [
      'a command that cannot be started',
      execPath(['/nonexistent'], 'output=1'),
      ['v4.channel.k8s.io'],
      '3:{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Internal error occurred: error executing command in container: spawn /nonexistent ENOENT","reason":"InternalError","details":{"causes":[{"message":"error executing command in container: spawn /nonexistent ENOENT"}]},"code":500}',
    ],
  ])('says what is wrong: %s', async (_name, path, protocols, expected) => {
    const { server } = await serve()
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}${path}`, protocols)
    const answer = await new Promise<string>((resolve) => {
      socket.on('message', (data: Buffer) => data.length > 1 && resolve(`${data[0]}:${data.toString('utf8', 1)}`))
      socket.on('error', () => {})
      socket.on('unexpected-response', (_request, response) => {
        response.on('data', (body: Buffer) => resolve(`${response.statusCode} ${body.toString()}`))
      })
    })
    expect(answer).toBe(expected)
    socket.terminate()
  })
})

describe('exec over SPDY', () => {
  const all = ['v4.channel.k8s.io', 'v3.channel.k8s.io', 'v2.channel.k8s.io', 'channel.k8s.io']

  test('the process starts when every stream is there, and each stream ends', async () => {
    const { server, runtime } = await serve()
    const path = execPath(['sh', '-c', 'cat; echo done >&2; exit 3'], 'input=1&output=1&error=1')
    await using client = await connectSpdy({ port: server.port, path, protocols: all })
    expect(client.protocol).toBe('v4.channel.k8s.io')
    const error = await client.open({ streamtype: 'error' })
    const stdin = await client.open({ streamtype: 'stdin' })
    const stdout = await client.open({ streamtype: 'stdout' })
    await client.ping(1)
    expect(runtime.pids).toEqual([])
    const stderr = await client.open({ streamtype: 'stderr' })
    stdin.write('hello')
    stdin.end()
    expect([await stdout.text(), await stderr.text(), JSON.parse(await error.text())]).toEqual([
      'hello',
      'done\n',
      expect.objectContaining({ reason: 'NonZeroExitCode' }),
    ])
    await client.closed
    expect(client.frames.filter((frame) => frame.type !== 'syn-reply' && frame.type !== 'ping')).toEqual([
      { type: 'go-away', lastStreamId: 7, status: 0 },
    ])
  })

  test('with a terminal there is no stderr, and sizes have a stream of their own', async () => {
    const { server, runtime } = await serve()
    const path = execPath(['cat'], 'input=1&output=1&error=1&tty=1')
    await using client = await connectSpdy({ port: server.port, path, protocols: all })
    const error = await client.open({ streamtype: 'error' })
    const stdin = await client.open({ streamtype: 'stdin' })
    const stdout = await client.open({ streamtype: 'stdout' })
    expect(await (await client.open({ streamtype: 'stderr' })).accepted).toBe(false)
    const resize = await client.open({ streamtype: 'resize' })
    resize.write('{"Width":100,"Height":30}\n')
    stdin.write('typed')
    await expect.poll(() => stdout.received()).toBe('typed')
    stdin.end()
    expect(JSON.parse(await error.text())).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Success',
    })
    expect(runtime.sizes).toEqual([{ columns: 100, rows: 30 }])
  })

  test('v2 reports a failure as text', async () => {
    const { server } = await serve()
    await using client = await connectSpdy({
      port: server.port,
      path: execPath(['sh', '-c', 'exit 9'], 'output=1'),
      protocols: ['v2.channel.k8s.io'],
    })
    const error = await client.open({ streamtype: 'error' })
    await client.open({ streamtype: 'stdout' })
    expect(await error.text()).toBe(
      'command terminated with non-zero exit code: error executing command [sh -c exit 9], exit code 9',
    )
  })

  test('a client that disconnects takes its process with it', async () => {
    const { server, runtime } = await serve()
    const path = execPath(['sh', '-c', 'echo up; exec sleep 1000'], 'output=1')
    const client = await connectSpdy({ port: server.port, path, protocols: all })
    await client.open({ streamtype: 'error' })
    const stdout = await client.open({ streamtype: 'stdout' })
    await expect.poll(() => stdout.received()).toBe('up\n')
    const [pid = 0] = runtime.pids
    await client[Symbol.asyncDispose]()
    await expect.poll(() => alive(pid)).toBe(false)
  })

  test('a peer that keeps windows gets no more than it has room for', async () => {
    const { server } = await serve()
    const path = execPath(['head', '-c', '300000', '/dev/zero'], 'output=1')
    await using client = await connectSpdy({ port: server.port, path, protocols: all })
    // SETTINGS with an initial window of 10,000 bytes: from here on the server counts.
    client.send(Buffer.from([0x80, 3, 0, 4, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0x27, 0x10]))
    await client.open({ streamtype: 'error' })
    const stdout = await client.open({ streamtype: 'stdout' })
    await expect.poll(() => stdout.receivedBytes()).toBe(10_000)
    client.updateWindow(stdout.id, 5_000)
    await expect.poll(() => stdout.receivedBytes()).toBe(15_000)
    client.updateWindow(stdout.id, 1_000_000)
    // The connection's own window of 64 KiB is what holds it now.
    await expect.poll(() => stdout.receivedBytes()).toBe(65_536)
    client.updateWindow(0, 1_000_000)
    expect((await stdout.text()).length).toBe(300_000)
  })

  test('input beyond what the process reads stops the connection, not the server', async () => {
    const { server } = await serve()
    const path = execPath(['sh', '-c', 'read line; echo "$line"; exec sleep 1000'], 'input=1&output=1')
    await using client = await connectSpdy({ port: server.port, path, protocols: all })
    await client.open({ streamtype: 'error' })
    const stdin = await client.open({ streamtype: 'stdin' })
    const stdout = await client.open({ streamtype: 'stdout' })
    stdin.write('first\n')
    for (let sent = 0; sent < 32; sent++) stdin.write(Buffer.alloc(1024 * 1024))
    await expect.poll(() => stdout.received()).toBe('first\n')
    // What the server did not take is still here.
    expect(client.socket.writableLength).toBeGreaterThan(16 * 1024 * 1024)
  })

  test.each<[name: string, protocols: string[], expected: string]>([
    ['no protocol', [], '400 unable to upgrade: X-Stream-Protocol-Version is required'],
    [
      'unknown protocols',
      ['v9.channel.k8s.io'],
      '403 unable to upgrade: unable to negotiate protocol: client supports [v9.channel.k8s.io], server accepts [v4.channel.k8s.io v3.channel.k8s.io v2.channel.k8s.io channel.k8s.io]',
    ],
  ])('refuses %s', async (_name, protocols, expected) => {
    const { server } = await serve()
    await expect(connectSpdy({ port: server.port, path: execPath(['ls'], 'output=1'), protocols })).rejects.toThrow(
      expected,
    )
  })

  test('streams that were not asked for, ids that fall and garbage end what they concern', async () => {
    const { server } = await serve()
    const path = execPath(['cat'], 'input=1&output=1')
    await using client = await connectSpdy({ port: server.port, path, protocols: all })
    expect(await (await client.open({ streamtype: 'resize' })).accepted).toBe(false)
    expect(await (await client.open({ streamtype: 'error' })).accepted).toBe(true)
    expect(await (await client.open({ streamtype: 'error' })).accepted).toBe(false)
    client.send(Buffer.from([0x80, 3, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0]))
    await client.closed
    expect(client.frames.at(-1)).toEqual({ type: 'go-away', lastStreamId: 5, status: 1 })
  })
})

describe('attach', () => {
  test('joins the process, with the terminal that the container has', async () => {
    const { server, runtime } = await serve({ tty: true })
    expect(
      await session(server.port, {
        path: '/attach/default/web/main?input=1&output=1&error=1',
        protocols: ['v5.channel.k8s.io'],
        send: [Buffer.from('\0hello'), Buffer.from('\u0004{"Width":9,"Height":9}'), Buffer.of(255, 0)],
      }),
    ).toEqual({ protocol: 'v5.channel.k8s.io', code: 1000, messages: ['1:hello', `3:${SUCCESS}`] })
    expect(runtime.sizes).toEqual([{ columns: 9, rows: 9 }])
  })
})

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
