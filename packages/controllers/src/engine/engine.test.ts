import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Sandbox, type SandboxStatus, sandboxCrd } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { createClient, createInformer, keyOf } from '@caisson/client'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { SANDBOXES } from '../sandbox/objects.ts'
import { startEmbeddedCluster } from '../testing/embedded-cluster.ts'
import { createOrderedTransport } from '../testing/ordered-transport.ts'
import { installCrd, sandboxNamed, type TestCluster, until } from '../testing/test-cluster.ts'
import { createEngine } from './engine.ts'
import { nothing, type Plan } from './plan.ts'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

const namespace = 'default'
let cluster: TestCluster

beforeAll(async () => {
  cluster = await startEmbeddedCluster(apiserver)
  await installCrd(cluster.client, sandboxCrd())
})
afterAll(async () => cluster[Symbol.asyncDispose]())

interface Run {
  /** How often it was planned for the Sandbox. */
  plans(): number
  idle(): Promise<void>
}

/** A controller of Sandboxes with that plan, to which changes are said in that order. */
async function run(first: 'answer' | 'event', plan: (replicas: number) => Plan<SandboxStatus>): Promise<Run> {
  const client = createClient(createOrderedTransport(cluster.transport, first))
  const informer = createInformer(client, SANDBOXES, { namespace })
  onTestFinished(async () => informer[Symbol.asyncDispose]())
  await informer.synced()
  let plans = 0
  const engine = createEngine<Sandbox, Sandbox>(
    {
      name: 'test',
      informer,
      others: [],
      observe: (sandbox) => sandbox,
      plan(sandbox) {
        plans++
        return plan(sandbox.status?.replicas ?? 0)
      },
    },
    { client, record: () => {}, concurrency: 1 },
  )
  onTestFinished(async () => engine[Symbol.asyncDispose]())
  const look = (sandbox: Sandbox): void => engine.enqueue(keyOf(sandbox))
  informer.handle({ added: look, updated: (_old, sandbox) => look(sandbox) })
  return { plans: () => plans, idle: () => engine.idle() }
}

async function createSandbox(name: string): Promise<void> {
  onTestFinished(async () => void (await cluster.client.delete(SANDBOXES, name, { namespace })))
  const spec = { podTemplate: { spec: { containers: [{ name: 'main', image: 'example.com/main' }] } } }
  await cluster.client.create(SANDBOXES, { metadata: { name }, spec }, { namespace })
}

async function untilReplicas(name: string, replicas: number): Promise<void> {
  await until(cluster.client, SANDBOXES, { namespace, name }, (sandbox) => sandbox?.status?.replicas === replicas)
}

test('what is remembered of an object goes with it, whether anybody has it looked at then or not', async () => {
  // The server has no place for all of it: what was asked for is remembered, so that it is not asked for again.
  const asked: WeakRef<object>[] = []
  const { idle } = await run('event', () => {
    const status = { replicas: 1, elsewhere: 'x' }
    asked.push(new WeakRef(status))
    return { ...nothing(), status }
  })
  const remembered = (): number => {
    collectGarbage()
    return asked.filter((each) => each.deref() !== undefined).length
  }
  await cluster.client.create(SANDBOXES, sandboxNamed('forgotten'), { namespace })
  await untilReplicas('forgotten', 1)
  await idle()
  await expect.poll(remembered).toBe(1)
  await cluster.client.delete(SANDBOXES, 'forgotten', { namespace })
  await expect.poll(remembered).toBe(0)
})

describe.each(['answer', 'event'] as const)('where the %s of a write comes first', (first) => {
  test('a plan is asked for again once its status is written, which it may go by', async () => {
    const { plans, idle } = await run(first, (replicas) =>
      replicas < 3 ? { ...nothing(), status: { replicas: replicas + 1 } } : nothing(),
    )
    await createSandbox(first)
    await untilReplicas(first, 3)
    await idle()
    expect(plans()).toBe(4)
  })

  test('a plan that is settled is asked for again where its own event comes before it knows', async () => {
    const { plans, idle } = await run(first, () => ({ ...nothing(), status: { replicas: 1 }, settled: true }))
    await createSandbox(first)
    await untilReplicas(first, 1)
    await idle()
    expect(plans()).toBe(first === 'answer' ? 1 : 2)
  })

  test('and where something else was stored than what it settled on', async () => {
    const { plans, idle } = await run(first, () => {
      const status = { replicas: 1, unknown: true }
      return { ...nothing(), status, settled: true }
    })
    await createSandbox(first)
    await untilReplicas(first, 1)
    await idle()
    expect(plans()).toBe(2)
  })
})
