/** File systems in files, as several Pods of one claim have them. */
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { mountImageFile, mountPointsBelow } from './mounts.ts'
import { removeTree } from './remove-tree.ts'

let directory: string
let file: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-image-file-'))
  file = join(directory, 'volume.ext4')
  execFileSync('fallocate', ['--length', String(16 * 2 ** 20), '--', file])
  execFileSync('mkfs.ext4', ['-q', '-F', file])
})
afterEach(() => removeTree(directory))

const devices = (): string[] =>
  execFileSync('losetup', ['--associated', file], { encoding: 'utf8' }).split('\n').filter(Boolean)

test('mounted in several places at once it is one file system, mounted once in each', async () => {
  const places = ['a', 'b', 'c'].map((name) => join(directory, name))
  for (const place of places) await mkdir(place)
  // Also by an agent that finds it mounted by one that was killed.
  await Promise.all([...places, ...places].map((place) => mountImageFile(file, place)))
  expect((await mountPointsBelow(directory)).sort()).toEqual(places)
  expect(devices()).toHaveLength(1)
  await writeFile(join(directory, 'a/file'), 'shared')
  expect(await readFile(join(directory, 'b/file'), 'utf8')).toBe('shared')
  for (const place of places) await removeTree(place)
  expect([await mountPointsBelow(directory), devices()]).toEqual([[], []])
  // What was written is there for who comes next.
  await mkdir(join(directory, 'd'))
  await mountImageFile(file, join(directory, 'd'))
  expect(await readFile(join(directory, 'd/file'), 'utf8')).toBe('shared')
})

test('what is no file system is not mounted', async () => {
  await writeFile(file, 'nothing')
  await mkdir(join(directory, 'a'))
  await expect(mountImageFile(file, join(directory, 'a'))).rejects.toThrow(/mount/)
  expect([await mountPointsBelow(directory), devices()]).toEqual([[], []])
})
