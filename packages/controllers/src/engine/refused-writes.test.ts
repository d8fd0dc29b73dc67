/** What the engine makes of writes that the API server refuses. */
import { type Sandbox, type Status, sandboxCrd } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { ApiError, createClient, createInformer, joinKey } from '@caisson/client'
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { SANDBOXES } from '../sandbox/objects.ts'
import { startEmbeddedCluster } from '../testing/embedded-cluster.ts'
import { installCrd, sandboxNamed, type TestCluster } from '../testing/test-cluster.ts'
import { createEngine } from './engine.ts'
import { type CreateWrite, nothing, type Plan } from './plan.ts'

const namespace = 'default'
let cluster: TestCluster

beforeAll(async () => {
  cluster = await startEmbeddedCluster(apiserver)
  await installCrd(cluster.client, sandboxCrd())
})
afterAll(async () => cluster[Symbol.asyncDispose]())
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] }))
afterEach(() => void vi.useRealTimers())

const CREATION: CreateWrite = {
  verb: 'create',
  id: 'create Sandbox child',
  resource: SANDBOXES,
  object: { ...sandboxNamed('child'), metadata: { name: 'child', namespace } },
}

/** A controller of the Sandbox `parent`, whose creations are refused with what `refusal` says. */
async function run(
  refusal: () => string | undefined,
  plan: (failures: readonly string[], isMade: boolean) => Plan<object>,
): Promise<{ idle(): Promise<void>; creations(): number }> {
  const { transport } = cluster
  let creations = 0
  const client = createClient({
    ...transport,
    async request(asked) {
      if (asked.method !== 'POST') return transport.request(asked)
      creations++
      const message = refusal()
      if (message === undefined) return transport.request(asked)
      const status: Status = { apiVersion: 'v1', kind: 'Status', metadata: {}, status: 'Failure', message }
      throw new ApiError({ ...status, reason: 'Invalid', code: 422 })
    },
  })
  await cluster.client.create(SANDBOXES, sandboxNamed('parent'), { namespace })
  const informer = createInformer(client, SANDBOXES, { namespace })
  await informer.synced()
  const engine = createEngine<Sandbox, readonly string[]>(
    {
      name: 'test',
      informer,
      others: [],
      observe: (_sandbox, failures) => failures.map(({ message }) => message),
      plan: (failures) => plan(failures, informer.get(joinKey(namespace, 'child')) !== undefined),
    },
    { client, record: () => {}, concurrency: 1 },
  )
  onTestFinished(async () => {
    await engine[Symbol.asyncDispose]()
    await informer[Symbol.asyncDispose]()
    for (const { metadata } of informer.list())
      await cluster.client.delete(SANDBOXES, metadata.name ?? '', { namespace })
  })
  engine.enqueue(joinKey(namespace, 'parent'))
  await engine.idle()
  return { idle: () => engine.idle(), creations: () => creations }
}

test.each([
  `sandboxes.agents.x-k8s.io "child" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no`,
  'admission webhook "w.example.com" denied the request without explanation',
])('is tried again, ever more rarely, where it is a policy that refused it: %s', async (message) => {
  const refused = (failures: readonly string[]) => ({ ...nothing<object>(), writes: failures.length ? [] : [CREATION] })
  let says: string | undefined = message
  const { idle, creations } = await run(() => says, refused)
  const tried = [creations()]
  for (const seconds of [9, 1, 19, 1, 39]) {
    await vi.advanceTimersByTimeAsync(seconds * 1000)
    await idle()
    tried.push(creations())
  }
  expect(tried).toEqual([1, 1, 2, 2, 3, 3])
  says = undefined
  await vi.advanceTimersByTimeAsync(1000)
  await idle()
  expect((await cluster.client.get(SANDBOXES, 'child', { namespace })).metadata.name).toBe('child')
})

test('is no failure any more once it is done', async () => {
  const seen: (readonly string[])[] = []
  const answers = ['spec is wrong']
  const { idle } = await run(
    () => answers.pop(),
    (failures, isMade) => {
      seen.push(failures)
      return { ...nothing(), writes: isMade ? [] : [CREATION], retry: failures.length > 0 }
    },
  )
  await vi.advanceTimersByTimeAsync(1000)
  await idle()
  expect(seen).toEqual([[], ['spec is wrong'], ['spec is wrong'], []])
})

test('is not remembered without end, however often what is written becomes another', async () => {
  let planned = 0
  let remembered = 0
  await run(
    () => 'spec is wrong',
    (failures) => {
      remembered = failures.length
      planned++
      const write = { ...CREATION, id: `${CREATION.id} ${planned}` }
      return { ...nothing(), writes: planned > 3000 ? [] : [write] }
    },
  )
  expect(remembered).toBe(1000)
})
