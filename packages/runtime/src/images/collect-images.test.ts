import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { CollectOptions, Image } from '../runtime.ts'
import { dockerArchive, file } from '../testing/image-archive.ts'
import { buildImage } from '../testing/remote-image-fixture.ts'
import { type ScriptedRegistry, serves, startScriptedRegistry } from '../testing/scripted-registry.ts'
import { type ImageLibrary, openImageLibrary } from './image-store.ts'

let directory: string
let library: ImageLibrary
let used: Set<string>
const registries: ScriptedRegistry[] = []
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-collect-'))
  used = new Set()
  library = await openImageLibrary(join(directory, 'store'), { hostRootfs: async () => '', inUse: async () => used })
})
afterEach(async () => {
  for (const registry of registries.splice(0)) await registry[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

const HOUR = 3_600_000
/** What a bound in bytes asks for, on any disk. */
const bound = (maxBytes: number): CollectOptions => ({ highPercent: 100, lowPercent: 0, maxBytes, minAgeMs: HOUR / 2 })

/** An image of so many bytes that was last used so long ago. */
async function pulled(bytes: number, hoursAgo: number): Promise<Image> {
  const registry = await startScriptedRegistry(serves(await buildImage([[file(`f${hoursAgo}`, 'x'.repeat(bytes))]])))
  registries.push(registry)
  const { image } = await library.pull(`${registry.host}/app`, { trusted: true })
  const then = new Date(Date.now() - hoursAgo * HOUR)
  await utimes(join(directory, 'store', `${image.id.slice(7)}.2`, 'image.json'), then, then)
  return image
}

const namesLeft = async (): Promise<string[]> => (await library.list()).map(({ name }) => name).slice(1)

test('the longest unused goes first, as far as it has to', async () => {
  const [old, middle, recent] = [await pulled(10_000, 3), await pulled(10_000, 2), await pulled(10_000, 0)]
  expect(await library.collect(bound(1e9))).toEqual({ removed: [], missingBytes: 0 })
  const some = await library.collect({ ...bound(25_000), lowPercent: 90 })
  expect(some).toEqual({ removed: [old.name, ...old.repoDigests], missingBytes: 0 })
  expect(await namesLeft()).toEqual([middle.name, recent.name])
})

test('what is in use, new or could not be had again stays', async () => {
  const [running, unused, recent] = [await pulled(10_000, 9), await pulled(10_000, 8), await pulled(10_000, 0)]
  used.add(running.id)
  const archive = join(directory, 'archive.tar')
  await writeFile(archive, await dockerArchive({ tags: ['imported'], layers: [[file('a', 'x')]] }))
  const [imported] = await library.import(archive)
  const { removed, missingBytes } = await library.collect(bound(1))
  expect(removed).toEqual([unused.name, ...unused.repoDigests])
  expect(missingBytes).toBeGreaterThan(10_000)
  expect((await namesLeft()).sort()).toEqual([running.name, recent.name, imported?.name ?? ''].sort())
  const blobs = await readdir(join(directory, 'store/blobs'))
  // Configuration, layer and manifest of two, configuration and layer of the third.
  expect(blobs).toHaveLength(8)
})

test('one whose name has moved on goes once nothing needs it any more, and before any that has a name', async () => {
  const archive = join(directory, 'archive.tar')
  const imported = async (content: string): Promise<string> => {
    await writeFile(archive, await dockerArchive({ tags: ['imported'], layers: [[file('a', content)]] }))
    return (await library.import(archive))[0]?.id ?? ''
  }
  const before = await imported('x'.repeat(100_000))
  used.add(before)
  const after = await imported('y')
  const named = await pulled(10_000, 2)
  used.clear()
  expect(await library.collect(bound(90_000))).toEqual({ removed: [], missingBytes: 0 })
  const ids = await Promise.all([before, after, named.id].map((id) => library.byId('imported', id)))
  expect(ids.map((image) => image?.id)).toEqual([undefined, after, named.id])
})

test('too many are, however small', async () => {
  const [old, , recent] = [await pulled(1, 3), await pulled(1, 2), await pulled(1, 0)]
  const options = { highPercent: 101, lowPercent: 100, minAgeMs: HOUR / 2 }
  expect(await library.collect({ ...options, maxImages: 3 })).toEqual({ removed: [], missingBytes: 0 })
  const { removed } = await library.collect({ ...options, maxImages: 2 })
  expect(removed).toEqual([old.name, ...old.repoDigests])
  await library.collect({ ...options, maxImages: 0 })
  expect(await namesLeft()).toEqual([recent.name])
})

test('a full disk is reason enough', async () => {
  await pulled(1_000, 2)
  const options = { highPercent: 0, lowPercent: 0, minAgeMs: HOUR }
  expect((await library.collect(options)).removed).toHaveLength(2)
  expect(await namesLeft()).toEqual([])
  // Nothing can free the whole disk.
  expect((await library.collect(options)).missingBytes).toBeGreaterThan(1e6)
})

test('a list of thousands of names reads them once', async () => {
  const archive = join(directory, 'archive.tar')
  await writeFile(archive, await dockerArchive({ tags: ['imported'], layers: [[file('a', 'x')]] }))
  const [imported] = await library.import(archive)
  const names = Array.from({ length: 8_000 }, (_, index) => `registry.example.com/app:${index}`)
  const given = Object.fromEntries(names.map((name) => [name, imported?.id]))
  await writeFile(join(directory, 'store/names.json'), JSON.stringify(given))
  expect(await namesLeft()).toEqual(names)
})
