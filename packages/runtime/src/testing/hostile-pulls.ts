/** Pulls from registries that do as a test says, into a store of its own for each test. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach } from 'vitest'
import { type ImageLibrary, openImageLibrary } from '../images/image-store.ts'
import type { PullOptions } from '../runtime.ts'
import { file } from './image-archive.ts'
import { type BuiltImage, buildImage } from './remote-image-fixture.ts'
import { type Script, type ScriptedRegistry, startScriptedRegistry } from './scripted-registry.ts'

const LIMITS = { headMs: 1_000, windowMs: 300, windowBytes: 1024 }
/** Of an image. */
export const MAX_BYTES = 4 * 1024 * 1024

export type NamedPull = PullOptions & { name?: string }

export interface HostilePulls {
  /** Two layers with a file each, `a` and `b`. */
  readonly image: BuiltImage
  /** One layer that takes several reads, with the file `a`. */
  readonly large: BuiltImage
  /** Of the last pull. */
  readonly registry: ScriptedRegistry
  open(): Promise<ImageLibrary>
  /** Starts a registry with these answers and pulls from it: what is in the root of the image then. */
  pull(scripts: readonly Script[], options?: NamedPull): Promise<string[]>
  /** What is in the store. */
  left(): Promise<string[]>
  /** Half of the large layer, and then the end of the connection. */
  cutOff(response: ServerResponse): void
}

/** For a whole file. */
export function useHostilePulls(): HostilePulls {
  let image: BuiltImage
  let large: BuiltImage
  let directory: string
  let registry: ScriptedRegistry | undefined

  beforeAll(async () => {
    image = await buildImage([[file('a', 'one')], [file('b', 'two')]])
    const noise = Buffer.from(Array.from({ length: 200_000 }, (_, index) => (index * 7919 * (index >> 3)) & 255))
    large = await buildImage([[file('a', noise)]], { compression: 'none' })
  })
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'caisson-hostile-'))
  })
  afterEach(async () => {
    await registry?.[Symbol.asyncDispose]()
    registry = undefined
    await rm(directory, { recursive: true, force: true })
  })

  const open = (): Promise<ImageLibrary> =>
    openImageLibrary(join(directory, 'store'), {
      hostRootfs: async () => '',
      inUse: async () => new Set(),
      maxBytes: MAX_BYTES,
      exchangeLimits: LIMITS,
      clusterRanges: async () => ['10.213.0.0/16', '10.96.0.0/16'],
      registries: undefined,
    })

  return {
    get image() {
      return image
    },
    get large() {
      return large
    },
    get registry() {
      if (!registry) throw new Error('nothing has been pulled')
      return registry
    },
    open,
    async pull(scripts, options = {}) {
      registry = await startScriptedRegistry(...scripts)
      const library = await open()
      const { image: pulled } = await library.pull(`${registry.host}/${options.name ?? 'app'}`, {
        trusted: true,
        ...options,
      })
      return (await readdir((await library.rootfs(pulled.name)).rootfs)).sort()
    },
    left: async () => (await readdir(join(directory, 'store'), { recursive: true })).sort(),
    cutOff(response) {
      const bytes = large.blobs.get(large.layers[0]?.digest ?? '') ?? Buffer.alloc(0)
      response.setHeader('content-length', bytes.length)
      response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy())
    },
  }
}

export const isLayer = /\/blobs\/sha256:/

export function layerOf(built: BuiltImage): RegExp {
  return new RegExp(built.layers[0]?.digest ?? '')
}
