import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { layPlaces, placedRootfs } from './mount-places.ts'

let work: string
let rootfs: string
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'caisson-places-'))
  rootfs = join(work, 'image')
  for (const name of ['image', 'image/etc', 'image/run', 'image/var', 'container', 'volume', 'outside'])
    mkdirSync(join(work, name))
  for (const name of ['image/etc/hosts', 'file']) writeFileSync(join(work, name), 'content')
})
afterEach(() => rmSync(work, { recursive: true, force: true }))

/** Directories end with a slash; links are not followed. */
function tree(root: string): string[] {
  const text = execFileSync('find', [
    root,
    '-mindepth',
    '1',
    '(',
    '-type',
    'd',
    '-printf',
    '%P/\n',
    ')',
    '-o',
    '-printf',
    '%P\n',
  ])
  return text.toString().trim().split('\n').filter(Boolean).sort()
}

/** What is made for mounts of a volume (a destination that ends with a slash) and of a file. */
async function madeFor(destinations: string[], { cwds = [] as string[] } = {}): Promise<string[] | undefined> {
  const before = tree(rootfs)
  const mounts = destinations.map((destination) => ({
    kind: 'bind' as const,
    destination: destination.replace(/(.)\/$/, '$1'),
    source: join(work, destination.endsWith('/') ? 'volume' : 'file'),
  }))
  const placed = await placedRootfs({ directory: join(work, 'container'), rootfs, host: undefined, mounts, cwds })
  if (placed) await layPlaces(placed)
  expect(tree(rootfs)).toEqual(before)
  expect([tree(join(work, 'outside')), readdirSync(work).sort()]).toEqual([
    [],
    ['container', 'file', 'image', 'outside', 'volume'],
  ])
  return placed && tree(placed.skeleton)
}

test('nothing is made where the image has it all', async () => {
  expect(await madeFor(['/etc/hosts', '/run/'], { cwds: ['/etc', '', 'relative'] })).toBeUndefined()
})

test('what is missing is made: directories for directories, files for files, and where processes begin', async () => {
  expect(await madeFor(['/a/b/', '/etc/made', '/etc/deep/made'], { cwds: ['/work/here'] })).toEqual([
    'a/',
    'a/b/',
    'etc/',
    'etc/deep/',
    'etc/deep/made',
    'etc/made',
    'work/',
    'work/here/',
  ])
})

test('within what is mounted nothing is made', async () => {
  expect(await madeFor(['/a/', '/a/b/', '/run/', '/run/c'], { cwds: ['/a/d'] })).toEqual(['a/'])
})

test.each([
  ['an absolute link', '/run', ['run/', 'run/x/']],
  ['a relative link', '../../run', ['run/', 'run/x/']],
  ['a link to what is not there', '/gone', ['gone/', 'gone/x/']],
  ['an absolute link that leads out', '/../../outside', ['outside/', 'outside/x/']],
  ['a relative link that leads out', '../../../../../../outside', ['outside/', 'outside/x/']],
])('%s is followed within the image', async (_, target, made) => {
  symlinkSync(target, join(rootfs, 'var/link'))
  expect(await madeFor(['/var/link/x/'])).toEqual(made)
})

test('a link in the place of a file is followed within the image too', async () => {
  symlinkSync(join(work, 'outside/planted'), join(rootfs, 'etc/resolv.conf'))
  expect((await madeFor(['/etc/resolv.conf']))?.at(-1)).toBe(`${work.slice(1)}/outside/planted`)
})

test('links that lead nowhere but to themselves are an error', async () => {
  symlinkSync('loop', join(rootfs, 'loop'))
  await expect(madeFor(['/loop/x/'])).rejects.toThrow('too many links')
})

test('dots lead nowhere but within the image', async () => {
  expect(await madeFor(['/../../outside/x/', '/etc/../../../y/'])).toEqual(['outside/', 'outside/x/', 'y/'])
})

test('a file in the way of a directory stays, and what cannot be is an error', async () => {
  expect(await madeFor(['/etc/hosts/x/'])).toEqual(['etc/', 'etc/hosts/', 'etc/hosts/x/'])
  await expect(madeFor(['/made'], { cwds: ['/made/x'] })).resolves.toEqual([
    'etc/',
    'etc/hosts/',
    'etc/hosts/x/',
    'made',
  ])
  await expect(madeFor(['/x'.repeat(3000)])).rejects.toThrow('cannot be a place to mount at')
})

test('everybody may enter what is made, whatever this process lets others do', async () => {
  const before = process.umask(0o077)
  try {
    await madeFor(['/a/b/'])
  } finally {
    process.umask(before)
  }
  const mode = (name: string): string => (statSync(join(work, 'container', name)).mode & 0o777).toString(8)
  expect(['skeleton', 'skeleton/a', 'skeleton/a/b'].map(mode)).toEqual(['755', '755', '755'])
})

test('names are bytes', async () => {
  expect(await madeFor(['/dé/ü'])).toEqual(['dé/', 'dé/ü'])
})
