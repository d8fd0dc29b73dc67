/** What the snapshots of a namespace may take on a node, with real ones. */
import { findCondition, type SandboxSnapshot, snapshotCrd } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { defineResource, type PodObject, resources, sandboxSnapshots } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'

const MB = 1024 * 1024
/** Room for one at a time: what is held, and what its sentry may add to that before it is known. */
const QUOTA = 160 * MB
const HELD = 80

const CRDS = defineResource<ReturnType<typeof snapshotCrd>>({
  group: 'apiextensions.k8s.io',
  version: 'v1',
  plural: 'customresourcedefinitions',
  kind: 'CustomResourceDefinition',
  namespaced: false,
})

let node: ScratchNode
beforeAll(async () => {
  node = await startScratchNode(apiserver, { snapshotBytes: QUOTA })
  await node.client.create(CRDS, snapshotCrd())
  await node.client.create(resources.namespaces, { metadata: { name: 'other' } })
  await node.client.create(resources.serviceAccounts, { metadata: { name: 'default' } }, { namespace: 'other' })
})
afterAll(() => node[Symbol.asyncDispose]())

const owner = { apiVersion: 'agents.x-k8s.io/v1beta1', kind: 'Sandbox', name: 'box', uid: 'box-uid', controller: true }

async function runBox(namespace: string): Promise<PodObject> {
  const script = `import os, time\nheld = os.urandom(${HELD * MB})\nprint("held", flush=True)\ntime.sleep(1000)`
  const container = { name: 'main', image: 'caisson.dev/host', command: ['python3', '-c', script] }
  const spec = {
    nodeName: 'scratch',
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 0,
    containers: [container],
  }
  await node.client.create(resources.pods, { metadata: { name: 'box', ownerReferences: [owner] }, spec }, { namespace })
  for await (const { object } of node.client.watch(resources.pods, { namespace }))
    if ((object as PodObject).status?.containerStatuses?.[0]?.state?.running) return object as PodObject
  throw new Error('the watch ended')
}

/** What becomes of a snapshot that a controller has assigned to the node. */
async function take(name: string, pod: PodObject): Promise<string> {
  const { namespace = '', uid = '' } = pod.metadata
  const finalizers = ['caisson.dev/snapshot-files']
  await node.client.create(
    sandboxSnapshots,
    { metadata: { name, finalizers }, spec: { sandboxName: 'box' } },
    { namespace },
  )
  await node.client.patchStatus(sandboxSnapshots, name, { status: { nodeName: 'scratch', podUID: uid } }, { namespace })
  for await (const { object } of node.client.watch(sandboxSnapshots, { namespace })) {
    const ready = findCondition((object as SandboxSnapshot).status?.conditions, 'Ready')
    if ((object as SandboxSnapshot).metadata.name === name && ready) return ready.reason
  }
  throw new Error('the watch ended')
}

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
