import { componentUsers, startApiServer } from '@caisson/apiserver'
import { resources } from '@caisson/client'
import { expect, test } from 'vitest'
import { startTestServer } from '../testing/test-server.ts'
import { createNodeHealth } from './node-health.ts'

const NODE = 'far'
const TIME = '2026-01-01T00:00:00Z'

/** A node that was ready once; `advance` moves the clock and has it looked at. */
async function startNode() {
  await using made = new AsyncDisposableStack()
  const { client, own, informers, signal } = made.use(await startTestServer({ startApiServer, componentUsers }))
  await client.create(resources.nodes, { metadata: { name: NODE } })
  const ready = { type: 'Ready', status: 'True', lastHeartbeatTime: TIME, lastTransitionTime: TIME }
  await client.patchStatus(resources.nodes, NODE, { status: { conditions: [ready] } })
  const nodes = informers.of(resources.nodes)
  const leases = informers.of(resources.leases)
  informers.of(resources.pods)
  await informers.synced(signal)
  let clock = 0
  const health = createNodeHealth({
    client: own,
    informers,
    record: () => {},
    now: () => Date.parse(TIME) + clock,
    monotonic: () => clock,
    graceMs: 50_000,
    signal,
  })
  const stack = made.move()
  return {
    async advance(ms: number): Promise<{ requeueAfter?: number; ready: string | undefined }> {
      clock += ms
      const result = await health.reconcile(NODE)
      const { status } = await client.get(resources.nodes, NODE)
      return { ...result, ready: status?.conditions?.find(({ type }) => type === 'Ready')?.status }
    },
    async renewLease(): Promise<void> {
      const namespace = 'kube-node-lease'
      const renewTime = new Date(Date.parse(TIME) + clock).toISOString().replace('Z', '000Z')
      const lease = { metadata: { name: NODE, namespace }, spec: { holderIdentity: NODE, renewTime } }
      leases.observe(await client.create(resources.leases, lease, { namespace }))
    },
    async report(): Promise<void> {
      const beat = { ...ready, lastHeartbeatTime: new Date(Date.parse(TIME) + clock).toISOString().replace('.000', '') }
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
