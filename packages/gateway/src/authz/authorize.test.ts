/** Who may, in each of the modes. */
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { resources } from '@caisson/client'
import { describe, expect, test } from 'vitest'
import { type Asked, ask, routerFixture } from '../testing/router-fixture.ts'
import { mintScopedToken } from './scoped-token.ts'

const fixture = routerFixture()
const { start, pod, serve } = fixture

describe('who may', () => {
  test('nobody by a name that a page could have lead here, where nobody is asked who he is', async () => {
    const { url } = await start()
    await pod('box')
    const port = await serve((_request, response) => void response.end('reached'))
    const by = async (Host: string): Promise<unknown> => {
      const { status, body } = await ask(url, {
        headers: { Host, 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) },
      })
      return [status, status === 200 ? body : (JSON.parse(body) as { detail: string }).detail]
    }
    expect([await by('localhost:1'), await by('page.test:1')]).toEqual([
      [200, 'reached'],
      [
        403,
        'This router asks nobody who he is, and so answers to no name of the internet: connect to an address or to localhost, or start it with --authz-mode.',
      ],
    ])
  })

  test('users of the cluster, as far as they may forward ports', async () => {
    const { url } = await start({ authz: { mode: 'tokenreview' } })
    await pod('box')
    const port = await serve((_request, response) => void response.end('reached'))
    await fixture.client.create(resources.serviceAccounts, { metadata: { name: 'may-not' } }, { namespace: 'default' })
    const outcomes: unknown[] = []
    for (const token of [await fixture.forwarder(), await fixture.tokenOf('may-not'), 'none', undefined]) {
      const headers = { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) }
      const { status, body } = await ask(url, {
        headers: { ...headers, ...(token && { Authorization: `Bearer ${token}` }) },
      })
      outcomes.push([status, body])
    }
    expect(outcomes).toEqual([
      [200, 'reached'],
      [403, '{"detail":"forbidden"}'],
      [401, '{"detail":"unauthenticated"}'],
      [401, '{"detail":"unauthenticated"}'],
    ])
  })

  test('nobody by such a name at the door that ports of Pods lead to', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'door-'))
    fixture.stack.defer(() => rmSync(directory, { recursive: true }))
    const path = join(directory, 'door.sock')
    await start({ runtimeApi: true, listenDoor: { path } })
    await pod('box')
    const by = async (host: string): Promise<string | undefined> => {
      const socket = connect(path)
      const about = { namespace: 'default', id: 'box', uid: 'uid-of-box', port: 8888 }
      socket.write(`${JSON.stringify(about)}\nGET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
      return (await text(socket)).split('\r\n')[0]
    }
    expect([await by('localhost:8888'), await by('page.test:8888')]).toEqual([
      'HTTP/1.1 200 OK',
      'HTTP/1.1 403 Forbidden',
    ])
  })

  const TYPES = ['text/plain', 'application/grpc', 'application/grpc+proto']
  test.each(TYPES)('whoever may only forward ports has nothing executed: %s', async (type) => {
    const { url } = await start({ authz: { mode: 'tokenreview' }, runtimeApi: true })
    await pod('box')
    const token = await fixture.forwarder()
    const { status, body } = await ask(url, {
      method: 'POST',
      path: '/execute',
      headers: {
        'X-Sandbox-ID': 'box',
        'X-Sandbox-Port': '8888',
        Authorization: `Bearer ${token}`,
        'Content-Type': type,
      },
      body: JSON.stringify({ command: 'true' }),
    })
    expect([status, body]).toEqual([403, '{"detail":"forbidden"}'])
  })

  test('holders of a token for exactly this', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    const { x } = publicKey.export({ format: 'jwk' }) as { x: string }
    const keys = JSON.stringify({ keys: [{ kid: 'k1', publicKey: x }] })
    const { url } = await start({ authz: { mode: 'scoped-token', keys } })
    await pod('box', { uid: 'u' })
    const port = await serve((_request, response) => void response.end('reached'))
    const claims = {
      namespace: 'default',
      sandbox: 'box',
      sandboxUid: 'u',
      port,
      method: 'GET',
      path: '/a%2Fb',
      expires: Math.floor(Date.now() / 1000) + 60,
    }
    const to = async (changed: object, asked: Asked = {}, key = privateKey, kid = 'k1'): Promise<number> => {
      const token = mintScopedToken(key, kid, { ...claims, ...changed })
      const headers = {
        'X-Sandbox-ID': 'box',
        'X-Sandbox-UID': 'u',
        'X-Sandbox-Port': String(port),
        Authorization: `Bearer ${token}`,
        ...asked.headers,
      }
      return (await ask(url, { path: '/a%2fb?query', ...asked, headers })).status
    }
    const stranger = generateKeyPairSync('ed25519').privateKey
    expect({
      exactly: await to({}),
      expired: await to({ expires: Math.floor(Date.now() / 1000) }),
      namespace: await to({ namespace: 'other' }),
      name: await to({ sandbox: 'other' }),
      uid: await to({ sandboxUid: 'v' }),
      port: await to({ port: port + 1 }),
      method: await to({}, { method: 'POST' }),
      path: await to({}, { path: '/a/b' }),
      withoutUid: await to({ sandboxUid: '' }, { headers: { 'X-Sandbox-UID': '' } }),
      address: await to({}, { headers: { 'X-Sandbox-Pod-IP': '10.0.0.1' } }),
      otherKey: await to({}, {}, stranger),
      unknownKey: await to({}, {}, privateKey, 'k2'),
      none: await to({}, { headers: { Authorization: 'Bearer v2.k1.e30.AAAA' } }),
    }).toEqual({
      exactly: 200,
      expired: 401,
      namespace: 403,
      name: 403,
      uid: 403,
      port: 403,
      method: 403,
      path: 403,
      withoutUid: 403,
      address: 403,
      otherKey: 401,
      unknownKey: 401,
      none: 401,
    })
  })

  test('nobody with a token that was signed and says too little', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    const { x } = publicKey.export({ format: 'jwk' }) as { x: string }
    const keys = JSON.stringify({ keys: [{ kid: 'k1', publicKey: x }] })
    const { url } = await start({ authz: { mode: 'scoped-token', keys } })
    await pod('box', { uid: 'u' })
    const port = await serve((_request, response) => void response.end('reached'))
    const exp = Math.floor(Date.now() / 1000) + 60
    const whole = { ns: 'default', name: 'box', uid: 'u', port, method: 'GET', path: '/', exp }
    const with_ = async (claims: unknown): Promise<number> => {
      const headers = { 'X-Sandbox-ID': 'box', 'X-Sandbox-UID': 'u', 'X-Sandbox-Port': String(port) }
      return (await ask(url, { headers: { ...headers, Authorization: `Bearer ${signed(privateKey, claims)}` } })).status
    }
    const { exp: _, ...endless } = whole
    const said = [whole, endless, { ...whole, exp: null }, { ...whole, exp: '9999999999' }, null, [], 'text']
    expect(await Promise.all(said.map(with_))).toEqual([200, 401, 401, 401, 401, 401, 401])
  })

  function signed(key: KeyObject, claims: unknown): string {
    const payload = Buffer.from(JSON.stringify(claims)).toString('base64url')
    const signature = sign(null, Buffer.from(`agent-sandbox/scoped-token/v2.k1.${payload}`), key)
    return `v2.k1.${payload}.${signature.toString('base64url')}`
  }

  test('holders of a token of the first version, for all of one Sandbox, until that version ends', async () => {
    const secret = 'a secret that nobody guesses soon'
    const shared = { secret: Buffer.from(`  ${secret}\n`) }
    const { url } = await start({ authz: { mode: 'scoped-token', shared } })
    const over = await start({ authz: { mode: 'scoped-token', shared: { ...shared, until: Date.now() } } })
    await pod('box')
    const port = await serve((_request, response) => void response.end('reached'))
    const exp = Math.floor(Date.now() / 1000) + 60
    const token = (claims: object, key = secret, context = 'agent-sandbox/scoped-token/v1.'): string => {
      const payload = Buffer.from(JSON.stringify(claims)).toString('base64url')
      return `v1.${payload}.${createHmac('sha256', key).update(`${context}${payload}`).digest('base64url')}`
    }
    const to = async (said: string, asked: Asked = {}, at = url): Promise<number> => {
      const headers = { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port), Authorization: `Bearer ${said}` }
      return (await ask(at, { ...asked, headers: { ...headers, ...asked.headers } })).status
    }
    const claims = { ns: 'default', name: 'box', exp }
    expect({
      exactly: await to(token(claims)),
      anything: await to(token(claims), { method: 'DELETE', path: '/any' }),
      asBasic: await to(token(claims), {
        headers: { Authorization: `Basic ${Buffer.from(`any:${token(claims)}`).toString('base64')}` },
      }),
      name: await to(token({ ...claims, name: 'other' })),
      namespace: await to(token({ ...claims, ns: 'other' })),
      uid: await to(token(claims), { headers: { 'X-Sandbox-UID': 'uid-of-box' } }),
      address: await to(token(claims), { headers: { 'X-Sandbox-Pod-IP': '10.0.0.1' } }),
      expired: await to(token({ ...claims, exp: Math.floor(Date.now() / 1000) })),
      endless: await to(token({ ns: 'default', name: 'box' })),
      otherSecret: await to(token(claims, 'another secret that nobody guesses')),
      otherContext: await to(token(claims, secret, '')),
      unsigned: await to(`${token(claims).split('.').slice(0, 2).join('.')}.`),
      over: await to(token(claims), {}, over.url),
    }).toEqual({
      exactly: 200,
      anything: 200,
      asBasic: 200,
      name: 403,
      namespace: 403,
      uid: 403,
      address: 403,
      expired: 401,
      endless: 401,
      otherSecret: 401,
      otherContext: 401,
      unsigned: 401,
      over: 401,
    })
    const short = start({ authz: { mode: 'scoped-token', shared: { secret: Buffer.from('short') } } })
    await expect(short).rejects.toThrow('has to have at least 32 bytes')
  })

  test('whoever comes from a Pod has to say who he is, though nobody else has', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'reviewed-'))
    fixture.stack.defer(() => rmSync(directory, { recursive: true }))
    const path = join(directory, 'reviewed.sock')
    const { url } = await start({ listenReviewed: { path } })
    await pod('box')
    const port = await serve((_request, response) => void response.end('reached'))
    const token = await fixture.forwarder()
    const from = async (authorization: string): Promise<string | undefined> => {
      const socket = connect(path)
      const head = `GET / HTTP/1.1\r\nHost: sandbox-router-svc.agent-sandbox-system.svc.cluster.local\r\nConnection: close\r\n`
      const asked = `${head}X-Sandbox-ID: box\r\nX-Sandbox-Port: ${port}\r\n${authorization}\r\n`
      socket.write(`{"peer":"10.0.0.7"}\n${asked}`)
      return (await text(socket)).split('\r\n')[0]
    }
    expect([
      await from(''),
      await from(`Authorization: Bearer none\r\n`),
      await from(`Authorization: Bearer ${token}\r\n`),
      (await ask(url, { headers: { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) } })).status,
    ]).toEqual(['HTTP/1.1 401 Unauthorized', 'HTTP/1.1 401 Unauthorized', 'HTTP/1.1 200 OK', 200])
  })
})
