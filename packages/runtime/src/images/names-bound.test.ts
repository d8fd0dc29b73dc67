import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openImageFiles, type StoredImage } from './image-files.ts'

const sha = (digit: string): string => `sha256:${digit.repeat(64)}`
const [IMPORTED, PULLED] = [sha('a'), sha('b')]

/** What of an image is in the store does not matter here. */
const stored = (id: string): StoredImage => ({
  id,
  sizeBytes: 0,
  entrypoint: [],
  cmd: [],
  env: {},
  workingDir: '',
  user: '',
  createdAt: 0,
  pulled: id === PULLED,
  blobs: undefined,
})

test('whoever has an image pulled under ever new names has the oldest of them forgotten, with what was granted by them', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'caisson-names-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const files = await openImageFiles(directory, async () => new Set(), 10)
  const add = async (id: string, repository: string, names: string[]): Promise<void> => {
    await using work = await files.makeWork()
    const ready = join(work.path, 'ready')
    await mkdir(ready)
    await files.describe(ready, stored(id))
    await files.add([{ id, names, ready, blobs: new Map(), grants: { [repository]: 'everyone' } }])
  }
  const pull = (number: number): Promise<void> => {
    const repository = `registry.example/app-${number}`
    return add(PULLED, repository, [`${repository}:1`, `${repository}@${sha('c')}`])
  }
  await add(IMPORTED, 'docker.io/library/own', ['docker.io/library/own:1', 'docker.io/library/own:2'])
  for (const number of [1, 2, 3, 4, 5]) await pull(number)
  const kept = [3, 4, 5].flatMap((number) => [
    `registry.example/app-${number}:1`,
    `registry.example/app-${number}@${sha('c')}`,
  ])
  expect([...(await files.readNames()).keys()]).toEqual([
    'docker.io/library/own:1',
    'docker.io/library/own:2',
    `registry.example/app-2@${sha('c')}`,
    ...kept,
  ])
  expect(Object.keys(await files.readGrants(PULLED)).sort()).toEqual(
    [2, 3, 4, 5].map((number) => `registry.example/app-${number}`),
  )
  // Also of an image of which nothing but its names is left.
  await rm(files.imageDirectory(PULLED), { recursive: true })
  await add(IMPORTED, 'docker.io/library/own', ['docker.io/library/own:3', 'docker.io/library/own:4'])
  expect([...(await files.readNames()).values()].filter((id) => id === PULLED)).toHaveLength(5)
})
