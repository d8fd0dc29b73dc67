/** Clients that mean harm, against a running server. Each test also shows that others are served meanwhile. */
import { once } from 'node:events'
import { Agent, request as httpsRequest } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CONNECTION_LIMITS, type ConnectionLimits } from './http/connections.ts'
import { IN_FLIGHT_LIMITS } from './http/in-flight.ts'
import { AUTHORIZATION, head, rawClient, rest, statusLine } from './testing/raw-client.ts'
import { send } from './testing/running-server.ts'
import { startTemporaryServer, TENANT_TOKEN, type WholeServer } from './testing/whole-server.ts'

const QUICK: ConnectionLimits = {
  strangers: 20,
  handshakeMs: 600,
  strangerMs: 600,
  perUser: 12,
  total: 30,
  headersMs: 300,
  requestMs: 1000,
  stalledMs: 3000,
  checkEveryMs: 50,
}

let api: WholeServer
const client = rawClient(() => api)
const { dial, sendRaw } = client

async function serve(connections: ConnectionLimits): Promise<void> {
  api = await startTemporaryServer({
    connections,
    inFlight: {
      ...IN_FLIGHT_LIMITS,
      perUser: { reading: 4, writing: 4, 'long-running': 5 },
      bodies: { perUser: 4, bytes: 8 << 20, bytesPerUser: 4 << 20 },
    },
  })
  await allow('tenant', [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }])
}

beforeEach(() => serve(QUICK))

/** From here on nothing is closed because of its age. */
async function giveTime(): Promise<void> {
  await api[Symbol.asyncDispose]()
  await serve({ ...CONNECTION_LIMITS, strangers: QUICK.strangers })
}

afterEach(async () => {
  client[Symbol.dispose]()
  await api[Symbol.asyncDispose]()
  expect(api.reported).toEqual([])
})

async function allow(user: string, rules: object[]): Promise<void> {
  await api.request('POST', '/apis/rbac.authorization.k8s.io/v1/clusterroles', {
    body: { metadata: { name: user }, rules },
  })
  await api.request('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    body: {
      metadata: { name: user },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: user },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
    },
  })
}

async function isServed(): Promise<void> {
  expect((await api.request('GET', '/api/v1/namespaces/default')).status).toBe(200)
}

test('a connection that a client has made and not used yet is closed by the client, after its 90 s', () => {
  const { strangerMs, headersMs, requestMs } = CONNECTION_LIMITS
  expect(Math.min(strangerMs, headersMs, requestMs)).toBeGreaterThan(90_000)
})

describe('what is no request, or more than is read of one,', () => {
  const bodyOf = (answer: string): unknown => JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))

  test.each([
    ['a header', head('GET /api HTTP/1.1', `X: ${'x'.repeat(70_000)}`)],
    ['a header of more than a connection holds', head('GET /api HTTP/1.1', `X: ${'x'.repeat(8_000_000)}`)],
    ['a request line', head(`GET /api?labelSelector=${'a'.repeat(70_000)} HTTP/1.1`)],
    ['many headers', head('GET /api HTTP/1.1', ...Array.from({ length: 9_000 }, (_, index) => `X-${index}: y`))],
  ])('is answered to who still sends it: %s', async (_name, text) => {
    const answer = await sendRaw(text)
    expect(statusLine(answer)).toBe('HTTP/1.1 431 Request Header Fields Too Large')
    expect(bodyOf(answer)).toMatchObject({
      kind: 'Status',
      message: "the request's line and headers have more than 65536 bytes",
      code: 431,
    })
    await isServed()
  })

  test('is answered with what is wrong', async () => {
    const answer = await sendRaw('BOGUS /api HTTP/1.1\r\n\r\n')
    expect(statusLine(answer)).toBe('HTTP/1.1 400 Bad Request')
    expect(bodyOf(answer)).toMatchObject({
      reason: 'BadRequest',
      message: 'what came is no request: Parse Error: Invalid method encountered',
    })
  })

  test('is no part of the answer that is on its way', async () => {
    const socket = await dial()
    const answer = rest(socket)
    socket.write(head('GET /api/v1/namespaces/default/configmaps?watch=1 HTTP/1.1'))
    await once(socket, 'data')
    socket.write('BOGUS\r\n\r\n')
    expect(await answer).not.toContain('what came is no request')
    await isServed()
  })
})

test('a request that comes over a connection whose last answer is not all sent is read whole', async () => {
  await giveTime()
  const path = '/api/v1/namespaces/default/configmaps'
  for (let index = 0; index < 5; index++)
    await api.request('POST', path, {
      body: { metadata: { name: `large-${index}` }, data: { text: 'x'.repeat(900_000) } },
    })
  const socket = await dial()
  socket.write(head(`GET ${path} HTTP/1.1`))
  await once(socket, 'readable')
  const body = JSON.stringify({ metadata: { name: 'whole' }, data: { text: 'y'.repeat(60_000) } })
  const about = ['Content-Type: application/json', `Content-Length: ${body.length}`, 'Connection: close']
  await new Promise((resolve) => socket.write(head(`POST ${path} HTTP/1.1`, ...about) + body, resolve))
  // The server has seen it before anything more of the answer is read.
  await isServed()
  const answers = await rest(socket)
  expect(answers).not.toContain('what came is no request')
  expect(answers.match(/HTTP\/1\.1 \d+ \w+/g)).toEqual(['HTTP/1.1 200 OK', 'HTTP/1.1 201 Created'])
})

describe('who is slow', () => {
  test('headers that never end are cut off', async () => {
    const answer = await sendRaw(`GET /api HTTP/1.1\r\nHost: 127.0.0.1\r\n${AUTHORIZATION}\r\nX-Slow: `)
    expect(statusLine(answer)).toBe('HTTP/1.1 408 Request Timeout')
    await isServed()
  })

  test('a body that never ends is cut off, and nothing is stored', async () => {
    const answer = await sendRaw(
      `${head('POST /api/v1/namespaces/default/configmaps HTTP/1.1', 'Content-Type: application/json', 'Content-Length: 100')}{"metadata":{"name":"slow"}`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 4(00|08) /)
    expect((await api.request('GET', '/api/v1/namespaces/default/configmaps/slow')).status).toBe(404)
  })

  test('a connection on which nobody says who they are is closed', async () => {
    const started = performance.now()
    expect(statusLine(await rest(await dial()))).toBe('HTTP/1.1 408 Request Timeout')
    expect(performance.now() - started).toBeLessThan(5000)
  })

  test('a flood of connections pushes out its own and nobody else', async () => {
    const watching = await dial()
    let watched = ''
    watching.setEncoding('utf8').on('data', (chunk: string) => {
      watched += chunk
    })
    watching.write(head('GET /api/v1/namespaces/default/configmaps?watch=1 HTTP/1.1'))
    await once(watching, 'data')
    const closed = Array.from({ length: 60 }, () => {
      const socket = client.begin()
      return new Promise<void>((resolve) => socket.on('close', () => resolve()).resume())
    })
    await Promise.any(closed)
    await isServed()
    const made = await api.request('POST', '/api/v1/namespaces/default/configmaps', {
      body: { metadata: { name: 'seen' } },
    })
    expect(made.status).toBe(201)
    await Promise.all(closed)
    expect(watched).toContain('"name":"seen"')
    expect(watching.destroyed).toBe(false)
  })

  test('a list that is not read is given up', async () => {
    for (let index = 0; index < 24; index++)
      await api.request('POST', '/api/v1/namespaces/default/configmaps', {
        body: { metadata: { name: `large-${index}` }, data: { text: 'x'.repeat(900_000) } },
      })
    for (const socket of await Promise.all(Array.from({ length: 4 }, dial))) {
      socket.pause()
      socket.write(head('GET /api/v1/namespaces/default/configmaps HTTP/1.1'))
    }
    const ask = async (): Promise<number> => (await asTenant('GET', '/api/v1/namespaces/default')).status
    await expect.poll(ask).toBe(429)
    await isServed()
    await expect.poll(ask, { timeout: 10_000 }).toBe(200)
  })

  test('a watcher that does not read is cut, and costs no more than its buffer', async () => {
    const socket = await dial()
    socket.pause()
    socket.write(head('GET /api/v1/namespaces/default/configmaps?watch=1 HTTP/1.1'))
    await longRunning(1)
    for (let index = 0; index < 24; index++)
      await api.request('POST', '/api/v1/namespaces/default/configmaps', {
        body: { metadata: { name: `event-${index}` }, data: { text: 'x'.repeat(900_000) } },
      })
    await longRunning(0)
    await isServed()
  })
})

/** Resolves when so many watches are served. */
async function longRunning(count: number): Promise<void> {
  await expect
    .poll(
      async () => {
        const { text } = await api.request('GET', '/metrics')
        return [...text.matchAll(/^apiserver_longrunning_requests\{.*\} (\d+)$/gm)].reduce(
          (sum, [, n]) => sum + Number(n),
          0,
        )
      },
      { timeout: 10_000 },
    )
    .toBe(count)
}

describe('who asks for too much at once', () => {
  test('is told to try again, and administrators are served', async () => {
    const watches = await Promise.all(
      Array.from({ length: 8 }, () => openWatch('/api/v1/namespaces/default/configmaps?watch=1')),
    )
    expect(watches.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      200, 200, 200, 200, 200, 429, 429, 429,
    ])
    const refused = watches.find(({ status }) => status === 429)
    expect(refused?.headers['retry-after']).toBe('1')
    expect(JSON.parse(refused?.text ?? '')).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: 'Too many requests, please try again later.',
      reason: 'TooManyRequests',
      details: { retryAfterSeconds: 1 },
      code: 429,
    })
    await isServed()
    for (const { close } of watches) close()
    await longRunning(0)
    const again = await openWatch('/api/v1/namespaces/default/configmaps?watch=1')
    expect(again.status).toBe(200)
    again.close()
  })

  test('has so many connections and no more', async () => {
    const asking: TLSSocket[] = []
    const ask = async (): Promise<string> => {
      const socket = await dial()
      asking.push(socket)
      socket.write(head('GET /api/v1/namespaces/default HTTP/1.1'))
      const [answer] = (await once(socket, 'data')) as [Buffer]
      return statusLine(answer.toString())
    }
    const answers = await Promise.all(Array.from({ length: 4 }, ask))
    answers.push(
      ...(await Promise.all(Array.from({ length: 4 }, ask))),
      ...(await Promise.all(Array.from({ length: 4 }, ask))),
    )
    expect(answers).toEqual(Array.from({ length: 12 }, () => 'HTTP/1.1 200 OK'))
    expect(await ask()).toBe('HTTP/1.1 429 Too Many Requests')
    await isServed()
    asking[0]?.destroy()
    await expect.poll(ask).toBe('HTTP/1.1 200 OK')
  })

  test('bodies that are on their way count, and keep no write out that could be served', async () => {
    const waiting = await Promise.all(Array.from({ length: 4 }, () => dial()))
    for (const socket of waiting) socket.write(post(AUTHORIZATION, 99))
    const created = async (): Promise<number> =>
      (await asTenant('POST', CONFIG_MAPS, {}, { metadata: { generateName: 'm-' } })).status
    await expect.poll(created).toBe(429)
    expect((await asTenant('DELETE', `${CONFIG_MAPS}/none`)).status).toBe(404)
    expect((await asTenant('GET', '/api/v1/namespaces/default')).status).toBe(200)
    for (const socket of waiting) socket.destroy()
    await expect.poll(created).toBe(201)
  })

  test('no more bytes of bodies are held than a user may have on their way', async () => {
    const waiting = await Promise.all([dial(), dial()])
    const answers = waiting.map(rest)
    for (const socket of waiting) {
      socket.write(post(AUTHORIZATION, 2_600_000))
      socket.write('x'.repeat(2_500_000))
    }
    expect(statusLine(await Promise.race(answers))).toBe('HTTP/1.1 429 Too Many Requests')
    await isServed()
  })

  test('ServiceAccounts of one namespace have one share together, and those of another their own', async () => {
    const [one, two, three, foreign] = await Promise.all([
      tokenOf('default', 'one'),
      tokenOf('default', 'two'),
      tokenOf('default', 'three'),
      tokenOf('elsewhere', 'foreign'),
    ])
    const waiting = await Promise.all(Array.from({ length: 4 }, () => dial()))
    for (const [index, socket] of waiting.entries())
      socket.write(post(`Authorization: Bearer ${index % 2 ? one : two}`, 99))
    await expect.poll(() => createdBy(three)).toBe(429)
    expect(await createdBy(foreign)).toBe(201)
  })

  test('whoever acts as others takes from a share of their own', async () => {
    await allow('other', [{ apiGroups: [''], resources: ['configmaps'], verbs: ['create'] }])
    const waiting = await Promise.all(Array.from({ length: 4 }, () => dial()))
    for (const socket of waiting) socket.write(post(`${AUTHORIZATION}\r\nImpersonate-User: other`, 99))
    await expect.poll(() => createdBy(TENANT_TOKEN)).toBe(429)
  })

  test('all together have so many connections, and administrators and the parts of the cluster more', async () => {
    const tokens: string[] = []
    for (const namespace of ['a', 'b', 'c', 'd']) tokens.push(await tokenOf(namespace, 'one'))
    const ask = async (token: string): Promise<string> => {
      const socket = await dial()
      socket.write(`GET /api/v1/namespaces HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\n\r\n`)
      const [answer] = (await once(socket, 'data')) as [Buffer]
      return statusLine(answer.toString()).slice(9, 12)
    }
    // The administrator has one already.
    const answers: string[] = []
    for (const token of tokens) for (let index = 0; index < 9; index++) answers.push(await ask(token))
    expect(answers.map((code) => code === '429')).toEqual(Array.from({ length: 36 }, (_, index) => index >= 29))
    expect(await ask(await tokenOf('kube-system', 'part'))).not.toBe('429')
    await isServed()
  })
})

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'

const post = (authorization: string, length: number): string =>
  [
    `POST ${CONFIG_MAPS} HTTP/1.1`,
    'Host: 127.0.0.1',
    authorization,
    'Content-Type: application/json',
    `Content-Length: ${length}`,
    '',
    '',
  ].join('\r\n')

/** Of a new ServiceAccount that may do everything. */
async function tokenOf(namespace: string, name: string): Promise<string> {
  await api.request('POST', '/api/v1/namespaces', { body: { metadata: { name: namespace } } })
  const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`
  await api.request('POST', accounts, { body: { metadata: { name } } })
  const bindings = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings'
  await api.request('POST', bindings, {
    body: {
      metadata: { name: `${namespace}-${name}` },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'tenant' },
      subjects: [{ kind: 'ServiceAccount', namespace, name }],
    },
  })
  const { body } = await api.request('POST', `${accounts}/${name}/token`, { body: { spec: {} } })
  return body.status.token
}

async function createdBy(token: string): Promise<number> {
  const { status } = await api.request('POST', CONFIG_MAPS, {
    anonymous: true,
    headers: { authorization: `Bearer ${token}` },
    body: { metadata: { generateName: 'm-' } },
  })
  return status
}

function asTenant(method: string, path: string, headers: Record<string, string> = {}, body?: object) {
  return api.request(method, path, {
    anonymous: true,
    headers: { authorization: `Bearer ${TENANT_TOKEN}`, ...headers },
    body,
  })
}

interface OpenedWatch {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
  close(): void
}

function openWatch(path: string): Promise<OpenedWatch> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      `${api.url}${path}`,
      { agent: false, ca: api.certificates.authority, headers: { authorization: `Bearer ${TENANT_TOKEN}` } },
      (response) => {
        const status = response.statusCode ?? 0
        const { headers } = response
        const close = () => void request.destroy()
        if (status === 200) return resolve({ status, headers, text: '', close })
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
        })
        response.on('end', () => resolve({ status, headers, text, close }))
      },
    )
    request.on('error', reject)
    request.end()
  })
}

describe('who sends what takes long, many times at once', () => {
  const LARGE = `${CONFIG_MAPS}/large`
  const MOST_BETWEEN = 6
  const data = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`k${index}`, '']))
  let agent: Agent

  beforeEach(async () => {
    // Who waits for a slow answer is not to be taken for slow.
    await api[Symbol.asyncDispose]()
    api = await startTemporaryServer()
    await allow('tenant', [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }])
    agent = new Agent({ keepAlive: true, ca: api.certificates.authority })
    await asNeighbour('GET', '/version')
    // All at once, and not as fast as connections are opened.
    await Promise.all(Array.from({ length: 24 }, () => api.request('GET', '/version')))
    const { status } = await api.request('POST', CONFIG_MAPS, { body: { metadata: { name: 'large' }, data } })
    expect(status).toBe(201)
  })

  afterEach(() => agent.destroy())

  /** Over a connection that is there already, of another user than whose requests take long. */
  function asNeighbour(method: string, path: string, body?: object) {
    return send(`${api.url}${path}`, { method, agent, headers: { authorization: `Bearer ${TENANT_TOKEN}` }, body })
  }

  test.each([
    [
      'patches',
      (index: number) =>
        api.request('PATCH', LARGE, {
          headers: { 'content-type': 'application/merge-patch+json' },
          body: { data: { k1: String(index) } },
        }),
    ],
    [
      'creations',
      (index: number) => api.request('POST', CONFIG_MAPS, { body: { metadata: { name: `l-${index}` }, data } }),
    ],
  ])('%s hold others up for a few of them, and not for all', async (_, ask) => {
    let answered = 0
    const all = Array.from({ length: 24 }, async (__, index) => {
      const { status } = await ask(index)
      answered++
      return status
    })
    await Promise.any(all)
    for (const ask of [
      () => asNeighbour('GET', '/version'),
      () => asNeighbour('POST', CONFIG_MAPS, { metadata: { generateName: 'small-' } }),
    ]) {
      const before = answered
      const { status } = await ask()
      expect(answered, `answered before a ${status}`).toBeLessThanOrEqual(before + MOST_BETWEEN)
    }
    expect(answered).toBeLessThan(24)
    expect(new Set(await Promise.all(all)).size).toBe(1)
  })
})

test('strangers from one address push out their own, not those from another', async () => {
  await giveTime()
  const other = await dial()
  const flood: TLSSocket[] = []
  for (let count = 0; count < 2 * QUICK.strangers; count++) flood.push(await dial({ localAddress: '127.0.0.9' }))
  const [first] = flood
  if (!first?.closed) await once(first as TLSSocket, 'close')
  expect(other.closed).toBe(false)
})
