import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { useScriptedServers } from './testing/scripted-fixture.ts'
import { sendJson } from './testing/scripted-server.ts'

const { serve, open } = useScriptedServers()

/** A proxy that answers each part of the client's greeting with the next answer, then passes bytes on. */
async function startProxy(port: number, answers: readonly { expect: number | 'head'; send: Buffer }[]) {
  const said: Buffer[] = []
  const sockets: Socket[] = []
  async function serve(client: Socket): Promise<void> {
    sockets.push(client)
    client.on('error', () => {})
    let buffered = Buffer.alloc(0)
    const chunks = client.iterator({ destroyOnReturn: false })
    for (const answer of answers) {
      const complete = () =>
        answer.expect === 'head' ? buffered.includes('\r\n\r\n') : buffered.length >= answer.expect
      while (!complete()) {
        const { done, value } = await chunks.next()
        if (done) return
        buffered = Buffer.concat([buffered, value as Buffer])
      }
      const end = answer.expect === 'head' ? buffered.indexOf('\r\n\r\n') + 4 : answer.expect
      said.push(buffered.subarray(0, end))
      buffered = buffered.subarray(end)
      // A byte at a time: a reader that takes a chunk for a message shows here.
      for (const byte of answer.send) client.write(Buffer.of(byte))
    }
    await chunks.return?.()
    const upstream = connect(port, '127.0.0.1')
    sockets.push(upstream)
    upstream.on('error', () => {})
    upstream.write(buffered)
    client.pipe(upstream).pipe(client)
  }
  const proxy = createServer((client) => void serve(client))
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    proxy.close()
  })
  return { port: (proxy.address() as AddressInfo).port, said }
}

const OK = Buffer.from('HTTP/1.1 200 Connection established\r\n\r\n')
const SOCKS_OK = Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0])

test.each<[string, (port: number) => string, Parameters<typeof startProxy>[1], (port: number) => string[]]>([
  [
    'HTTP CONNECT with a password',
    (port) => `http://us%20er:pass@127.0.0.1:${port}`,
    [{ expect: 'head', send: OK }],
    (port) => [
      `CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nProxy-Authorization: Basic dXMgZXI6cGFzcw==\r\n\r\n`,
    ],
  ],
  [
    'SOCKS 5 with a password',
    (port) => `socks5://u:p@127.0.0.1:${port}`,
    [
      { expect: 4, send: Buffer.from([5, 2]) },
      { expect: 5, send: Buffer.from([1, 0]) },
      { expect: 10, send: SOCKS_OK },
    ],
    (port) => [
      '\x05\x02\x00\x02',
      '\x01\x01u\x01p',
      Buffer.from([5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255]).toString('latin1'),
    ],
  ],
])('%s leads to the server, which is verified as ever', async (_name, url, answers, greeting) => {
  const server = await serve((_, response) => sendJson(response, 200, { through: true }))
  const proxy = await startProxy(server.port, answers)
  const transport = open({ ...server.connection, proxyUrl: url(proxy.port) })
  expect(await transport.request({ method: 'GET', path: '/' })).toMatchObject({ body: { through: true } })
  expect(proxy.said.map((part) => part.toString('latin1'))).toEqual(greeting(server.port))
})

test.each<[string, string, Parameters<typeof startProxy>[1], string]>([
  ['refuses', 'http', [{ expect: 'head', send: Buffer.from('HTTP/1.1 407 No\r\n\r\n') }], 'it answered 407'],
  [
    'is none',
    'http',
    [{ expect: 'head', send: Buffer.from('SSH-2.0\r\n\r\n') }],
    'it answered something that is not HTTP',
  ],
  ['never ends its answer', 'http', [{ expect: 'head', send: Buffer.alloc(20_000, 'x') }], 'its answer is too long'],
  [
    'accepts no method',
    'socks5',
    [{ expect: 3, send: Buffer.from([5, 255]) }],
    'it accepts none of our ways to authenticate',
  ],
  [
    'cannot connect',
    'socks5',
    [
      { expect: 3, send: Buffer.from([5, 0]) },
      { expect: 10, send: Buffer.from([5, 5, 0, 1]) },
    ],
    'it answered with SOCKS error 5',
  ],
])('a proxy that %s makes the server unreachable', async (_name, protocol, answers, message) => {
  const proxy = await startProxy(9, answers)
  const transport = open({
    server: 'https://127.0.0.1:6443',
    namespace: 'default',
    proxyUrl: `${protocol}://127.0.0.1:${proxy.port}`,
  })
  await expect(transport.request({ method: 'GET', path: '/' })).rejects.toMatchObject({
    code: 'unreachable',
    message: `cannot connect through the proxy 127.0.0.1:${proxy.port}: ${message}`,
  })
})
