import { once } from 'node:events'
import { request as httpsRequest } from 'node:https'
import type { Duplex } from 'node:stream'
import type { KubeObject } from '@caisson/api'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { builtinResources } from '../registry/builtin/index.ts'
import { ADMINISTRATOR, type RunningServer, startServer } from '../testing/running-server.ts'
import type { NodeConnection } from './node-proxy.ts'

let server: RunningServer
let mayExecute: boolean
/** A verb and a subresource that nobody may. */
let refused: string | undefined

/** Says what it was asked for; its upgraded connections echo in capitals. */
const node: NodeConnection = {
  request(request, response) {
    if (request.url?.includes('missing')) {
      response.writeHead(404, { 'Content-Type': 'text/plain' })
      response.write('no such ')
      response.end('container')
      return
    }
    response.writeHead(200, { 'Content-Type': 'text/plain' })
    response.end(`${request.method} ${request.url}`)
  },
  upgrade(request, socket, head) {
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`)
    socket.write(`${request.url}\n${head.toString()}`)
    socket.on('data', (chunk: Buffer) => socket.write(chunk.toString().toUpperCase()))
    socket.on('end', () => socket.end())
  },
  proxy(target, { response }) {
    response.writeHead(200, { 'Content-Type': 'application/json' })
    response.end(JSON.stringify(target))
  },
  proxyUpgrade(target, { socket }) {
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`)
    socket.on('data', (chunk: Buffer) => socket.end(`${target.url} ${chunk.toString()}`))
  },
  async *stream(url) {
    yield Buffer.from(`stream ${url}`)
  },
}

const POD = '/api/v1/namespaces/default/pods/web'

beforeEach(async () => {
  mayExecute = true
  refused = undefined
  server = await startServer({
    resources: builtinResources(),
    node: (name) => (name === 'here' ? node : undefined),
    authorize: (attributes) => ({
      allowed:
        !('subresource' in attributes && `${attributes.verb} ${attributes.subresource}` === refused) &&
        (mayExecute || !('subresource' in attributes) || attributes.subresource !== 'exec') &&
        (attributes.user.username === 'kubernetes-admin' || !('subresource' in attributes)),
      reason: '',
    }),
  })
  await server.request('POST', '/api/v1/namespaces', { body: { metadata: { name: 'default' } } })
  await server.request('POST', '/api/v1/nodes', { body: { metadata: { name: 'here' } } })
  await pod('web', 'here', ['main'])
  await pod('pending', '', ['main'])
  await pod('two', 'here', ['a', 'b', 'missing'])
  await pod('lost', 'elsewhere', ['main'])
})

afterEach(() => server[Symbol.asyncDispose]())

async function pod(name: string, nodeName: string, containers: string[]): Promise<void> {
  const { status, text } = await server.request('POST', '/api/v1/namespaces/default/pods', {
    body: {
      metadata: { name },
      spec: { nodeName, containers: containers.map((each) => ({ name: each, image: 'x' })) },
    },
  })
  expect(status, text).toBe(201)
}

/** Settles with the socket of an accepted upgrade, or with the status and message of a refused one. */
function upgrade(path: string): Promise<Duplex | string> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(server.url + path, {
      method: 'POST',
      agent: server.agent,
      headers: { connection: 'Upgrade', upgrade: 'echo' },
    })
    request.on('error', reject)
    request.on('upgrade', (_response, socket) => resolve(socket))
    request.on('response', (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
      response.on('end', () => resolve(`${response.statusCode} ${(JSON.parse(text) as { message: string }).message}`))
    })
    request.end()
  })
}

describe('upgrades', () => {
  test('reach the node as the kubelet names them, and then belong to it', async () => {
    const socket = (await upgrade(`${POD}/exec?command=sh&command=-c&stdin=true&stdout=1&tty=false`)) as Duplex
    const [first] = (await once(socket, 'data')) as [Buffer]
    expect(first.toString()).toBe('/exec/default/web/main?input=1&output=1&command=sh&command=-c\n')
    socket.write('hello')
    const [second] = (await once(socket, 'data')) as [Buffer]
    expect(second.toString()).toBe('HELLO')
    socket.end()
    await once(socket, 'close')
  })

  test.each<[path: string, expected: string]>([
    ['/api/v1/namespaces/default/pods/nothing/exec', '404 pods "nothing" not found'],
    ['/api/v1/namespaces/default/pods/pending/exec', '400 pod pending does not have a host assigned'],
    [
      '/api/v1/namespaces/default/pods/two/attach',
      '400 a container name must be specified for pod two, choose one of: [a b missing]',
    ],
    ['/api/v1/namespaces/default/pods/two/exec?container=c', '400 container c is not valid for pod two'],
    [
      '/api/v1/namespaces/default/pods/lost/portforward',
      '500 Internal error occurred: error dialing backend: node "elsewhere" is not connected to this server',
    ],
    [
      '/api/v1/namespaces/default/nodes/here/proxy/exec/default/web/main',
      '404 the server could not find the requested resource',
    ],
    ['/api/v9/namespaces/default/pods/web/exec', '404 the server could not find the requested resource'],
    [
      '/api/v1/namespaces/default/pods',
      '400 this path does not speak another protocol: send the request without Upgrade',
    ],
  ])('%s is refused', async (path, expected) => {
    expect(await upgrade(path)).toBe(expected)
  })

  test.each([
    [false, '/portForward/default/web?ports=80\n'],
    [true, '/portForward/default/web?ports=80&mayExecute=true\n'],
  ])(
    'go with the port, and with whether the client may execute (%s), whatever it says itself',
    async (may, expected) => {
      mayExecute = may
      const socket = (await upgrade(`${POD}/portforward?ports=80&mayExecute=true`)) as Duplex
      const [first] = (await once(socket, 'data')) as [Buffer]
      expect(first.toString()).toBe(expected)
      socket.destroy()
    },
  )
})

describe('requests', () => {
  test('for logs reach the node', async () => {
    const { status, text } = await server.request('GET', `${POD}/log?follow=false&tailLines=5&timestamps=true&pretty=1`)
    expect([status, text]).toEqual([200, 'GET /containerLogs/default/web/main?tailLines=5&timestamps=true'])
  })

  test('for the log of a Pod without a node are empty', async () => {
    const { status, text } = await server.request('GET', '/api/v1/namespaces/default/pods/pending/log')
    expect([status, text]).toEqual([200, ''])
  })

  test('get what the node complains of as a Status', async () => {
    const { status, body } = await server.request('GET', '/api/v1/namespaces/default/pods/two/log?container=missing')
    expect([status, body.kind, body.message]).toEqual([
      404,
      'Status',
      'the server could not find the requested resource: no such container',
    ])
  })

  test.each<[query: string, expected: string]>([
    ['tailLines=-1', 'tailLines: Invalid value: -1: must be greater than or equal to 0'],
    ['limitBytes=0', 'limitBytes: Invalid value: 0: must be greater than 0'],
    ['stream=', 'stream: Unsupported value: "": supported values: "All", "Stderr", "Stdout"'],
    ['stream=Stdout&tailLines=1', ': Forbidden: `tailLines` and specific `stream` are mutually exclusive for now'],
    [
      'sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z',
      ': Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified',
    ],
  ])('for logs with %s are refused', async (query, expected) => {
    const { status, body } = await server.request('GET', `${POD}/log?${query}`)
    expect([status, body.message]).toEqual([422, `PodLogOptions "web" is invalid: ${expected}`])
  })

  test('to a node itself are passed on', async () => {
    const { text } = await server.request('GET', '/api/v1/nodes/here/proxy/stats/summary?only=cpu')
    expect(text).toBe('GET /stats/summary?only=cpu')
  })

  test('in process come as bytes', async () => {
    const parts: string[] = []
    const stream = server.server
      .connect(ADMINISTRATOR)
      .stream({ method: 'GET', path: `${POD}/log`, query: { follow: 'true' } })
    for await (const chunk of stream) parts.push(Buffer.from(chunk).toString())
    expect(parts).toEqual(['stream /containerLogs/default/web/main?follow=true'])
  })

  test('are authorised like any other', async () => {
    const client = server.server.connect({ username: 'nobody', groups: [] })
    const reading = client.stream({ method: 'GET', path: `${POD}/log` })[Symbol.asyncIterator]()
    await expect(reading.next()).rejects.toMatchObject({
      reason: 'Forbidden',
      message:
        'pods "web" is forbidden: User "nobody" cannot get resource "pods/log" in API group "" in the namespace "default"',
    })
  })
})

describe('requests to ports of Pods', () => {
  const SERVICES = '/api/v1/namespaces/default/services'
  const uidOf = (name: string): string => server.store.get('pods', 'default', name)?.metadata.uid ?? ''

  async function service(name: string, ports: object[]): Promise<void> {
    const { status, text } = await server.request('POST', SERVICES, { body: { metadata: { name }, spec: { ports } } })
    expect(status, text).toBe(201)
  }

  async function slice(service: string, endpoints: object[]): Promise<void> {
    const { status, text } = await server.request(
      'POST',
      '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices',
      {
        body: {
          metadata: { generateName: `${service}-`, labels: { 'kubernetes.io/service-name': service } },
          addressType: 'IPv4',
          ports: [
            { name: 'http', port: 8080 },
            { name: 'tls', port: 8443 },
          ],
          endpoints,
        },
      },
    )
    expect(status, text).toBe(201)
  }

  const to = (name: string, uid = uidOf(name)): object => ({
    addresses: ['10.0.0.1'],
    targetRef: { kind: 'Pod', namespace: 'default', name, uid },
  })

  test('are handed to the node with the Pod that they are for', async () => {
    const { body } = await server.request('PATCH', '/api/v1/namespaces/default/pods/https:web:8443/proxy/a%2Fb/?c=d')
    expect(body).toEqual({
      namespace: 'default',
      name: 'web',
      uid: uidOf('web'),
      port: 8443,
      tls: true,
      url: '/a%2Fb/?c=d',
      prefix: '/api/v1/namespaces/default/pods/https:web:8443/proxy',
    })
  })

  test('may be of any method; OPTIONS of what is no proxy is answered here', async () => {
    const code = async (method: string, path: string): Promise<number> => (await server.request(method, path)).status
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
      expect(await code(method, `${POD}/proxy/`), method).toBe(200)
    expect([await code('OPTIONS', `${POD}/log`), await code('TRACE', `${POD}/proxy/`)]).toEqual([405, 405])
  })

  test('go to the first port that is declared, else to HTTP’s', async () => {
    await server.request('POST', '/api/v1/namespaces/default/pods', {
      body: {
        metadata: { name: 'declared' },
        spec: { nodeName: 'here', containers: [{ name: 'main', image: 'x', ports: [{ containerPort: 3000 }] }] },
      },
    })
    const ports = await Promise.all(
      ['declared', 'web', 'https:web:'].map(
        async (name) => (await server.request('GET', `/api/v1/namespaces/default/pods/${name}/proxy/`)).body.port,
      ),
    )
    expect(ports).toEqual([3000, 80, 443])
  })

  test('of Services go to a Pod that is ready, by the name or the number of a port', async () => {
    await service('front', [
      { name: 'http', port: 80, targetPort: 8080 },
      { name: 'tls', port: 443, targetPort: 8443 },
    ])
    await slice('front', [to('web'), { ...to('two'), conditions: { ready: false } }])
    for (const [name, port, tls] of [
      ['front:http', 8080, false],
      ['front:80', 8080, false],
      ['https:front:tls', 8443, true],
    ] as const) {
      const { body } = await server.request('GET', `${SERVICES}/${name}/proxy/healthz`)
      expect(body).toEqual({
        namespace: 'default',
        name: 'web',
        uid: uidOf('web'),
        port,
        tls,
        url: '/healthz',
        prefix: `${SERVICES}/${name}/proxy`,
      })
    }
  })

  test.each<[path: string, expected: [code: number, message: string]]>([
    ['pods/nothing', [404, 'pods "nothing" not found']],
    ['pods/ftp:web:80', [400, 'invalid pod request "ftp:web:80"']],
    ['pods/a:b:c:d', [400, 'invalid pod request "a:b:c:d"']],
    ['pods/web:http', [400, '"http" is not the number of a port of a Pod: 1 to 65535']],
    ['pods/web:65536', [400, '"65536" is not the number of a port of a Pod: 1 to 65535']],
    ['pods/pending', [400, 'address not allowed']],
    ['services/nothing', [404, 'services "nothing" not found']],
    ['services/ftp:back:80', [400, 'invalid service request "ftp:back:80"']],
    ['services/back:81', [503, 'no service port 81 found for service "back"']],
    ['services/back:other', [503, 'no endpoints available for service "back"']],
    ['services/back', [503, 'no endpoints available for service "back"']],
    // EndpointSlices say any address: of the machine, of a Pod of another namespace, of one that was there before.
    ['services/back:http', [400, 'address not allowed']],
  ])('%s/proxy is refused', async (path, expected) => {
    await service('back', [{ name: 'http', port: 80 }])
    await slice('back', [])
    await slice('back', [
      { addresses: ['192.0.2.1'] },
      { addresses: ['192.0.2.2'], targetRef: { kind: 'Node', name: 'here' } },
      to('web', 'another'),
      to('nothing'),
    ])
    const { status, body } = await server.request('GET', `/api/v1/namespaces/default/${path}/proxy/`)
    expect([status, body.message]).toEqual(expected)
  })

  test('that name no path are led to where relative links are right', async () => {
    const { status, headers } = await server.request('GET', `${POD}/proxy?a=b`)
    expect([status, headers['location']]).toEqual([301, `${POD}/proxy/?a=b`])
    const written = await server.request('DELETE', `${POD}/proxy?a=b`)
    expect([written.status, written.body.url]).toEqual([200, '/?a=b'])
  })

  test('may ask for another protocol', async () => {
    const socket = (await upgrade(`${POD}/proxy/socket`)) as Duplex
    socket.write('hello')
    const [first] = (await once(socket, 'data')) as [Buffer]
    expect(first.toString()).toBe('/socket hello')
  })

  test.each([
    ['POST', 'create'],
    ['PUT', 'update'],
    ['DELETE', 'delete'],
  ])('%s needs the right to %s pods/proxy', async (method, verb) => {
    refused = `${verb} proxy`
    const { status, body } = await server.request(method, `${POD}/proxy/`)
    expect([status, body.message]).toEqual([
      403,
      `pods "web" is forbidden: User "kubernetes-admin" cannot ${verb} resource "pods/proxy" in API group "" in the namespace "default"`,
    ])
  })
})

test('stopping the server ends what was upgraded, and watches in this process', async () => {
  const socket = (await upgrade(`${POD}/exec`)) as Duplex
  socket.on('error', () => undefined).resume()
  const watching = (async () => {
    const names: (string | undefined)[] = []
    const client = server.server.connect(ADMINISTRATOR)
    for await (const { object } of client.watch({ method: 'GET', path: '/api/v1/nodes' }))
      names.push((object as KubeObject).metadata.name)
    return names
  })()
  await server.request('GET', '/readyz')
  const closed = once(socket, 'close')
  await server.server[Symbol.asyncDispose]()
  await closed
  expect(await watching).toEqual(['here'])
})
