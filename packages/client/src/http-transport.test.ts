import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { ClusterConnection } from './cluster-connection.ts'
import { useScriptedServers } from './testing/scripted-fixture.ts'
import { type Script, sendJson } from './testing/scripted-server.ts'
import type { IssuedCertificate } from './testing/test-certificates.ts'

const fixture = useScriptedServers()
const { serve, open } = fixture

async function temporary(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'caisson-client-transport-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

const PODS = '/api/v1/pods'
const stream = { 'content-type': 'application/json' }

describe('requests', () => {
  test('say what was asked, and come back decoded', async () => {
    const server = await serve((_, response) =>
      sendJson(response, 201, { kind: 'Pod' }, { warning: '299 - "first \\"one\\"", 299 - "second, too"' }),
    )
    const transport = open({ ...server.connection, server: `${server.url}/clusters/a/`, token: 'secret' })
    const answer = await transport.request({
      method: 'PATCH',
      path: '/api/v1/pods/a%2Fb',
      query: { fieldManager: 'a b&c', force: undefined, dryRun: 'All' },
      body: { metadata: { name: 'ü' } },
      patchType: 'application/merge-patch+json',
    })
    expect(answer).toEqual({ status: 201, body: { kind: 'Pod' }, warnings: ['first "one"', 'second, too'] })
    const [{ method, url, headers, body } = {}] = server.requests
    expect({ method, url, body, type: headers?.['content-type'], authorization: headers?.authorization }).toEqual({
      method: 'PATCH',
      url: '/clusters/a/api/v1/pods/a%2Fb?fieldManager=a+b%26c&dryRun=All',
      body: '{"metadata":{"name":"ü"}}',
      type: 'application/merge-patch+json',
      authorization: 'Bearer secret',
    })
  })

  test.each(['request', 'watch'] as const)(
    'tell the date of each answer, and when it was asked for: a %s',
    async (what) => {
      const date = new Date(Date.UTC(2026, 0, 1))
      const server = await serve((_, response) => {
        response.writeHead(200, { ...stream, date: date.toUTCString() })
        response.end(what === 'request' ? '{}' : '')
      })
      const heard: [date: number, sentAt: number][] = []
      const transport = open(server.connection, { onDate: (...said) => heard.push(said) })
      const before = Date.now()
      if (what === 'request') await transport.request({ method: 'GET', path: PODS })
      else for await (const _ of transport.watch({ method: 'GET', path: PODS })) expect.fail('there is no event')
      expect(heard).toEqual([[date.getTime(), expect.any(Number)]])
      expect(heard[0]?.[1]).toBeGreaterThanOrEqual(before)
      expect(heard[0]?.[1]).toBeLessThanOrEqual(Date.now())
    },
  )

  test('share connections one after the other, and use a bounded number at a time', async () => {
    const server = await serve((_, response) => sendJson(response, 200, {}))
    const transport = open(server.connection, { connections: 4 })
    for (let count = 0; count < 20; count++) await transport.request({ method: 'GET', path: PODS })
    // Two: undici gives a connection a turn of the event loop before it uses it again.
    expect(server.connections.length).toBeLessThanOrEqual(2)
    await Promise.all(Array.from({ length: 40 }, () => transport.request({ method: 'GET', path: PODS })))
    expect(server.requests).toHaveLength(60)
    expect(server.connections.length).toBeLessThanOrEqual(4)
  })

  test.each([429, 503])('are repeated after %i where the server says when', async (status) => {
    const server = await serve((_, response) =>
      server.requests.length < 3
        ? sendJson(response, status, {}, { 'retry-after': '0' })
        : sendJson(response, 200, { done: true }),
    )
    const transport = open(server.connection)
    expect(await transport.request({ method: 'POST', path: PODS, body: {} })).toMatchObject({ body: { done: true } })
    expect(server.requests).toHaveLength(3)
  })

  test.each<[string, number, Record<string, string>, number | undefined, number]>([
    ['without Retry-After', 503, {}, undefined, 1],
    ['with a wait that is the caller’s decision', 429, { 'retry-after': '3600' }, 3_600_000, 1],
    ['with another status', 500, { 'retry-after': '0' }, 0, 1],
    ['for ever', 429, { 'retry-after': '0' }, 0, 6],
  ])('are not repeated %s', async (_name, status, headers, retryAfter, asked) => {
    const server = await serve((_, response) => sendJson(response, status, {}, headers))
    const answer = await open(server.connection).request({ method: 'GET', path: PODS })
    expect(answer).toEqual({ status, body: {}, warnings: [], ...(retryAfter !== undefined && { retryAfter }) })
    expect(server.requests).toHaveLength(asked)
  })

  test('that read are sent again when a kept connection breaks, those that write are not', async () => {
    const server = await serve((request, response) => {
      if (server.requests.length % 2 === 1) request.socket.destroy()
      else sendJson(response, 200, {})
    })
    const transport = open(server.connection)
    expect(await transport.request({ method: 'GET', path: PODS })).toMatchObject({ status: 200 })
    await expect(transport.request({ method: 'POST', path: PODS, body: {} })).rejects.toMatchObject({ code: 'lost' })
    expect(server.requests.map((each) => each.method)).toEqual(['GET', 'GET', 'POST'])
  })

  test.each<[string, Script, string]>([
    [
      'is reset in the middle of the answer',
      (request, response) => {
        response.writeHead(200, { ...stream, 'content-length': '100' })
        response.write('{"a":', () => request.socket.destroy())
      },
      'lost',
    ],
    ['is silent', () => {}, 'silent'],
    [
      'stops in the middle',
      (_, response) => {
        response.writeHead(200, stream)
        response.write('{"a":')
      },
      'silent',
    ],
    ['sends no HTTP', (request) => void request.socket.end('SSH-2.0-OpenSSH\r\n'), 'malformed'],
    [
      'announces more than is accepted',
      (_, response) => {
        response.writeHead(200, { ...stream, 'content-length': '1000000' })
        response.write('{')
      },
      'too-large',
    ],
    [
      'sends more than is accepted',
      (_, response) => {
        response.writeHead(200, stream)
        response.write('"'.padEnd(300_000, 'x'))
      },
      'too-large',
    ],
    [
      'sends garbage as JSON',
      (_, response) => {
        response.writeHead(200, stream)
        response.end('{"a":')
      },
      'malformed',
    ],
    [
      'redirects',
      (_, response) => {
        response.writeHead(307, { location: 'https://elsewhere.test/' })
        response.end()
      },
      'redirected',
    ],
  ])('fail when the server %s', async (_name, script, code) => {
    const server = await serve(script)
    const transport = open(server.connection, {
      maxBody: 200_000,
      ...(code === 'silent' && { requestTimeout: 600 }),
    })
    await expect(transport.request({ method: 'POST', path: PODS, body: {} })).rejects.toMatchObject({
      name: 'TransportError',
      code,
    })
  })

  test('with an answer that is no JSON come back as text', async () => {
    const server = await serve((_, response) => {
      response.writeHead(404, { 'content-type': 'text/plain' })
      response.end('404 page not found\n')
    })
    expect(await open(server.connection).request({ method: 'GET', path: '/nothing' })).toEqual({
      status: 404,
      body: '404 page not found\n',
      warnings: [],
    })
  })

  test('end with the signal, whether they wait for an answer or for the next attempt', async () => {
    const server = await serve((_, response) => {
      if (server.requests.length === 2) sendJson(response, 429, {}, { 'retry-after': '20' })
    })
    const transport = open(server.connection)
    for (const arrived of [1, 2]) {
      const abort = new AbortController()
      const reason = new Error(`enough ${arrived}`)
      const request = transport.request({ method: 'GET', path: PODS, signal: abort.signal })
      await expect.poll(() => server.requests.length, { timeout: 10_000 }).toBe(arrived)
      abort.abort(reason)
      await expect(request).rejects.toBe(reason)
    }
    await expect(transport.request({ method: 'GET', path: PODS, signal: AbortSignal.abort('no') })).rejects.toBe('no')
    expect(server.requests).toHaveLength(2)
  })
})

describe('trust', () => {
  test.each<[string, (good: ClusterConnection) => ClusterConnection]>([
    ['an authority that did not vouch for the server', (good) => ({ server: good.server, namespace: 'default' })],
    ['another name than the certificate has', (good) => ({ ...good, tlsServerName: 'other.test' })],
  ])('is refused to %s', async (_name, change) => {
    const server = await serve((_, response) => sendJson(response, 200, {}))
    const request = open(change(server.connection)).request({ method: 'GET', path: PODS })
    await expect(request).rejects.toMatchObject({ code: 'untrusted' })
    expect(server.requests).toHaveLength(0)
  })

  test('is given to a certificate with the name that was asked for, and to any where verification is off', async () => {
    const server = await serve((_, response) => sendJson(response, 200, {}))
    const { certificateAuthority: _, ...unverified } = server.connection
    for (const connection of [
      { ...server.connection, tlsServerName: 'api.test' },
      { ...unverified, insecureSkipTlsVerify: true },
    ]) {
      expect(await open(connection).request({ method: 'GET', path: PODS })).toMatchObject({ status: 200 })
    }
    expect(server.connections.map((socket) => socket.servername)).toEqual(['api.test', false])
  })

  test('a server that is not there is unreachable', async () => {
    const server = await serve(() => {})
    await server[Symbol.asyncDispose]()
    await expect(open(server.connection).request({ method: 'GET', path: PODS })).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining(`127.0.0.1:${server.port}`),
    })
  })

  test('client certificates are shown, and renewed ones from the next request on', async () => {
    const server = await serve((request, response) =>
      sendJson(response, 200, { subject: request.socket.getPeerCertificate().subject?.CN }),
    )
    const directory = await temporary()
    const files = { certificate: { file: join(directory, 'tls.crt') }, key: { file: join(directory, 'tls.key') } }
    async function write(issued: IssuedCertificate): Promise<void> {
      await writeFile(files.certificate.file, issued.certificate)
      await writeFile(files.key.file, issued.key)
    }
    await write(await fixture.authority.issue('first'))
    const transport = open({ ...server.connection, clientCertificate: files }, { certificateCheck: 0 })
    const subjects = []
    subjects.push((await transport.request({ method: 'GET', path: PODS })).body)
    subjects.push((await transport.request({ method: 'GET', path: PODS })).body)
    await write(await fixture.authority.issue('second'))
    subjects.push((await transport.request({ method: 'GET', path: PODS })).body)
    expect(subjects).toEqual([{ subject: 'first' }, { subject: 'first' }, { subject: 'second' }])
    const third = await fixture.authority.issue('third')
    await writeFile(files.certificate.file, third.certificate)
    expect((await transport.request({ method: 'GET', path: PODS })).body).toEqual({ subject: 'second' })
    await writeFile(files.key.file, third.key)
    expect((await transport.request({ method: 'GET', path: PODS })).body).toEqual({ subject: 'third' })
  })

  test('files of certificates are looked at when the server no longer knows the one of a connection', async () => {
    const directory = await temporary()
    const files = { certificate: { file: join(directory, 'tls.crt') }, key: { file: join(directory, 'tls.key') } }
    const write = async ({ certificate, key }: IssuedCertificate): Promise<void> => {
      await writeFile(files.certificate.file, certificate)
      await writeFile(files.key.file, key)
    }
    const [first, second] = [await fixture.authority.issue('first'), await fixture.authority.issue('second')]
    await write(first)
    const known: string[] = []
    const server = await serve(async ({ socket }, response) => {
      const subject = String(socket.getPeerCertificate().subject.CN)
      known.push(subject)
      if (known.length === 2) await write(second)
      sendJson(response, known.length === 1 || subject === 'second' ? 200 : 401, {})
    })
    const transport = open({ ...server.connection, clientCertificate: files })
    const statuses = []
    for (let count = 0; count < 3; count++)
      statuses.push((await transport.request({ method: 'POST', path: PODS, body: {} })).status)
    server.script = (_, response) => sendJson(response, 401, {})
    statuses.push((await transport.request({ method: 'POST', path: PODS, body: {} })).status)
    expect({ statuses, known, requests: server.requests.length }).toEqual({
      statuses: [200, 200, 200, 401],
      known: ['first', 'first', 'second', 'second'],
      requests: 5,
    })
  })

  test('certificates that do not belong together are refused', async () => {
    const server = await serve()
    const [one, other] = [await fixture.authority.issue('one'), await fixture.authority.issue('other')]
    const clientCertificate = { certificate: { data: one.certificate }, key: { data: other.key } }
    await expect(
      open({ ...server.connection, clientCertificate }).request({ method: 'GET', path: PODS }),
    ).rejects.toMatchObject({ code: 'credentials', message: expect.stringContaining('key values mismatch') })
  })

  test('a token file is read again when the server no longer knows the token, once', async () => {
    const file = join(await temporary(), 'token')
    await writeFile(file, 'old\n')
    const server = await serve(async ({ headers }, response) => {
      await writeFile(file, 'new\n')
      sendJson(response, headers.authorization === 'Bearer new' ? 200 : 401, {})
    })
    const transport = open({ ...server.connection, tokenFile: file })
    expect(await transport.request({ method: 'POST', path: PODS, body: {} })).toMatchObject({ status: 200 })
    server.script = (_, response) => sendJson(response, 401, {})
    expect(await transport.request({ method: 'POST', path: PODS, body: {} })).toMatchObject({ status: 401 })
    const tokens = server.requests.map((each) => each.headers.authorization)
    expect(tokens).toEqual(['Bearer old', 'Bearer new', 'Bearer new'])
  })

  test.each(['two\nlines', 'naïve', ''])(
    'a token file with %j is refused before it gets into a header',
    async (text) => {
      const file = join(await temporary(), 'token')
      await writeFile(file, text)
      const server = await serve((_, response) => sendJson(response, 200, {}))
      const request = open({ ...server.connection, tokenFile: file }).request({ method: 'GET', path: PODS })
      await expect(request).rejects.toMatchObject({ code: 'credentials', message: expect.stringContaining(file) })
      expect(server.requests).toHaveLength(0)
    },
  )

  test('who is impersonated is said in headers', async () => {
    const server = await serve((_, response) => sendJson(response, 200, {}))
    const impersonate = { user: 'jane', uid: 'u', groups: ['a', 'b'], extra: { 'example.com/Scope': ['x', 'y'] } }
    await open({ ...server.connection, impersonate }).request({ method: 'GET', path: PODS })
    expect(
      Object.entries(server.requests[0]?.headers ?? {}).filter(([name]) => name.startsWith('impersonate')),
    ).toEqual([
      ['impersonate-user', 'jane'],
      ['impersonate-uid', 'u'],
      ['impersonate-group', 'a, b'],
      ['impersonate-extra-example.com%2fscope', 'x, y'],
    ])
  })
})
