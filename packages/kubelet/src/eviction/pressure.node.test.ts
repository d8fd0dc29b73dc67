/** A node whose disk fills up: a small one, in memory. */
import { statfs } from 'node:fs/promises'
import * as apiServer from '@caisson/apiserver'
import { resources } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fillDisk } from '../testing/fill-disk.ts'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'

const MIB = 1024 * 1024
const DISK = 64 * MIB
let node: ScratchNode
let later = 0
beforeAll(async () => {
  node = await startScratchNode(apiServer, {
    dataBytes: DISK,
    pressureIntervalMs: 200,
    now: () => Date.now() + later,
  })
})
afterAll(() => node[Symbol.asyncDispose]())

async function create(name: string, megabytes: number, request?: string): Promise<void> {
  await node.create(name, {
    terminationGracePeriodSeconds: 1,
    volumes: [{ name: 'data', emptyDir: {} }],
    containers: [
      {
        name: 'main',
        image: 'caisson.dev/host',
        command: ['sh', '-c', `dd if=/dev/zero of=/data/file bs=1M count=${megabytes}; exec sleep 1000`],
        volumeMounts: [{ name: 'data', mountPath: '/data' }],
        ...(request !== undefined && { resources: { requests: { 'ephemeral-storage': request } } }),
      },
    ],
  })
}

async function free(): Promise<number> {
  const { bavail, bsize } = await statfs(node.dataDirectory)
  return bavail * bsize
}

async function diskPressure(of = node): Promise<string | undefined> {
  const { status } = await of.client.get(resources.nodes, 'scratch')
  return status?.conditions?.find(({ type }) => type === 'DiskPressure')?.status
}

test('a node that is short of disk says so and evicts who is furthest above what it asked for, and nobody else', async () => {
  await create('asked', 30, '32Mi')
  await node.until('asked', ({ status }) => status?.phase === 'Running')
  expect(await diskPressure()).toBe('False')
  await create('greedy', 29)
  const evicted = await node.until('greedy', ({ status }) => status?.phase === 'Failed')
  expect(evicted.status).toMatchObject({
    reason: 'Evicted',
    message: expect.stringMatching(
      /^The node was low on resource: ephemeral-storage\. Threshold quantity: 6553Ki, available: \d+Ki\. Container main was using \d+Ki, request is 0, has larger consumption of ephemeral-storage\. $/,
    ),
  })
  await expect.poll(() => diskPressure(), { timeout: 10_000 }).toBe('True')
  // What it kept is gone, and that was enough.
  await node.client.delete(resources.pods, 'greedy', { namespace: 'default' })
  await node.gone('greedy')
  await expect.poll(free, { timeout: 10_000 }).toBeGreaterThan(DISK / 4)
  expect((await node.client.get(resources.pods, 'asked', { namespace: 'default' })).status?.phase).toBe('Running')
  // The node goes on saying so for five minutes, lest it swing to and fro.
  expect(await diskPressure()).toBe('True')
  later = 301_000
  await expect.poll(() => diskPressure(), { timeout: 10_000 }).toBe('False')
})

test('a node that is short of disk says so also where it is when it registers, however long that takes', async () => {
  await using slow = await startScratchNode(apiServer, { dataBytes: DISK, pressureIntervalMs: 20, registrationMs: 500 })
  await slow.restart(async () => void (await fillDisk(slow.dataDirectory, 64 * 1024)))
  await expect.poll(() => diskPressure(slow), { timeout: 10_000 }).toBe('True')
  expect(slow.errors).toEqual([])
})
