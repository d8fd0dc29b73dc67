import { createServer, type RequestListener } from 'node:http'
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import type { Container, Probe } from 'kubernetes-types/core/v1.d.ts'
import { afterEach, describe, expect, test } from 'vitest'
import { createHostProcesses } from '../testing/host-processes.ts'
import type { ProbeOutcome } from './probe-outcome.ts'
import { runProbe } from './run-probe.ts'

let open: AsyncDisposableStack | undefined
afterEach(async () => {
  await open?.disposeAsync()
  open = undefined
})

/** Anything that listens; closed at the end of the test with all of its connections. */
async function listening(server: ReturnType<typeof createTcpServer>): Promise<number> {
  open ??= new AsyncDisposableStack()
  const sockets = new Set<{ destroy(): void }>()
  server.on('connection', (socket) => sockets.add(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.defer(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}

const http = (listener: RequestListener): Promise<number> => listening(createServer(listener))

/** The Pod is this machine's loopback, its processes are this machine's. */
function probe(spec: Probe, container: Partial<Container> = {}): Promise<ProbeOutcome> {
  return runProbe(
    {
      runtime: createHostProcesses(),
      container: { name: 'main', image: 'busybox', ...container },
      containerId: 'c',
      sandboxId: 's',
      podIp: '127.0.0.1',
    },
    spec,
  )
}

describe('exec', () => {
  const exec = (script: string, more: Partial<Probe> = {}, container?: Partial<Container>): Promise<ProbeOutcome> =>
    probe({ exec: { command: ['sh', '-c', script] }, ...more }, container)

  test('passes with exit code 0, and tells what a failure printed', async () => {
    expect(await exec('echo fine')).toEqual({ verdict: 'success', message: 'fine\n' })
    expect(await exec('echo bad; exit 3')).toEqual({ verdict: 'failure', message: 'bad\n' })
  })

  test('reads no more than 10 KiB of what a container prints, and waits for its end', async () => {
    const { verdict, message } = await exec('head -c 1000000 /dev/zero | tr "\\0" x; exit 1')
    expect([verdict, message.length]).toEqual(['failure', 10_240])
  })

  test('is over at its timeout, whatever the command does', async () => {
    expect(await exec('trap "" TERM; sleep 60', { timeoutSeconds: 1 })).toEqual({
      verdict: 'failure',
      message: 'command timed out: "sh -c trap \\"\\" TERM; sleep 60" timed out after 1s',
    })
  })

  test('expands values of the container, and nothing else', async () => {
    const container = {
      env: [
        { name: 'WORD', value: 'bye' },
        { name: 'WORD', value: 'hello' },
      ],
    }
    const command = { exec: { command: ['echo', '$(WORD)', '$(OTHER)'] } }
    expect(await probe(command, container)).toEqual({ verdict: 'success', message: 'hello $(OTHER)\n' })
  })

  test('expands no command beyond what a program can be started with', async () => {
    const container = { env: [{ name: 'LARGE', value: 'x'.repeat(1_000_000) }] }
    const command = { exec: { command: ['echo', ...Array.from({ length: 10 }, () => '$(LARGE)')] } }
    expect(await probe(command, container)).toEqual({
      verdict: 'error',
      message: 'the command is longer than 2097152 characters',
    })
  })

  test('says nothing of the container where it could not be run', async () => {
    expect(await probe({ exec: { command: ['/no/such/program'] } })).toEqual({
      verdict: 'error',
      message: 'spawn /no/such/program ENOENT',
    })
  })
})

describe('httpGet', () => {
  const get = (port: number | string, more: object = {}, container?: Partial<Container>): Promise<ProbeOutcome> =>
    probe({ httpGet: { port, path: '/healthz', ...more }, timeoutSeconds: 1 }, container)

  test('sends what kubelet sends', async () => {
    let seen: object = {}
    const port = await http(({ method, url, headers }, response) => {
      seen = { method, url, ...headers }
      response.end('ok')
    })
    expect(await get(port, { path: 'a b?c=d', httpHeaders: [{ name: 'X-Custom', value: 'one' }] })).toEqual({
      verdict: 'success',
      message: 'ok',
    })
    expect(seen).toEqual({
      method: 'GET',
      url: '/a%20b?c=d',
      host: `127.0.0.1:${port}`,
      accept: '*/*',
      'user-agent': 'kube-probe/1.34',
      'x-custom': 'one',
      connection: 'close',
    })
  })

  test.each([
    [200, 'success'],
    [204, 'success'],
    [399, 'warning'],
    [400, 'failure'],
    [500, 'failure'],
  ])('%d is a %s', async (statusCode, verdict) => {
    const port = await http((_request, response) => response.writeHead(statusCode).end())
    expect((await get(port)).verdict).toBe(verdict)
  })

  test('keeps the body of a failure out of what it says', async () => {
    const port = await http((_request, response) => response.writeHead(503).end('secret'))
    expect(await get(port)).toEqual({ verdict: 'failure', message: 'HTTP probe failed with statuscode: 503' })
  })

  test('finds a port by its name', async () => {
    const port = await http((_request, response) => response.end())
    const container = { ports: [{ name: 'web', containerPort: port }] }
    expect((await get('web', {}, container)).verdict).toBe('success')
    expect(await get('other', {}, container)).toEqual({
      verdict: 'error',
      message: 'container "main" has no port named "other"',
    })
  })

  test('follows redirects within the Pod, and none out of it', async () => {
    const port = await http(({ url }, response) => {
      if (url === '/healthz') response.writeHead(302, { location: '/there' }).end()
      else if (url === '/away') response.writeHead(302, { location: 'http://192.0.2.1/secret' }).end('moved')
      else if (url === '/round') response.writeHead(302, { location: '/round' }).end()
      else response.end(url)
    })
    expect(await get(port)).toEqual({ verdict: 'success', message: '/there' })
    expect(await get(port, { path: '/away' })).toEqual({
      verdict: 'warning',
      message: 'Probe terminated redirects, Response body: moved',
    })
    expect((await get(port, { path: '/round' })).message).toContain('stopped after 10 redirects')
  })

  test('asks nobody but the Pod', async () => {
    const port = await http((_request, response) => response.end())
    const refused = { verdict: 'error', message: expect.stringContaining("is not the Pod's own address") }
    expect(await get(port, { host: '192.0.2.1' })).toEqual(refused)
    expect(await probe({ tcpSocket: { port, host: 'localhost' } })).toEqual(refused)
    // A path is never taken for a host.
    expect((await get(port, { path: '//192.0.2.1/' })).verdict).toBe('success')
  })

  test('is over at its timeout also where another protocol is answered that nobody has asked for', async () => {
    const switching = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n'
    const port = await listening(createTcpServer((socket) => void socket.on('error', () => {}).write(switching)))
    expect(await get(port)).toEqual({
      verdict: 'failure',
      message: `Get "http://127.0.0.1:${port}/healthz": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`,
    })
  })

  test('is over at its timeout: nothing listens, nothing answers, an answer that never ends', async () => {
    const gone = await http(() => undefined)
    const url = (port: number): string => `"http://127.0.0.1:${port}/healthz"`
    const timedOut = 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
    expect(await get(gone)).toEqual({ verdict: 'failure', message: `Get ${url(gone)}: ${timedOut}` })
    const dripping = await http((_request, response) => {
      response.write('.')
      const timer = setInterval(() => response.write('.'), 50)
      response.on('close', () => clearInterval(timer))
    })
    expect(await get(dripping)).toEqual({ verdict: 'failure', message: `Get ${url(dripping)}: ${timedOut}` })
    await open?.disposeAsync()
    open = undefined
    expect(await get(gone)).toEqual({
      verdict: 'failure',
      message: `Get ${url(gone)}: dial tcp 127.0.0.1:${gone}: connect: connection refused`,
    })
  })

  test('reads 10 KiB of a body without an end', async () => {
    const port = await http((_request, response) => {
      const more = (): void => {
        if (!response.destroyed && response.write('x'.repeat(65_536))) setImmediate(more)
      }
      response.on('drain', more)
      more()
    })
    expect((await get(port)).message.length).toBe(10_240)
  })

  test('answers that are not HTTP are failures', async () => {
    const port = await listening(createTcpServer((socket) => socket.on('error', () => {}).end('hello\r\n\r\n')))
    expect((await get(port)).verdict).toBe('failure')
  })

  test('HTTPS is not asked for a certificate that somebody signed', async () => {
    const port = await listening(createTcpServer((socket) => socket.on('error', () => {}).end()))
    const { verdict, message } = await get(port, { scheme: 'HTTPS' })
    expect([verdict, message]).toEqual([
      'failure',
      expect.stringContaining(`Get "https://127.0.0.1:${port}/healthz": `),
    ])
  })
})

test('tcpSocket passes where something listens', async () => {
  const port = await listening(createTcpServer((socket) => socket.on('error', () => {})))
  expect(await probe({ tcpSocket: { port } })).toEqual({ verdict: 'success', message: '' })
  await open?.disposeAsync()
  open = undefined
  expect(await probe({ tcpSocket: { port } })).toEqual({
    verdict: 'failure',
    message: `dial tcp 127.0.0.1:${port}: connect: connection refused`,
  })
})

describe('grpc', () => {
  /** Answers every check by the service's name. */
  async function health(): Promise<number> {
    const server = createHttp2Server()
    server.on('stream', (stream: ServerHttp2Stream, headers) => {
      const chunks: Buffer[] = []
      stream.on('error', () => {})
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        const message = Buffer.concat(chunks).subarray(5)
        const service = message.length === 0 ? '' : message.subarray(2).toString()
        if (service === 'silent') return
        if (headers[':path'] !== '/grpc.health.v1.Health/Check' || service === 'unknown') {
          stream.respond({ 'grpc-status': service === 'unknown' ? 5 : 12, 'grpc-message': 'no' }, { endStream: true })
          return
        }
        stream.respond({ 'content-type': 'application/grpc' }, { waitForTrailers: true })
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
        stream.end(Buffer.of(0, 0, 0, 0, 2, 0x08, service === 'down' ? 2 : 1))
      })
    })
    return await listening(server as never)
  }

  test('passes where the service serves', async () => {
    const port = await health()
    const check = (service?: string): Promise<ProbeOutcome> =>
      probe({ grpc: { port, ...(service !== undefined && { service }) }, timeoutSeconds: 1 })
    expect(await check()).toEqual({ verdict: 'success', message: 'service healthy' })
    expect(await check('up')).toEqual({ verdict: 'success', message: 'service healthy' })
    expect(await check('x'.repeat(300))).toEqual({ verdict: 'success', message: 'service healthy' })
    expect(await check('down')).toEqual({
      verdict: 'failure',
      message: 'service unhealthy (responded with "NOT_SERVING")',
    })
    expect((await check('unknown')).message).toBe('error: health rpc probe failed: rpc error: code = 5 desc = no')
    expect((await check('silent')).message).toBe('timeout: health rpc did not complete within 1s')
  })

  test('fails where nobody listens, or where it is not gRPC', async () => {
    const port = await http((_request, response) => response.end('hello'))
    expect((await probe({ grpc: { port }, timeoutSeconds: 1 })).verdict).toBe('failure')
    await open?.disposeAsync()
    open = undefined
    expect(await probe({ grpc: { port } })).toEqual({
      verdict: 'failure',
      message: `error: failed to connect service at "127.0.0.1:${port}": dial tcp 127.0.0.1:${port}: connect: connection refused`,
    })
  })
})
