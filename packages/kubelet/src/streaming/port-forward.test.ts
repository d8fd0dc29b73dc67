import { once } from 'node:events'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { createHostProcesses } from '../testing/host-processes.ts'
import { type KubectlServer, startKubectlServer } from '../testing/kubectl-server.ts'
import { serveOnePod } from '../testing/served-pod.ts'
import { type ClientStream, connectSpdy, overDuplex, type SpdyClient } from '../testing/spdy-client.ts'
import { startTcpServer, type TcpServer } from '../testing/tcp-server.ts'
import { openTunnel } from '../testing/tunnel-client.ts'

const PATH = '/portForward/default/web'
const PROTOCOLS = ['portforward.k8s.io']

let open: AsyncDisposableStack | undefined
afterEach(async () => {
  await open?.disposeAsync()
  open = undefined
})

/** A node, and a server in its Pod that answers in upper case and closes when the client has. */
async function serve(): Promise<{ server: KubectlServer; target: TcpServer }> {
  open = new AsyncDisposableStack()
  const target = open.use(
    await startTcpServer((socket) => {
      socket.on('data', (data) => socket.write(data.toString().toUpperCase()))
      socket.on('end', () => socket.end())
    }),
  )
  const server = open.use(await startKubectlServer(serveOnePod(createHostProcesses())))
  return { server, target }
}

async function openPair(
  client: SpdyClient,
  port: number | string,
  requestId?: string,
): Promise<{ data: ClientStream; error: ClientStream }> {
  const headers = { port: String(port), ...(requestId !== undefined && { requestid: requestId }) }
  const error = await client.open({ streamtype: 'error', ...headers })
  error.end()
  const data = await client.open({ streamtype: 'data', ...headers })
  return { data, error }
}

describe('port-forward over SPDY', () => {
  test('bytes go both ways until the client has ended its side', async () => {
    const { server, target } = await serve()
    await using client = await connectSpdy({ port: server.port, path: PATH, protocols: PROTOCOLS })
    const { data, error } = await openPair(client, target.port, '0')
    data.write('hello')
    await expect.poll(() => data.received()).toBe('HELLO')
    data.write(' again')
    data.end()
    expect([await data.text(), await error.text()]).toEqual(['HELLO AGAIN', ''])
    await expect.poll(() => target.open()).toBe(0)
  })

  test('a hundred connections share one, each with its own answer', async () => {
    const { server, target } = await serve()
    await using client = await connectSpdy({ port: server.port, path: PATH, protocols: PROTOCOLS })
    const texts = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const { data } = await openPair(client, target.port, String(index))
        data.write(`request ${index}`)
        data.end()
        return await data.text()
      }),
    )
    expect(texts).toEqual(Array.from({ length: 100 }, (_, index) => `REQUEST ${index}`))
  })

  test('clients without request ids are served one after another', async () => {
    const { server, target } = await serve()
    await using client = await connectSpdy({ port: server.port, path: PATH, protocols: PROTOCOLS })
    for (const text of ['one', 'two']) {
      const { data } = await openPair(client, target.port)
      data.write(text)
      data.end()
      expect(await data.text()).toBe(text.toUpperCase())
    }
  })

  test('nobody listens: the error stream says so, and the next connection is not disturbed', async () => {
    const { server, target } = await serve()
    const closed = await startTcpServer(() => {})
    await closed[Symbol.asyncDispose]()
    await using client = await connectSpdy({ port: server.port, path: PATH, protocols: PROTOCOLS })
    const refused = await openPair(client, closed.port, '0')
    expect(await refused.error.text()).toBe(
      `error forwarding port ${closed.port} to pod web_default, uid 11111111-2222-3333-4444-555555555555: connect ECONNREFUSED 127.0.0.1:${closed.port}`,
    )
    expect(await refused.data.text()).toBe('')
    const { data } = await openPair(client, target.port, '1')
    data.write('still here')
    data.end()
    expect(await data.text()).toBe('STILL HERE')
  })

  test.each([
    ['before it has answered is said', '', 'read ECONNRESET'],
    ['after its answer is no news', 'ANSWER', ''],
  ])('a server that resets the connection %s', async (_when, answer, reason) => {
    const { server } = await serve()
    await using resets = await startTcpServer((socket) => {
      socket.on('data', (data) => {
        if (String(data) === 'answer') socket.write(answer)
        if (answer === '' || String(data) === 'end') socket.resetAndDestroy()
      })
    })
    await using client = await connectSpdy({ port: server.port, path: PATH, protocols: PROTOCOLS })
    const { data, error } = await openPair(client, resets.port, '0')
    data.write('answer')
    await expect.poll(() => data.received()).toBe(answer)
    data.write('end')
    const description = 'pod web_default, uid 11111111-2222-3333-4444-555555555555'
    expect(await error.text()).toBe(reason && `error forwarding port ${resets.port} to ${description}: ${reason}`)
  })

  test('a reset stream and a lost connection close what they were connected to', async () => {
    const { server, target } = await serve()
    const client = await connectSpdy({ port: server.port, path: PATH, protocols: PROTOCOLS })
    const first = await openPair(client, target.port, '0')
    const second = await openPair(client, target.port, '1')
    first.data.write('a')
    second.data.write('b')
    await expect.poll(() => target.open()).toBe(2)
    first.data.reset()
    await expect.poll(() => target.open()).toBe(1)
    await client[Symbol.asyncDispose]()
    await expect.poll(() => target.open()).toBe(0)
  })

  test.each<[name: string, headers: Record<string, string>]>([
    ['no port', { streamtype: 'error' }],
    ['port 0', { streamtype: 'error', port: '0' }],
    ['a port that is too large', { streamtype: 'error', port: '65536' }],
    ['a port that is no number', { streamtype: 'error', port: '0x50' }],
    ['another type', { streamtype: 'stdin', port: '80' }],
    ['no type', { port: '80' }],
  ])('refuses a stream with %s', async (_name, headers) => {
    const { server } = await serve()
    await using client = await connectSpdy({ port: server.port, path: PATH, protocols: PROTOCOLS })
    expect(await (await client.open(headers)).accepted).toBe(false)
    await client.ping(1)
  })

  test('a slow reader of one connection gets everything, and holds up nobody for good', async () => {
    open = new AsyncDisposableStack()
    const size = 5_000_000
    const target = open.use(
      await startTcpServer((socket) => {
        socket.on('data', () => {})
        socket.end(Buffer.alloc(size, 'x'))
      }),
    )
    const server = open.use(await startKubectlServer(serveOnePod(createHostProcesses())))
    await using client = await connectSpdy({ port: server.port, path: PATH, protocols: PROTOCOLS })
    const { data } = await openPair(client, target.port, '0')
    client.socket.pause()
    for (let turn = 0; turn < 500; turn++) await new Promise((resolve) => setImmediate(resolve))
    client.socket.resume()
    expect((await data.text()).length).toBe(size)
  })
})

describe('port-forward over a WebSocket', () => {
  test('SPDY frames are tunnelled in messages', async () => {
    const { server, target } = await serve()
    const tunnel = await openTunnel({ port: server.port, path: PATH })
    expect(tunnel.protocol).toBe('SPDY/3.1+portforward.k8s.io')
    await using client = overDuplex(tunnel.socket)
    const { data, error } = await openPair(client, target.port, '0')
    data.write('tunnelled')
    data.end()
    expect([await data.text(), await error.text()]).toEqual(['TUNNELLED', ''])
  })

  test('v4 gives each port of the request two channels that begin with it', async () => {
    const { server, target } = await serve()
    const path = `${PATH}?port=${target.port},${target.port}`
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}${path}`, ['v4.channel.k8s.io'])
    const received = new Map<number, Buffer>()
    socket.on('message', (message: Buffer) => {
      const channel = message[0] ?? 255
      received.set(channel, Buffer.concat([received.get(channel) ?? Buffer.alloc(0), message.subarray(1)]))
    })
    await once(socket, 'open')
    socket.send(Buffer.from('\u0000first'))
    socket.send(Buffer.from('\u0002second'))
    const port = Buffer.of(target.port & 0xff, target.port >> 8)
    await expect
      .poll(() => received)
      .toEqual(
        new Map([
          [0, Buffer.concat([port, Buffer.from('FIRST')])],
          [1, port],
          [2, Buffer.concat([port, Buffer.from('SECOND')])],
          [3, port],
        ]),
      )
    socket.terminate()
    await expect.poll(() => target.open()).toBe(0)
  })

  test('v4 says why a server resets the connection before it has answered', async () => {
    const { server } = await serve()
    await using resets = await startTcpServer((socket) => {
      socket.on('data', () => socket.resetAndDestroy())
    })
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}${PATH}?port=${resets.port}`, ['v4.channel.k8s.io'])
    let said = ''
    socket.on('message', (message: Buffer) => {
      // The first message is the port, two bytes that need not be text.
      if (message[0] === 1) said += message.toString('latin1', 1)
    })
    await once(socket, 'open')
    socket.send(Buffer.from('\u0000end'))
    await once(socket, 'close')
    expect(said.slice(2)).toMatch(/^error forwarding port \d+ to pod .*: read ECONNRESET$/)
  })

  test.each<[name: string, path: string, protocol: string, expected: string]>([
    ['no port', PATH, 'v4.channel.k8s.io', '400 query parameter "port" is required'],
    ['no valid port', `${PATH}?port=80,`, 'v4.channel.k8s.io', '400 unable to parse "80," as a port'],
    ['another Pod', '/portForward/default/other', 'v4.channel.k8s.io', '404 pod does not exist'],
    ['another uid', `${PATH}/some-uid`, 'v4.channel.k8s.io', '404 pod does not exist'],
    [
      'an unknown protocol',
      PATH,
      'v7.channel.k8s.io',
      '403 none of the requested WebSocket protocols is supported, which are: SPDY/3.1+portforward.k8s.io, v4.channel.k8s.io, v4.base64.channel.k8s.io',
    ],
  ])('says what is wrong: %s', async (_name, path, protocol, expected) => {
    const { server } = await serve()
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}${path}`, [protocol])
    const answer = await new Promise<string>((resolve) => {
      socket.on('error', () => {})
      socket.on('unexpected-response', (_request, response) => {
        response.on('data', (body: Buffer) => resolve(`${response.statusCode} ${body.toString()}`))
      })
    })
    expect(answer).toBe(expected)
  })
})
