import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { type Image, type ImageStore, RuntimeError } from '../runtime.ts'
import { decompressed, openArchive } from './archive.ts'
import { HOST_IMAGE, HOST_IMAGE_USER, hostImage } from './host-image.ts'
import { applyLayer, type UnpackBudget } from './layer.ts'
import { type ArchivedImage, readArchivedImages } from './manifest.ts'
import { normalizeReference } from './reference.ts'
import { lookUpUser } from './user-lookup.ts'

/** The image store as the rest of the runtime sees it. */
export interface ImageLibrary extends ImageStore {
  /** The unpacked image; throws a `RuntimeError` of code `image-missing`. */
  rootfs(name: string): Promise<{ image: Image; rootfs: string; isHost: boolean }>
  /** Directories of the host image that stay writable where its root is not. */
  hostScratch: Array<{ path: string; mode: string; uid?: number; gid?: number }>
}

export interface ImageLibraryOptions {
  /** Where the host image is laid out. */
  hostRootfs: () => Promise<string>
  /** Ids of the images that containers are using, which cannot be removed. */
  inUse: () => Set<string>
  /** Bytes that one image may have when it is unpacked, and its archive. Default 32 GiB. */
  maxBytes?: number
}

const MAX_BYTES = 32 * 1024 ** 3
const MOST_MEMBERS = 2_000_000
const DISK_RESERVE = 256 * 1024 * 1024

const HOST_SCRATCH: ImageLibrary['hostScratch'] = [
  { path: '/tmp', mode: '1777' },
  { path: '/var/tmp', mode: '1777' },
  { path: '/run', mode: '755' },
  { path: '/root', mode: '700' },
  { path: HOST_IMAGE_USER.home, mode: '700', uid: HOST_IMAGE_USER.uid, gid: HOST_IMAGE_USER.gid },
]

/** Opens the images below a directory: one directory for each image, one file that gives them names. */
export async function openImageLibrary(directory: string, options: ImageLibraryOptions): Promise<ImageLibrary> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  for (const name of await readdir(directory)) {
    // What a crash left of an import.
    if (name.startsWith('.import-')) await rm(join(directory, name), { recursive: true, force: true })
  }
  const namesFile = join(directory, 'names.json')
  const names = new Map<string, string>(Object.entries(await readNames(namesFile)))
  const openedAt = Date.now()
  /** One change at a time. */
  let turn: Promise<unknown> = Promise.resolve()

  function inTurn<T>(change: () => Promise<T>): Promise<T> {
    const result = turn.then(change, change)
    turn = result.catch(() => {})
    return result
  }

  async function saveNames(): Promise<void> {
    await writeFile(`${namesFile}.new`, JSON.stringify(Object.fromEntries(names)), { mode: 0o600 })
    await rename(`${namesFile}.new`, namesFile)
  }

  const imageDirectory = (id: string): string => join(directory, id.slice('sha256:'.length))

  async function load(name: string): Promise<Image | undefined> {
    if (name === HOST_IMAGE) return hostImage(openedAt)
    const id = names.get(name)
    if (id === undefined) return undefined
    const stored = JSON.parse(await readFile(join(imageDirectory(id), 'image.json'), 'utf8')) as Omit<Image, 'name'>
    return { ...stored, name }
  }

  async function unpack(image: ArchivedImage, budget: UnpackBudget): Promise<void> {
    const target = imageDirectory(image.id)
    if (await exists(target)) return
    const work = join(directory, `.import-${randomBytes(6).toString('hex')}`)
    const root = join(work, 'rootfs')
    try {
      await mkdir(root, { recursive: true, mode: 0o755 })
      const before = budget.bytes
      for (const layer of image.layers) await applyVerified(root, layer, budget)
      const { entrypoint, cmd, env, workingDir, user, createdAt } = image.config
      const stored: Omit<Image, 'name'> = {
        id: image.id,
        sizeBytes: before - budget.bytes,
        entrypoint,
        cmd,
        env,
        workingDir,
        user,
        createdAt,
      }
      await writeFile(join(work, 'image.json'), JSON.stringify(stored), { mode: 0o600 })
      await rename(work, target)
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  }

  async function importArchive(
    file: string,
    { name, signal }: { name?: string; signal?: AbortSignal },
  ): Promise<Image[]> {
    const work = join(directory, `.import-${randomBytes(6).toString('hex')}`)
    await mkdir(work, { mode: 0o700 })
    try {
      const maxBytes = Math.min(options.maxBytes ?? MAX_BYTES, await freeBytes(directory))
      const archive = await openArchive(file, work, { maxBytes, signal })
      const images = await readArchivedImages(archive)
      const given = images.map((image) => imageNames(image, { name, only: images.length === 1 }))
      const budget = {
        bytes: Math.min(options.maxBytes ?? MAX_BYTES, await freeBytes(directory)),
        members: MOST_MEMBERS,
      }
      for (const image of images) {
        signal?.throwIfAborted()
        await unpack(image, budget)
      }
      const added = new Set<string>()
      for (const [index, image] of images.entries()) {
        for (const each of given[index] ?? []) {
          names.set(each, image.id)
          added.add(each)
        }
      }
      await saveNames()
      await removeUnnamed()
      const loaded = await Promise.all([...added].map(load))
      return loaded.filter((image) => image !== undefined)
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  }

  /** Takes away images that have no name any more and that no container uses. */
  async function removeUnnamed(): Promise<void> {
    // A name may have moved on to another image while a container still runs on the one before.
    const kept = new Set([...names.values(), ...options.inUse()].map((id) => id.slice('sha256:'.length)))
    for (const entry of await readdir(directory)) {
      if (/^[0-9a-f]{64}$/.test(entry) && !kept.has(entry)) {
        await rm(join(directory, entry), { recursive: true, force: true })
      }
    }
  }

  async function rootfs(name: string): Promise<{ image: Image; rootfs: string; isHost: boolean }> {
    const normalized = normalizeReference(name)
    const image = await load(normalized)
    if (!image) {
      throw new RuntimeError(
        'image-missing',
        `the image ${normalized} is not in the store: import it with "caisson image import FILE"`,
      )
    }
    if (normalized === HOST_IMAGE) return { image, rootfs: await options.hostRootfs(), isHost: true }
    return { image, rootfs: join(imageDirectory(image.id), 'rootfs'), isHost: false }
  }

  return {
    hostScratch: HOST_SCRATCH,
    import: (file, importOptions = {}) => inTurn(() => importArchive(file, importOptions)),
    async list() {
      const all = await Promise.all([HOST_IMAGE, ...names.keys()].map(load))
      return all.filter((image) => image !== undefined)
    },
    get: async (name) => load(normalizeReference(name)),
    remove: (name) =>
      inTurn(async () => {
        const normalized = normalizeReference(name)
        if (normalized === HOST_IMAGE || !names.has(normalized)) return false
        const id = names.get(normalized)
        if (id !== undefined && options.inUse().has(id)) {
          throw new RuntimeError('failed', `a container uses the image ${normalized}: remove the container first`)
        }
        names.delete(normalized)
        await saveNames()
        await removeUnnamed()
        return true
      }),
    resolveUser: async (name, user) => lookUpUser((await rootfs(name)).rootfs, user),
    rootfs,
  }
}

function imageNames(image: ArchivedImage, { name, only }: { name: string | undefined; only: boolean }): string[] {
  if (name !== undefined) {
    if (!only)
      throw new RuntimeError('bad-archive', 'the archive holds several images, so that they cannot all get one name')
    return [normalizeReference(name)]
  }
  if (image.names.length === 0)
    throw new RuntimeError('bad-archive', 'the archive does not say how its image is called: give it a name')
  return image.names.map(normalizeReference)
}

async function applyVerified(
  root: string,
  layer: ArchivedImage['layers'][number],
  budget: UnpackBudget,
): Promise<void> {
  const source: Readable = await decompressed(layer.file)
  try {
    const digest = await applyLayer(root, source, budget)
    if (digest !== layer.diffId)
      throw new RuntimeError('bad-archive', `a layer has the digest ${digest}, the configuration says ${layer.diffId}`)
  } catch (error) {
    if (error instanceof RuntimeError) throw error
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (code.startsWith('Z_')) throw new RuntimeError('bad-archive', 'a layer is damaged', { cause: error })
    throw error
  } finally {
    source.destroy()
  }
}

async function readNames(file: string): Promise<Record<string, string>> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Record<string, string>
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw error
  }
}

/** What an import may use of the disk: something is left for everybody else. */
async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory)
  return Math.max(0, bavail * bsize - DISK_RESERVE)
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
