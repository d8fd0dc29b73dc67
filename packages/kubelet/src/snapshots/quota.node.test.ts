/** What the snapshots of a namespace may take on a node, with real ones. */
import { findCondition } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { type PodObject, resources, sandboxSnapshots } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { BOX, serveSnapshots, takeSnapshot } from '../testing/scratch-snapshots.ts'

const MB = 1024 * 1024
/** Room for one at a time: what is held, and what its sentry may add to that before it is known. */
const QUOTA = 160 * MB
const HELD = 80

let node: ScratchNode
beforeAll(async () => {
  node = await startScratchNode(apiserver, { snapshotBytes: QUOTA })
  await serveSnapshots(node)
  await node.client.create(resources.namespaces, { metadata: { name: 'other' } })
  await node.client.create(resources.serviceAccounts, { metadata: { name: 'default' } }, { namespace: 'other' })
})
afterAll(() => node[Symbol.asyncDispose]())

async function runBox(namespace: string): Promise<PodObject> {
  const script = `import os, time\nheld = os.urandom(${HELD * MB})\nprint("held", flush=True)\ntime.sleep(1000)`
  const container = { name: 'main', image: 'caisson.dev/host', command: ['python3', '-c', script] }
  const spec = {
    nodeName: 'scratch',
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 0,
    containers: [container],
  }
  await node.client.create(resources.pods, { metadata: { name: 'box', ownerReferences: [BOX] }, spec }, { namespace })
  for await (const { object } of node.client.watch(resources.pods, { namespace }))
    if ((object as PodObject).status?.containerStatuses?.[0]?.state?.running) return object as PodObject
  throw new Error('the watch ended')
}

const take = async (name: string, pod: PodObject): Promise<string> => (await takeSnapshot(node, { name, pod })).reason

test('a namespace has its own share, by what the node knows of its files', async () => {
  const [pod, another] = await Promise.all([runBox('default'), runBox('other')])
  await expect.poll(() => node.log('box'), { timeout: 20_000 }).toContain('held')
  expect(await take('first', pod)).toBe('Taken')
  // What a status says of it does not make room.
  await node.client.patchStatus(sandboxSnapshots, 'first', { status: { sizeBytes: 0 } }, { namespace: 'default' })
  expect(await take('second', pod)).toBe('QuotaExceeded')
  const { status } = await node.client.get(sandboxSnapshots, 'second', { namespace: 'default' })
  expect(findCondition(status?.conditions, 'Ready')?.message).toMatch(
    /^the snapshots of namespace default on node scratch have \d+ of 167772160 bytes, and this one would have up to \d+ more: delete some$/,
  )
  // Nor takes it any from others.
  expect(await take('theirs', another)).toBe('Taken')
  // Not even by an agent that has only just begun.
  await node.restart()
  expect(await take('third', pod)).toBe('QuotaExceeded')
  await node.client.delete(sandboxSnapshots, 'first', { namespace: 'default' })
  await expect
    .poll(() => node.client.get(sandboxSnapshots, 'first', { namespace: 'default' }).catch(() => 'gone'))
    .toBe('gone')
  expect(await take('fourth', pod)).toBe('Taken')
  expect(node.errors).toEqual([])
})
