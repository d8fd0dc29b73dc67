/** Sandboxes of a running cluster: agent-sandbox's own cases of their life, their end and their storage. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Sandbox } from '../../packages/api/src/index.ts'
import { sandboxes } from '../../packages/cli/src/sandboxes.ts'
import {
  type AnyObject,
  type Client,
  createClient,
  createHttpTransport,
  createInformer,
  findConnection,
  isNotFound,
  joinKey,
  type Resource,
  resources,
} from '../../packages/client/src/index.ts'
import { type Cluster, startCluster } from './fixture.ts'

let cluster: Cluster
let client: Client
const stack = new AsyncDisposableStack()
const namespace = 'sandboxes'
beforeAll(async () => {
  cluster = stack.use(await startCluster({ up: ['--fake-runtime'] }))
  const connection = await findConnection({ kubeconfig: cluster.env['KUBECONFIG'] ?? '' })
  client = createClient(stack.use(createHttpTransport(connection)), { fieldManager: 'sandboxes-test' })
  await client.create(resources.namespaces, { metadata: { name: namespace } })
})
afterAll(() => stack.disposeAsync())

type Spec = Partial<Sandbox['spec']>
type PodSpec = Sandbox['spec']['podTemplate']['spec']

/** On no container runtime. */
const PAUSE: PodSpec = {
  runtimeClassName: 'fake',
  containers: [{ name: 'pause', image: 'registry.k8s.io/pause:3.10', ports: [{ containerPort: 80 }] }],
}
/** Under gVisor. */
const runs = (...command: string[]): PodSpec => ({
  restartPolicy: 'Never',
  automountServiceAccountToken: false,
  terminationGracePeriodSeconds: 0,
  containers: [{ name: 'main', image: 'caisson.dev/host', command }],
})

const create = (name: string, spec: Spec = {}): Promise<Sandbox> =>
  client.create(sandboxes, { metadata: { name }, spec: { podTemplate: { spec: PAUSE }, ...spec } }, { namespace })
const change = (name: string, spec: object): Promise<Sandbox> => client.patch(sandboxes, name, { spec }, { namespace })

/** Resolves with the object once it is what is asked for; undefined: once there is none. */
async function until<T extends AnyObject>(
  resource: Resource<T>,
  name: string,
  holds: (object: T | undefined) => boolean,
): Promise<T | undefined> {
  await using informer = createInformer(client, resource, { namespace, fieldSelector: `metadata.name=${name}` })
  await informer.synced()
  const seen = Promise.withResolvers<T | undefined>()
  const look = (): void => {
    const object = informer.get(joinKey(namespace, name))
    if (holds(object)) seen.resolve(object)
  }
  using _handler = informer.handle({ added: look, updated: look, deleted: look })
  look()
  return await seen.promise
}

const isGone = (object: AnyObject | undefined): boolean => object === undefined
/** Once a condition has the reason, for the generation of the spec. */
const untilSaid = (name: string, type: string, reason: string, generation = 1): Promise<Sandbox | undefined> =>
  until(
    sandboxes,
    name,
    (each) =>
      each?.status?.conditions?.some(
        (one) => one.type === type && one.reason === reason && one.observedGeneration === generation,
      ) ?? false,
  )

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/
type Said = readonly [type: string, status: string, reason: string, message: string]

function conditions(generation: number, ...said: Said[]) {
  return said.map(([type, status, reason, message]) => ({
    type,
    status,
    reason,
    message,
    observedGeneration: generation,
    lastTransitionTime: expect.stringMatching(TIME),
  }))
}
const RUNS = ['Suspended', 'False', 'NotSuspended', 'Sandbox is not suspended'] as const
const SCHEDULED = ['PodScheduled', 'True', 'PodScheduled', ''] as const
const READY = ['Ready', 'True', 'DependenciesReady', 'Pod is Ready'] as const

/** The whole status, whose conditions are in no order. */
function expectStatus(sandbox: Sandbox | undefined, status: object, said: object[]): void {
  const { conditions = [], ...rest } = sandbox?.status ?? {}
  const byType = (all: readonly object[]) => all.toSorted((a, b) => (typeOf(a) < typeOf(b) ? -1 : 1))
  expect({ ...rest, conditions: byType(conditions) }).toEqual({ ...status, conditions: byType(said) })
}
const typeOf = (condition: object): string => (condition as { type: string }).type
const runningOn = (hash: unknown) => ({
  selector: hash,
  podIPs: [expect.any(String)],
  nodeName: expect.any(String),
})
const selector = expect.stringMatching(/^agents\.x-k8s\.io\/sandbox-name-hash=[0-9a-f]{8}$/)

test('a simple one: its status, its Pod and its Service', async () => {
  await create('simple', { service: true })
  const sandbox = await untilSaid('simple', 'Ready', 'DependenciesReady')
  expectStatus(
    sandbox,
    { ...runningOn(selector), service: 'simple', serviceFQDN: 'simple.sandboxes.svc.cluster.local' },
    conditions(1, RUNS, SCHEDULED, ['Ready', 'True', 'DependenciesReady', 'Pod is Ready; Service Exists']),
  )
  const hash = sandbox?.status?.selector?.split('=')[1]
  const owner = {
    apiVersion: 'agents.x-k8s.io/v1beta1',
    kind: 'Sandbox',
    name: 'simple',
    uid: sandbox?.metadata.uid,
    controller: true,
    blockOwnerDeletion: true,
  }
  const pod = await client.get(resources.pods, 'simple', { namespace })
  const service = await client.get(resources.services, 'simple', { namespace })
  for (const { metadata } of [pod, service]) {
    expect(metadata.labels).toEqual({ 'agents.x-k8s.io/sandbox-name-hash': hash })
    expect(metadata.ownerReferences).toEqual([owner])
  }
  expect(service.spec).toMatchObject({
    clusterIP: 'None',
    selector: { 'agents.x-k8s.io/sandbox-name-hash': hash },
    ports: [{ name: 'p-80-tcp', port: 80, protocol: 'TCP', targetPort: 80 }],
  })
})

describe('operatingMode', () => {
  test('suspended: the Pod goes, the Service stays; running again: a new Pod', async () => {
    await create('mode', { service: true })
    await untilSaid('mode', 'Ready', 'DependenciesReady')
    const before = await client.get(resources.pods, 'mode', { namespace })
    await change('mode', { operatingMode: 'Suspended' })
    expectStatus(
      await untilSaid('mode', 'Suspended', 'PodTerminated', 2),
      { selector, service: 'mode', serviceFQDN: 'mode.sandboxes.svc.cluster.local' },
      conditions(
        2,
        ['Suspended', 'True', 'PodTerminated', 'Pod has been terminated. Sandbox is suspended'],
        ['Ready', 'False', 'SandboxSuspended', 'Sandbox is suspended'],
      ),
    )
    await until(resources.pods, 'mode', isGone)
    await client.get(resources.services, 'mode', { namespace })
    await change('mode', { operatingMode: 'Running' })
    expectStatus(
      await untilSaid('mode', 'Ready', 'DependenciesReady', 3),
      { ...runningOn(selector), service: 'mode', serviceFQDN: 'mode.sandboxes.svc.cluster.local' },
      conditions(3, RUNS, SCHEDULED, ['Ready', 'True', 'DependenciesReady', 'Pod is Ready; Service Exists']),
    )
    expect((await client.get(resources.pods, 'mode', { namespace })).metadata.uid).not.toBe(before.metadata.uid)
  })

  test('says that it waits for a Pod that takes its time', async () => {
    await create('slow')
    await untilSaid('slow', 'Ready', 'DependenciesReady')
    await client.patch(resources.pods, 'slow', { metadata: { finalizers: ['example.com/held'] } }, { namespace })
    await change('slow', { operatingMode: 'Suspended' })
    const suspending = await untilSaid('slow', 'Suspended', 'PodTerminating', 2)
    expect(suspending?.status?.conditions).toEqual(
      expect.arrayContaining(
        conditions(
          2,
          ['Suspended', 'False', 'PodTerminating', 'Pod is terminating. Sandbox is suspending'],
          ['Ready', 'False', 'SandboxSuspended', 'Sandbox is suspending'],
        ),
      ),
    )
    await client.patch(resources.pods, 'slow', { metadata: { finalizers: null } }, { namespace })
    expectStatus(
      await untilSaid('slow', 'Suspended', 'PodTerminated', 2),
      { selector },
      conditions(
        2,
        ['Suspended', 'True', 'PodTerminated', 'Pod has been terminated. Sandbox is suspended'],
        ['Ready', 'False', 'SandboxSuspended', 'Sandbox is suspended'],
      ),
    )
  })

  test('a Pod that somebody deletes suspends nothing', async () => {
    await create('lost')
    await untilSaid('lost', 'Ready', 'DependenciesReady')
    await using informer = createInformer(client, sandboxes, { namespace, fieldSelector: 'metadata.name=lost' })
    await informer.synced()
    const said = new Set<string>()
    const unready = Promise.withResolvers<void>()
    using _handler = informer.handle({
      updated: (_old, { status }) => {
        for (const { type, status: value, reason } of status?.conditions ?? []) {
          if (type === 'Suspended') said.add(`${value}/${reason}`)
          if (type === 'Ready' && value === 'False') unready.resolve()
        }
      },
    })
    const before = await client.get(resources.pods, 'lost', { namespace })
    await client.delete(resources.pods, 'lost', { namespace })
    await unready.promise
    expectStatus(
      await untilSaid('lost', 'Ready', 'DependenciesReady'),
      runningOn(selector),
      conditions(1, RUNS, SCHEDULED, READY),
    )
    const after = await client.get(resources.pods, 'lost', { namespace })
    expect(after.metadata.uid).not.toBe(before.metadata.uid)
    expect([...said]).toEqual(['False/NotSuspended'])
  })

  test("another's Pod of its name is never deleted", async () => {
    const pod = await client.create(resources.pods, { metadata: { name: 'taken' }, spec: PAUSE }, { namespace })
    await create('taken', { operatingMode: 'Suspended' })
    const sandbox = await untilSaid('taken', 'Suspended', 'PodNotOwned')
    expectStatus(
      sandbox,
      { selector },
      conditions(
        1,
        ['Suspended', 'False', 'PodNotOwned', 'Refused to delete pod because it is not owned by this sandbox'],
        ['Ready', 'False', 'SandboxSuspended', 'Sandbox is suspending'],
      ),
    )
    const { metadata } = await client.get(resources.pods, 'taken', { namespace })
    expect([metadata.uid, metadata.deletionTimestamp]).toEqual([pod.metadata.uid, undefined])
  })
})

test('twenty at once', async () => {
  const names = Array.from({ length: 20 }, (_, index) => `parallel-${index}`)
  await Promise.all(names.map((name) => create(name)))
  const all = await Promise.all(names.map((name) => untilSaid(name, 'Ready', 'DependenciesReady')))
  for (const each of all) expectStatus(each, runningOn(selector), conditions(1, RUNS, SCHEDULED, READY))
  expect(new Set(all.map((each) => each?.status?.podIPs?.[0])).size).toBe(20)
})

describe('an end', () => {
  const soon = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString().replace(/\.\d+/, '')

  test('at shutdownTime: Pod and Service go, the word stays', async () => {
    await create('ends', { service: true })
    await untilSaid('ends', 'Ready', 'DependenciesReady')
    await change('ends', { shutdownTime: soon(1) })
    expectStatus(
      await untilSaid('ends', 'Ready', 'SandboxExpired', 2),
      {},
      conditions(2, RUNS, ['Ready', 'False', 'SandboxExpired', 'Sandbox has expired']),
    )
    await until(resources.pods, 'ends', isGone)
    await until(resources.services, 'ends', isGone)
  })

  test('that is retained keeps how its workload ended', async () => {
    await create('finished', { podTemplate: { spec: runs('true') } })
    const finished = await untilSaid('finished', 'Ready', 'PodSucceeded')
    const ended = ['Finished', 'True', 'PodSucceeded', 'Pod completed successfully'] as const
    expect(finished?.status?.conditions).toEqual(expect.arrayContaining(conditions(1, ended)))
    const at = finished?.status?.conditions?.find(({ type }) => type === 'Finished')?.lastTransitionTime
    await change('finished', { shutdownTime: soon(-1) })
    const expired = await untilSaid('finished', 'Ready', 'SandboxExpired', 2)
    const kept = expired?.status?.conditions?.find(({ type }) => type === 'Finished')
    expect(kept).toMatchObject({ status: 'True', reason: 'PodSucceeded', lastTransitionTime: at })
    await until(resources.pods, 'finished', isGone)
  })
})

describe('volumeClaimTemplates', () => {
  const volume = (storage: string) => ({
    metadata: { name: 'data' },
    spec: { accessModes: ['ReadWriteOnce' as const], resources: { requests: { storage } } },
  })

  test('are claims of its own, mounted, and outlive a suspension', async () => {
    const pod = runs('sh', '-c', 'echo kept >> /data/file; sleep infinity')
    const [main] = pod.containers
    const mounted = {
      ...pod,
      containers: [{ ...main, volumeMounts: [{ name: 'data', mountPath: '/data' }] }],
    } as PodSpec
    await create('stored', { podTemplate: { spec: mounted }, volumeClaimTemplates: [volume('1Gi')] })
    const sandbox = await untilSaid('stored', 'Ready', 'DependenciesReady')
    const claim = await client.get(resources.persistentVolumeClaims, 'data-stored', { namespace })
    expect(claim.metadata.labels).toEqual({
      'agents.x-k8s.io/sandbox-name-hash': sandbox?.status?.selector?.split('=')[1],
    })
    expect(claim.metadata.ownerReferences).toMatchObject([
      { kind: 'Sandbox', name: 'stored', uid: sandbox?.metadata.uid, controller: true },
    ])
    const read = (): Promise<string> =>
      cluster.mustKubectl(['-n', namespace, 'exec', 'stored', '--', 'cat', '/data/file'])
    expect(await read()).toBe('kept\n')
    await change('stored', { operatingMode: 'Suspended' })
    await until(resources.pods, 'stored', isGone)
    await change('stored', { operatingMode: 'Running' })
    await untilSaid('stored', 'Ready', 'DependenciesReady', 3)
    expect(await read()).toBe('kept\nkept\n')
    await client.delete(sandboxes, 'stored', { namespace })
    await until(resources.persistentVolumeClaims, 'data-stored', isGone)
  })

  test('cannot be changed', async () => {
    await create('fixed', { volumeClaimTemplates: [volume('1Gi')], operatingMode: 'Suspended' })
    for (const volumeClaimTemplates of [[volume('2Gi')], [], null])
      await expect(change('fixed', { volumeClaimTemplates })).rejects.toThrow('volumeClaimTemplates is immutable')
    await expect(client.get(resources.pods, 'fixed', { namespace })).rejects.toSatisfy(isNotFound)
  })
})
