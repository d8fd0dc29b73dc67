/**
 * Parts of volumes. A container that can write to a volume can put a symbolic link in the place of a directory at any
 * moment, also between a check and the use of what was checked. So nothing here goes by path: each component is opened
 * relative to the open one before it, links are read and walked the same way, and what is mounted in the end is the
 * open file itself.
 */
import { constants } from 'node:fs'
import {
  chmod,
  chown,
  type FileHandle,
  mkdir,
  open,
  readlink,
  realpath,
  rmdir,
  stat,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { dirname } from 'node:path'
import { bindDescriptor, unmountBelow } from './mounts.ts'
import { VolumeError } from './volume-error.ts'

/** Not among Node's constants: a handle that names a file without opening it, so that devices and FIFOs stay as they are. */
const O_PATH = 0x200000
/** As many links as the kernel follows on one path. */
const LINK_LIMIT = 40
/** Each level is an open file, with as many Pods at once as begin. A tenant names paths, and makes links, with thousands. */
const DEPTH_LIMIT = 128

/**
 * Mounts `subPath` of the volume at `target`, a path that no container can reach. Directories that are missing are made,
 * with the permissions of the volume. Throws a VolumeError where the path leaves the volume.
 */
export async function bindSubPath(options: {
  volume: string
  subPath: string
  target: string
  /** Rejects with ENOENT where something is missing. */
  makesNothing?: boolean
}): Promise<void> {
  const { volume, subPath, target, makesNothing = false } = options
  await unmountBelow(target)
  const part = await openWithin(volume, subPath, makesNothing ? openPart : openOrMake)
  try {
    const isDirectory = (await part.stat()).isDirectory()
    await makeMountPoint(target, isDirectory)
    await bindDescriptor(part.fd, target)
  } finally {
    await part.close()
  }
}

/**
 * Opens a part of the volume without ever leaving it. The handle is an O_PATH one: good for mounting and for
 * `/proc/self/fd`, not for reading.
 */
async function openWithin(
  volume: string,
  subPath: string,
  openNext: (path: string, mode: number) => Promise<FileHandle>,
): Promise<FileHandle> {
  if (subPath.startsWith('/')) throw new VolumeError(`subPath ${JSON.stringify(subPath)} must not be an absolute path`)
  // The way to the volume is the node's, or a privileged Pod's hostPath: links in it are as they are meant.
  const root = await open(await realpath(volume), O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  /** The open directories from the root down to where the walk is. */
  const walked: FileHandle[] = [root]
  const pending = components(subPath)
  let links = 0
  try {
    const { mode } = await root.stat()
    for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
      const parent = walked.at(-1)
      if (!parent) break
      if (walked.length > DEPTH_LIMIT && name !== '..')
        throw new VolumeError(`the subPath leads deeper than ${DEPTH_LIMIT} directories`)
      if (name === '..') {
        if (walked.length === 1) throw new VolumeError('the subPath leads out of the volume')
        await walked.pop()?.close()
        continue
      }
      const here = `/proc/self/fd/${parent.fd}/${name}`
      const next = await openNext(here, mode)
      const found = await next.stat()
      if (found.isSymbolicLink()) {
        await next.close()
        if (++links > LINK_LIMIT) throw new VolumeError('the subPath has too many symbolic links')
        const link = await readlink(here)
        if (link.startsWith('/')) throw new VolumeError('the subPath leads out of the volume')
        pending.unshift(...components(link))
        continue
      }
      walked.push(next)
      if (!found.isDirectory() && pending.length > 0) throw new VolumeError('a part of the subPath is not a directory')
    }
    const end = walked.pop()
    if (!end) throw new VolumeError('the subPath leads nowhere')
    return end
  } finally {
    for (const handle of walked) await handle.close()
  }
}

function components(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.')
}

/** O_NOFOLLOW with O_PATH opens a link itself. */
function openPart(path: string): Promise<FileHandle> {
  return open(path, O_PATH | constants.O_NOFOLLOW)
}

/** A name that ends on nothing becomes a directory. */
async function openOrMake(path: string, mode: number): Promise<FileHandle> {
  try {
    return await openPart(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  await mkdir(path)
  const made = await open(path, O_PATH | constants.O_NOFOLLOW | constants.O_DIRECTORY)
  // Of the handle, not of the name; and past the umask.
  const parent = await stat(dirname(path))
  await chown(`/proc/self/fd/${made.fd}`, parent.uid, parent.gid)
  await chmod(`/proc/self/fd/${made.fd}`, mode & 0o7777)
  return made
}

async function makeMountPoint(target: string, isDirectory: boolean): Promise<void> {
  await mkdir(dirname(target), { recursive: true, mode: 0o700 })
  // What was there may have been of the other kind.
  await rmdir(target).catch(() => {})
  await unlink(target).catch(() => {})
  if (isDirectory) await mkdir(target, { mode: 0o700 })
  else await writeFile(target, '', { mode: 0o600 })
}
