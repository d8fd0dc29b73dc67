/** What one client does to the others who use a router: nothing, be it somebody whom nobody knows or a user of the cluster. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type ApiRequest, createClient } from '@caisson/client'
import { expect, test } from 'vitest'
import type { RouterOptions } from '../start-router.ts'
import { ask, routerFixture } from '../testing/router-fixture.ts'

const fixture = routerFixture()
const { start, pod, serve } = fixture

/** A router that has the cluster review tokens, and how often it asked what. */
async function reviewing(
  options: Partial<RouterOptions> = { authz: { mode: 'tokenreview' } },
): Promise<{ url: string; asked: (kind: string) => number }> {
  const counts = new Map<string, number>()
  const { transport } = fixture.client
  const client = createClient({
    ...transport,
    request(asked: ApiRequest) {
      const plural = asked.path.split('/').at(-1) ?? ''
      counts.set(plural, (counts.get(plural) ?? 0) + 1)
      return transport.request(asked)
    },
  })
  const { url } = await start({ client, ...options })
  return { url, asked: (plural) => counts.get(plural) ?? 0 }
}

const counted = (statuses: readonly number[]): Record<number, number> => {
  const counts: Record<number, number> = {}
  for (const status of statuses) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

test('whoever makes up tokens is not asked about for ever, and has nobody forgotten or kept waiting', async () => {
  const { url, asked } = await reviewing()
  await pod('box')
  const port = await serve((_request, response) => void response.end('reached'))
  const good = await fixture.forwarder()
  const by = async (token: string, from?: string): Promise<number> => {
    const headers = { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port), Authorization: `Bearer ${token}` }
    return (await ask(url, { headers, ...(from && { from }) })).status
  }
  expect(await by(good)).toBe(200)
  const statuses: number[] = []
  for (let round = 0; round < 30; round++) {
    const made = Array.from({ length: 100 }, (_, index) => by(`made-up-${round}-${index}`))
    statuses.push(...(await Promise.all(made)))
  }
  const { 401: refused = 0, 429: told = 0, ...others } = counted(statuses)
  expect({ others, all: refused + told }).toEqual({ others: {}, all: 3000 })
  // 500, and some five a second of the time that it took.
  expect(refused).toBeGreaterThanOrEqual(500)
  expect(refused).toBeLessThan(1000)
  expect(asked('tokenreviews')).toBe(refused + 1)
  expect(asked('subjectaccessreviews')).toBe(1)
  // Still known, at the same address; and others, from elsewhere, are asked about, as many as come at once.
  expect(await by(good)).toBe(200)
  expect([asked('tokenreviews'), asked('subjectaccessreviews')]).toEqual([refused + 1, 1])
  const tokens = await Promise.all(Array.from({ length: 50 }, () => fixture.tokenOf('forwarder')))
  expect(counted(await Promise.all(tokens.map((token) => by(token, '127.0.0.2'))))).toEqual({ 200: 50 })
})

/** What a Pod says on a connection that is told to be of `peer`. */
const asPod = (peer: string, token: string, { port = 80, first = '' } = {}): string =>
  `{"peer":"${peer}"}\n${first}GET / HTTP/1.1\r\nHost: router\r\nConnection: close\r\nX-Forwarded-For: 10.0.0.9\r\nX-Sandbox-ID: box\r\nX-Sandbox-Port: ${port}\r\nAuthorization: Bearer ${token}\r\n\r\n`

function reviewedSocket(): string {
  const directory = mkdtempSync(join(tmpdir(), 'reviewed-'))
  fixture.stack.defer(() => rmSync(directory, { recursive: true }))
  return join(directory, 'reviewed.sock')
}

test('a Pod that makes up tokens has no other kept waiting, whatever it says of itself', async () => {
  const path = reviewedSocket()
  const { asked } = await reviewing({ listenReviewed: { path } })
  await fixture.forwarder()
  const tokens = await Promise.all(Array.from({ length: 50 }, () => fixture.tokenOf('forwarder')))
  await pod('box')
  const port = await serve((_request, response) => void response.end('reached'))
  const by = async (peer: string, token: string, first = ''): Promise<number> => {
    const socket = connect(path)
    socket.write(asPod(peer, token, { port, first }))
    return Number((await text(socket)).split(' ')[1])
  }
  const made = async (first = ''): Promise<Record<number, number>> => {
    const statuses: number[] = []
    for (let round = 0; round < 12; round++) {
      const each = Array.from({ length: 50 }, (_, index) => by('10.0.0.7', `made-up-${round}-${index}`, first))
      statuses.push(...(await Promise.all(each)))
    }
    return counted(statuses)
  }
  const { 401: refused = 0, 429: told = 0 } = await made()
  expect(refused + told).toBe(600)
  expect(told).toBeGreaterThan(0)
  expect(counted(await Promise.all(tokens.map((token) => by('10.0.0.8', token))))).toEqual({ 200: 50 })
  const before = asked('tokenreviews')
  // What comes behind the first line is the Pod's, and no HTTP.
  expect(await made('{"peer":"10.0.0.8"}\n')).toEqual({ 400: 600 })
  expect(asked('tokenreviews')).toBe(before)
  expect(await Promise.all([by('nobody', 'any'), by('', 'any')])).toEqual([Number.NaN, Number.NaN])
})

test('requests of a Pod whose token is still asked about leave the others theirs', async () => {
  const path = reviewedSocket()
  const { transport } = fixture.client
  const answered = Promise.withResolvers<void>()
  const client = createClient({
    ...transport,
    async request(asked: ApiRequest) {
      if (asked.path.endsWith('/tokenreviews')) await answered.promise
      return await transport.request(asked)
    },
  })
  await start({ client, listenReviewed: { path } })
  const statuses: number[] = []
  const asking = Array.from({ length: 510 }, async () => {
    const socket = connect(path)
    socket.write(asPod('10.0.0.7', 'slow'))
    statuses.push(Number((await text(socket)).split(' ')[1]))
  })
  await expect.poll(() => statuses).toEqual(Array(10).fill(429))
  answered.resolve()
  await Promise.all(asking)
  expect(counted(statuses)).toEqual({ 401: 500, 429: 10 })
})

test('whoever asks for Sandboxes that he may not reach is not asked about for ever either', async () => {
  const { url, asked } = await reviewing()
  await pod('box')
  const port = await serve((_request, response) => void response.end('reached'))
  const token = await fixture.forwarder()
  const to = async (sandbox: string): Promise<number> => {
    const headers = { 'X-Sandbox-ID': sandbox, 'X-Sandbox-Port': String(port), Authorization: `Bearer ${token}` }
    return (await ask(url, { headers })).status
  }
  expect(await to('box')).toBe(200)
  const statuses: number[] = []
  for (let round = 0; round < 10; round++)
    statuses.push(...(await Promise.all(Array.from({ length: 100 }, (_, index) => to(`other-${round}-${index}`)))))
  const { 403: refused = 0, 429: told = 0 } = counted(statuses)
  expect(refused + told).toBe(1000)
  expect(told).toBeGreaterThan(0)
  expect(asked('subjectaccessreviews')).toBe(refused + 1)
  expect(await to('box')).toBe(200)
})

test('requests of one user that never end leave the others theirs', async () => {
  const { url } = await reviewing()
  await pod('box')
  const port = await serve((request, response) => void (request.url === '/now' && response.end('reached')))
  const [greedy, other] = [await fixture.forwarder('greedy'), await fixture.forwarder('other')]
  const headersOf = (token: string) => ({
    'X-Sandbox-ID': 'box',
    'X-Sandbox-Port': String(port),
    Authorization: `Bearer ${token}`,
  })
  const now = async (token: string): Promise<number> =>
    (await ask(url, { path: '/now', headers: headersOf(token) })).status
  const hanging = Array.from({ length: 500 }, () => {
    const request = httpRequest(`${url}/never`, { headers: headersOf(greedy), agent: false })
    request.on('error', () => {})
    request.end()
    return request
  })
  await expect.poll(() => now(greedy)).toBe(429)
  expect(await now(other)).toBe(200)
  for (const request of hanging) request.destroy()
  await expect.poll(() => now(greedy)).toBe(200)
})

test('connections from one address leave the others theirs', async () => {
  const { port = 0 } = await start()
  await pod('box')
  const connected = async (localAddress: string): Promise<Socket> => {
    const socket = connect({ port, host: '127.0.0.1', localAddress })
    socket.on('error', () => {})
    fixture.stack.defer(() => void socket.destroy())
    await once(socket, 'connect')
    return socket
  }
  const open = new Set<Socket>()
  for (let count = 0; count < 600; count++) {
    const socket = await connected('127.0.0.2')
    open.add(socket)
    socket.on('close', () => open.delete(socket)).resume()
  }
  await expect.poll(() => open.size).toBe(512)
  const { status } = await ask(`http://127.0.0.1:${port}`, { path: '/healthz', from: '127.0.0.3' })
  expect(status).toBe(200)
  const [first] = open
  first?.destroy()
  await expect
    .poll(() => ask(`http://127.0.0.1:${port}`, { path: '/healthz', from: '127.0.0.2' }).catch(() => undefined))
    .toMatchObject({ status: 200 })
})
