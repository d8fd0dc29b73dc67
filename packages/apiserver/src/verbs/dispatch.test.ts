import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { configMap, createRequests, said } from '../testing/requests.ts'
import { ADMINISTRATOR, type RunningServer, startServer } from '../testing/running-server.ts'

let server: RunningServer
const { collection, get, post } = createRequests(() => server)

beforeAll(async () => {
  server = await startServer()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

describe('in process', () => {
  test('objects are shared, not copied, and the same rules hold', async () => {
    const path = await collection()
    const client = server.server.connect(ADMINISTRATOR)
    const body = configMap('a', { data: { k: 'v' } })
    const created = await client.request({ method: 'POST', path, body })
    expect(created.status).toBe(201)
    // What was sent still belongs to the caller.
    body.metadata.name = 'changed'
    const found = await client.request({ method: 'GET', path: `${path}/a` })
    expect(found.body).toBe(created.body)
    expect(Object.isFrozen(found.body)).toBe(true)
    const missing = await client.request({ method: 'GET', path: `${path}/b` })
    expect([missing.status, (missing.body as { reason: string }).reason]).toEqual([404, 'NotFound'])
    expect((await get(`${path}/a`)).body.data).toEqual({ k: 'v' })
  })
})

describe('paths', () => {
  test.each<[method: string, path: string, expected: number]>([
    ['GET', '/api/v1/nothings', 404],
    ['GET', '/apis/nothing/v1/nothings', 404],
    ['GET', '/nothing', 404],
    ['GET', '/api/v1/namespaces/default/configmaps/a/nothing', 404],
    ['GET', '/api/v1/namespaces/default/namespaces/a', 404],
    ['PUT', '/api/v1/namespaces/default/configmaps', 405],
    ['POST', '/api/v1/namespaces/default/configmaps/a', 405],
    ['POST', '/api/v1/configmaps', 405],
    ['DELETE', '/api/v1/namespaces', 405],
    ['GET', '/api/v1/namespaces/%E0%A4%A', 400],
    ['GET', '/healthz', 200],
    ['GET', '/livez', 200],
  ])('%s %s: %i', async (method, path, expected) => {
    const answer = await server.request(method, path, method === 'POST' ? { body: configMap('a') } : {})
    expect(answer.status).toBe(expected)
  })

  test('nobody gets in without a name', async () => {
    const answer = await server.request('GET', '/version', { anonymous: true })
    expect(said(answer)).toBe('401 Unauthorized: Unauthorized')
  })

  test('requests are counted as kube-apiserver counts them', async () => {
    const path = await collection()
    await post(path, configMap('a'))
    await server.request('PATCH', `${path}/a?fieldManager=x`, {
      body: configMap('a', { data: { k: 'v' } }),
      headers: { 'content-type': 'application/apply-patch+yaml' },
    })
    await server.server.connect(ADMINISTRATOR).request({ method: 'GET', path })
    const { text } = await get('/metrics')
    const count = (labels: string) => text.includes(`apiserver_request_total{${labels}}`)
    const rest = 'group="",version="v1",resource="configmaps",subresource=""'
    expect(count(`verb="POST",${rest},scope="resource",component="apiserver",dry_run="",code="201"`)).toBe(true)
    expect(count(`verb="APPLY",${rest},scope="resource",component="apiserver",dry_run="",code="200"`)).toBe(true)
    expect(count(`verb="LIST",${rest},scope="namespace",component="apiserver",dry_run="",code="200"`)).toBe(true)
    expect(text).not.toContain('nothings')
  })
})
