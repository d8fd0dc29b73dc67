/** A machine that loses its power as soon as a snapshot is Ready: what is on its disk then is all that there is. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as apiserver from '@caisson/apiserver'
import { type PodObject, resources, sandboxSnapshots } from '@caisson/client'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { podDirectories } from '../pod-directories.ts'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { isReady } from '../testing/scratch-pods.ts'
import { BOX, serveSnapshots, takeSnapshot } from '../testing/scratch-snapshots.ts'

const at = { namespace: 'default' }
const DISK = 128 * 1024 * 1024

let node: ScratchNode
beforeAll(async () => {
  node = await startScratchNode(apiserver)
  await serveSnapshots(node)
})
afterAll(() => node[Symbol.asyncDispose]())

/** Mounts a file system in a file at a directory. */
function mounted(file: string, directory: string): void {
  execFileSync('mount', ['-o', 'loop', file, directory])
  onTestFinished(() => void execFileSync('umount', ['--lazy', directory]))
}

/** Has a directory on a disk of its own. What it gives shows that as it is where the power goes now. */
function onDiskOfItsOwn(directory: string): () => string {
  const scratch = mkdtempSync(join(tmpdir(), 'caisson-power-'))
  onTestFinished(() => rmSync(scratch, { recursive: true }))
  const [disk, cut, after] = ['disk', 'cut', 'after'].map((name) => join(scratch, name)) as [string, string, string]
  writeFileSync(disk, '')
  truncateSync(disk, DISK)
  execFileSync('mkfs.ext4', ['-q', '-F', disk])
  mounted(disk, directory)
  return () => {
    copyFileSync(disk, cut)
    mkdirSync(after)
    mounted(cut, after)
    return after
  }
}

/** A Sandbox's Pod that has written a file to its volume. */
async function start(name: string, volume: object, file: (pod: PodObject) => string): Promise<PodObject> {
  const main = {
    name: 'main',
    image: 'caisson.dev/host',
    command: ['sh', '-c', 'echo kept > /v/file; sleep 1000'],
    volumeMounts: [{ name: 'v', mountPath: '/v' }],
  }
  const spec = { terminationGracePeriodSeconds: 0, volumes: [{ name: 'v', ...volume }], containers: [main] }
  await node.create(name, spec, { ownerReferences: [BOX] })
  const pod = await node.until(name, isReady)
  await expect.poll(() => readFileSync(file(pod), 'utf8')).toBe('kept\n')
  return pod
}

test.each([true, false])('volumes of a snapshot that is Ready are on the disk (endSource: %s)', async (endSource) => {
  const directories = podDirectories(node.dataDirectory)
  const powerCut = onDiskOfItsOwn(directories.snapshots)
  const name = `box-${endSource}`
  const pod = await start(name, { emptyDir: {} }, ({ metadata: { uid = '' } }) =>
    join(directories.volume(uid, 'v'), 'file'),
  )
  expect(await takeSnapshot(node, { name, pod, endSource })).toMatchObject({ status: 'True' })
  const { metadata } = await node.client.get(sandboxSnapshots, name, at)
  expect(readFileSync(join(powerCut(), metadata.uid ?? '', 'volumes/v/file'), 'utf8')).toBe('kept\n')
})

test('what a source wrote to its own claims is on the disk once it has ended with its snapshot', async () => {
  const path = mkdtempSync(join(tmpdir(), 'caisson-claim-'))
  onTestFinished(() => rmSync(path, { recursive: true }))
  const powerCut = onDiskOfItsOwn(path)
  const size = { storage: '1Mi' }
  const shape = { accessModes: ['ReadWriteOnce'], storageClassName: '', volumeName: 'claimed' }
  const claim = await node.client.create(
    resources.persistentVolumeClaims,
    { metadata: { name: 'claim', ownerReferences: [BOX] }, spec: { ...shape, resources: { requests: size } } },
    at,
  )
  const claimRef = { namespace: 'default', name: 'claim', uid: claim.metadata.uid ?? '' }
  await node.client.create(resources.persistentVolumes, {
    metadata: { name: 'claimed' },
    spec: { accessModes: shape.accessModes, capacity: size, hostPath: { path }, claimRef },
  })
  await node.client.patchStatus(resources.persistentVolumeClaims, 'claim', { status: { phase: 'Bound' } }, at)
  const name = 'claiming'
  const pod = await start(name, { persistentVolumeClaim: { claimName: 'claim' } }, () => join(path, 'file'))
  expect(await takeSnapshot(node, { name, pod, endSource: true })).toMatchObject({ status: 'True' })
  expect(readFileSync(join(powerCut(), 'file'), 'utf8')).toBe('kept\n')
})
