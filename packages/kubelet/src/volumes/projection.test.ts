import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ProjectedFile, writeProjection } from './projection.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-projection-'))
})
afterEach(() => rm(directory, { recursive: true }))

function write(content: Record<string, string>): Promise<boolean> {
  const files = new Map(
    Object.entries(content).map(([path, text]): [string, ProjectedFile] => [
      path,
      { data: Buffer.from(text), mode: 0o644 },
    ]),
  )
  return writeProjection(directory, { files, group: undefined })
}

/** Sorted: `..data`, the version that it points to, and the names. */
async function shown(...names: string[]): Promise<string[]> {
  return ['..data', await readlink(join(directory, '..data')), ...names].sort()
}

const present = async (): Promise<string[]> => (await readdir(directory)).sort()

test.each<[what: string, content: Record<string, string>, expected: string]>([
  [
    'has two bytes for each of 200 characters',
    { ['\u00e9'.repeat(200)]: '' },
    'cannot be the path of a file in a volume',
  ],
  ['has too long a name in it', { [`dir/${'\u00e9'.repeat(128)}/x`]: '' }, 'cannot be the path of a file in a volume'],
  ['is too long as a whole', { [`${'\u00e9\u00e9/'.repeat(820)}x`]: '' }, 'cannot be the path of a file in a volume'],
  ['leads through a file', { x: '', 'x/y': '' }, '"x" cannot be a file of a volume and a directory of it'],
  ['is led through', { 'a/b/c/d': '', 'a/b': '' }, '"a/b" cannot be a file of a volume and a directory of it'],
])('a path that %s is refused before anything is written', async (_what, content, expected) => {
  await expect(write({ first: 'x', ...content })).rejects.toThrow(expected)
  expect(await present()).toEqual([])
})

test('names as long as Linux has them, and those that begin alike, are files', async () => {
  const long = `${'\u00e9'.repeat(127)}x`
  await write({ [long]: '1', ab: '2', 'a/b': '3' })
  expect(await present()).toEqual(await shown(long, 'ab', 'a'))
})

/** No longer than a path may be, and too long below the directory. */
const tooDeep = `${`${'d'.repeat(250)}/`.repeat(16)}x`

test('an attempt that fails leaves nothing, and what was there is still shown', async () => {
  await write({ a: 'one' })
  const before = await shown('a')
  for (let attempt = 0; attempt < 2; attempt++) {
    await expect(write({ a: 'two', deep: 'x'.repeat(100_000), [tooDeep]: '' })).rejects.toThrow('ENAMETOOLONG')
    expect(await present()).toEqual(before)
  }
  expect(await readFile(join(directory, 'a'), 'utf8')).toBe('one')
})

test('what an agent left that was killed is gone before more is written, shown or not', async () => {
  await write({ a: 'one' })
  const before = await shown('a')
  await mkdir(join(directory, '..2020-01-01_half'))
  await writeFile(join(directory, '..2020-01-01_half/a'), 'x')
  await symlink('..2020-01-01_half', join(directory, '..data_tmp'))
  await expect(write({ [tooDeep]: '' })).rejects.toThrow('ENAMETOOLONG')
  expect(await present()).toEqual(before)
})

test('names that an agent did not come to, or to take away, are right after the next pass', async () => {
  await write({ a: 'one', b: 'two', 'dir/c': 'three' })
  const shownBefore = await shown('a', 'b', 'dir')
  for (const name of ['b', 'dir']) await rm(join(directory, name))
  await symlink('..data/old', join(directory, 'old'))
  await chmod(directory, 0o700)
  expect(await write({ a: 'one', b: 'two', 'dir/c': 'three' })).toBe(false)
  expect(await present()).toEqual(shownBefore)
  expect(await readFile(join(directory, 'dir/c'), 'utf8')).toBe('three')
  expect((await stat(directory)).mode & 0o7777).toBe(0o1777)
})
