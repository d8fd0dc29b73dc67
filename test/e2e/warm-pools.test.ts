/** Warm pools of a running cluster: agent-sandbox's own cases, and what a crash and a real sandbox add to them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Sandbox, SandboxClaim, SandboxTemplate, SandboxWarmPool } from '../../packages/api/src/index.ts'
import { readDaemonRecord } from '../../packages/cli/src/cluster/daemon-record.ts'
import { dataDirectory } from '../../packages/cli/src/cluster/data-directory.ts'
import { sandboxes } from '../../packages/cli/src/sandboxes.ts'
import {
  type AnyObject,
  type Client,
  createClient,
  createHttpTransport,
  createInformer,
  findConnection,
  type Resource,
  resources,
  sandboxClaims,
  sandboxSnapshots,
  sandboxTemplates,
  sandboxWarmPools,
} from '../../packages/client/src/index.ts'
import { type Cluster, startCluster } from './fixture.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster({ up: ['--fake-runtime'] })
})
afterAll(() => cluster[Symbol.asyncDispose]())

type Spec<T extends { spec: object }> = Partial<T['spec']>

/** A namespace of its own, and what a test does in it. */
interface World extends AsyncDisposable {
  /** Ends the connection, and leaves the namespace. */
  leave(): Promise<void>
  client: Client
  namespace: string
  template(name: string, spec?: Spec<SandboxTemplate>): Promise<void>
  /** Adds a variable to the template's container. */
  edit(name: string): Promise<void>
  pool(name: string, spec: Spec<SandboxWarmPool>): Promise<void>
  /** Resolves once the objects of a kind are what is asked for; asked again with each change. */
  until<T extends AnyObject>(resource: Resource<T>, holds: (objects: readonly T[]) => boolean): Promise<readonly T[]>
  untilReady(pool: string, count: number): Promise<SandboxWarmPool>
  members(pool: string): Promise<Sandbox[]>
}

async function createWorld(namespace: string): Promise<World> {
  const stack = new AsyncDisposableStack()
  const transport = stack.use(
    createHttpTransport(await findConnection({ kubeconfig: cluster.env['KUBECONFIG'] ?? '' })),
  )
  const client = createClient(transport, { fieldManager: 'warm-pool-test' })
  await cluster.kubectl(['create', 'namespace', namespace])
  const world: World = {
    client,
    namespace,
    async template(name, spec) {
      const pause = { runtimeClassName: 'fake', containers: [{ name: 'pause', image: 'registry.k8s.io/pause:3.10' }] }
      await client.create(
        sandboxTemplates,
        { metadata: { name }, spec: { podTemplate: { spec: pause }, ...spec } },
        { namespace },
      )
    },
    async edit(name) {
      const { spec } = (await client.get(sandboxTemplates, name, { namespace })).spec.podTemplate
      const containers = spec.containers.map((each) => ({ ...each, env: [{ name: 'TEST_ENV', value: 'updated' }] }))
      await client.patch(sandboxTemplates, name, { spec: { podTemplate: { spec: { containers } } } }, { namespace })
    },
    async pool(name, spec) {
      await client.create(
        sandboxWarmPools,
        { metadata: { name }, spec: { sandboxTemplateRef: { name: 'template' }, ...spec } },
        { namespace },
      )
    },
    async until(resource, holds) {
      await using informer = createInformer(client, resource, { namespace })
      await informer.synced()
      const seen = Promise.withResolvers<void>()
      const look = (): void => void (holds(informer.list()) && seen.resolve())
      using _handler = informer.handle({ added: look, updated: look, deleted: look })
      look()
      await seen.promise
      return informer.list()
    },
    async untilReady(pool, count) {
      const isReady = ({ metadata, status = {} }: SandboxWarmPool): boolean =>
        metadata.name === pool &&
        status.observedGeneration === metadata.generation &&
        status.replicas === count &&
        status.readyReplicas === count &&
        status.updatedReplicas === count
      const pools = await world.until(sandboxWarmPools, (all) => all.some(isReady))
      return pools.find(isReady) as SandboxWarmPool
    },
    async members(pool) {
      const { items } = await client.list(sandboxes, { namespace })
      return items.filter((each) => isMember(each, pool))
    },
    leave: () => stack.disposeAsync(),
    async [Symbol.asyncDispose]() {
      await client.delete(resources.namespaces, namespace)
      await world.leave()
    },
  }
  return world
}

function isMember({ metadata }: Sandbox, pool: string): boolean {
  const [owner] = metadata.ownerReferences ?? []
  return owner?.kind === 'SandboxWarmPool' && owner.name === pool && metadata.deletionTimestamp === undefined
}

function isUpdated({ spec }: Sandbox): boolean {
  return spec.podTemplate.spec.containers[0]?.env?.some(({ value }) => value === 'updated') ?? false
}

function isReady({ status }: Sandbox | SandboxClaim): boolean {
  return status?.conditions?.some((each) => each.type === 'Ready' && each.status === 'True') ?? false
}

/** All that a pool says once it is full. */
function filled(count: number, generation = 1): object {
  const condition = (type: string, status: string, reason: string, message: string) => ({
    type,
    status,
    reason,
    message,
    observedGeneration: generation,
    lastTransitionTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
  })
  return {
    replicas: count,
    readyReplicas: count,
    updatedReplicas: count,
    selector: expect.stringMatching(/^agents\.x-k8s\.io\/warm-pool-sandbox=[0-9a-f]{8}$/),
    observedGeneration: generation,
    conditions: [
      condition('Ready', 'True', 'Filled', count === 1 ? 'the member is Ready' : `all ${count} members are Ready`),
      condition('Progressing', 'False', 'Complete', 'there is nothing to do'),
      condition('Degraded', 'False', 'AsExpected', 'nothing is wrong'),
    ],
  }
}

const nameOf = ({ metadata }: AnyObject): string => metadata.name ?? ''

describe('a template that changes', () => {
  test.each([
    ['default', undefined],
    ['onreplenish', { type: 'OnReplenish' as const }],
  ])('is what the next member is made from: %s', async (name, updateStrategy) => {
    await using world = await createWorld(`rollout-${name}`)
    await world.template('template')
    await world.pool('pool', { replicas: 1, ...(updateStrategy && { updateStrategy }) })
    await world.untilReady('pool', 1)
    const [before] = await world.members('pool')
    await world.edit('template')
    await world.until(sandboxWarmPools, ([pool]) => pool?.status?.updatedReplicas === 0)
    expect(await world.members('pool')).toEqual([before])
    await world.client.delete(sandboxes, nameOf(before as Sandbox), { namespace: world.namespace })
    await world.until(sandboxWarmPools, ([pool]) => pool?.status?.updatedReplicas === 1)
    expect((await world.untilReady('pool', 1)).status).toEqual(filled(1))
    expect((await world.members('pool')).map(isUpdated)).toEqual([true])
  })

  test('has members made anew: recreate', async () => {
    await using world = await createWorld('rollout-recreate')
    await world.template('template')
    await world.pool('pool', { replicas: 1, updateStrategy: { type: 'Recreate' } })
    await world.untilReady('pool', 1)
    const [before] = await world.members('pool')
    await world.edit('template')
    await world.until(sandboxes, (all) => all.length === 1 && all.every(isUpdated))
    expect((await world.untilReady('pool', 1)).status).toEqual(filled(1))
    expect((await world.members('pool')).map(nameOf)).not.toContain(nameOf(before as Sandbox))
  })

  test('does not touch the pools of others', async () => {
    await using world = await createWorld('rollout-isolation')
    for (const each of ['a', 'b']) {
      await world.template(each)
      await world.pool(each, { replicas: 1, sandboxTemplateRef: { name: each }, updateStrategy: { type: 'Recreate' } })
    }
    for (const each of ['a', 'b']) await world.untilReady(each, 1)
    const [a, b] = [await world.members('a'), await world.members('b')]
    await world.edit('a')
    await world.until(sandboxes, (all) => all.filter((each) => isMember(each, 'a') && isUpdated(each)).length === 1)
    for (const each of ['a', 'b']) expect((await world.untilReady(each, 1)).status).toEqual(filled(1))
    expect((await world.members('a')).map(nameOf)).not.toEqual(a.map(nameOf))
    expect((await world.members('b')).map(nameOf)).toEqual(b.map(nameOf))
  })

  test('by another of the same content has members made anew', async () => {
    await using world = await createWorld('rollout-switch')
    await world.template('template')
    await world.template('other')
    await world.pool('pool', { replicas: 1, updateStrategy: { type: 'Recreate' } })
    await world.untilReady('pool', 1)
    const [before] = await world.members('pool')
    const { namespace } = world
    const switched = { spec: { sandboxTemplateRef: { name: 'other' } } }
    await world.client.patch(sandboxWarmPools, 'pool', switched, { namespace })
    await world.until(sandboxes, (all) => all.length === 1 && nameOf(all[0] as Sandbox) !== nameOf(before as Sandbox))
    expect((await world.untilReady('pool', 1)).status).toEqual(filled(1, 2))
    const [after] = await world.members('pool')
    expect(after?.metadata.annotations?.['agents.x-k8s.io/sandbox-template-ref']).toBe('other')
  })

  test('only in labels of the Pod leaves members as they are', async () => {
    await using world = await createWorld('rollout-metadata')
    const { client, namespace } = world
    await world.template('template')
    await world.pool('pool', { replicas: 1, updateStrategy: { type: 'Recreate' } })
    await world.untilReady('pool', 1)
    const [before] = await world.members('pool')
    const labelled = { spec: { podTemplate: { metadata: { labels: { 'new-label': 'new-value' } } } } }
    await client.patch(sandboxTemplates, 'template', labelled, { namespace })
    // A second member that has the label shows that the change was seen.
    await client.patch(sandboxWarmPools, 'pool', { spec: { replicas: 2 } }, { namespace })
    expect((await world.untilReady('pool', 2)).status).toEqual(filled(2, 2))
    const after = await world.members('pool')
    expect(after.map(nameOf)).toContain(nameOf(before as Sandbox))
    const labels = after.map(({ spec }) => spec.podTemplate.metadata?.labels?.['new-label'])
    expect(new Set(labels)).toEqual(new Set([undefined, 'new-value']))
  })

  test('rolls through a pool without leaving it short', async () => {
    await using world = await createWorld('rollout-rolling')
    await world.template('template')
    await world.pool('pool', {
      replicas: 10,
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '20%', maxUnavailable: 1 } },
    })
    await world.untilReady('pool', 10)
    let [fewest, most] = [10, 10]
    await world.edit('template')
    await world.until(sandboxes, (all) => {
      fewest = Math.min(fewest, all.filter(isReady).length)
      most = Math.max(most, all.length)
      return all.length === 10 && all.every((each) => isUpdated(each) && isReady(each))
    })
    expect(fewest).toBeGreaterThanOrEqual(9)
    expect(most).toBeLessThanOrEqual(12)
    expect((await world.untilReady('pool', 10)).status).toEqual(filled(10))
  })
})

test('kubectl knows pools: columns, short name, scale, wait', async () => {
  await using world = await createWorld('columns')
  await world.template('template')
  await world.pool('pool', { replicas: 2 })
  const kubectl = (...args: string[]): Promise<string> => cluster.mustKubectl(['-n', 'columns', ...args])
  await kubectl('wait', '--for=condition=ready', 'sandboxwarmpool/pool', '--timeout=60s')
  expect(await kubectl('get', 'swp')).toMatch(/^NAME +READY +DESIRED +AGE\npool +2 +2 +\d+s\n$/)
  await kubectl('scale', 'swp/pool', '--replicas=5')
  await world.untilReady('pool', 5)
  const selector = await kubectl('get', 'swp', 'pool', '-o', 'jsonpath={.status.selector}')
  const pods = (await kubectl('get', 'pods', '-l', selector, '-o', 'name')).trim().split('\n')
  expect(pods).toHaveLength(5)
  await kubectl('scale', 'swp/pool', '--replicas=0')
  await world.untilReady('pool', 0)
  await world.until(resources.pods, (all) => all.length === 0)
})

describe('claims', () => {
  const claim = (world: World, name: string): Promise<unknown> =>
    world.client.create(
      sandboxClaims,
      { metadata: { name }, spec: { warmPoolRef: { name: 'pool' } } },
      { namespace: world.namespace },
    )
  const untilServed = (world: World, count: number): Promise<readonly SandboxClaim[]> =>
    world.until(sandboxClaims, (all) => all.length === count && all.every(isReady))
  const launchTypes = async ({ client, namespace }: World, claims: readonly SandboxClaim[]): Promise<string[]> => {
    const { items } = await client.list(sandboxes, { namespace })
    const typeOf = new Map(items.map((each) => [nameOf(each), each.metadata.labels?.['agents.x-k8s.io/launch-type']]))
    return claims.map(({ status }) => typeOf.get(status?.sandbox?.name ?? '') ?? '')
  }

  test.each([
    ['enough', 25, 20],
    ['not enough', 5, 5],
  ])('20 at once of a pool that has %s', async (_name, replicas, warm) => {
    await using world = await createWorld(`parallel-${replicas}`)
    await world.template('template')
    await world.pool('pool', { replicas })
    await world.untilReady('pool', replicas)
    await Promise.all(Array.from({ length: 20 }, (_, index) => claim(world, `claim-${index}`)))
    const served = await untilServed(world, 20)
    expect(new Set(served.map(({ status }) => status?.sandbox?.name)).size).toBe(20)
    const types = await launchTypes(world, served)
    expect(types.filter((type) => type === 'warm').length).toBeGreaterThanOrEqual(warm)
    expect(types.every((type) => type === 'warm' || type === 'cold')).toBe(true)
    for (const { metadata, status } of served)
      expect(status).toEqual({
        conditions: [
          {
            type: 'Ready',
            status: 'True',
            reason: 'DependenciesReady',
            message: 'Pod is Ready',
            observedGeneration: metadata.generation,
            lastTransitionTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
          },
        ],
        sandbox: { name: expect.any(String), podIPs: [expect.any(String)] },
      })
    await world.untilReady('pool', replicas)
  })

  test('more at once than there are members under gVisor, by its RuntimeClass: all run, and the pool is full again', async () => {
    await using world = await createWorld('runtime-class')
    const { client, namespace } = world
    const containers = [{ name: 'main', image: 'caisson.dev/host', command: ['/bin/sleep', '3600'] }]
    await world.template('template', {
      podTemplate: { spec: { runtimeClassName: 'gvisor', terminationGracePeriodSeconds: 0, containers } },
    })
    await world.pool('pool', { replicas: 2 })
    await world.untilReady('pool', 2)
    await Promise.all(Array.from({ length: 4 }, (_, index) => claim(world, `claim-${index}`)))
    const served = await untilServed(world, 4)
    const names = served.map(({ status }) => status?.sandbox?.name ?? '')
    expect(new Set(names).size).toBe(4)
    expect((await launchTypes(world, served)).filter((type) => type === 'warm').length).toBeGreaterThanOrEqual(2)
    for (const name of names) {
      expect((await client.get(resources.pods, name, { namespace })).spec?.runtimeClassName).toBe('gvisor')
      expect(await cluster.mustKubectl(['-n', namespace, 'exec', name, '--', 'dmesg'])).toContain('Starting gVisor')
    }
    await world.untilReady('pool', 2)
    for (const { metadata } of served) await client.delete(sandboxClaims, metadata.name ?? '', { namespace })
    await world.until(resources.pods, (all) => all.length === 2)
  })

  test('have their Sandbox go on being followed: its Pod is lost, and made anew', async () => {
    await using world = await createWorld('watcher')
    const { client, namespace } = world
    await world.template('template')
    await world.pool('pool', { replicas: 1 })
    await world.untilReady('pool', 1)
    await claim(world, 'claim')
    const [served] = await untilServed(world, 1)
    const name = served?.status?.sandbox?.name ?? ''
    const isOurs = (each: Sandbox): boolean => nameOf(each) === name
    const adopted = (await world.until(sandboxes, (all) => all.some(isOurs))).find(isOurs)
    expect(adopted?.metadata.ownerReferences).toMatchObject([
      { kind: 'SandboxClaim', uid: served?.metadata.uid, controller: true },
    ])
    const before = await client.get(resources.pods, name, { namespace })
    expect(before.metadata.labels).toMatchObject({ 'agents.x-k8s.io/sandbox-name-hash': expect.any(String) })
    // Followed from before: it may be Ready again sooner than a watch begins.
    await using informer = createInformer(client, sandboxes, { namespace })
    await informer.synced()
    const seen = Promise.withResolvers<void>()
    using _handler = informer.handle({ updated: (_old, now) => void (isOurs(now) && !isReady(now) && seen.resolve()) })
    await client.delete(resources.pods, name, { namespace })
    await seen.promise
    await world.until(sandboxes, (all) => all.some((each) => isOurs(each) && isReady(each)))
    const after = await client.get(resources.pods, name, { namespace })
    expect(after.metadata.uid).not.toBe(before.metadata.uid)
  })
})

test('a pool that is deleted takes its members along', async () => {
  await using world = await createWorld('deleted')
  await world.template('template')
  await world.pool('pool', { replicas: 3 })
  await world.untilReady('pool', 3)
  await world.client.delete(sandboxWarmPools, 'pool', { namespace: world.namespace })
  await world.until(resources.pods, (all) => all.length === 0)
  expect(await world.members('pool')).toEqual([])
})

test('members that begin with a snapshot are Ready with what its processes had done', async () => {
  await using world = await createWorld('restored')
  const { client, namespace } = world
  const spec = {
    terminationGracePeriodSeconds: 0,
    automountServiceAccountToken: false,
    containers: [{ name: 'main', image: 'caisson.dev/host', command: ['/usr/bin/python3', '-c', COUNTER] }],
  }
  await client.create(sandboxes, { metadata: { name: 'source' }, spec: { podTemplate: { spec } } }, { namespace })
  await world.template('template', { podTemplate: { spec }, fromSnapshot: 'warm' })
  await world.pool('pool', { replicas: 2 })
  const degraded = (reason: string) => (all: readonly SandboxWarmPool[]) =>
    all.some(({ status }) => status?.conditions?.some((each) => each.type === 'Degraded' && each.reason === reason))
  await world.until(sandboxWarmPools, degraded('SnapshotNotReady'))
  await cluster.mustKubectl(['-n', namespace, 'wait', '--for=condition=Ready', 'sandbox/source', '--timeout=60s'])
  const counted = async (name: string): Promise<number> =>
    Number(await cluster.mustKubectl(['-n', namespace, 'exec', name, '--', 'cat', '/tmp/count']))
  let reached = 0
  while (reached < 100) reached = await counted('source')
  const snapshot = { metadata: { name: 'warm' }, spec: { sandboxName: 'source' } }
  await client.create(sandboxSnapshots, snapshot, { namespace })
  await world.untilReady('pool', 2)
  for (const member of await world.members('pool')) {
    expect(await counted(nameOf(member))).toBeGreaterThan(reached)
    expect(member.spec.fromSnapshot).toBe('warm')
  }
})

/** A number in a file, one higher every few milliseconds. */
const COUNTER = `
import os, time
count = 0
while True:
    count += 1
    with open('/tmp/count.new', 'w') as file: file.write(str(count))
    os.rename('/tmp/count.new', '/tmp/count')
    time.sleep(0.01)
`

test('kill -9 in the middle of filling: not one member too many, and none is lost', async () => {
  {
    await using stack = new AsyncDisposableStack()
    const world = await createWorld('crash')
    stack.defer(() => world.leave())
    await world.template('template')
    await world.pool('pool', { replicas: 200 })
    await world.until(sandboxes, (all) => all.length >= 60)
    kill()
  }
  await cluster.mustCaisson(['up', '--detach', '--fake-runtime'])
  await using world = await createWorld('crash')
  let most = 0
  await world.until(sandboxes, (all) => {
    most = Math.max(most, all.length)
    return all.length >= 200
  })
  await world.untilReady('pool', 200)
  expect(most).toBe(200)
  await world.until(resources.pods, (all) => all.length === 200)
})

function kill(): void {
  const record = readDaemonRecord(dataDirectory(cluster.dataDirectory))
  if (!record) throw new Error('the cluster does not run')
  process.kill(record.pid, 'SIGKILL')
}
