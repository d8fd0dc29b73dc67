import { mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { podDirectories } from '../pod-directories.ts'
import { aPod } from '../pods/observed-pod-fixtures.ts'
import { createStorageWatch } from './storage-watch.ts'

const MI = 1024 * 1024

test('a volume that has gone with its Pod meanwhile has nothing in it, and the others have what they have', async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), 'caisson-storage-'))
  const directories = podDirectories(scratch.path)
  const errors: unknown[] = []
  using watch = createStorageWatch({
    runtime: { written: async () => 0 },
    directories,
    onExceeded() {},
    onError: (error) => errors.push(error),
  })
  const pod = aPod({ spec: { volumes: ['there', 'gone'].map((name) => ({ name, emptyDir: {} })) } })
  const there = directories.volume(pod.metadata.uid ?? '', 'there')
  await mkdir(there, { recursive: true })
  await writeFile(join(there, 'file'), Buffer.alloc(MI, 1))
  expect(await watch.measure(pod, 'sandbox')).toBeGreaterThanOrEqual(MI)
  expect(errors).toEqual([])
})
