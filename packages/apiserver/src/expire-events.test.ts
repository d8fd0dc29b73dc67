/** A whole server under a clock that the test moves; its disk is real. */
import { rmSync } from 'node:fs'
import type { WatchEvent } from '@caisson/api'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ADMINISTRATOR } from './testing/running-server.ts'
import { startWholeServer, type WholeServer } from './testing/whole-server.ts'

const MINUTE = 60_000
const CORE = '/api/v1/namespaces/default/events'
const GROUP = '/apis/events.k8s.io/v1/namespaces/default/events'

let api: WholeServer
let stop: AbortController

beforeEach(async () => {
  // A whole second, as times of objects are.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: Math.floor(Date.now() / 1000) * 1000 })
  api = await startWholeServer()
  stop = new AbortController()
})
afterEach(async () => {
  stop.abort()
  vi.useRealTimers()
  await api[Symbol.asyncDispose]()
  rmSync(api.directory, { recursive: true })
  expect(api.reported).toEqual([])
})

const send = async (method: 'GET' | 'POST' | 'PATCH', path: string, body?: unknown) => {
  const patch = method === 'PATCH' ? { patchType: 'application/merge-patch+json' } : {}
  return await api.server.connect(ADMINISTRATOR).request({ method, path, body, ...patch })
}

async function record(name: string): Promise<void> {
  const involvedObject = { kind: 'Pod', namespace: 'default', name: 'p' }
  const { status } = await send('POST', CORE, { metadata: { name }, involvedObject, reason: 'Seen', message: 'x' })
  expect(status).toBe(201)
}

async function recordInGroup(name: string): Promise<void> {
  const { status } = await send('POST', GROUP, {
    metadata: { name },
    eventTime: `${new Date().toISOString().slice(0, -1)}000Z`,
    reportingController: 'test/one',
    reportingInstance: 'one',
    action: 'Look',
    reason: 'Seen',
    type: 'Normal',
    regarding: { kind: 'Pod', namespace: 'default', name: 'p' },
  })
  expect(status).toBe(201)
}

async function names(path = CORE): Promise<string[]> {
  const { body } = await send('GET', path)
  return (body as { items: { metadata: { name: string } }[] }).items.map(({ metadata }) => metadata.name)
}

function follow(path: string): string[] {
  const seen: string[] = []
  void (async () => {
    const events = api.server.connect(ADMINISTRATOR).watch({
      method: 'GET',
      path,
      query: { timeoutSeconds: '36000' },
      signal: stop.signal,
    })
    for await (const { type, object } of events as AsyncIterable<WatchEvent>)
      seen.push(`${type} ${(object as { metadata: { name: string } }).metadata.name}`)
  })().catch(() => undefined)
  return seen
}

const pass = (minutes: number) => vi.advanceTimersByTimeAsync(minutes * MINUTE)

test('an event goes an hour after its last write, of whichever group, and watchers of both are told', async () => {
  const watched = [follow(CORE), follow(GROUP)]
  await record('old')
  await recordInGroup('new')
  await record('again')
  await pass(30)
  const { status } = await send('PATCH', `${CORE}/again`, { count: 2 })
  expect(status).toBe(200)
  await pass(29)
  expect(await names()).toEqual(['again', 'new', 'old'])
  await pass(2)
  await expect.poll(() => names()).toEqual(['again'])
  expect(await names(GROUP)).toEqual(['again'])
  await pass(28)
  expect(await names()).toEqual(['again'])
  await pass(2)
  await expect.poll(() => names()).toEqual([])
  const told = [
    'ADDED old',
    'ADDED new',
    'ADDED again',
    'MODIFIED again',
    'DELETED old',
    'DELETED new',
    'DELETED again',
  ]
  for (const seen of watched) await expect.poll(() => seen).toEqual(told)
})

test('the hour goes on over a restart, whatever an event says of itself', async () => {
  await record('early')
  await pass(20)
  await record('late')
  await send('PATCH', `${CORE}/late`, { metadata: { managedFields: [{}] }, lastTimestamp: '2099-01-01T00:00:00Z' })
  await record('forged')
  const [entry] = ((await send('GET', `${CORE}/forged`)).body as { metadata: { managedFields: { time: string }[] } })
    .metadata.managedFields
  const managedFields = [entry, { ...entry, manager: 'other', time: '2099-01-01T00:00:00Z' }]
  await send('PATCH', `${CORE}/forged`, { metadata: { managedFields } })
  const { directory } = api
  await api[Symbol.asyncDispose]()
  await pass(30)
  api = await startWholeServer({}, directory)
  await pass(9)
  expect(await names()).toEqual(['early', 'forged', 'late'])
  await pass(2)
  await expect.poll(() => names()).toEqual(['forged', 'late'])
  await pass(20)
  await expect.poll(() => names()).toEqual(['forged'])
  await pass(30)
  await expect.poll(() => names()).toEqual([])
})

test('thousands that are due at once go in batches', async () => {
  const { store } = api
  const COUNT = 1000
  await store.write((transaction) => {
    for (let index = 0; index < COUNT; index++)
      transaction.put('events', {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { namespace: 'default', name: `e${index}`, creationTimestamp: new Date().toISOString() },
      })
  })
  let commits = 0
  using _ = store.onCommit(() => void commits++)
  await pass(61)
  await expect.poll(() => names()).toEqual([])
  expect(commits).toBe(COUNT / 200)
})
