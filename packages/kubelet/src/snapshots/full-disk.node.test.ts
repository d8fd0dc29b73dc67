/** Snapshots on a node whose disk is full: none is made, none goes on, what runs does not notice, and all is well when there is room. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ConditionState } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { type PodObject, resources } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fillDisk } from '../testing/fill-disk.ts'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { isReady } from '../testing/scratch-pods.ts'
import { BOX, serveSnapshots, takeSnapshot } from '../testing/scratch-snapshots.ts'

const MB = 1024 * 1024
/** What has to be left beside a snapshot, and a snapshot. */
const DISK = 320 * MB
/** Of the memory of what is kept. */
const HELD = 96 * MB

const at = { namespace: 'default' }

let node: ScratchNode
let box: PodObject
beforeAll(async () => {
  // Whom the node evicts for want of room is another test's.
  node = await startScratchNode(apiserver, { dataBytes: DISK, pressureIntervalMs: 3_600_000 })
  await serveSnapshots(node)
  box = await start('box')
})
afterAll(() => node[Symbol.asyncDispose]())

/** Counts in its memory; its volume holds how far it was when it was asked, and something that takes room. */
const COUNTER = `
import os, time
held = os.urandom(${HELD})
count = 0
while True:
    count += 1
    if os.path.exists('/v/ask'):
        os.rename('/v/ask', '/v/asked')
        open('/v/count', 'w').write(str(count))
        os.rename('/v/count', '/v/told')
    time.sleep(0.01)
`

async function start(name: string, snapshot?: string): Promise<PodObject> {
  await node.create(
    name,
    {
      terminationGracePeriodSeconds: 0,
      volumes: [{ name: 'v', emptyDir: {} }],
      containers: [
        {
          name: 'main',
          image: 'caisson.dev/host',
          command: ['python3', '-c', COUNTER],
          volumeMounts: [{ name: 'v', mountPath: '/v' }],
        },
      ],
    },
    snapshot === undefined ? { ownerReferences: [BOX] } : { annotations: { 'caisson.dev/snapshot': snapshot } },
  )
  return await node.until(name, snapshot === undefined ? isReady : () => true)
}

const volumeOf = ({ metadata }: PodObject, ...path: string[]): string =>
  join(node.dataDirectory, 'pods', metadata.uid ?? '', 'volumes/v', ...path)

/** How far it has counted. */
async function count(pod: PodObject): Promise<number> {
  rmSync(volumeOf(pod, 'told'), { force: true })
  writeFileSync(volumeOf(pod, 'ask'), '')
  await expect.poll(() => readdirSync(volumeOf(pod))).toContain('told')
  return Number(readFileSync(volumeOf(pod, 'told'), 'utf8'))
}

const take = (name: string, endSource = false): Promise<ConditionState> =>
  takeSnapshot(node, { name, pod: box, endSource })

test.each([
  ['full', false, 0],
  ['full', true, 0],
  ['too small', false, HELD],
  ['too small', true, HELD],
])('none is made on a disk that is %s (endSource: %s)', async (_how, endSource, left) => {
  const before = await count(box)
  {
    using _full = await fillDisk(node.dataDirectory, left)
    expect(await take(`full-${endSource}-${left}`, endSource)).toMatchObject({
      status: 'False',
      reason: 'DiskFull',
      message: expect.stringMatching(
        /^the disk has \d+ bytes left, expected \d+ for the snapshot and 67108864 beside it: make room$/,
      ),
    })
    expect(readdirSync(join(node.dataDirectory, 'snapshots'))).toEqual([])
  }
  expect(await count(box)).toBeGreaterThan(before)
  const { status } = await node.client.get(resources.pods, 'box', at)
  expect([status?.phase, status?.containerStatuses?.[0]?.restartCount]).toEqual(['Running', 0])
})

test('what is to go on from one waits for room for its volumes', async () => {
  writeFileSync(volumeOf(box, 'ballast'), Buffer.alloc(4 * MB, 'x'))
  const before = await count(box)
  expect(await take('good')).toMatchObject({ status: 'True', reason: 'Taken' })
  let copy: PodObject
  {
    // The Pod's own files fit, and its volume does not.
    using _full = await fillDisk(node.dataDirectory, MB)
    copy = await start('copy', 'good')
    const waiting = ({ status }: PodObject) => status?.containerStatuses?.[0]?.state?.waiting
    const pod = await node.until('copy', (each) => waiting(each)?.reason === 'CreateContainerError')
    expect(waiting(pod)?.message).toBe("the node's disk is full")
  }
  await node.until('copy', isReady)
  expect(readFileSync(volumeOf(copy, 'ballast'))).toEqual(Buffer.alloc(4 * MB, 'x'))
  expect(await count(copy)).toBeGreaterThan(before)
  await node.client.delete(resources.pods, 'copy', { ...at, gracePeriodSeconds: 0 })
  await node.gone('copy')
  await expect.poll(() => readdirSync(join(node.dataDirectory, 'pods'))).toEqual([box.metadata.uid])
})
