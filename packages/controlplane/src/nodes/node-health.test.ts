import { componentUsers, startApiServer } from '@caisson/apiserver'
import { resources } from '@caisson/client'
import { expect, test } from 'vitest'
import { NAMESPACE, startTestServer } from '../testing/test-server.ts'
import { createNodeHealth, type NodeHealth } from './node-health.ts'

const NODE = 'far'
const TIME = '2026-01-01T00:00:00Z'

/** A node that was ready once, unless it never spoke, with a Pod that was; `advance` moves the clock and has it looked at. */
async function startNode({ spoke = true } = {}) {
  await using made = new AsyncDisposableStack()
  const { client, own, informers, signal } = made.use(await startTestServer({ startApiServer, componentUsers }))
  await client.create(resources.nodes, { metadata: { name: NODE } })
  const ready = { type: 'Ready', status: 'True', lastHeartbeatTime: TIME, lastTransitionTime: TIME }
  const pressures = ['MemoryPressure', 'DiskPressure', 'PIDPressure'].map((type) => ({
    ...ready,
    type,
    status: 'False',
  }))
  if (spoke) await client.patchStatus(resources.nodes, NODE, { status: { conditions: [ready, ...pressures] } })
  const spec = { nodeName: NODE, containers: [{ name: 'main', image: 'x' }] }
  await client.create(resources.pods, { metadata: { name: 'web' }, spec }, { namespace: NAMESPACE })
  const tellPod = async (status: string) => {
    const body = { status: { conditions: [{ type: 'Ready', status, lastTransitionTime: TIME }] } }
    return await client.patchStatus(resources.pods, 'web', body, { namespace: NAMESPACE })
  }
  await tellPod('True')
  const nodes = informers.of(resources.nodes)
  const leases = informers.of(resources.leases)
  const pods = informers.of(resources.pods)
  await informers.synced(signal)
  let clock = 0
  const events: string[] = []
  const begin = (): NodeHealth =>
    createNodeHealth({
      client: own,
      informers,
      record: ({ kind, metadata }, { reason }) => events.push(`${kind} ${metadata.name} ${reason}`),
      now: () => Date.parse(TIME) + clock,
      monotonic: () => clock,
      graceMs: 50_000,
      signal,
    })
  let health = begin()
  const stack = made.move()
  const readiness = (conditions: { type: string; status: string }[] = []): string | undefined =>
    conditions.find(({ type }) => type === 'Ready')?.status
  return {
    events,
    /** Another process, which remembers nothing. */
    restart(): void {
      health = begin()
    },
    /** The node's agent says of its Pod that it is ready. */
    async tellPod(): Promise<void> {
      pods.observe(await tellPod('True'))
    },
    async podReady(): Promise<string | undefined> {
      return readiness((await client.get(resources.pods, 'web', { namespace: NAMESPACE })).status?.conditions)
    },
    async advance(ms: number): Promise<{ requeueAfter?: number; ready: string | undefined }> {
      clock += ms
      const result = await health.reconcile(NODE)
      const node = await client.get(resources.nodes, NODE)
      const { status } = node
      nodes.observe(node)
      return { ...result, ready: readiness(status?.conditions) }
    },
    async renewLease(): Promise<void> {
      const namespace = 'kube-node-lease'
      const renewTime = new Date(Date.parse(TIME) + clock).toISOString().replace('Z', '000Z')
      const lease = { metadata: { name: NODE, namespace }, spec: { holderIdentity: NODE, renewTime } }
      leases.observe(await client.create(resources.leases, lease, { namespace }))
    },
    async report(status = 'True'): Promise<void> {
      const beat = {
        ...ready,
        status,
        lastHeartbeatTime: new Date(Date.parse(TIME) + clock).toISOString().replace('.000', ''),
      }
      nodes.observe(await client.patchStatus(resources.nodes, NODE, { status: { conditions: [beat] } }))
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

test('silence is borne for as long as it may last', async () => {
  await using node = await startNode()
  expect(await node.advance(0)).toEqual({ requeueAfter: 50_000, ready: 'True' })
  expect(await node.advance(49_999)).toEqual({ requeueAfter: 1, ready: 'True' })
  expect(await node.advance(1)).toEqual({ ready: 'Unknown' })
})

test('what is said of a node that never spoke is no word of its own', async () => {
  await using node = await startNode({ spoke: false })
  await node.advance(0)
  expect(await node.advance(50_000)).toEqual({ ready: 'Unknown' })
  expect(await node.advance(0)).toEqual({ ready: 'Unknown' })
  await node.renewLease()
  expect(await node.advance(0)).toEqual({ requeueAfter: 50_000, ready: 'Unknown' })
})

test('a Lease that is renewed, or a status, starts it anew', async () => {
  await using node = await startNode()
  await node.advance(0)
  await node.advance(40_000)
  await node.renewLease()
  expect(await node.advance(0)).toEqual({ requeueAfter: 50_000, ready: 'True' })
  await node.advance(40_000)
  await node.report()
  expect(await node.advance(0)).toEqual({ requeueAfter: 50_000, ready: 'True' })
  expect(await node.advance(50_000)).toEqual({ ready: 'Unknown' })
  await node.report()
  expect(await node.advance(0)).toEqual({ requeueAfter: 50_000, ready: 'True' })
})

test('who stood still himself heard nobody: the node gets its time again', async () => {
  await using node = await startNode()
  await node.advance(0)
  expect(await node.advance(3_600_000)).toEqual({ requeueAfter: 50_000, ready: 'True' })
  expect(await node.advance(50_000)).toEqual({ ready: 'Unknown' })
})

test('Pods of a node that has gone silent are not ready, though whoever found it so ended before it had told of them', async () => {
  await using node = await startNode()
  await node.advance(0)
  expect(await node.advance(50_000)).toEqual({ ready: 'Unknown' })
  expect(await node.podReady()).toBe('False')
  // As if it had ended between the two.
  await node.tellPod()
  node.restart()
  expect(await node.advance(0)).toEqual({ requeueAfter: 50_000, ready: 'Unknown' })
  expect(await node.podReady()).toBe('False')
  await node.advance(50_000)
  expect(node.events).toEqual(['Node far NodeNotReady', 'Pod web NodeNotReady', 'Pod web NodeNotReady'])
})

test('what is told of a silent node’s Pods later is put right in the next pass', async () => {
  await using node = await startNode()
  await node.advance(0)
  await node.advance(50_000)
  await node.tellPod()
  await node.advance(0)
  expect(await node.podReady()).toBe('False')
})

test('a node that is not ready and says so is contradicted once', async () => {
  await using node = await startNode()
  await node.advance(0)
  await node.advance(10_000)
  await node.report('False')
  expect(await node.advance(0)).toEqual({ requeueAfter: 50_000, ready: 'False' })
  expect(await node.podReady()).toBe('False')
  await node.tellPod()
  await node.advance(10_000)
  expect(await node.podReady()).toBe('True')
})
