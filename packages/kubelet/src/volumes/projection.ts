/**
 * Files that are made from objects of the API, in a directory that containers see change all at once or not at all: the
 * files are in a directory of their own, `..data` points to it, and each name that containers know points through that.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { own } from './own.ts'
import { VolumeError } from './volume-error.ts'

const DATA = '..data'

export interface ProjectedFile {
  data: Buffer
  mode: number
  /** Owner, where it is not root. */
  uid?: number
}

export interface ProjectionOptions {
  /** By path below the directory. */
  files: ReadonlyMap<string, ProjectedFile>
  /** fsGroup. */
  group: number | undefined
  /** Asked before something is written, and not where nothing changes; rejects where there is no room. */
  admit?: () => Promise<Disposable>
}

/**
 * Makes the directory hold exactly these files. Returns whether that changed anything. Where it fails before they can be
 * seen, nothing is left of them: a Pod whose files cannot be written is tried for ever.
 */
export async function writeProjection(directory: string, { files, group, admit }: ProjectionOptions): Promise<boolean> {
  for (const path of files.keys()) verifyPath(path, files)
  await mkdir(directory, { recursive: true, mode: 0o755 })
  const before = await readlink(join(directory, DATA)).catch(() => undefined)
  const fingerprint = fingerprintOf(files, group)
  // The directory's name carries what is in it, so that nothing has to be read back.
  if (before?.endsWith(`_${fingerprint}`)) {
    // An agent may have been killed when that was there, and not all of its names yet.
    await showNames(directory, files, group)
    return false
  }

  using _room = await admit?.()
  // What an agent left that was killed while it wrote.
  await removeOthers(directory, before)
  const version = `..${new Date().toISOString().replaceAll(/[:.]/g, '_')}_${randomBytes(4).toString('hex')}_${fingerprint}`
  try {
    await makeDirectory(join(directory, version), group)
    for (const [path, file] of files) await writeOne(join(directory, version), path, { ...file, group })
    await symlink(version, join(directory, `${DATA}_tmp`))
    await rename(join(directory, `${DATA}_tmp`), join(directory, DATA))
  } catch (error) {
    await removeOthers(directory, before)
    throw error
  }
  await showNames(directory, files, group)
  await removeOthers(directory, version)
  return true
}

/** All versions but this one, and a link that was to point to one. */
async function removeOthers(directory: string, version: string | undefined): Promise<void> {
  for (const name of await readdir(directory)) {
    if (name.startsWith('..') && name !== DATA && name !== version) {
      await rm(join(directory, name), { recursive: true, force: true })
    }
  }
}

/** Each first component is a link through `..data`; those of files that are no longer there go. Then everybody may look. */
async function showNames(
  directory: string,
  files: ProjectionOptions['files'],
  group: ProjectionOptions['group'],
): Promise<void> {
  const names = new Set([...files.keys()].map((path) => path.split('/')[0] ?? ''))
  const present = new Set((await readdir(directory)).filter((name) => !name.startsWith('..')))
  for (const name of names) if (!present.has(name)) await symlink(join(DATA, name), join(directory, name))
  for (const name of present) if (!names.has(name)) await rm(join(directory, name), { recursive: true, force: true })
  await own(directory, { group, mode: group === undefined ? 0o1777 : 0o3777 })
}

async function writeOne(
  root: string,
  path: string,
  { data, mode, uid, group }: ProjectedFile & { group: number | undefined },
): Promise<void> {
  const parents = path.split('/').slice(0, -1)
  for (let depth = 1; depth <= parents.length; depth++) {
    await makeDirectory(join(root, ...parents.slice(0, depth)), group)
  }
  const file = join(root, path)
  await writeFile(file, data, { mode: 0o600, flag: 'wx' })
  // Past the umask.
  await own(file, { uid, group, mode: group === undefined ? mode : mode | 0o440 })
}

async function makeDirectory(path: string, group: number | undefined): Promise<void> {
  await mkdir(path, { recursive: true })
  await own(path, { group, mode: group === undefined ? 0o755 : 0o2755 })
}

/** A path that stays inside, does not meet the names that this directory needs for itself, and leads through no file. */
function verifyPath(path: string, files: ProjectionOptions['files']): void {
  const parts = path.split('/')
  const bad =
    path.length === 0 ||
    Buffer.byteLength(path) > 4096 ||
    path.includes('\0') ||
    parts.some((part) => part === '' || part === '.' || part === '..' || Buffer.byteLength(part) > 255) ||
    path.startsWith('..')
  if (bad) throw new VolumeError(`${JSON.stringify(path.slice(0, 200))} cannot be the path of a file in a volume`)
  for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) {
    const parent = path.slice(0, end)
    if (files.has(parent)) {
      throw new VolumeError(
        `${JSON.stringify(parent.slice(0, 200))} cannot be a file of a volume and a directory of it`,
      )
    }
  }
}

function fingerprintOf(files: ProjectionOptions['files'], group: number | undefined): string {
  const hash = createHash('sha256').update(JSON.stringify(group ?? null))
  for (const [path, { data, mode, uid }] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(JSON.stringify([path, mode, uid ?? null, data.length])).update(data)
  }
  return hash.digest('hex').slice(0, 32)
}
