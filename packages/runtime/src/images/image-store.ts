import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isSameProcess, processStartTime } from '../monitor/process-identity.ts'
import { type Image, type ImageStore, RuntimeError } from '../runtime.ts'
import { openArchive } from './archive.ts'
import { HOST_IMAGE, HOST_IMAGE_USER, hostImage } from './host-image.ts'
import type { UnpackBudget } from './layer-writer.ts'
import { type ArchivedImage, readArchivedImages } from './manifest.ts'
import { normalizeReference } from './reference.ts'
import { createStoreLock } from './store-lock.ts'
import { createUnpacker } from './unpacker.ts'
import { lookUpUser } from './user-lookup.ts'

/** The image store as the rest of the runtime sees it. */
export interface ImageLibrary extends ImageStore {
  /** The unpacked image; throws a `RuntimeError` of code `image-missing`. */
  rootfs(name: string): Promise<UnpackedImage>
  /**
   * The same, and nobody removes the image before `use` has resolved: by then what uses it has to be on disk, where
   * `inUse` finds it.
   */
  withRootfs<T>(name: string, use: (unpacked: UnpackedImage) => Promise<T>): Promise<T>
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
  /** Ids of the images that containers of any process are using, which cannot be removed. */
  inUse: () => Promise<Set<string>>
  /** Bytes that one image may have when it is unpacked, and its archive. Default 32 GiB. */
  maxBytes?: number
}

const MAX_BYTES = 32 * 1024 ** 3
const MOST_MEMBERS = 2_000_000
const ARCHIVE_SLACK = 1024 ** 3
const DISK_RESERVE = 256 * 1024 * 1024

const HOST_SCRATCH: ImageLibrary['hostScratch'] = [
  { path: '/tmp', mode: '1777' },
  { path: '/var/tmp', mode: '1777' },
  { path: '/run', mode: '755' },
  { path: '/root', mode: '700' },
  { path: HOST_IMAGE_USER.home, mode: '700', uid: HOST_IMAGE_USER.uid, gid: HOST_IMAGE_USER.gid },
]

/**
 * Opens the images below a directory: one directory for each image, one file that gives them names. Several processes may
 * have it open; each reads the names whenever it needs them, and changes are made one at a time.
 */
export async function openImageLibrary(directory: string, options: ImageLibraryOptions): Promise<ImageLibrary> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await removeCutOffImports(directory)
  const namesFile = join(directory, 'names.json')
  const lock = createStoreLock(join(directory, 'lock'))
  const openedAt = Date.now()

  const readNames = async (): Promise<Map<string, string>> => new Map(Object.entries(await readNamesFile(namesFile)))

  async function saveNames(names: Map<string, string>): Promise<void> {
    await writeFile(`${namesFile}.new`, JSON.stringify(Object.fromEntries(names)), { mode: 0o600 })
    await rename(`${namesFile}.new`, namesFile)
  }

  const imageDirectory = (id: string): string => join(directory, id.slice('sha256:'.length))

  async function load(name: string, id: string): Promise<Image | undefined> {
    try {
      const stored = JSON.parse(await readFile(join(imageDirectory(id), 'image.json'), 'utf8')) as Omit<Image, 'name'>
      return { ...stored, name }
    } catch (error) {
      // Removed since its name was read.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  async function find(normalized: string): Promise<Image | undefined> {
    if (normalized === HOST_IMAGE) return hostImage(openedAt)
    const id = (await readNames()).get(normalized)
    return id === undefined ? undefined : load(normalized, id)
  }

  /** Gives the directory in which the image lies ready to be moved to its place. */
  async function unpack(
    image: ArchivedImage,
    { work, budget, signal }: { work: string; budget: UnpackBudget; signal: AbortSignal | undefined },
  ): Promise<string> {
    const ready = join(work, image.id.slice('sha256:'.length))
    const root = join(ready, 'rootfs')
    await mkdir(root, { recursive: true, mode: 0o755 })
    await using unpacker = createUnpacker(root, budget, signal)
    for (const layer of image.layers) await unpacker.apply(layer)
    const { entrypoint, cmd, env, workingDir, user, createdAt } = image.config
    const stored: Omit<Image, 'name'> = {
      id: image.id,
      sizeBytes: unpacker.contentBytes(),
      entrypoint,
      cmd,
      env,
      workingDir,
      user,
      createdAt,
    }
    await writeFile(join(ready, 'image.json'), JSON.stringify(stored), { mode: 0o600 })
    return ready
  }

  async function importArchive(
    file: string,
    { name, signal }: { name?: string; signal?: AbortSignal },
  ): Promise<Image[]> {
    const work = join(directory, workName())
    await mkdir(work, { mode: 0o700 })
    try {
      const maxBytes = Math.min(options.maxBytes ?? MAX_BYTES, await freeBytes(directory))
      const archive = await openArchive(file, work, { maxBytes, signal })
      const images = await readArchivedImages(archive)
      const given = images.map((image) => imageNames(image, { name, only: images.length === 1 }))
      const budget = unpackBudget(Math.min(options.maxBytes ?? MAX_BYTES, await freeBytes(directory)))
      const ready = new Map<string, string>()
      // Another process may take an image away while this one unpacks the next: whatever is not there is unpacked here.
      for (;;) {
        for (const image of images) {
          signal?.throwIfAborted()
          if (!ready.has(image.id) && !(await exists(imageDirectory(image.id))))
            ready.set(image.id, await unpack(image, { work, budget, signal }))
        }
        const added = await lock.hold(() => add(images, { given, ready, work }))
        if (added) return added
      }
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  }

  /** Puts unpacked images in place and names them. Undefined, and nothing done, where one is neither there nor ready. */
  async function add(
    images: ArchivedImage[],
    { given, ready, work }: { given: string[][]; ready: Map<string, string>; work: string },
  ): Promise<Image[] | undefined> {
    const missing: ArchivedImage[] = []
    for (const image of images) if (!(await exists(imageDirectory(image.id)))) missing.push(image)
    if (missing.some((image) => !ready.has(image.id))) return undefined
    for (const { id } of missing) {
      const from = ready.get(id)
      // Two entries of one archive may be the same image.
      if (from !== undefined && !(await exists(imageDirectory(id)))) await rename(from, imageDirectory(id))
    }
    const names = await readNames()
    const added = new Map<string, string>()
    for (const [index, image] of images.entries())
      for (const each of given[index] ?? []) {
        names.set(each, image.id)
        added.set(each, image.id)
      }
    await saveNames(names)
    await putAsideUnnamed(names, work)
    const loaded = await Promise.all([...added].map(([each, id]) => load(each, id)))
    return loaded.filter((image) => image !== undefined)
  }

  /** Takes away a name, and the image where it was its last. False where there is no such name. */
  async function removeName(normalized: string): Promise<boolean> {
    const work = join(directory, workName())
    try {
      return await lock.hold(async () => {
        const names = await readNames()
        const id = names.get(normalized)
        if (id === undefined) return false
        if ((await options.inUse()).has(id)) {
          throw new RuntimeError('failed', `a container uses the image ${normalized}: remove the container first`)
        }
        names.delete(normalized)
        await saveNames(names)
        await mkdir(work, { mode: 0o700 })
        await putAsideUnnamed(names, work)
        return true
      })
    } finally {
      // Without the lock: a large image takes its time.
      await rm(work, { recursive: true, force: true })
    }
  }

  /** Moves images that have no name any more, and that no container uses, to where they will be deleted. */
  async function putAsideUnnamed(names: Map<string, string>, work: string): Promise<void> {
    const named = new Set(names.values())
    const unnamed = (await readdir(directory)).filter(
      (entry) => /^[0-9a-f]{64}$/.test(entry) && !named.has(`sha256:${entry}`),
    )
    if (unnamed.length === 0) return
    // A name may have moved on to another image while a container still runs on the one before.
    const used = await options.inUse()
    for (const entry of unnamed)
      if (!used.has(`sha256:${entry}`)) await rename(join(directory, entry), join(work, `unnamed-${entry}`))
  }

  async function rootfs(name: string): Promise<UnpackedImage> {
    const normalized = normalizeReference(name)
    const image = await find(normalized)
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
    import: (file, importOptions = {}) => importArchive(file, importOptions),
    async list() {
      const named = await Promise.all([...(await readNames())].map(([name, id]) => load(name, id)))
      return [hostImage(openedAt), ...named.filter((image) => image !== undefined)]
    },
    get: (name) => find(normalizeReference(name)),
    async remove(name) {
      const normalized = normalizeReference(name)
      return normalized !== HOST_IMAGE && removeName(normalized)
    },
    resolveUser: async (name, user) => lookUpUser((await rootfs(name)).rootfs, user),
    rootfs,
    withRootfs: async (name, use) =>
      normalizeReference(name) === HOST_IMAGE
        ? use(await rootfs(name))
        : lock.hold(async () => use(await rootfs(name))),
  }
}

/** Names a directory for what this process has in the making: what a crash leaves of it can be told from what lives. */
function workName(): string {
  return `.import-${process.pid}-${processStartTime(process.pid) ?? ''}-${randomBytes(6).toString('hex')}`
}

async function removeCutOffImports(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith('.import-')) continue
    const [, pid, startTime] = /^\.import-(\d+)-(\d+)-/.exec(name) ?? []
    if (pid !== undefined && startTime !== undefined && isSameProcess(Number(pid), startTime)) continue
    await rm(join(directory, name), { recursive: true, force: true })
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

function unpackBudget(bytes: number): UnpackBudget {
  // Names, padding and holes in a tar archive take some place of their own.
  return { bytes, members: MOST_MEMBERS, archiveBytes: bytes + ARCHIVE_SLACK }
}

async function readNamesFile(file: string): Promise<Record<string, string>> {
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
