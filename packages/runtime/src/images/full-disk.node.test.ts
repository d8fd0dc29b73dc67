/** A disk that is full, or becomes it in the middle: refused with a reason, and nothing is left. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { dockerArchive, file } from '../testing/image-archive.ts'
import { buildImage } from '../testing/remote-image-fixture.ts'
import { first, type ScriptedRegistry, serves, startScriptedRegistry, when } from '../testing/scripted-registry.ts'
import { openImageLibrary } from './image-store.ts'
import { createRootfsWriter } from './layer-writer.ts'

const MB = 1024 * 1024

let directory: string
let registry: ScriptedRegistry
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'caisson-full-'))
  mkdirSync(join(directory, 'disk'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'none', join(directory, 'disk')])
  registry = await startScriptedRegistry(
    serves(await buildImage([[file('a', Buffer.alloc(4_000_000))]], { compression: 'none' })),
  )
})
afterEach(async () => {
  await registry[Symbol.asyncDispose]()
  execFileSync('umount', [join(directory, 'disk')])
  rmSync(directory, { recursive: true, force: true })
})

test('a pull that would fill the disk is not begun', async () => {
  const store = join(directory, 'disk', 'store')
  const library = await openImageLibrary(store, { hostRootfs: async () => '', inUse: async () => new Set() })
  await expect(library.pull(`${registry.host}/app`, { trusted: true })).rejects.toMatchObject({
    code: 'disk-full',
    message:
      'the disk has no room for the image: 256 MiB of it are kept free, and 4 MiB or more are missing; free some space, or remove images',
  })
  expect(readdirSync(store, { recursive: true, encoding: 'utf8' }).sort()).toEqual(['blobs', 'lock'])
})

test('a pull whose disk others fill in the middle leaves nothing, and is made when there is room', async () => {
  const disk = mkdtempSync(join(tmpdir(), 'caisson-fills-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=320m', 'none', disk])
  onTestFinished(() => {
    execFileSync('umount', [disk])
    rmSync(disk, { recursive: true })
  })
  const image = await buildImage([[file('large', randomBytes(16 * MB))]], { compression: 'none' })
  const digest = image.layers[0]?.digest ?? ''
  const bytes = image.blobs.get(digest) ?? Buffer.alloc(0)
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const waits = when(new RegExp(`/blobs/${digest}$`), (response) => {
    response.setHeader('content-length', bytes.length)
    response.write(bytes.subarray(0, MB))
    begun.resolve()
    void goOn.promise.then(() => response.end(bytes.subarray(MB)))
  })
  await using slow = await startScriptedRegistry(first(1, waits), serves(image))
  const store = join(disk, 'store')
  const library = await openImageLibrary(store, { hostRootfs: async () => '', inUse: async () => new Set() })
  const pulling = library.pull(`${slow.host}/app`, { trusted: true })
  const refused = expect(pulling).rejects.toMatchObject({
    code: 'disk-full',
    message: 'the disk is full: free some space, or remove images',
  })
  await begun.promise
  const { bavail, bsize } = statfsSync(disk)
  execFileSync('fallocate', ['--length', String(bavail * bsize - 4 * MB), join(disk, 'full')])
  goOn.resolve()
  await refused
  expect(readdirSync(store, { recursive: true, encoding: 'utf8' }).sort()).toEqual(['blobs', 'lock'])
  rmSync(join(disk, 'full'))
  expect(await library.pull(`${slow.host}/app`, { trusted: true })).toMatchObject({ isNew: true })
  const { rootfs } = await library.rootfs(`${slow.host}/app`)
  expect(statSync(join(rootfs, 'large')).size).toBe(16 * MB)
})

test('an archive that would fill the disk is refused with what is missing', async () => {
  const store = join(directory, 'disk', 'store')
  const library = await openImageLibrary(store, { hostRootfs: async () => '', inUse: async () => new Set() })
  const archive = join(directory, 'archive.tar')
  writeFileSync(archive, await dockerArchive({ tags: ['a'], layers: [[file('a', Buffer.alloc(3_000_000))]] }))
  await expect(library.import(archive)).rejects.toMatchObject({
    code: 'disk-full',
    message:
      'the disk has no room for the image: 256 MiB of it are kept free, and 3 MiB or more are missing; free some space, or remove images',
  })
  expect(readdirSync(store, { recursive: true, encoding: 'utf8' }).sort()).toEqual(['blobs', 'lock'])
})

test('a layer on a disk that others fill meanwhile', () => {
  const writer = createRootfsWriter(join(directory, 'disk'), {
    bytes: 1e9,
    members: 10,
    archiveBytes: 1e9,
  }).beginLayer()
  const header = execFileSync('sh', ['-c', 'head -c 4000000 /dev/zero > big && tar -cf - big && rm big'], {
    cwd: directory,
    maxBuffer: 8_000_000,
  })
  expect(() => writer.push(header)).toThrow('the disk is full: free some space, or remove images')
  writer.abandon()
})
