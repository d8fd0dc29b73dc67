import { join } from 'node:path'
import type { ExchangeLimits } from '../registry/exchange.ts'
import type { RegistryConfig } from '../registry/registry-config.ts'
import { type Image, type ImageStore } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { collectImages } from './collect-images.ts'
import { orDiskFull } from './disk-full.ts'
import { exportImages } from './export-image.ts'
import { HOST_IMAGE, HOST_IMAGE_USER, hostImage } from './host-image.ts'
import { type ImageFiles, openImageFiles, type StoredImage } from './image-files.ts'
import { importArchive } from './import-archive.ts'
import { sourceOf } from './names-bound.ts'
import { normalizeReference, parseReference, repositoryOf } from './reference.ts'
import { renewImages } from './renew-images.ts'
import { lookUpUser } from './user-lookup.ts'

/** The image store as the rest of the runtime sees it. */
export interface ImageLibrary extends ImageStore {
  /** The unpacked image; throws a `RuntimeError` of code `image-missing`. */
  rootfs(name: string): Promise<UnpackedImage>
  /**
   * The same, and nobody removes the image before `use` has resolved: by then what uses it has to be on disk, where
   * `inUse` finds it. `id` says which image that has to be, whatever has the name by now.
   */
  withRootfs<T>(
    wanted: { name: string; id?: string | undefined },
    use: (unpacked: UnpackedImage) => Promise<T>,
  ): Promise<T>
  /** An image that containers were made of, also where its name has moved on. */
  byId(name: string, id: string): Promise<Image | undefined>
  /** Directories of the host image that stay writable where its root is not. */
  hostScratch: Array<{ path: string; mode: string; uid?: number; gid?: number }>
}

export interface UnpackedImage {
  image: Image
  rootfs: string
  isHost: boolean
}

export interface ImageLibraryOptions {
  /** Where the host image is laid out. */
  hostRootfs: () => Promise<string>
  /** Ids of the images that containers of any process, or snapshots, are using, which cannot be removed. */
  inUse: () => Promise<Set<string>>
  /** Bytes that one image may have when it is unpacked, and its archive. Default 32 GiB. */
  maxBytes?: number
  registries?: RegistryConfig | undefined
  /** How long registries may keep a pull waiting. */
  exchangeLimits?: ExchangeLimits
  /** Networks of the cluster's Pods and Services, from which only hosts that `registries` names are pulled. */
  clusterRanges?: () => Promise<string[]>
}

const MAX_BYTES = 32 * 1024 ** 3

const HOST_SCRATCH: ImageLibrary['hostScratch'] = [
  { path: '/tmp', mode: '1777' },
  { path: '/var/tmp', mode: '1777' },
  { path: '/run', mode: '755' },
  { path: '/root', mode: '700' },
  { path: HOST_IMAGE_USER.home, mode: '700', uid: HOST_IMAGE_USER.uid, gid: HOST_IMAGE_USER.gid },
]

/**
 * Opens the images below a directory. Several processes may have it open; each reads the names whenever it needs them, and
 * changes are made one at a time.
 */
export async function openImageLibrary(directory: string, options: ImageLibraryOptions): Promise<ImageLibrary> {
  const files = await openImageFiles(directory, options.inUse)
  const limits = { maxBytes: options.maxBytes ?? MAX_BYTES }
  await renewImages(files, limits)

  async function find(normalized: string): Promise<Image | undefined> {
    if (normalized === HOST_IMAGE) return hostImage()
    const names = await files.readNames()
    const id = names.get(normalized)
    return id === undefined ? undefined : load(files, { name: normalized, id, digests: digestsOf(names) })
  }

  /** One after the other, by names that are read once: there can be thousands. */
  async function findAll(wanted: (names: ReadonlyMap<string, string>) => readonly string[]): Promise<Image[]> {
    const names = await files.readNames()
    const digests = digestsOf(names)
    const found: Image[] = []
    for (const name of wanted(names)) {
      const id = names.get(name)
      const image = id === undefined ? undefined : await load(files, { name, id, digests })
      if (image) found.push(image)
    }
    return found
  }

  function missing(normalized: string): RuntimeError {
    return new RuntimeError(
      'image-missing',
      `the image ${normalized} is not in the store: get it with "caisson image pull NAME" or "caisson image import FILE"`,
    )
  }

  async function unpacked({ name, id }: { name: string; id?: string | undefined }): Promise<UnpackedImage> {
    const normalized = normalizeReference(name)
    if (normalized === HOST_IMAGE) return { image: hostImage(), rootfs: await options.hostRootfs(), isHost: true }
    const image = id === undefined ? await find(normalized) : await byId(normalized, id)
    if (!image) throw missing(normalized)
    return { image, rootfs: join(files.imageDirectory(image.id), 'rootfs'), isHost: false }
  }

  async function byId(name: string, id: string): Promise<Image | undefined> {
    const normalized = normalizeReference(name)
    if (normalized === HOST_IMAGE) return hostImage()
    return load(files, { name: normalized, id, digests: digestsOf(await files.readNames()) })
  }

  /** An image with all that it came with. */
  async function stored(name: string, what: string): Promise<{ name: string; image: StoredImage }> {
    const normalized = normalizeReference(name)
    if (normalized === HOST_IMAGE) throw ofThisMachine(what)
    const id = (await files.readNames()).get(normalized)
    const image = id === undefined ? undefined : await files.readImage(id)
    if (!image) throw missing(normalized)
    return { name: normalized, image }
  }

  return {
    hostScratch: HOST_SCRATCH,
    byId,
    async import(file, { name, signal } = {}) {
      const imported = await saysDiskFull(importArchive(files, { file, name, signal, limits }))
      return findAll(() => imported)
    },
    async pull(name, pullOptions = {}) {
      const reference = parseReference(name)
      const normalized = normalizeReference(name)
      if (normalized === HOST_IMAGE) return { image: hostImage(), isNew: false }
      // Loaded when it is needed: starting costs little.
      const { pullImage } = await import('./pull-image.ts')
      const pulling = pullImage(files, {
        ...pullOptions,
        reference,
        limits,
        exchangeLimits: options.exchangeLimits,
        clusterRanges: await options.clusterRanges?.(),
        config: options.registries ?? {},
        signal: pullOptions.signal ?? new AbortController().signal,
      })
      const { id, isNew } = await saysDiskFull(pulling)
      const image = await byId(normalized, id)
      if (!image) throw missing(normalized)
      return { image, isNew }
    },
    async push(name, { to, ...pushOptions } = {}) {
      const chosen = await stored(name, 'pushed')
      const { pushImage } = await import('./push-image.ts')
      return await pushImage(files, {
        ...pushOptions,
        ...chosen,
        to: parseReference(to ?? chosen.name),
        config: options.registries ?? {},
        signal: pushOptions.signal ?? new AbortController().signal,
      })
    },
    async export(names, target, signal) {
      const chosen = await Promise.all(names.map((name) => stored(name, 'exported')))
      await exportImages(files, chosen, { target, signal })
    },
    async list() {
      return [hostImage(), ...(await findAll(listedNames))]
    },
    get: (name, id) => (id === undefined ? find(normalizeReference(name)) : byId(name, id)),
    async remove(name) {
      const normalized = normalizeReference(name)
      if (normalized === HOST_IMAGE) throw ofThisMachine('removed')
      return removeName(files, { normalized, inUse: options.inUse })
    },
    onNamed: (listener) => files.watchNames(listener),
    collect: (collectOptions) => collectImages(files, { ...collectOptions, inUse: options.inUse, now: Date.now() }),
    resolveUser: async (wanted, user) => lookUpUser((await unpacked(wanted)).rootfs, user),
    rootfs: (name) => unpacked({ name }),
    async withRootfs(wanted, use) {
      if (normalizeReference(wanted.name) === HOST_IMAGE) return use(await unpacked(wanted))
      return files.lock.hold(async () => {
        const found = await unpacked(wanted)
        await files.touch(found.image.id)
        return use(found)
      })
    },
  }
}

async function saysDiskFull<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw orDiskFull(error)
  }
}

function ofThisMachine(what: string): RuntimeError {
  return new RuntimeError('failed', `${HOST_IMAGE} is a view of this machine: it cannot be ${what}`)
}

/** Undefined where it was removed since its name was read. */
async function load(
  files: ImageFiles,
  { name, id, digests }: { name: string; id: string; digests: ReadonlyMap<string, readonly string[]> },
): Promise<Image | undefined> {
  const stored = await files.readImage(id)
  if (!stored) return undefined
  const { pulled, blobs: _, ...image } = stored
  const grants = pulled ? await files.readGrants(id) : {}
  const grant = pulled ? (grants[repositoryOf(parseReference(name))] ?? []) : 'everyone'
  return { ...image, name, repoDigests: [...(digests.get(id) ?? [])], grant }
}

/** By image, its names with a digest. */
function digestsOf(names: ReadonlyMap<string, string>): Map<string, string[]> {
  const digests = new Map<string, string[]>()
  for (const [name, id] of names) {
    if (!name.includes('@')) continue
    const known = digests.get(id)
    if (known) known.push(name)
    else digests.set(id, [name])
  }
  return digests
}

/** Those with a tag, and with a digest where an image has no other in the same repository. */
function listedNames(names: ReadonlyMap<string, string>): string[] {
  const tagged = new Set([...names].flatMap(([name, id]) => (name.includes('@') ? [] : [sourceOf(name, id)])))
  return [...names].filter(([name, id]) => !name.includes('@') || !tagged.has(sourceOf(name, id))).map(([name]) => name)
}

/** Takes away a name, and the image where it was its last. False where there is no such name. */
async function removeName(
  files: ImageFiles,
  { normalized, inUse }: { normalized: string; inUse: () => Promise<Set<string>> },
): Promise<boolean> {
  await using work = await files.makeWork()
  return await files.lock.hold(async () => {
    const names = await files.readNames()
    const id = names.get(normalized)
    if (id === undefined) return false
    const left = new Map(names)
    left.delete(normalized)
    // A digest is no reason to keep what has lost its last tag.
    const listed = new Set(listedNames(left))
    const gone = [...names].filter(
      ([name, of]) => of === id && name.includes('@') && listed.has(name) && !normalized.includes('@'),
    )
    const all = new Set([normalized, ...gone.map(([name]) => name)])
    const isLast = ![...names].some(([name, of]) => of === id && !all.has(name))
    if (isLast && (await inUse()).has(id))
      throw new RuntimeError('failed', `a container uses the image ${normalized}: remove the container first`)
    await files.removeNames(names, [...all], work.path)
    return true
  })
}
