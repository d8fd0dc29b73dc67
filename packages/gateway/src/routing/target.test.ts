/** Which Pods requests reach, and which they never do. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { LABELS, nameHash } from '@caisson/api'
import { createClient, resources } from '@caisson/client'
import { describe, expect, test } from 'vitest'
import { ask, routerFixture } from '../testing/router-fixture.ts'

const fixture = routerFixture()
const { start, pod, serve } = fixture
const CANNOT = JSON.stringify({ detail: 'Could not connect to the backend sandbox: box' })

describe('the target', () => {
  const from = async (url: string, headers: Record<string, string>): Promise<unknown[]> => {
    const { status, body } = await ask(url, { headers })
    return [status, body]
  }

  test('is a Pod that the Sandbox controls and that carries its hash, Ready and there', async () => {
    const { url } = await start()
    const port = await serve((_request, response) => void response.end('reached'))
    const to = (id: string): Promise<unknown[]> => from(url, { 'X-Sandbox-ID': id, 'X-Sandbox-Port': String(port) })
    await pod('box')
    await pod('unlabelled', { labels: {} })
    await pod('mislabelled', { labels: { [LABELS.sandboxNameHash]: nameHash('box') } })
    await pod('owned', { owner: { controller: false } })
    await pod('foreign', { owner: { apiVersion: 'example.org/v1' } })
    await pod('starting', { ready: false })
    expect(await to('box')).toEqual([200, 'reached'])
    for (const id of ['unlabelled', 'mislabelled', 'owned', 'foreign', 'starting'])
      expect([id, (await to(id))[0]]).toEqual([id, 502])
  })

  test('is never an address that is not that Sandbox’s', async () => {
    const { url } = await start()
    const port = await serve((request, response) => void response.end(request.socket.localAddress))
    await pod('box', { ip: '127.0.0.1' })
    await pod('other', { ip: '127.0.0.2' })
    const to = (ip: string): Promise<unknown[]> =>
      from(url, { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port), 'X-Sandbox-Pod-IP': ip })
    expect(await Promise.all(['127.0.0.1', '127.0.0.2', '10.96.0.1', '169.254.169.254'].map(to))).toEqual([
      [200, '127.0.0.1'],
      [200, '127.0.0.1'],
      [200, '127.0.0.1'],
      [400, '{"detail":"Invalid target IP address."}'],
    ])
  })

  test('is no Pod that has but the name, not even to wake it', async () => {
    const { url } = await start({ client: fixture.overNetwork })
    await fixture.client.create(
      resources.pods,
      { metadata: { name: 'stranger' }, spec: { nodeName: 'here', containers: [{ name: 'main', image: 'x' }] } },
      { namespace: 'default' },
    )
    fixture.stack.defer(async () => {
      await fixture.client.delete(resources.pods, 'stranger', { namespace: 'default', gracePeriodSeconds: 0 })
    })
    const headers = { 'X-Sandbox-ID': 'stranger', 'X-Sandbox-Port': '5432' }
    expect([(await ask(url, { headers })).status, fixture.connected]).toEqual([502, []])
  })

  test('is no address that cannot be a Pod’s, whatever its status says', async () => {
    const { url } = await start({ allowLoopbackPodIp: false })
    const port = await serve((_request, response) => void response.end('reached'))
    await pod('box')
    expect(await from(url, { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) })).toEqual([502, CANNOT])
  })

  test('is the very Sandbox that is meant, not another of its name', async () => {
    const { url } = await start()
    const port = await serve((_request, response) => void response.end('reached'))
    await pod('box', { uid: 'new' })
    const to = (uid: string): Promise<unknown[]> =>
      from(url, { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port), 'X-Sandbox-UID': uid })
    expect([await to('new'), await to('old')]).toEqual([
      [200, 'reached'],
      [502, CANNOT],
    ])
  })

  test('is none of a pool that nobody has claimed, but for who knows its UID', async () => {
    const { url } = await start()
    const port = await serve((_request, response) => void response.end('reached'))
    await pod('box', { labels: { [LABELS.sandboxNameHash]: nameHash('box'), [LABELS.warmPool]: 'x' }, uid: 'u' })
    const headers = { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) }
    expect([
      await from(url, headers),
      await from(url, { ...headers, 'X-Sandbox-Pod-IP': '127.0.0.1' }),
      await from(url, { ...headers, 'X-Sandbox-UID': 'u' }),
    ]).toEqual([
      [502, CANNOT],
      [502, CANNOT],
      [200, 'reached'],
    ])
  })

  test('is no port of the machine that the Sandbox shares the network of', async () => {
    const { url } = await start({ client: fixture.overNetwork })
    const port = await serve((_request, response) => void response.end('reached'))
    await allowHostNetwork()
    await pod('box', { hostNetwork: true })
    await pod('starting', { hostNetwork: true, ready: false })
    const to = async (id: string): Promise<unknown> =>
      (await from(url, { 'X-Sandbox-ID': id, 'X-Sandbox-Port': String(port) }))[0]
    expect([await to('box'), await to('starting'), fixture.connected]).toEqual([502, 502, []])
  })

  async function allowHostNetwork(): Promise<void> {
    const label = async (level: string | null): Promise<void> => {
      const labels = { 'pod-security.kubernetes.io/enforce': level }
      await fixture.client.patch(resources.namespaces, 'default', { metadata: { labels } } as never, {})
    }
    await label('privileged')
    fixture.stack.defer(() => label(null))
  }

  test('is the one Pod that has the Sandbox’s name, where others say that they are it', async () => {
    const { url } = await start()
    const port = await serve((request, response) => void response.end(request.socket.localAddress))
    for (const host of ['127.0.0.2', '127.0.0.3'])
      await serve((_request, response) => void response.end(host), { host, port })
    const to = (): Promise<unknown[]> => from(url, { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) })
    const claiming = {
      labels: { [LABELS.sandboxNameHash]: nameHash('box') },
      owner: { name: 'box' },
      uid: 'uid-of-box',
    }
    await pod('adopted', { ...claiming, ip: '127.0.0.2' })
    expect(await to()).toEqual([200, '127.0.0.2'])
    await pod('another', { ...claiming, ip: '127.0.0.3' })
    await expect.poll(to).toEqual([502, CANNOT])
    await pod('box', { ready: false })
    await expect.poll(async () => (await to())[0]).toBe(502)
    const status = { conditions: [{ type: 'Ready', status: 'True' }] }
    const at = { namespace: 'default', subresource: 'status' } as const
    await fixture.client.patch(resources.pods, 'box', { status } as never, at)
    await expect.poll(to).toEqual([200, '127.0.0.1'])
  })

  test('that is unknown is looked for once, however often it is asked for, and found as soon as it is there', async () => {
    const { transport } = fixture.overNetwork
    const looked: string[] = []
    const client = createClient({
      ...transport,
      request(request) {
        if (request.path.endsWith('/pods/box')) looked.push(request.path)
        return transport.request(request)
      },
    })
    const { url } = await start({ client })
    const port = await serve((_request, response) => void response.end('reached'))
    const to = (): Promise<unknown[]> => from(url, { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) })
    const asked = [...(await Promise.all([to(), to(), to()])), await to(), await to()]
    expect([asked, looked]).toEqual([
      Array.from({ length: 5 }, () => [502, CANNOT]),
      ['/api/v1/namespaces/default/pods/box'],
    ])
    await pod('box')
    await expect.poll(to).toEqual([200, 'reached'])
  })

  test('is waited for where it was made just now', async () => {
    const { url } = await start({ retries: 3 })
    const port = await serve((_request, response) => void response.end('reached'))
    const asked = from(url, { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) })
    await pod('box')
    expect(await asked).toEqual([200, 'reached'])
  })

  test('is connected to again where it does not listen yet', async () => {
    const { url, adminPort } = await start({ retries: 3 })
    await pod('box')
    const server = createServer((_request, response) => void response.end('reached'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    const asked = from(url, { 'X-Sandbox-ID': 'box', 'X-Sandbox-Port': String(port) })
    const admin = `http://127.0.0.1:${adminPort}`
    await expect
      .poll(async () => (await ask(admin, { path: '/metrics' })).body)
      .toContain('sandbox_router_upstream_retries_total{sandbox_namespace="default"} 1')
    server.listen(port, '127.0.0.1')
    fixture.stack.defer(() => {
      server.close()
    })
    expect(await asked).toEqual([200, 'reached'])
  })
})

test('a server that is no Pod’s is not one for it', async () => {
  // What a listener on the machine's own loopback would be: the API server, databases, other users' programs.
  const { url } = await start()
  const reached: string[] = []
  const server = createTcpServer((socket) => {
    reached.push('reached')
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  fixture.stack.defer(() => {
    server.close()
  })
  const { port } = server.address() as AddressInfo
  for (const headers of [
    { 'X-Sandbox-ID': 'localhost' },
    { 'X-Sandbox-ID': 'box', 'X-Sandbox-Pod-IP': '10.0.0.1' },
    { 'X-Sandbox-ID': 'kubernetes', 'X-Sandbox-Namespace': 'default' },
  ])
    expect((await ask(url, { headers: { ...headers, 'X-Sandbox-Port': String(port) } })).status).toBe(502)
  expect(reached).toEqual([])
})
