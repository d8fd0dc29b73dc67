/** Who gets what of a node's API, decided by a real API server about real certificates and tokens. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { componentUsers, ensureCertificates, type KeyPair, startApiServer } from '@caisson/apiserver'
import { type Client, createClient, createHttpTransport, inProcessTransport, resources } from '@caisson/client'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createSummary } from '../stats/summary.ts'
import { createHostProcesses } from '../testing/host-processes.ts'
import { serveOnePod } from '../testing/served-pod.ts'
import { createNodeAuthentication } from './node-authentication.ts'
import { createNodeAuthorization } from './node-authorization.ts'
import { type ServedNodeApi, type ServingTls, serveNodeApi } from './serve-node-api.ts'

const NODE = 'here'
const EXEC = '/exec/default/web/main?command=echo&command=hi&output=1'
const HOUR = 3_600_000
const WEB_SOCKET = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-protocol': 'v5.channel.k8s.io',
}

let open: AsyncDisposableStack
let api: Awaited<ReturnType<typeof startApiServer>>
let administrator: Client
let served: ServedNodeApi
let tls: ServingTls
let now: number
let errors: string[]

beforeEach(async () => {
  open = new AsyncDisposableStack()
  now = Date.now()
  errors = []
  const directory = await mkdtemp(join(tmpdir(), 'caisson-node-api-'))
  open.defer(() => rm(directory, { recursive: true, force: true }))
  const certificates = join(directory, 'pki')
  api = open.use(
    await startApiServer({ directory: join(directory, 'objects'), certificates, host: '127.0.0.1', port: 0 }),
  )
  const groups = ['system:masters', 'system:authenticated']
  administrator = createClient(inProcessTransport(api.server.connect({ username: 'admin', groups })))
  const own = api.certificates.issueClientCertificate({ user: componentUsers.node(NODE) })
  const connection = {
    server: api.url,
    namespace: 'default',
    certificateAuthority: { data: api.certificates.authority },
    clientCertificate: { certificate: { data: own.certificate }, key: { data: own.key } },
  }
  const node = createClient(open.use(createHttpTransport(connection)))
  const runtime = createHostProcesses()
  const summary = createSummary({
    nodeName: NODE,
    runtime: { list: async () => [], usage: async () => undefined },
    pods: () => [],
    directory,
    now: Date.now,
  })
  const pod = serveOnePod(runtime, { summary })
  tls = { certificate: api.certificates.server, clientAuthority: api.certificates.authority }
  served = open.use(
    await serveNodeApi({
      host: '127.0.0.1',
      port: 0,
      tls,
      api: () => pod,
      authenticate: createNodeAuthentication(node, () => now),
      authorize: createNodeAuthorization(node, NODE),
      onError: (error) => errors.push((error as Error).message),
    }),
  )
})
afterEach(() => open.disposeAsync())

interface Question {
  path?: string
  method?: string
  headers?: Record<string, string>
  pair?: KeyPair
}

/** Status and, of refusals, the text. */
async function ask({ path = '/stats/summary', method = 'GET', headers = {}, pair }: Question): Promise<string> {
  const asked = request({
    host: '127.0.0.1',
    port: served.port,
    path,
    method,
    headers,
    ca: api.certificates.authority,
    agent: false,
    ...(pair && { cert: pair.certificate, key: pair.key }),
  })
  const upgraded = once(asked, 'upgrade').then(([answer, socket]: IncomingMessage[]) => {
    ;(socket as unknown as TLSSocket).destroy()
    return `${answer?.statusCode}`
  })
  const answered = once(asked, 'response').then(async ([answer]: IncomingMessage[]) => {
    const text = (await answer?.setEncoding('utf8').toArray())?.join('')
    return answer?.statusCode === 200 ? '200' : `${answer?.statusCode} ${text}`
  })
  asked.end()
  upgraded.catch(() => {})
  answered.catch(() => {})
  return await Promise.race([upgraded, answered])
}

async function tokenOf(name: string, subresource?: string): Promise<Record<string, string>> {
  const namespace = 'default'
  await administrator.create(resources.serviceAccounts, { metadata: { name } }, { namespace })
  if (subresource !== undefined) {
    const rules = [{ apiGroups: [''], resources: [`nodes/${subresource}`], resourceNames: [NODE], verbs: ['get'] }]
    await administrator.create(resources.clusterRoles, { metadata: { name }, rules })
    const apiGroup = 'rbac.authorization.k8s.io'
    await administrator.create(resources.clusterRoleBindings, {
      metadata: { name },
      subjects: [{ kind: 'ServiceAccount', name, namespace }],
      roleRef: { apiGroup, kind: 'ClusterRole', name },
    })
  }
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 600 } }
  const { status } = await administrator.createSubresource<{ status: { token: string } }>(
    resources.serviceAccounts,
    name,
    'token',
    body,
    { namespace },
  )
  return { authorization: `Bearer ${status.token}` }
}

const certificateOf = (username: string, groups: string[] = []): KeyPair =>
  api.certificates.issueClientCertificate({ user: { username, groups } })

test('nobody gets anything without a name that the cluster knows', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'caisson-other-pki-'))
  open.defer(() => rm(directory, { recursive: true, force: true }))
  const other = await ensureCertificates(directory, { hosts: [], now: Date.now })
  const stranger = other.issueClientCertificate({ user: { username: 'admin', groups: ['system:masters'] } })
  for (const path of [
    '/stats/summary',
    '/metrics',
    '/healthz',
    '/pods',
    '/containerLogs/default/web/main',
    EXEC,
    '/',
    '/nothing',
  ])
    expect([path, await ask({ path })]).toEqual([path, '401 Unauthorized'])
  expect(await ask({ path: EXEC, headers: WEB_SOCKET })).toBe('401 Unauthorized')
  expect(await ask({ path: EXEC, method: 'POST', headers: { connection: 'Upgrade', upgrade: 'SPDY/3.1' } })).toBe(
    '401 Unauthorized',
  )
  expect(await ask({ headers: { authorization: 'Bearer of.bad.news' } })).toBe('401 Unauthorized')
  expect(await ask({ headers: { authorization: 'Basic YWRtaW46YWRtaW4=' } })).toBe('401 Unauthorized')
  expect(await ask({ pair: stranger })).toBe('401 Unauthorized')
})

test('who has a name gets what the cluster allows it, and no more', async () => {
  const [nothing, stats, proxy] = [
    await tokenOf('nothing'),
    await tokenOf('stats', 'stats'),
    await tokenOf('reads', 'proxy'),
  ]
  const user = (name: string): string => `user=system:serviceaccount:default:${name}`
  expect(await ask({ headers: nothing })).toBe(
    `403 Forbidden (${user('nothing')}, verb=get, resource=nodes, subresource(s)=stats)`,
  )
  expect(await ask({ headers: stats })).toBe('200')
  expect(await ask({ headers: stats, path: '/metrics/resource' })).toBe(
    `403 Forbidden (${user('stats')}, verb=get, resource=nodes, subresource(s)=metrics)`,
  )
  expect(await ask({ headers: stats, path: '/stats/../exec/default/web/main?command=id&output=1' })).toBe(
    '404 404 page not found',
  )
  expect(await ask({ headers: proxy, path: '/containerLogs/default/web/main' })).toBe('400 there is no log')
  // Reading is not executing, whatever method a WebSocket begins with.
  expect(await ask({ headers: { ...proxy, ...WEB_SOCKET }, path: EXEC })).toBe(
    `403 Forbidden (${user('reads')}, verb=create, resource=nodes, subresource(s)=proxy)`,
  )
  const pair = certificateOf('kubelet-client', ['system:masters'])
  for (const path of ['/stats/summary', '/metrics', '/metrics/resource', '/metrics/cadvisor', '/healthz'])
    expect([path, await ask({ path, pair })]).toEqual([path, '200'])
  expect(await ask({ pair, path: EXEC, headers: WEB_SOCKET })).toBe('101')
  expect(await ask({ pair: certificateOf('somebody') })).toBe(
    '403 Forbidden (user=somebody, verb=get, resource=nodes, subresource(s)=stats)',
  )
  await administrator.delete(resources.clusterRoleBindings, 'stats')
  expect(await ask({ headers: stats })).toMatch(/^403 /)
  expect(errors).toEqual([])
})

test('a certificate that has ended names nobody, on whatever connection', async () => {
  const pair = certificateOf('kubelet-client', ['system:masters'])
  now += 366 * 24 * HOUR
  expect(await ask({ pair })).toBe('401 Unauthorized')
})

test('where the cluster cannot be asked, nobody gets anything', async () => {
  const pair = certificateOf('kubelet-client', ['system:masters'])
  await api[Symbol.asyncDispose]()
  expect(await ask({ pair })).toBe('503 the cluster could not be asked who may')
  expect(errors).toHaveLength(1)
})

test('without a certificate of its own it speaks to nobody, and with one that comes later to everybody', async () => {
  served.renew({ ...tls, certificate: undefined })
  await expect(ask({})).rejects.toMatchObject({ code: expect.stringMatching(/HANDSHAKE_FAILURE|ECONNRESET|EPROTO/) })
  served.renew(tls)
  expect(await ask({})).toBe('401 Unauthorized')
  // As where the cluster has no authority for clients: the machine's own are none.
  served.renew({ ...tls, clientAuthority: undefined })
  expect(await ask({ pair: certificateOf('kubelet-client', ['system:masters']) })).toBe('401 Unauthorized')
})

test('a connection on which nothing is asked any more is closed by the client, after its 90 s', async () => {
  const pair = certificateOf('kubelet-client', ['system:masters'])
  const where = { host: '127.0.0.1', port: served.port, ca: api.certificates.authority }
  const socket = connectTls({ ...where, cert: pair.certificate, key: pair.key })
  socket.write('GET /stats/summary HTTP/1.1\r\nHost: node\r\n\r\n')
  const [answer] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  const [, seconds] = /^Keep-Alive: timeout=(\d+)/m.exec(answer.toString()) ?? []
  expect(Number(seconds)).toBeGreaterThan(90)
})

test.each<[what: string, open: (where: { host: string; port: number; ca: string }) => Promise<Socket>]>([
  [
    'that say nothing',
    async (where) => {
      const socket = connectTls(where)
      await once(socket, 'secureConnect')
      return socket
    },
  ],
  [
    'that do not shake hands',
    async ({ host, port }) => {
      const socket = connect({ host, port })
      await once(socket, 'connect')
      return socket
    },
  ],
])('connections of strangers %s push out each other, and nobody whom the node knows', async (_what, open) => {
  const pair = certificateOf('kubelet-client', ['system:masters'])
  const where = { host: '127.0.0.1', port: served.port, ca: api.certificates.authority }
  const known = connectTls({ ...where, cert: pair.certificate, key: pair.key })
  known.on('error', () => {})
  const say = (): void => void known.write('GET /stats/summary HTTP/1.1\r\nHost: node\r\n\r\n')
  say()
  await once(known, 'data')
  const strangers: Socket[] = []
  let closed = 0
  for (let count = 0; count < 300; count++) {
    const socket = await open(where)
    socket.on('error', () => {})
    socket.on('close', () => closed++)
    strangers.push(socket)
  }
  await expect.poll(() => closed).toBe(300 - 256)
  expect(strangers[0]?.destroyed).toBe(true)
  expect(known.destroyed).toBe(false)
  say()
  await once(known, 'data')
  for (const socket of [known, ...strangers]) socket.destroy()
})
