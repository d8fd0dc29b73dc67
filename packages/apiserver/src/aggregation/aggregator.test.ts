import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, request as httpsRequest, type Server } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import type { PeerCertificate, TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Certificates, ensureCertificates } from '../authn/certificates.ts'
import { SWITCHING } from '../testing/webhook-server.ts'
import { startTemporaryServer, TENANT_TOKEN, type WholeServer } from '../testing/whole-server.ts'

const SERVICES = '/apis/apiregistration.k8s.io/v1/apiservices'
const REMOTE = '/apis/wardle.example.com/v1alpha1'
const FLUNDERS = `${REMOTE}/namespaces/default/flunders`
const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'
const TENANT = { anonymous: true, headers: { authorization: `Bearer ${TENANT_TOKEN}` } }
const KINDS = {
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion: 'wardle.example.com/v1alpha1',
  resources: [
    {
      name: 'flunders',
      singularName: 'flunder',
      namespaced: true,
      kind: 'Flunder',
      verbs: ['get', 'list'],
      shortNames: ['fl'],
    },
    {
      name: 'flunders/status',
      singularName: '',
      namespaced: true,
      kind: 'Flunder',
      verbs: ['get'],
      storageVersionHash: 'x',
    },
  ],
}

let api: WholeServer
let other: Server
let theirs: Certificates
/** What the other server does with a request to its kinds. */
let answer: (request: IncomingMessage, response: ServerResponse) => void
let isUp: boolean | 'in another protocol' = true
const dialed: string[] = []

beforeAll(async () => {
  const port = (): number => (other.address() as AddressInfo).port
  api = await startTemporaryServer({
    async dialService({ namespace, name, port: asked }) {
      dialed.push(`${namespace}/${name}:${asked}`)
      const socket = connect(port(), '127.0.0.1')
      await once(socket, 'connect')
      return socket
    },
  })
  theirs = await ensureCertificates(`${api.directory}/theirs`, { hosts: ['wardle.default.svc'], now: Date.now })
  const tls = { cert: theirs.server.certificate, key: theirs.server.key, requestCert: true, rejectUnauthorized: false }
  other = createServer(tls, (request, response) => {
    if (request.url !== REMOTE) return answer(request, response)
    if (isUp === 'in another protocol') return void request.socket.write(SWITCHING)
    response.writeHead(isUp ? 200 : 500, { 'content-type': 'application/json' }).end(JSON.stringify(KINDS))
  }).listen(0, '127.0.0.1')
  await once(other, 'listening')
  await api.request('POST', '/api/v1/namespaces', { body: { metadata: { name: 'default' } } })
  const ports = [{ port: 7443, targetPort: 443 }]
  await api.request('POST', '/api/v1/namespaces/default/services', {
    body: { metadata: { name: 'wardle' }, spec: { ports } },
  })
})

afterAll(async () => {
  await api[Symbol.asyncDispose]()
  other.closeAllConnections()
  await new Promise((resolve) => other.close(resolve))
  expect(api.reported).toEqual([])
})

function join(name: string, spec: object = {}): ReturnType<WholeServer['request']> {
  const [version, ...group] = name.split('.')
  const caBundle = Buffer.from(theirs.authority).toString('base64')
  const service = { namespace: 'default', name: 'wardle', port: 7443 }
  return api.request('POST', SERVICES, {
    body: {
      metadata: { name },
      spec: {
        group: group.join('.'),
        version,
        groupPriorityMinimum: 2000,
        versionPriority: 10,
        service,
        caBundle,
        ...spec,
      },
    },
  })
}

async function available(name: string): Promise<unknown[]> {
  const { body } = await api.request('GET', `${SERVICES}/${name}`)
  const [condition] = body.status?.conditions ?? []
  return [condition?.status, condition?.reason, condition?.message]
}

describe('what this server serves itself', () => {
  test('has APIServices, which say so and stay', async () => {
    await expect.poll(() => available('v1.apps')).toEqual(['True', 'Local', 'Local APIServices are always available'])
    const { body } = await api.request('GET', `${SERVICES}/v1.`)
    expect([body.metadata.labels, body.spec]).toEqual([
      { 'kube-aggregator.kubernetes.io/automanaged': 'onstart' },
      { groupPriorityMinimum: 18_000, version: 'v1', versionPriority: 15 },
    ])
    await api.request('DELETE', `${SERVICES}/v1.apps`)
    await expect.poll(() => available('v1.apps')).toEqual(['True', 'Local', 'Local APIServices are always available'])
  })

  test('is answered here, whatever an APIService says', async () => {
    const { body } = await api.request('GET', `${SERVICES}/v1.batch`)
    const spec = { ...body.spec, service: { namespace: 'default', name: 'wardle' }, insecureSkipTLSVerify: true }
    expect((await api.request('PUT', `${SERVICES}/v1.batch`, { body: { ...body, spec } })).status).toBe(200)
    answer = (_request, response) => void response.writeHead(418).end()
    expect((await api.request('GET', '/apis/batch/v1/jobs')).status).toBe(200)
    expect(await available('v1.batch')).toEqual(['True', 'Local', 'Local APIServices are always available'])
  })

  test('comes and goes with definitions', async () => {
    const spec = {
      group: 'tests.example.com',
      scope: 'Namespaced',
      names: { plural: 'things', kind: 'Thing' },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
    }
    const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
    const made = await api.request('POST', DEFINITIONS, {
      body: { metadata: { name: 'things.tests.example.com' }, spec },
    })
    expect(made.status).toBe(201)
    await expect.poll(async () => (await available('v1.tests.example.com'))[1]).toBe('Local')
    await api.request('DELETE', `${DEFINITIONS}/things.tests.example.com`)
    await expect.poll(async () => (await api.request('GET', `${SERVICES}/v1.tests.example.com`)).status).toBe(404)
  })
})

test('an APIService says what is wrong with it', async () => {
  const message = async (name: string, spec: object): Promise<string> => (await join(name, spec)).body.message
  expect([
    await message('v1.wrong', { group: 'other.example.com', groupPriorityMinimum: 20_001, versionPriority: 0 }),
    await message('v1.x.example.com', { service: {}, insecureSkipTLSVerify: true }),
    await message('v1.x.example.com', { service: undefined }),
  ]).toEqual([
    'APIService.apiregistration.k8s.io "v1.wrong" is invalid: [metadata.name: Invalid value: "v1.wrong": must be `spec.version+"."+spec.group`: "v1.other.example.com", spec.groupPriorityMinimum: Invalid value: 20001: must be positive and less than 20000, spec.versionPriority: Invalid value: 0: must be positive and less than 1000]',
    'APIService.apiregistration.k8s.io "v1.x.example.com" is invalid: [spec.service.namespace: Required value, spec.service.name: Required value, spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present]',
    expect.stringMatching(/spec.caBundle: Invalid value: "\d+ bytes": local APIServices may not have a caBundle/),
  ])
})

test('a server that is not there is said to be so, and looked for until it is', async () => {
  expect((await join('v1.lost.example.com', { service: { namespace: 'default', name: 'lost' } })).status).toBe(201)
  expect(
    (await join('v1.port.example.com', { service: { namespace: 'default', name: 'wardle', port: 1 } })).status,
  ).toBe(201)
  await expect
    .poll(() => available('v1.lost.example.com'))
    .toEqual(['False', 'ServiceNotFound', 'service/lost in "default" is not present'])
  await expect
    .poll(() => available('v1.port.example.com'))
    .toEqual(['False', 'ServicePortError', 'service/wardle in "default" is not listening on port 1'])
  const refused = await api.request('GET', '/apis/lost.example.com/v1/things')
  expect([refused.status, refused.body.reason, refused.body.message]).toEqual([
    503,
    'ServiceUnavailable',
    'service unavailable',
  ])
  expect(dialed).not.toContain('default/lost:443')
  isUp = false
  await join('v1alpha1.wardle.example.com')
  await expect
    .poll(() => available('v1alpha1.wardle.example.com'))
    .toEqual([
      'False',
      'FailedDiscoveryCheck',
      `failing or missing response from https://wardle.default.svc${REMOTE}: bad status: 500`,
    ])
  const soon = { timeout: 10_000 }
  isUp = 'in another protocol'
  await expect.poll(async () => (await available('v1alpha1.wardle.example.com'))[2], soon).toContain('bad status: 101')
  isUp = true
  await expect
    .poll(() => available('v1alpha1.wardle.example.com'), soon)
    .toEqual(['True', 'Passed', 'all checks passed'])
})

describe('a server that is joined in', () => {
  test('is asked with what the client sent but for who it is, which it is told', async () => {
    let seen: IncomingMessage | undefined
    let sent = ''
    answer = (request, response) => {
      seen = request
      request.setEncoding('utf8').on('data', (chunk: string) => {
        sent += chunk
      })
      request.on('end', () => response.writeHead(201, { 'set-cookie': 'a=b', 'x-own': 'kept' }).end('{"made":true}'))
    }
    const { status, text, headers } = await api.request('POST', `${FLUNDERS}?dryRun=All`, {
      body: { kind: 'Flunder' },
      headers: {
        cookie: 'session',
        'x-remote-user': 'root',
        'x-remote-extra-scope': 'all',
        'impersonate-user': 'Zoë',
        'impersonate-group': 'system:masters',
        accept: 'application/json',
      },
    })
    expect([status, text, headers['set-cookie'], headers['x-own']]).toEqual([201, '{"made":true}', undefined, 'kept'])
    const told = seen?.headersDistinct ?? {}
    expect([seen?.method, seen?.url, sent, told['accept'], told['host']]).toEqual([
      'POST',
      `${FLUNDERS}?dryRun=All`,
      '{"kind":"Flunder"}',
      ['application/json'],
      ['wardle.default.svc'],
    ])
    const user = (told['x-remote-user'] ?? []).map((name) => Buffer.from(name, 'latin1').toString())
    expect([
      user,
      told['x-remote-group'],
      told['x-remote-extra-scope'],
      told['cookie'],
      told['impersonate-user'],
    ]).toEqual([['Zoë'], ['system:masters', 'system:authenticated'], undefined, undefined, undefined])
    const { data } = (
      await api.request('GET', '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication')
    ).body
    const peer = new X509Certificate(peerOf(seen).raw)
    const authority = new X509Certificate(data['requestheader-client-ca-file'])
    expect([peer.subject, peer.verify(authority.publicKey), data['requestheader-allowed-names']]).toEqual([
      'CN=front-proxy-client',
      true,
      '["front-proxy-client"]',
    ])
    expect(peer.verify(new X509Certificate(data['client-ca-file']).publicKey)).toBe(false)
    expect(data['client-ca-file']).toBe(api.certificates.authority)
  })

  test('is only asked for who may', async () => {
    let asked = 0
    answer = (_request, response) => {
      asked++
      response.end('{}')
    }
    const refused = await api.request('GET', FLUNDERS, TENANT)
    expect([refused.status, refused.body.message]).toEqual([
      403,
      'flunders.wardle.example.com is forbidden: User "tenant" cannot list resource "flunders" in API group "wardle.example.com" in the namespace "default"',
    ])
    const odd = await Promise.all(
      [
        `${FLUNDERS}/../../../../../../api/v1/secrets`,
        `${FLUNDERS}/%2e%2e`,
        `${FLUNDERS}/a%2Fb`,
        `${REMOTE}//flunders`,
      ].map(raw),
    )
    expect([odd, asked]).toEqual([[400, 400, 400, 400], 0])
    expect([(await api.request('GET', FLUNDERS)).status, asked]).toEqual([200, 1])
  })

  test('leads nobody elsewhere, and what breaks off is broken off', async () => {
    answer = (_request, response) => void response.writeHead(302, { location: 'https://elsewhere.example' }).end()
    const led = await api.request('GET', FLUNDERS)
    expect([led.status, led.body.message]).toEqual([
      502,
      'the backend attempted to redirect this request, which is not permitted',
    ])
    answer = (request) => void request.socket.destroy()
    expect((await api.request('GET', FLUNDERS)).body).toMatchObject({ code: 503, reason: 'ServiceUnavailable' })
    answer = (request, response) => {
      response.writeHead(200, { 'content-length': 10 })
      response.write('12345', () => request.socket.destroy())
    }
    await expect(api.request('GET', FLUNDERS)).rejects.toThrow(/aborted|hang up|ECONNRESET/)
  })

  test('has failed where it answers in another protocol', async () => {
    answer = (request) => void request.socket.write(SWITCHING)
    const { status, body } = await api.request('GET', FLUNDERS)
    const message = 'error trying to reach service: it answered in another protocol than HTTP'
    expect([status, body.message]).toEqual([503, message])
  })

  test('streams, and hears that nobody listens any more', async () => {
    const gone = Promise.withResolvers<void>()
    answer = (_request, response) => {
      response.on('close', gone.resolve)
      response.write('{"type":"ADDED"}\n')
    }
    const request = httpsRequest(`${api.url}${FLUNDERS}?watch=true`, { agent: api.agent }).end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const [chunk] = (await once(response, 'data')) as [Buffer]
    expect(chunk.toString()).toBe('{"type":"ADDED"}\n')
    response.on('error', () => undefined)
    request.destroy()
    await gone.promise
  })

  test('is discovered with the rest', async () => {
    const groups = (await api.request('GET', '/apis')).body.groups
    const version = { groupVersion: 'wardle.example.com/v1alpha1', version: 'v1alpha1' }
    expect([groups[0].name, groups.at(-1)]).toEqual([
      'apiregistration.k8s.io',
      { name: 'wardle.example.com', versions: [version], preferredVersion: version },
    ])
    expect((await api.request('GET', '/apis/wardle.example.com')).body).toEqual({
      kind: 'APIGroup',
      apiVersion: 'v1',
      ...groups.at(-1),
    })
    expect((await api.request('GET', REMOTE)).body).toEqual(KINDS)
    const { items } = (await api.request('GET', '/apis', { headers: { accept: AGGREGATED } })).body
    expect(items.at(-1)).toEqual({
      metadata: { name: 'wardle.example.com' },
      versions: [
        {
          version: 'v1alpha1',
          freshness: 'Current',
          resources: [
            {
              resource: 'flunders',
              responseKind: { group: '', version: '', kind: 'Flunder' },
              scope: 'Namespaced',
              singularResource: 'flunder',
              verbs: ['get', 'list'],
              shortNames: ['fl'],
              subresources: [
                { subresource: 'status', responseKind: { group: '', version: '', kind: 'Flunder' }, verbs: ['get'] },
              ],
            },
          ],
        },
      ],
    })
    expect((await api.request('GET', '/apis/lost.example.com')).status).toBe(404)
  })

  test('keeps what others say of it, and goes with its APIService', async () => {
    const [mine] = (await api.request('GET', `${SERVICES}/v1alpha1.wardle.example.com`)).body.status.conditions
    const conditions = [mine, { type: 'Seen', status: 'True' }]
    const type = { 'content-type': 'application/merge-patch+json' }
    const path = `${SERVICES}/v1alpha1.wardle.example.com`
    await api.request('PATCH', `${path}/status`, { body: { status: { conditions } }, headers: type })
    await api.request('PATCH', path, { body: { spec: { versionPriority: 20 } }, headers: type })
    await expect
      .poll(async () =>
        (await api.request('GET', path)).body.status.conditions.map((each: { type: string }) => each.type),
      )
      .toEqual(['Available', 'Seen'])
    const table = await api.request('GET', SERVICES, {
      headers: { accept: 'application/json;as=Table;g=meta.k8s.io;v=v1' },
    })
    const rows = table.body.rows.map(({ cells }: { cells: string[] }) => cells.slice(0, 3))
    expect(rows).toContainEqual(['v1alpha1.wardle.example.com', 'default/wardle', 'True'])
    expect(rows).toContainEqual(['v1.lost.example.com', 'default/lost', 'False (ServiceNotFound)'])
    expect(rows).toContainEqual(['v1.apps', 'Local', 'True'])
    await api.request('DELETE', path)
    await expect.poll(async () => (await api.request('GET', FLUNDERS)).status).toBe(404)
    expect((await api.request('GET', '/apis')).body.groups.map(({ name }: { name: string }) => name)).not.toContain(
      'wardle.example.com',
    )
  })
})

function peerOf(request: IncomingMessage | undefined): PeerCertificate {
  if (!request) throw new Error('it was not asked')
  return (request.socket as TLSSocket).getPeerCertificate()
}

/** The status of the answer to a path that is sent as it is. */
function raw(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(api.url)
    const request = httpsRequest({ hostname, port, path, agent: api.agent }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
    })
    request.on('error', reject).end()
  })
}
