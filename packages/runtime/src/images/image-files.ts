/**
 * The image store on disk: a directory for each image with its merged root file system, the blobs that it came as, and one
 * file that gives names. Several processes may have it open. What is in the making lies in a directory of its own until
 * it is moved into its place, so that a crash leaves nothing half made and nothing that is not found again.
 */
import { randomBytes } from 'node:crypto'
import { watch } from 'node:fs'
import { link, mkdir, readdir, rename, rm, rmdir, stat, statfs, utimes, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { isSameProcess, processStartTime } from '../monitor/process-identity.ts'
import { readRecord } from '../read-record.ts'
import type { Descriptor } from '../registry/remote-image.ts'
import type { Image } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { removeDeep } from '../sandbox/remove-deep.ts'
import { MOST_NAMES, namesBeyond } from './names-bound.ts'
import { parseReference, repositoryOf } from './reference.ts'
import { createStoreLock, type StoreLock } from './store-lock.ts'

/** Who may use an image without asking its registry: everyone, or who shows one of these marks. */
export type Grant = 'everyone' | string[]

/** What is kept of an image beside its root file system. */
export interface StoredImage extends Omit<Image, 'name' | 'repoDigests' | 'grant'> {
  /** It came from a registry, where it can be had again. */
  pulled: boolean
  /** What it came as; undefined for images of an older store, of which only the root file system was kept. */
  blobs: { config: Descriptor; layers: Descriptor[]; manifest: Descriptor | undefined } | undefined
}

/** An image that is ready to be moved into its place. */
export interface NewImage {
  id: string
  names: string[]
  /** Directory that holds it; undefined where it was in the store when it was looked for. */
  ready: string | undefined
  /** Files by digest. */
  blobs: ReadonlyMap<string, string>
  /** By repository. */
  grants: Record<string, Grant>
}

export interface ImageFiles {
  lock: StoreLock
  directory: string
  readNames(): Promise<Map<string, string>>
  /** Calls after each change of the names by any process. Throws where nothing can be watched. */
  watchNames(listener: () => void): Disposable
  imageDirectory(id: string): string
  /** Undefined where it is not there. */
  readImage(id: string): Promise<StoredImage | undefined>
  /** Images that are there only as an earlier version unpacked them. */
  outdated(): Promise<StoredImage[]>
  readGrants(id: string): Promise<Record<string, Grant>>
  blobFile(digest: string): string
  /** Makes a directory for what is in the making; disposing removes it. */
  makeWork(): Promise<{ path: string } & AsyncDisposable>
  /** Lays `image.json` beside the root file system in a directory that will be an image's. */
  describe(ready: string, image: StoredImage): Promise<void>
  /**
   * Moves images into place and names them. False, and nothing done, where one is neither there nor ready. What loses its
   * last name by that goes.
   */
  add(images: readonly NewImage[]): Promise<boolean>
  /**
   * Takes names away, and moves what had no other to where it will be deleted: others wait for the lock, under which this
   * is called, and a large image takes a while.
   */
  removeNames(names: Map<string, string>, gone: readonly string[], work: string): Promise<void>
  /** Ids of all images that have a name, with the time of their last use, ms since the epoch. */
  lastUses(): Promise<Map<string, number>>
  /** Remembers that an image is used now. */
  touch(id: string): Promise<void>
}

/**
 * How images are unpacked; another one where that changes, or where what was unpacked may have been changed by others. Up
 * to the first, which the names of their directories do not say, sandboxes made places for their mounts in them.
 */
const LAYOUT = '.2'
const IMAGE = /^([0-9a-f]{64})(\.\d+)?$/
const MOST_MARKS = 256
const NAMES = 'names.json'

export async function openImageFiles(
  directory: string,
  inUse: () => Promise<Set<string>>,
  mostNames = MOST_NAMES,
): Promise<ImageFiles> {
  await mkdir(join(directory, 'blobs'), { recursive: true, mode: 0o700 })
  await removeCutOffWork(directory)
  const namesFile = join(directory, NAMES)
  const lock = createStoreLock(join(directory, 'lock'))
  const outdatedDirectory = (id: string): string => join(directory, id.slice('sha256:'.length))
  const imageDirectory = (id: string): string => `${outdatedDirectory(id)}${LAYOUT}`
  const blobFile = (digest: string): string => join(directory, 'blobs', digest.slice('sha256:'.length))

  const readNames = async (): Promise<Map<string, string>> =>
    new Map(Object.entries((await readRecord<Record<string, string>>(namesFile)) ?? {}))

  function watchNames(listener: () => void): Disposable {
    // Of the directory: what is renamed into its place is another file each time.
    const watcher = watch(directory, { persistent: false }, (_event, name) => {
      if (name === NAMES) listener()
    })
    // The directory is gone, and with it whatever could be told.
    watcher.on('error', () => {})
    return { [Symbol.dispose]: () => watcher.close() }
  }

  const saveNames = (names: Map<string, string>): Promise<void> =>
    writeAtomically(namesFile, JSON.stringify(Object.fromEntries(names)))

  const readImage = (id: string): Promise<StoredImage | undefined> => readStored(imageDirectory(id))

  async function readGrants(id: string): Promise<Record<string, Grant>> {
    const read = (of: string) => readRecord<Record<string, Grant>>(join(of, 'grants.json'))
    return (await read(imageDirectory(id))) ?? (await read(outdatedDirectory(id))) ?? {}
  }

  async function makeWork(): Promise<{ path: string } & AsyncDisposable> {
    const path = join(directory, workName())
    await mkdir(path, { mode: 0o700 })
    return { path, [Symbol.asyncDispose]: () => removeWork(path) }
  }

  async function add(images: readonly NewImage[]): Promise<boolean> {
    await using work = await makeWork()
    return await lock.hold(async () => {
      for (const { id, ready } of images) if (ready === undefined && !(await readImage(id))) return false
      for (const image of images) await place(image, work.path)
      const names = await readNames()
      for (const { id, names: given } of images) for (const name of given) names.set(name, id)
      const ids = new Set<string>()
      for (const name of namesBeyond(names, mostNames)) {
        ids.add(names.get(name) ?? '')
        names.delete(name)
      }
      await saveNames(names)
      for (const id of ids) await forgetGrants(id, names)
      await putAside(names, work.path)
      return true
    })
  }

  /** Blobs come before what refers to them. */
  async function place({ id, ready, blobs, grants }: NewImage, work: string): Promise<void> {
    for (const [digest, file] of blobs) await putBlob(file, blobFile(digest))
    if (ready !== undefined && !(await readImage(id))) {
      await writeFile(join(ready, 'grants.json'), JSON.stringify(grants), { mode: 0o600 })
      // Of which not even the description was left is not what it was either.
      const damaged = imageDirectory(id)
      if (await isThere(damaged)) await rename(damaged, join(work, `damaged-${basename(damaged)}`))
      return rename(ready, imageDirectory(id))
    }
    const known = await readGrants(id)
    for (const [repository, grant] of Object.entries(grants)) known[repository] = mergeGrants(known[repository], grant)
    await writeAtomically(join(imageDirectory(id), 'grants.json'), JSON.stringify(known))
  }

  /** To repositories by which an image is named no more. */
  async function forgetGrants(id: string, names: ReadonlyMap<string, string>): Promise<void> {
    if (!(await readImage(id))) return
    const own = [...names].flatMap(([name, of]) => (of === id ? [repositoryOf(parseReference(name))] : []))
    const named = new Set(own)
    const kept = Object.entries(await readGrants(id)).filter(([repository]) => named.has(repository))
    await writeAtomically(join(imageDirectory(id), 'grants.json'), JSON.stringify(Object.fromEntries(kept)))
  }

  async function removeNames(names: Map<string, string>, gone: readonly string[], work: string): Promise<void> {
    for (const name of gone) names.delete(name)
    await saveNames(names)
    await putAside(names, work)
  }

  /** Moves what nothing refers to any more, and no container uses, to where it will be deleted. */
  async function putAside(names: Map<string, string>, work: string): Promise<void> {
    const named = new Set(names.values())
    const all = await storedImages(directory)
    const current = currentOf(all)
    // One that is outdated is kept for its blobs until it could be unpacked again.
    const unneeded = all.filter(({ id, isCurrent }) => !named.has(id) || (!isCurrent && current.has(id)))
    // A name may have moved on to another image while a container still runs on the one before.
    const used = unneeded.length > 0 ? await inUse().catch(() => undefined) : new Set<string>()
    // While that cannot be found out nothing goes: it does when something else is put aside, or the store is opened again.
    if (!used) return
    const gone = new Set(unneeded.filter(({ id }) => !used.has(id)))
    for (const { name } of gone) await rename(join(directory, name), join(work, `unnamed-${name}`))
    const needed = new Set<string>()
    for (const each of all)
      if (!gone.has(each))
        for (const digest of blobsOf(await readStored(join(directory, each.name)))) needed.add(blobFile(digest))
    for (const name of await readdir(join(directory, 'blobs'))) {
      const file = join(directory, 'blobs', name)
      if (!needed.has(file)) await rename(file, join(work, `blob-${name}`))
    }
  }

  const files: ImageFiles = {
    lock,
    directory,
    readNames,
    watchNames,
    imageDirectory,
    readImage,
    async outdated() {
      const all = await storedImages(directory)
      const current = currentOf(all)
      const outdated = all.filter(({ id }) => !current.has(id))
      const images = await Promise.all(outdated.map(({ name }) => readStored(join(directory, name))))
      return images.filter((image) => image !== undefined)
    },
    readGrants,
    blobFile,
    makeWork,
    async describe(ready, image) {
      await writeFile(join(ready, 'image.json'), JSON.stringify(image), { mode: 0o600 })
    },
    add,
    removeNames,
    async lastUses() {
      const uses = new Map<string, number>()
      for (const id of new Set((await readNames()).values())) {
        const info = await stat(join(imageDirectory(id), 'image.json')).catch(() => undefined)
        if (info) uses.set(id, info.mtimeMs)
      }
      return uses
    },
    async touch(id) {
      const now = new Date()
      await utimes(join(imageDirectory(id), 'image.json'), now, now)
    },
  }
  await removeLeftOver(files, putAside)
  return files
}

/** What a process that was killed had put into place and not yet named, and what is outdated and no longer used. */
async function removeLeftOver(
  { lock, directory, makeWork, readNames }: ImageFiles,
  putAside: (names: Map<string, string>, work: string) => Promise<void>,
): Promise<void> {
  await using work = await makeWork()
  await lock.hold(async () => {
    await rm(join(directory, 'names.json.new'), { force: true })
    await putAside(await readNames(), work.path)
  })
}

interface StoredDirectory {
  id: string
  /** Of the directory. */
  name: string
  isCurrent: boolean
}

async function storedImages(directory: string): Promise<StoredDirectory[]> {
  return (await readdir(directory)).flatMap((name) => {
    const [, hex, layout] = IMAGE.exec(name) ?? []
    return hex === undefined ? [] : [{ id: `sha256:${hex}`, name, isCurrent: layout === LAYOUT }]
  })
}

function currentOf(all: readonly StoredDirectory[]): Set<string> {
  return new Set(all.filter(({ isCurrent }) => isCurrent).map(({ id }) => id))
}

/** What a directory says of the image that it has; undefined where it says nothing. */
async function readStored(directory: string): Promise<StoredImage | undefined> {
  const stored = await readRecord<StoredImage>(join(directory, 'image.json'))
  return stored && { ...stored, pulled: stored.pulled ?? false, blobs: stored.blobs }
}

function blobsOf(image: StoredImage | undefined): string[] {
  if (!image?.blobs) return []
  const { config, layers, manifest } = image.blobs
  return [config, ...layers, ...(manifest ? [manifest] : [])].map(({ digest }) => digest)
}

function mergeGrants(before: Grant | undefined, added: Grant): Grant {
  if (before === 'everyone' || added === 'everyone') return 'everyone'
  return [...new Set([...(before ?? []), ...added])].slice(-MOST_MARKS)
}

/** Names a directory for what this process has in the making: what a crash leaves of it can be told from what lives. */
function workName(): string {
  return `.import-${process.pid}-${processStartTime(process.pid) ?? ''}-${randomBytes(6).toString('hex')}`
}

/**
 * By a program: `rm` of Node asks for all files of a tree at once, and holds everybody up for a second with those of a large
 * image.
 */
async function removeWork(path: string): Promise<void> {
  // Mostly nothing is left in it, and no program needed.
  await rmdir(path).catch(() => removeDeep(path))
}

async function removeCutOffWork(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith('.import-')) continue
    const [, pid, startTime] = /^\.import-(\d+)-(\d+)-/.exec(name) ?? []
    if (pid !== undefined && startTime !== undefined && isSameProcess(Number(pid), startTime)) continue
    await removeWork(join(directory, name))
  }
}

/** Bytes of the disk that images may take: a reserve for everything else stays free. */
export async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory)
  return Math.max(0, bavail * bsize - DISK_RESERVE)
}

const DISK_RESERVE = 256 * 1024 * 1024

/** @param missing bytes, at least so many */
export function noRoom(missing: number): RuntimeError {
  const [reserve, more] = [DISK_RESERVE, missing].map((bytes) => Math.ceil(bytes / 1024 ** 2))
  return new RuntimeError(
    'disk-full',
    `the disk has no room for the image: ${reserve} MiB of it are kept free, and ${more} MiB or more are missing; free some space, or remove images`,
  )
}

/** Whatever is there gives way, since it may be damaged. Linked and not moved: several images of one archive may share a blob. */
async function putBlob(file: string, target: string): Promise<void> {
  const [own, before] = await Promise.all([stat(file), stat(target).catch(() => undefined)])
  if (!before) return await link(file, target)
  if (own.ino === before.ino && own.dev === before.dev) return
  await rm(`${target}.new`, { force: true })
  await link(file, `${target}.new`)
  await rename(`${target}.new`, target)
}

async function writeAtomically(file: string, text: string): Promise<void> {
  // On the disk before it replaces what is: without names nobody could tell images from what is left over.
  await writeFile(`${file}.new`, text, { mode: 0o600, flush: true })
  await rename(`${file}.new`, file)
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
