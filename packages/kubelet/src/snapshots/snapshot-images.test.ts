import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { podDirectories } from '../pod-directories.ts'
import { snapshotImages } from './snapshot-images.ts'

async function scratch(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'caisson-snapshot-images-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  return directory
}

test('all containers of a sandbox that was kept have their images kept', async () => {
  const dataDir = await scratch()
  const directories = podDirectories(dataDir)
  const kept = { one: { imageId: 'a' }, several: { imageId: 'b', containers: [{ imageId: 'b' }, { imageId: 'c' }] } }
  for (const [uid, manifest] of Object.entries(kept)) {
    const memory = join(directories.snapshot(uid), 'memory')
    await mkdir(memory, { recursive: true })
    await writeFile(join(memory, 'snapshot.json'), JSON.stringify({ format: 1, files: [], ...manifest }))
  }
  await mkdir(directories.snapshot('begun'))
  expect(await snapshotImages(dataDir)).toEqual(new Set(['a', 'b', 'c']))
})

test('while it cannot be read what a snapshot needs, nobody is told that it needs nothing', async () => {
  const dataDir = await scratch()
  const directories = podDirectories(dataDir)
  await mkdir(join(directories.snapshot('unreadable'), 'memory', 'snapshot.json'), { recursive: true })
  await expect(snapshotImages(dataDir)).rejects.toThrow('EISDIR')
})
