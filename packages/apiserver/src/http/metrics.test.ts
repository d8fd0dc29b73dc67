/** However hostile the traffic, `/metrics` has series of what exists and of nothing else. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { ADMINISTRATOR } from '../testing/running-server.ts'
import { startTemporaryServer, TENANT_TOKEN, type WholeServer } from '../testing/whole-server.ts'

let api: WholeServer
beforeAll(async () => {
  api = await startTemporaryServer()
})
afterAll(async () => {
  await api[Symbol.asyncDispose]()
  expect(api.reported).toEqual([])
})

const authorization = { authorization: `Bearer ${TENANT_TOKEN}` }
const asTenant = (method: string, path: string, body?: unknown) =>
  api.request(method, path, { anonymous: true, headers: authorization, ...(body !== undefined && { body }) })

/** The labels of every series of requests, without the buckets. */
async function series(): Promise<string[]> {
  const { text } = await api.request('GET', '/metrics')
  const found = text.matchAll(
    /^(?:apiserver_request_total|apiserver_request_duration_seconds_count|apiserver_longrunning_requests)\{(.*)\} \d+$/gm,
  )
  return [...found].map(([, labels]) => labels as string)
}

test('count the process without waking it', async () => {
  const { text } = await api.request('GET', '/metrics')
  const own = [...text.matchAll(/^# TYPE ((?:process|nodejs_eventloop)_\S*) /gm)].map(([, name]) => name)
  expect(own).toContain('process_resident_memory_bytes')
  expect(own.filter((name) => name?.startsWith('nodejs'))).toEqual(['nodejs_eventloop_lag_seconds'])
  const { user, system } = process.cpuUsage()
  const counted = Number(/^process_cpu_seconds_total (\S+)$/m.exec(text)?.[1])
  expect(counted / ((user + system) / 1e6)).toBeGreaterThan(0.9)
  const program = `
    const { createMetrics } = await import(${JSON.stringify(new URL('metrics.ts', import.meta.url).href)})
    const kinds = { registry: { generation: 0 } }
    await createMetrics(kinds, { store: { bytes: () => 0 }, limits: { total: 1, perNamespace: 1 } }).text()
    setTimeout(() => {}, 1e6)
    console.log('ready')`
  const idle = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void idle.kill('SIGKILL'))
  await once(idle.stdout, 'data')
  const wakes = (): number =>
    Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(readFileSync(`/proc/${idle.pid}/status`, 'utf8'))?.[1])
  const before = wakes()
  await setTimeout(1000)
  expect(wakes() - before).toBeLessThan(20)
})

test('names that nobody serves, whatever they are in, make no series', async () => {
  const path = '/api/v1/namespaces/zz/pods/p'
  const hostile = (text: string): [string, string][] => [
    ['GET', `${path}/${text}`],
    ['POST', `${path}/${text}`],
    ['GET', `/api/v1/namespaces/${text}/pods/${text}`],
    ['GET', `/api/v1/namespaces/zz/${text}`],
    ['GET', `/apis/${text}/v1/things`],
    ['GET', `/apis/apps/${text}/deployments`],
    ['GET', `/${text}`],
    ['QUERY', path],
    ['PATCH', `${path}?dryRun=${text}`],
    ['GET', `/apis/apps/v1/namespaces/zz/deployments/d/${text}`],
  ]
  for (const [method, at] of hostile('anything')) await asTenant(method, at)
  await series()
  const before = await series()
  const texts = ['constructor', '__proto__', ...Array.from({ length: 40 }, (_, index) => `any${index}`)]
  for (const text of texts) await Promise.all(hostile(text).map(([method, at]) => asTenant(method, at)))
  expect(await series()).toEqual(before)
  expect(before.join('\n')).not.toContain('any')
})

test('subresources that are served have theirs', async () => {
  await asTenant('GET', '/api/v1/namespaces/zz/pods/p/log')
  await asTenant('PUT', '/apis/apps/v1/namespaces/zz/deployments/d/scale', {})
  const text = (await series()).join('\n')
  expect(text).toContain('resource="pods",subresource="log"')
  expect(text).toContain('resource="deployments",subresource="scale"')
})

test('series of a custom kind go with its definition', async () => {
  const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
  const define = (plural: string) =>
    api.request('POST', definitions, {
      body: {
        metadata: { name: `${plural}.example.com` },
        spec: {
          group: 'example.com',
          scope: 'Namespaced',
          names: { plural, kind: plural[0]?.toUpperCase() + plural.slice(1) },
          versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
        },
      },
    })
  const collection = (plural: string): string => `/apis/example.com/v1/namespaces/default/${plural}`
  const mentions = async (plural: string): Promise<number> =>
    (await series()).filter((labels) => labels.includes(`resource="${plural}"`)).length
  for (const plural of ['stays', 'goes']) {
    expect((await define(plural)).status).toBe(201)
    await expect.poll(async () => (await api.request('GET', collection(plural))).status).toBe(200)
    const own = api.server.connect(ADMINISTRATOR)
    for await (const _ of own.watch({ method: 'GET', path: collection(plural), query: { timeoutSeconds: '1' } }));
    expect(await mentions(plural)).toBe(5)
  }
  expect((await api.request('DELETE', `${definitions}/goes.example.com`)).status).toBe(200)
  await expect.poll(async () => (await api.request('GET', collection('goes'))).status).toBe(404)
  await expect.poll(() => mentions('goes')).toBe(0)
  expect(await mentions('stays')).toBe(5)
})
