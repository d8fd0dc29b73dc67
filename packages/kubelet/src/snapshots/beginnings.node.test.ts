/** What containers of a Pod begin with that comes from a snapshot, with real ones. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as apiserver from '@caisson/apiserver'
import { type PodObject, resources } from '@caisson/client'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { isReady } from '../testing/scratch-pods.ts'
import { BOX, serveSnapshots, takeSnapshot } from '../testing/scratch-snapshots.ts'

const at = { namespace: 'default' }

let node: ScratchNode
let outside: string
beforeAll(async () => {
  outside = mkdtempSync(join(tmpdir(), 'caisson-outside-'))
  writeFileSync(join(outside, 'file'), 'of the machine')
  node = await startScratchNode(apiserver)
  await serveSnapshots(node)
})
afterAll(async () => {
  await node[Symbol.asyncDispose]()
  rmSync(outside, { recursive: true })
})

/** Puts a link in the place of the file that its snapshot has, to where the one leads that it finds. */
const LINKER = `
import os, time
open('/v/file', 'w').write('of the sandbox')
while True:
    if os.path.islink('/v/ask'):
        os.remove('/v/file')
        os.rename('/v/ask', '/v/file')
        open('/v/linked', 'w')
    time.sleep(0.01)
`

function container(name: string, script: string): Container {
  return {
    name,
    image: 'caisson.dev/host',
    command: ['python3', '-c', script],
    volumeMounts: [{ name: 'v', mountPath: '/v' }],
  }
}

const start = (name: string, metadata: PodObject['metadata']): Promise<PodObject> =>
  node.create(
    name,
    {
      terminationGracePeriodSeconds: 0,
      volumes: [{ name: 'v', emptyDir: {} }],
      containers: [container('main', LINKER)],
    },
    metadata,
  )

test('a container that is put beside a restored one begins with nothing, and no volume is filled again', async () => {
  await start('box', { ownerReferences: [BOX] })
  const box = await node.until('box', isReady)
  const volumeOf = ({ metadata }: PodObject) => join(node.dataDirectory, 'pods', metadata.uid ?? '', 'volumes/v')
  await expect.poll(() => readdirSync(volumeOf(box))).toContain('file')
  expect(await takeSnapshot(node, { name: 'taken', pod: box })).toMatchObject({ reason: 'Taken' })
  await start('copy', { annotations: { 'caisson.dev/snapshot': 'taken' } })
  const copy = await node.until('copy', isReady)
  symlinkSync(join(outside, 'file'), join(volumeOf(copy), 'ask'))
  await expect.poll(() => readdirSync(volumeOf(copy))).toContain('linked')
  const before = statSync(join(outside, 'file'))
  await node.client.patch(
    resources.pods,
    'copy',
    { spec: { ephemeralContainers: [container('debug', 'import time; print("here", flush=True); time.sleep(1000)')] } },
    { ...at, subresource: 'ephemeralcontainers' },
  )
  const begun = await node.until('copy', ({ status }) => {
    const state = status?.ephemeralContainerStatuses?.[0]?.state
    return Boolean(state?.running || state?.terminated || (state?.waiting?.message ?? '') !== '')
  })
  expect(readFileSync(join(outside, 'file'), 'utf8')).toBe('of the machine')
  expect(statSync(join(outside, 'file'))).toMatchObject({ uid: before.uid, mtimeMs: before.mtimeMs })
  expect(begun.status?.ephemeralContainerStatuses?.[0]?.state).toMatchObject({ running: {} })
  await expect.poll(() => node.log('copy', { container: 'debug' })).toContain('here')
})

test('a Pod with other containers than its snapshot begins none of them: those that are in both would go on without the others', async () => {
  const several = (names: string[]) => ({
    terminationGracePeriodSeconds: 0,
    containers: names.map((name) => ({ name, image: 'caisson.dev/host', command: ['sleep', '1000'] })),
  })
  await node.create('several', several(['one', 'two']), { ownerReferences: [BOX] })
  const pod = await node.until('several', isReady)
  expect(await takeSnapshot(node, { name: 'both', pod })).toMatchObject({ reason: 'Taken' })
  await node.create('more', several(['one', 'two', 'three']), { annotations: { 'caisson.dev/snapshot': 'both' } })
  const more = await node.until('more', ({ status }) =>
    status?.containerStatuses?.some(({ state }) => (state?.waiting?.message ?? '') !== ''),
  )
  const waiting = {
    reason: 'FailedCreatePodSandBox',
    message:
      'the snapshot was made of a sandbox with the containers one, two, the Pod has one, two, three: they must be the same',
  }
  expect(more.status?.containerStatuses?.map(({ state }) => state)).toEqual([{ waiting }, { waiting }, { waiting }])
  const looking = { name: 'looking', image: 'caisson.dev/host', command: ['sleep', '1000'] }
  const body = { spec: { ephemeralContainers: [looking] } }
  await node.client.patch(resources.pods, 'several', body, { ...at, subresource: 'ephemeralcontainers' })
  await node.until('several', ({ status }) => status?.ephemeralContainerStatuses?.[0]?.state?.running !== undefined)
  expect(await takeSnapshot(node, { name: 'looked', pod })).toMatchObject({
    reason: 'NotSupported',
    message:
      'container looking was put into Pod several, and what begins with a snapshot has no such: it has to end first',
  })
})
