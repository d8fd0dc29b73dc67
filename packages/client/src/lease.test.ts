import type { KubeObject, Status } from '@caisson/api'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createClient } from './client.ts'
import { inProcessTransport } from './in-process-transport.ts'
import { type LeaderElectionOptions, runLeaderElection } from './lease.ts'
import { createObjectServer, type ObjectServer, refuse } from './testing/object-server.ts'

const START = Date.UTC(2026, 0, 1)
const PATH = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/duty'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'], now: START })
  // Waiting candidates try at the end of one period exactly.
  vi.spyOn(Math, 'random').mockReturnValue(0)
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

function elect(server: ObjectServer, identity: string, options: Partial<LeaderElectionOptions> = {}) {
  const abort = new AbortController()
  const log: string[] = []
  const running = runLeaderElection({
    client: createClient(inProcessTransport(server)),
    namespace: 'kube-system',
    name: 'duty',
    identity,
    signal: abort.signal,
    onLeader: (leader) => log.push(`${leader} leads`),
    onError: (error) => log.push(String(error)),
    async lead(signal) {
      log.push('began')
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      log.push(`ended: ${signal.reason instanceof Error ? signal.reason.message : signal.reason}`)
    },
    ...options,
  })
  return { running, log, abort }
}

async function seconds(count: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(count * 1000)
}

const spec = (server: ObjectServer) => (server.objects.get(PATH) as KubeObject & { spec: object }).spec

test('the first one leads and renews, the second one waits until the first one lets go', async () => {
  const server = createObjectServer()
  const first = elect(server, 'a')
  await seconds(0)
  const second = elect(server, 'b')
  await seconds(60)
  expect(first.log).toEqual(['a leads', 'began'])
  expect(second.log).toEqual(['a leads'])
  expect(spec(server)).toEqual({
    holderIdentity: 'a',
    leaseDurationSeconds: 15,
    acquireTime: '2026-01-01T00:00:00.000000Z',
    renewTime: '2026-01-01T00:01:00.000000Z',
    leaseTransitions: 0,
  })
  first.abort.abort(new Error('enough'))
  await first.running
  expect(first.log).toEqual(['a leads', 'began', 'ended: enough'])
  expect(spec(server)).toMatchObject({ holderIdentity: '', leaseDurationSeconds: 1 })
  await seconds(2)
  expect(second.log).toEqual(['a leads', 'b leads', 'began'])
  expect(spec(server)).toMatchObject({ holderIdentity: 'b', leaseDurationSeconds: 15, leaseTransitions: 1 })
  second.abort.abort('done')
  await second.running
})

test('who waits and is told by the watch that it cannot go on tries again when it would have without', async () => {
  const server = createObjectServer()
  const first = elect(server, 'a')
  await seconds(0)
  let asked = 0
  const expired: Status = {
    apiVersion: 'v1',
    kind: 'Status',
    metadata: {},
    status: 'Failure',
    code: 410,
    reason: 'Expired',
  }
  const client = createClient({
    ...inProcessTransport(server),
    async *watch() {
      if (++asked < 1000) yield { type: 'ERROR' as const, object: expired }
    },
  })
  const second = elect(server, 'b', { client })
  await seconds(60)
  expect(second.log).toEqual(['a leads'])
  expect(asked).toBeLessThanOrEqual(31)
  for (const { abort, running } of [second, first]) {
    abort.abort()
    await running
  }
})

test('a leader renews with one write, and looks only where that fails', async () => {
  const server = createObjectServer()
  const { running, abort } = elect(server, 'a')
  await seconds(6)
  expect(server.requests.map((request) => request.method)).toEqual(['GET', 'POST', 'PUT', 'PUT', 'PUT'])
  abort.abort()
  await running
})

test('who cannot make the Lease, because there is no such namespace, says so and goes on trying', async () => {
  const server = createObjectServer()
  const { running, log, abort } = elect(server, 'a')
  server.before = ({ method }) => (method === 'POST' ? refuse(404, 'NotFound') : undefined)
  await seconds(2)
  expect(log).toEqual(['ApiError: NotFound', 'ApiError: NotFound'])
  server.before = () => undefined
  await seconds(2)
  expect(log.slice(2)).toEqual(['a leads', 'began'])
  abort.abort()
  await running
})

describe('a leader that', () => {
  test('vanishes is replaced when its Lease has not changed for its duration, by the other one’s clock', async () => {
    const server = createObjectServer()
    const first = elect(server, 'a')
    await seconds(0)
    // The clock of the first one is far ahead: its times must not matter.
    const held = server.objects.get(PATH) ?? expect.fail()
    server.objects.set(PATH, { ...held, spec: { ...spec(server), renewTime: '2999-01-01T00:00:00.000000Z' } })
    server.before = ({ body }) =>
      JSON.stringify(body ?? '').includes('"holderIdentity":"a"') ? refuse(500, 'gone') : undefined
    const second = elect(server, 'b')
    await seconds(14)
    expect(second.log).toEqual(['a leads'])
    await seconds(2)
    expect(second.log).toEqual(['a leads', 'b leads', 'began'])
    // It noticed well before that it could not renew.
    expect(first.log).toContain('ended: the leadership was lost')
    for (const each of [first, second]) {
      each.abort.abort()
      await each.running
    }
  })

  test('cannot renew stops in time, and leads again when it can', async () => {
    const server = createObjectServer()
    const { running, log, abort } = elect(server, 'a')
    await seconds(1)
    server.before = () => new Promise(() => {})
    await seconds(8)
    expect(log).toEqual(['a leads', 'began'])
    await seconds(1)
    expect(log).toContain('ended: the leadership was lost')
    server.before = () => undefined
    await seconds(15)
    expect(log.slice(-1)).toEqual(['began'])
    abort.abort()
    await running
  })

  test('finds somebody else in its Lease stops at once', async () => {
    const server = createObjectServer()
    const { running, log, abort } = elect(server, 'a')
    await seconds(1)
    const held = server.objects.get(PATH) ?? expect.fail()
    const metadata = { ...held.metadata, resourceVersion: '99' }
    server.objects.set(PATH, { ...held, metadata, spec: { ...spec(server), holderIdentity: 'thief' } })
    await seconds(1)
    expect(log).toEqual(['a leads', 'began', 'thief leads', 'ended: the leadership was lost'])
    abort.abort()
    await running
    expect(spec(server)).toMatchObject({ holderIdentity: 'thief' })
  })

  test('is touched by others keeps its Lease', async () => {
    const server = createObjectServer()
    const { running, log, abort } = elect(server, 'a')
    await seconds(1)
    const held = server.objects.get(PATH) ?? expect.fail()
    server.objects.set(PATH, { ...held, metadata: { ...held.metadata, resourceVersion: '99', labels: { a: 'b' } } })
    await seconds(60)
    expect(log).toEqual(['a leads', 'began'])
    expect(server.objects.get(PATH)?.metadata.labels).toEqual({ a: 'b' })
    abort.abort()
    await running
  })

  test('takes its time to stop keeps the Lease until then', async () => {
    const server = createObjectServer()
    const work = Promise.withResolvers<void>()
    const { running, abort } = elect(server, 'a', { lead: () => work.promise })
    await seconds(1)
    abort.abort()
    await seconds(5)
    expect(spec(server)).toMatchObject({ holderIdentity: 'a' })
    work.resolve()
    await running
    expect(spec(server)).toMatchObject({ holderIdentity: '' })
  })
})

test('the duty’s own end is the election’s, and so is its failure', async () => {
  const server = createObjectServer()
  await elect(server, 'a', { lead: async () => {} }).running
  expect(spec(server)).toMatchObject({ holderIdentity: '' })
  const failing = elect(server, 'a', {
    lead: async () => {
      throw new Error('cannot')
    },
  })
  await expect(failing.running).rejects.toThrow('cannot')
  expect(spec(server)).toMatchObject({ holderIdentity: '' })
})

test('of two who want a free Lease at the same moment one leads', async () => {
  const server = createObjectServer()
  const both = [elect(server, 'a'), elect(server, 'b')]
  await seconds(30)
  expect(both.flatMap(({ log }) => log.filter((line) => line === 'began'))).toEqual(['began'])
  for (const { abort, running } of both) {
    abort.abort()
    await running
  }
})

test('durations that cannot work are refused', async () => {
  const { running } = elect(createObjectServer(), 'a', { leaseDuration: 10_000 })
  await expect(running).rejects.toThrow('a Lease needs leaseDuration > renewDeadline > 1.2 * retryPeriod')
})
