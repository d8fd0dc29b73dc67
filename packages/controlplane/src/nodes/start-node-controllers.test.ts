import { componentUsers, startApiServer } from '@caisson/apiserver'
import { type Client, keyOf, resources } from '@caisson/client'
import type { Toleration } from 'kubernetes-types/core/v1.d.ts'
import { expect, test, vi } from 'vitest'
import { NAMESPACE, startTestServer } from '../testing/test-server.ts'
import { startNodeControllers } from './start-node-controllers.ts'

const NODE = 'far'
const TIME = '2026-01-01T00:00:00Z'
/** When a node speaks again. */
const LATER = '2026-01-01T00:10:00Z'
const OUT = { key: 'example.com/out', effect: 'NoExecute' }

interface Cluster extends AsyncDisposable {
  client: Client
  /** `REASON MESSAGE` of each event, in order. */
  events: string[]
  errors: unknown[]
}

/** @param prepare what is there before the controllers begin */
async function startCluster(
  timing: { graceMs?: number; quarantineMs?: number } = {},
  prepare?: (client: Client) => Promise<void>,
): Promise<Cluster> {
  const stack = new AsyncDisposableStack()
  const { client, own, informers, signal } = stack.use(await startTestServer({ startApiServer, componentUsers }))
  await client.create(resources.nodes, { metadata: { name: NODE } })
  await client.patchStatus(resources.nodes, NODE, {
    status: { conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: TIME, lastTransitionTime: TIME }] },
  })
  await prepare?.(client)
  informers.of(resources.nodes)
  informers.of(resources.pods)
  informers.of(resources.leases)
  await informers.synced(signal)
  const events: string[] = []
  const errors: unknown[] = []
  stack.use(
    startNodeControllers({
      ...timing,
      client: own,
      informers,
      record: (_about, { reason, message }) => events.push(`${reason} ${message}`),
      now: () => Date.parse(TIME),
      signal: signal,
      onError: (error) => errors.push(error),
    }),
  )
  return { client, events, errors, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

function createPod(client: Client, name: string, tolerations: Toleration[] = []): Promise<unknown> {
  const spec = { nodeName: NODE, tolerations, containers: [{ name: 'main', image: 'x' }] }
  return client.create(resources.pods, { metadata: { name }, spec }, { namespace: NAMESPACE })
}

/** Names of the Pods that nobody has asked to go. */
async function staying(client: Client): Promise<string[]> {
  const { items } = await client.list(resources.pods, { namespace: NAMESPACE })
  return items.filter(({ metadata }) => !metadata.deletionTimestamp).map(({ metadata }) => metadata.name ?? '')
}

test('a node that has fallen silent is unknown, its Pods are not ready, and it is open again when it speaks', async () => {
  const ready = { type: 'Ready', status: 'True', lastTransitionTime: TIME }
  await using cluster = await startCluster({ graceMs: 300 }, async (client) => {
    await createPod(client, 'served')
    await client.patchStatus(resources.pods, 'served', { status: { conditions: [ready] } }, { namespace: NAMESPACE })
  })
  const { client, events, errors } = cluster
  const unreachable = { key: 'node.kubernetes.io/unreachable', effect: 'NoSchedule' }
  await vi.waitFor(async () => {
    const { spec } = await client.get(resources.nodes, NODE)
    expect(spec?.taints).toEqual([unreachable, { ...unreachable, effect: 'NoExecute', timeAdded: TIME }])
  })
  const { status } = await client.get(resources.nodes, NODE)
  const never = { status: 'Unknown', reason: 'NodeStatusNeverUpdated', message: 'Kubelet never posted node status.' }
  expect(status?.conditions).toEqual([
    {
      type: 'Ready',
      status: 'Unknown',
      reason: 'NodeStatusUnknown',
      message: 'Kubelet stopped posting node status.',
      lastHeartbeatTime: TIME,
      lastTransitionTime: TIME,
    },
    { type: 'MemoryPressure', ...never, lastHeartbeatTime: null, lastTransitionTime: TIME },
    { type: 'DiskPressure', ...never, lastHeartbeatTime: null, lastTransitionTime: TIME },
    { type: 'PIDPressure', ...never, lastHeartbeatTime: null, lastTransitionTime: TIME },
  ])
  await vi.waitFor(async () => {
    const pod = await client.get(resources.pods, 'served', { namespace: NAMESPACE })
    expect(pod.status?.conditions?.map(({ type, status: now }) => [type, now])).toContainEqual(['Ready', 'False'])
  })
  expect(events).toEqual(['NodeNotReady Node far status is now: NodeNotReady', 'NodeNotReady Node is not ready'])

  const heartbeat = { ...ready, lastHeartbeatTime: LATER }
  await client.patchStatus(resources.nodes, NODE, { status: { conditions: [heartbeat] } })
  await vi.waitFor(async () => expect((await client.get(resources.nodes, NODE)).spec?.taints).toBe(undefined))
  expect(errors).toEqual([])
})

test('a NoExecute taint drives out who does not bear it at once, and later who bears it for a time', async () => {
  await using cluster = await startCluster()
  const { client, events, errors } = cluster
  await createPod(client, 'bare')
  await createPod(client, 'always', [{ key: OUT.key, operator: 'Exists', effect: 'NoExecute' }])
  await createPod(client, 'while', [{ key: OUT.key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 1 }])
  const began = performance.now()
  await client.patch(resources.nodes, NODE, { spec: { taints: [OUT] } }, { type: 'merge' })
  await vi.waitFor(async () => expect(await staying(client)).toEqual(['always']), { timeout: 5000 })
  expect(performance.now() - began).toBeGreaterThan(1000)
  const { status } = await client.get(resources.pods, 'bare', { namespace: NAMESPACE })
  expect(status?.conditions).toContainEqual({
    type: 'DisruptionTarget',
    status: 'True',
    reason: 'DeletionByTaintManager',
    message: 'Taint manager: deleting due to NoExecute taint',
    lastProbeTime: null,
    lastTransitionTime: TIME,
  })
  await createPod(client, 'late')
  await vi.waitFor(async () => expect(await staying(client)).toEqual(['always']))
  await vi.waitFor(() =>
    expect(events).toEqual([
      'TaintManagerEviction Marking for deletion Pod default/bare',
      'TaintManagerEviction Marking for deletion Pod default/while',
      'TaintManagerEviction Marking for deletion Pod default/late',
    ]),
  )
  expect(errors).toEqual([])
})

test('who bears a taint for a time stays when it is taken away before', async () => {
  await using cluster = await startCluster()
  const { client, events, errors } = cluster
  await createPod(client, 'while', [{ key: OUT.key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 3600 }])
  await createPod(client, 'bare')
  await client.patch(resources.nodes, NODE, { spec: { taints: [OUT] } }, { type: 'merge' })
  // Both are looked at in the same moment.
  await vi.waitFor(async () => expect(await staying(client)).toEqual(['while']))
  await client.patch(resources.nodes, NODE, { spec: { taints: null } }, { type: 'merge' })
  await vi.waitFor(() => expect(events).toContain('TaintManagerEviction Cancelling deletion of Pod default/while'))
  expect(await staying(client)).toEqual(['while'])
  expect(errors).toEqual([])
})

test('Pods of a node that is not there go', async () => {
  await using cluster = await startCluster({ quarantineMs: 200 })
  const { client, errors } = cluster
  const spec = { nodeName: 'bogus', containers: [{ name: 'main', image: 'x' }] }
  await client.create(resources.pods, { metadata: { name: 'lost' }, spec }, { namespace: NAMESPACE })
  await createPod(client, 'orphan')
  await createPod(client, 'ended')
  await client.patchStatus(resources.pods, 'ended', { status: { phase: 'Succeeded' } }, { namespace: NAMESPACE })
  const names = async () => (await client.list(resources.pods, { namespace: NAMESPACE })).items.map(keyOf)
  await vi.waitFor(async () => expect(await names()).toEqual(['default/ended', 'default/orphan']))
  await client.delete(resources.nodes, NODE)
  await vi.waitFor(async () => expect(await names()).toEqual([]))
  expect(errors).toEqual([])
})
