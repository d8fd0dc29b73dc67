/** A machine that loses its power as soon as a snapshot is Ready: what is on its disk then is all that there is. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as apiserver from '@caisson/apiserver'
import { sandboxSnapshots } from '@caisson/client'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { podDirectories } from '../pod-directories.ts'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { isReady } from '../testing/scratch-pods.ts'
import { BOX, serveSnapshots, takeSnapshot } from '../testing/scratch-snapshots.ts'

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

test.each([true, false])('volumes of a snapshot that is Ready are on the disk (endSource: %s)', async (endSource) => {
  const scratch = mkdtempSync(join(tmpdir(), 'caisson-power-'))
  onTestFinished(() => rmSync(scratch, { recursive: true }))
  const [disk, cut, after] = ['disk', 'cut', 'after'].map((name) => join(scratch, name)) as [string, string, string]
  writeFileSync(disk, '')
  truncateSync(disk, DISK)
  execFileSync('mkfs.ext4', ['-q', '-F', disk])
  const directories = podDirectories(node.dataDirectory)
  mounted(disk, directories.snapshots)
  const name = `box-${endSource}`
  await node.create(
    name,
    {
      terminationGracePeriodSeconds: 0,
      volumes: [{ name: 'v', emptyDir: {} }],
      containers: [
        {
          name: 'main',
          image: 'caisson.dev/host',
          command: ['sh', '-c', 'echo kept > /v/file; sleep 1000'],
          volumeMounts: [{ name: 'v', mountPath: '/v' }],
        },
      ],
    },
    { ownerReferences: [BOX] },
  )
  const pod = await node.until(name, isReady)
  await expect
    .poll(() => readFileSync(join(directories.volume(pod.metadata.uid ?? '', 'v'), 'file'), 'utf8'))
    .toBe('kept\n')
  expect(await takeSnapshot(node, { name, pod, endSource })).toMatchObject({ status: 'True' })
  copyFileSync(disk, cut)
  mkdirSync(after)
  mounted(cut, after)
  const { metadata } = await node.client.get(sandboxSnapshots, name, { namespace: 'default' })
  expect(readFileSync(join(after, metadata.uid ?? '', 'volumes/v/file'), 'utf8')).toBe('kept\n')
})
