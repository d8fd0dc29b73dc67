import { randomBytes } from 'node:crypto'
import {
  claimCrd,
  findCondition,
  LABELS,
  poolCrd,
  type Sandbox,
  type SandboxTemplate,
  type SandboxWarmPool,
  snapshotCrd,
  templateCrd,
} from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { type Client, createInformers, resources, sandboxTemplates, sandboxWarmPools } from '@caisson/client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { PODS, SANDBOXES } from '../sandbox/objects.ts'
import { startEmbeddedCluster } from '../testing/embedded-cluster.ts'
import {
  installCrd,
  QUOTAS,
  type RunningControllers,
  runControllers,
  startTestNode,
  type TestCluster,
  until,
} from '../testing/test-cluster.ts'
import { createNamespace } from '../testing/test-namespace.ts'

let cluster: TestCluster
let client: Client
let namespace: string
let running: RunningControllers

beforeAll(async () => {
  cluster = await startEmbeddedCluster(apiserver)
  client = cluster.client
  await installCrd(client)
  for (const crd of [snapshotCrd(), templateCrd(), claimCrd(), poolCrd()]) await installCrd(client, crd)
})
afterAll(async () => cluster[Symbol.asyncDispose]())

beforeEach(async () => {
  namespace = `test-${randomBytes(4).toString('hex')}`
  await createNamespace(client, namespace)
  running = await runControllers(cluster, namespace)
})
afterEach(async () => {
  await running[Symbol.asyncDispose]()
  await client.delete(resources.namespaces, namespace)
})

function aTemplate(spec: Partial<SandboxTemplate['spec']> = {}) {
  return {
    metadata: { name: 'web' },
    spec: { podTemplate: { spec: { containers: [{ name: 'main', image: 'example.com/main' }] } }, ...spec },
  }
}
const createTemplate = (spec?: Partial<SandboxTemplate['spec']>) =>
  client.create(sandboxTemplates, aTemplate(spec), { namespace })
const createPool = (spec: Partial<SandboxWarmPool['spec']> = {}) =>
  client.create(
    sandboxWarmPools,
    { metadata: { name: 'pool' }, spec: { sandboxTemplateRef: { name: 'web' }, ...spec } },
    { namespace },
  )
const patchPool = (spec: object) => client.patch(sandboxWarmPools, 'pool', { spec }, { namespace })
const editTemplate = (image: string) =>
  client.patch(
    sandboxTemplates,
    'web',
    { spec: { podTemplate: { spec: { containers: [{ name: 'main', image }] } } } },
    { namespace },
  )
const untilPool = (holds: (pool: SandboxWarmPool) => boolean) =>
  until(client, sandboxWarmPools, { namespace, name: 'pool' }, (pool) => pool !== undefined && holds(pool))
const untilReady = (count: number) =>
  untilPool(
    ({ metadata, status }) =>
      status?.readyReplicas === count && status.replicas === count && status.observedGeneration === metadata.generation,
  )
const members = async (): Promise<Sandbox[]> => (await client.list(SANDBOXES, { namespace })).items
const names = async () => (await members()).map(({ metadata }) => metadata.name ?? '').sort()
/** Waits until Sandboxes are what is asked for, and says what became of them on the way. */
async function untilMembers(
  holds: (members: readonly Sandbox[]) => boolean,
  on?: (members: readonly Sandbox[]) => void,
) {
  await using informers = createInformers(client)
  const sandboxes = informers.of(SANDBOXES, { namespace })
  await sandboxes.synced()
  const seen = Promise.withResolvers<void>()
  const look = (): void => {
    on?.(sandboxes.list())
    if (holds(sandboxes.list())) seen.resolve()
  }
  using _watch = sandboxes.handle({ added: look, updated: look, deleted: look })
  look()
  await seen.promise
}
const isReady = ({ status }: Sandbox) => findCondition(status?.conditions, 'Ready')?.status === 'True'
const replaced = (before: readonly string[]) => (all: readonly Sandbox[]) =>
  all.length === before.length && all.every((each) => isReady(each) && !before.includes(each.metadata.name ?? ''))
const reason = (pool: SandboxWarmPool, type = 'Degraded') => findCondition(pool.status?.conditions, type)?.reason

describe('filling', () => {
  test('costs one Sandbox, one Pod and one status for each member, and two statuses of the pool', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await createPool({ replicas: 20 })
    const pool = await untilReady(20)
    await running.controllers.idle()
    const kinds = running.writes.map((write) => write.replace(/(sandboxes|pods)\/pool-\w+/, '$1/…'))
    const counts = new Map<string, number>()
    for (const kind of kinds) counts.set(kind, (counts.get(kind) ?? 0) + 1)
    expect(Object.fromEntries(counts)).toEqual({
      'PATCH sandboxes/…/status': 20,
      'PATCH sandboxtemplates/web': 1,
      'PATCH sandboxwarmpools/pool/status': 2,
      'POST networkpolicies': 1,
      'POST pods': 20,
      'POST sandboxes': 20,
    })
    expect(pool.status).toEqual({
      replicas: 20,
      readyReplicas: 20,
      updatedReplicas: 20,
      observedGeneration: 1,
      selector: `${LABELS.warmPool}=91dd7983`,
      conditions: [
        condition('Ready', 'True', 'Filled', 'all 20 members are Ready'),
        condition('Progressing', 'False', 'Complete', 'there is nothing to do'),
        condition('Degraded', 'False', 'AsExpected', 'nothing is wrong'),
      ],
    })
    const pods = await client.list(PODS, { namespace, labelSelector: pool.status?.selector ?? '' })
    expect(pods.items).toHaveLength(20)
    expect(running.errors).toEqual([])
  })

  test('more than fit in one go', async () => {
    await running[Symbol.asyncDispose]()
    running = await runControllers(cluster, namespace, { extensions: { poolBatchSize: 3 } })
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await createPool({ replicas: 10 })
    await untilReady(10)
    expect(await members()).toHaveLength(10)
  })

  test('waits for the template', async () => {
    await using _node = await startTestNode(client, namespace)
    await createPool({ replicas: 1 })
    await untilPool((pool) => reason(pool) === 'TemplateNotFound')
    await createTemplate()
    await untilReady(1)
    await running.controllers.idle()
    expect(running.events).toContainEqual({
      about: 'pool',
      type: 'Warning',
      reason: 'TemplateNotFound',
      message: 'SandboxTemplate "web" not found',
    })
  })

  test('does not begin while the NetworkPolicy of another stands in its place, and then does', async () => {
    await using _node = await startTestNode(client, namespace)
    await client.create(
      resources.networkPolicies,
      { metadata: { name: 'web-network-policy' }, spec: { podSelector: {} } },
      { namespace },
    )
    await createTemplate()
    await createPool()
    await untilPool((pool) => reason(pool) === 'NetworkPolicyConflict')
    expect(await members()).toEqual([])
    // Two controllers have found out, and either may be the first.
    await expect
      .poll(() => running.events.map(({ about, reason }) => `${about} ${reason}`).sort())
      .toEqual(['pool NetworkPolicyConflict', 'web NetworkPolicyConflict'])
    await client.delete(resources.networkPolicies, 'web-network-policy', { namespace })
    await untilReady(1)
  })

  test('is refused by a quota with what it says, and goes on when there is room', async () => {
    await using _node = await startTestNode(client, namespace)
    const hard = (count: number) => ({ hard: { 'count/sandboxes.agents.x-k8s.io': String(count) } })
    await client.create(QUOTAS, { metadata: { name: 'few' }, spec: hard(2) }, { namespace })
    await createTemplate()
    await createPool({ replicas: 3 })
    // Until a server has counted what a quota is about it refuses everything, in other words.
    const pool = await untilPool((pool) =>
      Boolean(findCondition(pool?.status?.conditions, 'Degraded')?.message.includes('exceeded quota: few')),
    )
    expect(reason(pool)).toBe('MemberCreationFailed')
    await client.patch(QUOTAS, 'few', { spec: hard(5) }, { namespace })
    await untilReady(3)
  })

  test('goes on where the process before left off', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await createPool({ replicas: 30 })
    await until(client, sandboxTemplates, { namespace, name: 'web' }, (template) => template !== undefined)
    while ((await members()).length < 3) await new Promise(setImmediate)
    await running[Symbol.asyncDispose]()
    running = await runControllers(cluster, namespace)
    await untilReady(30)
    expect(await members()).toHaveLength(30)
  })
})

describe('scaling', () => {
  const scale = (replicas: number) =>
    client.request({
      method: 'PATCH',
      path: `/apis/extensions.agents.x-k8s.io/v1beta1/namespaces/${namespace}/sandboxwarmpools/pool/scale`,
      body: { spec: { replicas } },
      patchType: 'application/merge-patch+json',
    })

  test('up and down through the scale subresource', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await createPool({ replicas: 2 })
    await untilReady(2)
    const before = await names()
    await scale(4)
    await untilReady(4)
    expect(await names()).toEqual(expect.arrayContaining(before))
    await scale(1)
    await untilReady(1)
    await scale(0)
    await untilReady(0)
    expect(await members()).toEqual([])
  })
})

describe('a new template', () => {
  test('is taken over when members leave, unless the strategy says otherwise', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await createPool({ replicas: 2 })
    await untilReady(2)
    const before = await names()
    await editTemplate('example.com/main:2')
    await untilPool(({ status }) => status?.updatedReplicas === 0)
    expect(await names()).toEqual(before)
    await client.delete(SANDBOXES, before[0] ?? '', { namespace })
    await untilPool(({ status }) => status?.updatedReplicas === 1 && status.readyReplicas === 2)
    expect(await names()).toContain(before[1])
  })

  test('with Recreate replaces all', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await createPool({ replicas: 3, updateStrategy: { type: 'Recreate' } })
    await untilReady(3)
    const before = await names()
    await editTemplate('example.com/main:2')
    await untilMembers(replaced(before))
    expect(running.errors).toEqual([])
  })

  test('with RollingUpdate replaces one after another', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await createPool({ replicas: 4, updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } })
    await untilReady(4)
    const before = await names()
    let [fewestReady, most] = [4, 4]
    await editTemplate('example.com/main:2')
    await untilMembers(replaced(before), (all) => {
      fewestReady = Math.min(fewestReady, all.filter(isReady).length)
      most = Math.max(most, all.length)
    })
    expect({ fewestReady, most }).toEqual({ fewestReady: 4, most: 5 })
  })
})

test('bounds: the pool follows what is asked for, and shrinks when nobody asks', async () => {
  let ahead = 0
  await running[Symbol.asyncDispose]()
  running = await runControllers(cluster, namespace, { now: () => Date.now() + ahead })
  await using _node = await startTestNode(client, namespace)
  await createTemplate()
  await createPool({ minReplicas: 1, maxReplicas: 3, idleTimeoutSeconds: 60 })
  await untilReady(1)
  const claims = ['a', 'b', 'c', 'd'].map((name) => ({
    apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
    kind: 'SandboxClaim',
    metadata: { name },
    spec: { warmPoolRef: { name: 'pool' } },
  }))
  const path = `/apis/extensions.agents.x-k8s.io/v1beta1/namespaces/${namespace}/sandboxclaims`
  for (const body of claims) await client.request({ method: 'POST', path, body })
  await untilReady(3)
  ahead = 61_000
  await patchPool({ readinessGracePeriodSeconds: 60 })
  await untilReady(1)
})

test('members of a pool that is made anew under its name are taken over', async () => {
  await using _node = await startTestNode(client, namespace)
  await createTemplate()
  await createPool({ replicas: 2 })
  await untilReady(2)
  const before = await names()
  // What a deletion that leaves orphans comes to, while nobody is there to take them back for the old pool.
  await running[Symbol.asyncDispose]()
  await client.delete(sandboxWarmPools, 'pool', { namespace })
  for (const name of before) await client.patch(SANDBOXES, name, { metadata: { ownerReferences: null } }, { namespace })
  running = await runControllers(cluster, namespace)
  await createPool({ replicas: 2 })
  await untilReady(2)
  expect(await names()).toEqual(before)
})

function condition(type: string, status: string, why: string, message: string): object {
  return { type, status, reason: why, message, observedGeneration: 1, lastTransitionTime: expect.any(String) }
}
