/** What lies in the store and is not what it was any more is got again by the next pull that needs it. */
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { packTar } from 'modern-tar'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { PullProgress } from '../runtime.ts'
import { digest, file } from '../testing/image-archive.ts'
import { type BuiltImage, describeImage } from '../testing/remote-image-fixture.ts'
import { type ScriptedRegistry, serves, startScriptedRegistry } from '../testing/scripted-registry.ts'
import { type ImageLibrary, openImageLibrary } from './image-store.ts'

const layer = async (name: string): Promise<{ bytes: Uint8Array; diffId: string }> => {
  const packed = await packTar([file(name, `content of ${name}`)])
  return { bytes: gzipSync(packed), diffId: digest(packed) }
}

let directory: string
let first: BuiltImage
let second: BuiltImage
let registry: ScriptedRegistry
let library: ImageLibrary
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-damaged-'))
  const shared = await layer('shared')
  first = describeImage([shared, await layer('first')])
  second = describeImage([shared, await layer('second')])
  registry = await startScriptedRegistry((request, response) => {
    return serves(request.url?.startsWith('/v2/second/') ? second : first)(request, response)
  })
  library = await open()
  await pull('first')
})
afterEach(async () => {
  await registry[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

function open(): Promise<ImageLibrary> {
  return openImageLibrary(join(directory, 'store'), { hostRootfs: async () => '', inUse: async () => new Set() })
}

/** What was downloaded for it, by digest. */
async function pull(repository: string): Promise<string[]> {
  const downloaded = new Set<string>()
  const onProgress = (progress: PullProgress): void => {
    if (progress.kind === 'download') downloaded.add(progress.digest)
  }
  await library.pull(`${registry.host}/${repository}`, { trusted: true, onProgress })
  return [...downloaded].sort()
}

const blobOf = (image: BuiltImage, index: number): string => image.layers[index]?.digest ?? ''
const inStore = (blob: string): string => join(directory, 'store/blobs', blob.slice('sha256:'.length))

/** As long as before, and another. */
async function flip(blob: string): Promise<void> {
  const bytes = await readFile(inStore(blob))
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
  await writeFile(inStore(blob), bytes)
}

async function expectRepaired(): Promise<void> {
  for (const [blob, bytes] of first.blobs) expect(await readFile(inStore(blob))).toEqual(bytes)
}

describe('a pull', () => {
  test('of what is whole downloads nothing', async () => {
    expect(await pull('first')).toEqual([])
  })

  test.each<[string, (blob: string) => Promise<void>]>([
    ['cut off', (blob) => truncate(inStore(blob), 10)],
    ['gone', (blob) => rm(inStore(blob))],
  ])('of an image of which a layer is %s gets that layer again, and nothing else', async (_how, damage) => {
    const blob = blobOf(first, 1)
    await damage(blob)
    expect(await pull('first')).toEqual([blob])
    await expectRepaired()
    expect(await pull('first')).toEqual([])
  })

  test('that shares a damaged layer gets it again and does not fail of it', async () => {
    const blob = blobOf(first, 0)
    await flip(blob)
    expect(await pull('second')).toEqual([blob, blobOf(second, 1), second.config.digest].sort())
    const { rootfs } = await library.rootfs(`${registry.host}/second`)
    expect(await readFile(join(rootfs, 'shared'), 'utf8')).toBe('content of shared')
    await expectRepaired()
  })

  test('that shares an intact layer takes it from the store', async () => {
    expect(await pull('second')).toEqual([blobOf(second, 1), second.config.digest].sort())
  })

  test('of an image whose configuration is damaged reads it from the registry', async () => {
    await flip(first.config.digest)
    await truncate(inStore(blobOf(first, 0)), 1)
    expect(await pull('first')).toEqual([blobOf(first, 0), first.config.digest].sort())
    await expectRepaired()
  })

  test('leaves no other file where the blobs are', async () => {
    await flip(blobOf(first, 0))
    await pull('second')
    const blobs = [...first.blobs.keys(), ...second.blobs.keys(), first.manifest.digest, second.manifest.digest]
    expect((await readdir(join(directory, 'store/blobs'))).sort()).toEqual(
      [...new Set(blobs)].map((each) => each.slice('sha256:'.length)).sort(),
    )
  })
})

test('names that a crash of the machine has emptied are given again by the next pulls', async () => {
  await truncate(join(directory, 'store/names.json'))
  library = await open()
  expect((await library.list()).map(({ name }) => name)).toEqual(['caisson.dev/host:latest'])
  await pull('first')
  await expectRepaired()
})

describe('an image of which a crash of the machine left not even the description', () => {
  const described = (name: string): string =>
    join(directory, 'store', `${first.config.digest.slice('sha256:'.length)}.2`, name)

  test.each(['image.json', 'grants.json'])('keeps no store from being opened, and is got again: %s', async (name) => {
    await truncate(described(name))
    await pull('second')
    library = await open()
    await pull('first')
    const image = await library.get(`${registry.host}/first`)
    expect([image?.id, image?.grant]).toEqual([first.config.digest, 'everyone'])
    const { rootfs } = await library.rootfs(`${registry.host}/first`)
    expect(await readFile(join(rootfs, 'first'), 'utf8')).toBe('content of first')
    await expectRepaired()
    expect((await readdir(join(directory, 'store'))).filter((each) => each.startsWith('.'))).toEqual([])
  })
})
