/** Images of a store of an earlier version, in which sandboxes could change what others run on. */
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Image } from '../runtime.ts'
import { dockerArchive, file } from '../testing/image-archive.ts'
import { type BuiltImage, buildImage } from '../testing/remote-image-fixture.ts'
import { type ScriptedRegistry, serves, startScriptedRegistry } from '../testing/scripted-registry.ts'
import { type ImageLibrary, openImageLibrary } from './image-store.ts'

let directory: string
let store: string
let used: Set<string>
let pulled: BuiltImage
let registry: ScriptedRegistry
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'caisson-renew-'))
  store = join(directory, 'store')
  used = new Set()
  pulled = await buildImage(layers('pulled'))
  registry = await startScriptedRegistry(serves(pulled))
})
afterEach(async () => {
  await registry[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

const open = (): Promise<ImageLibrary> =>
  openImageLibrary(store, { hostRootfs: async () => '', inUse: async () => used })

const layers = (name: string) => [[file('a', name)], [file('b', name)]]

/** A store with an image that was pulled and one that was imported, as an earlier version left it. */
async function outdatedStore(): Promise<{ ids: string[]; listed: Image[] }> {
  const library = await open()
  await library.pull(`${registry.host}/app`, { trusted: true })
  const archive = join(directory, 'archive.tar')
  writeFileSync(archive, await dockerArchive({ tags: ['imported'], layers: layers('imported') }))
  await library.import(archive)
  const listed = await library.list()
  const ids = directories().map(hexOf)
  for (const id of ids) {
    renameSync(join(store, `${id}.2`), join(store, id))
    mkdirSync(join(store, id, 'rootfs/name-of-a-tenant'))
  }
  return { ids, listed }
}

const hexOf = (name: string): string => name.replace(/\.2$/, '')
const contentOf = async (library: ImageLibrary, name: string): Promise<string[]> =>
  readdirSync((await library.rootfs(name)).rootfs)
const blobs = (): string[] => readdirSync(join(store, 'blobs')).sort()
const directories = (): string[] =>
  readdirSync(store)
    .filter((name) => !['blobs', 'lock', 'names.json'].includes(name))
    .sort()

test('are unpacked again from what they came as, and are what they were otherwise', async () => {
  const { ids, listed } = await outdatedStore()
  const kept = blobs()
  const library = await open()
  expect(await contentOf(library, `${registry.host}/app`)).toEqual(['a', 'b'])
  expect(await contentOf(library, 'imported')).toEqual(['a', 'b'])
  expect(directories()).toEqual(ids.map((id) => `${id}.2`).sort())
  expect([await library.list(), blobs()]).toEqual([listed, kept])
})

test('stay for the containers that run on them, and go when those are gone', async () => {
  const { ids } = await outdatedStore()
  used = new Set(ids.map((id) => `sha256:${id}`))
  const library = await open()
  expect(await contentOf(library, 'imported')).toEqual(['a', 'b'])
  expect(directories()).toEqual(ids.flatMap((id) => [id, `${id}.2`]).sort())
  used = new Set()
  expect(await contentOf(await open(), 'imported')).toEqual(['a', 'b'])
  expect(directories()).toEqual(ids.map((id) => `${id}.2`).sort())
})

test('are as good as not there where a layer is not what it was, and are had again', async () => {
  const { listed } = await outdatedStore()
  const name = `${registry.host}/app`
  const digest = pulled.layers[0]?.digest ?? ''
  const layer = join(store, 'blobs', digest.slice('sha256:'.length))
  rmSync(layer)
  writeFileSync(layer, 'something else')
  const library = await open()
  expect(await library.get(name)).toBeUndefined()
  expect(await contentOf(library, 'imported')).toEqual(['a', 'b'])
  await library.pull(name, { trusted: true })
  expect(await contentOf(library, name)).toEqual(['a', 'b'])
  expect(await library.list()).toEqual(listed)
})
