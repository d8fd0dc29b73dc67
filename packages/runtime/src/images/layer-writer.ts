import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  fchmodSync,
  fchownSync,
  futimesSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs'
import { RuntimeError } from '../runtime-error.ts'
import { orDiskFull } from './disk-full.ts'
import { hostPath, lstatOrNothing, memberParts, resolveInside } from './rootfs-path.ts'
import { createTarParser, type TarMember } from './tar-parser.ts'
import { writeWhole } from './write-whole.ts'

/** What may still be unpacked, of an image with all its layers. */
export interface UnpackBudget {
  /** On the disk: files, directories and the targets of symbolic links count in whole blocks. */
  bytes: number
  /** Of archives, and directories that these only imply. */
  members: number
  /** Of decompressed archives, whatever they hold. */
  archiveBytes: number
}

/** A root file system that layers are applied to, one after the other. */
export interface RootfsWriter {
  /** The lowest layer comes first. */
  beginLayer(): LayerWriter
  /** Bytes of file content that was written so far. */
  contentBytes(): number
}

export interface LayerWriter {
  /** The layer's next bytes, uncompressed. */
  push(chunk: Buffer): void
  /** Returns the layer's `sha256:` digest. */
  finish(): string
  /** Lets go of what is half written. */
  abandon(): void
}

const TOO_LARGE = 'the image is larger than is allowed, or than the disk has room for'
const WHITEOUT = '.wh.'
const WHITEOUT_METADATA = '.wh..wh.'
const OPAQUE = '.wh..wh..opq'
const DISK_BLOCK = 4096
const LARGEST_ID = 2 ** 32 - 2
// What file systems can store without wrapping around.
const LATEST_TIME = 2 ** 34 - 1

/**
 * Writes layers into `root`, which nobody else may touch meanwhile: what the layers before left and a later one hides is
 * removed, everything else is added or replaced. Device nodes and FIFOs are left out: a container gets its own. Extended
 * attributes are too. Blocks while it works, so it belongs into a worker.
 */
export function createRootfsWriter(root: string, budget: UnpackBudget): RootfsWriter {
  const tree = createTree(root)
  let contentBytes = 0

  function beginLayer(): LayerWriter {
    const hash = createHash('sha256')
    /** Paths that this layer brought: its own whiteouts do not concern them. */
    const own = new Set<string>()
    /** Set at the end, deepest first: writing into a directory changes its time, and its mode may forbid it. */
    const directories = new Map<string, TarMember>()
    let open: { descriptor: number; member: TarMember } | undefined

    function claim(bytes: number): void {
      budget.bytes -= Math.ceil(bytes / DISK_BLOCK) * DISK_BLOCK
      if (budget.bytes < 0) throw new RuntimeError('bad-archive', TOO_LARGE)
    }

    function count(): void {
      if (--budget.members < 0) throw new RuntimeError('bad-archive', 'the image has more files than are allowed')
    }

    function begin(member: TarMember): void {
      count()
      if (member.uid > LARGEST_ID || member.gid > LARGEST_ID)
        throw new RuntimeError('bad-archive', `${JSON.stringify(member.path)} has an owner that no file can have`)
      const parts = memberParts(member.path)
      const name = parts.at(-1)
      if (name === undefined) {
        if (member.kind === 'directory') directories.set('', member)
        return
      }
      const parent = tree.resolve(parts.slice(0, -1))
      tree.makeDirectories(parent, () => {
        count()
        claim(1)
      })
      if (name === OPAQUE) return hideChildren(parent)
      if (name.startsWith(WHITEOUT_METADATA)) return
      if (name.startsWith(WHITEOUT)) return hide([...parent, hiddenName(name)])
      if (member.kind === 'device' || member.kind === 'fifo') return
      place(member, [...parent, name].join('/'))
    }

    function place(member: TarMember, target: string): void {
      const path = hostPath(root, target)
      const wanted = member.kind === 'directory'
      const present = tree.isDirectory(target) ? 'directory' : kindOf(path)
      if (present !== undefined && !(wanted && present === 'directory')) {
        tree.remove(target)
        directories.delete(target)
      }
      own.add(target)
      for (let at = target.lastIndexOf('/'); at > 0; at = target.lastIndexOf('/', at - 1)) {
        const above = target.slice(0, at)
        if (own.has(above)) break
        own.add(above)
      }
      if (wanted) {
        tree.makeDirectory(target, () => claim(1))
        directories.set(target, member)
      } else if (member.kind === 'file') {
        claim(member.size)
        contentBytes += member.size
        open = { descriptor: openSync(path, 'wx', 0o600), member }
      } else if (member.kind === 'symlink') {
        claim(member.link.length)
        symlinkSync(Buffer.from(member.link, 'latin1'), path)
        setAttributes(path, member)
      } else linkSync(linkTarget(member), path)
    }

    function linkTarget({ path, link }: TarMember): Buffer {
      const parts = memberParts(link)
      const target = hostPath(root, [...tree.resolve(parts.slice(0, -1)), parts.at(-1) ?? ''].join('/'))
      const info = lstatOrNothing(target)
      if (info?.isFile() || info?.isSymbolicLink()) return target
      throw new RuntimeError(
        'bad-archive',
        `${JSON.stringify(path)} is a link to ${JSON.stringify(link)}, which is no file of the image`,
      )
    }

    /** Removes what earlier layers have at a path. */
    function hide(parts: string[]): void {
      const path = parts.join('/')
      if (own.has(path)) hideChildren(parts)
      else tree.remove(path)
    }

    function hideChildren(parts: string[]): void {
      for (const child of tree.children(parts.join('/'))) hide([...parts, child])
    }

    function endMember(): void {
      if (!open) return
      const { descriptor, member } = open
      open = undefined
      try {
        const owned = unlessUnmapped(() => fchownSync(descriptor, member.uid, member.gid))
        // Changing the owner clears setuid, so the mode comes after it.
        fchmodSync(descriptor, modeOf(member, owned))
        futimesSync(descriptor, timeOf(member), timeOf(member))
      } finally {
        closeSync(descriptor)
      }
    }

    const parser = createTarParser({
      begin,
      data: (chunk) => open && writeWhole(open.descriptor, chunk),
      end: endMember,
    })

    return {
      push(chunk) {
        budget.archiveBytes -= chunk.length
        if (budget.archiveBytes < 0) throw new RuntimeError('bad-archive', TOO_LARGE)
        hash.update(chunk)
        describeFailure(() => parser.push(chunk))
      },
      finish() {
        parser.finish()
        describeFailure(() => {
          for (const [path, member] of [...directories].reverse())
            if (tree.isStillDirectory(path)) setAttributes(hostPath(root, path), member)
        })
        return `sha256:${hash.digest('hex')}`
      },
      abandon() {
        if (open) closeSync(open.descriptor)
        open = undefined
      },
    }
  }

  return { beginLayer, contentBytes: () => contentBytes }
}

/** A directory tree that only we change: what is known of it stays true. */
interface Tree {
  resolve(parts: string[]): string[]
  /** True where it is known to be one. */
  isDirectory(path: string): boolean
  /** Looks: it, or one above it, may have given way to something else, a link that leads out for instance. */
  isStillDirectory(path: string): boolean
  /** `charge` is called before one is made, and may throw. */
  makeDirectory(path: string, charge: () => void): void
  /** What is in the way and is no directory goes. `charge` is called before each one that is made. */
  makeDirectories(parts: string[], charge: () => void): void
  children(path: string): string[]
  /** With all below it. Nothing where there is nothing. */
  remove(path: string): void
}

function createTree(root: string): Tree {
  const known = new Set<string>()

  function removeAll(path: Buffer): void {
    const info = lstatOrNothing(path)
    if (!info) return
    if (!info.isDirectory()) return unlinkSync(path)
    for (const child of readdirSync(path, { encoding: 'buffer' }))
      removeAll(Buffer.concat([path, Buffer.from('/'), child]))
    rmdirSync(path)
  }

  function makeDirectory(path: string, charge: () => void): void {
    if (known.has(path)) return
    const at = hostPath(root, path)
    const kind = kindOf(at)
    if (kind === 'other') unlinkSync(at)
    if (kind !== 'directory') {
      charge()
      mkdirSync(at)
      // mkdir's mode is subject to the umask.
      chmodSync(at, 0o755)
    }
    known.add(path)
  }

  return {
    resolve: (parts) => resolveInside(root, parts, known),
    isDirectory: (path) => known.has(path),
    isStillDirectory(path) {
      if (path === '' || known.has(path)) return true
      const isWhereItSays = resolveInside(root, path.split('/'), known).join('/') === path
      return isWhereItSays && kindOf(hostPath(root, path)) === 'directory'
    },
    makeDirectory,
    makeDirectories(parts, charge) {
      for (let depth = 1; depth <= parts.length; depth++) makeDirectory(parts.slice(0, depth).join('/'), charge)
    },
    children(path) {
      const at = hostPath(root, path)
      if (kindOf(at) !== 'directory') return []
      return readdirSync(at, { encoding: 'buffer' }).map((name) => name.toString('latin1'))
    },
    remove(path) {
      // Whatever was known may have been below it.
      if (known.delete(path)) known.clear()
      removeAll(hostPath(root, path))
    },
  }
}

function kindOf(path: Buffer): 'directory' | 'other' | undefined {
  const info = lstatOrNothing(path)
  return info && (info.isDirectory() ? 'directory' : 'other')
}

function hiddenName(name: string): string {
  const hidden = name.slice(WHITEOUT.length)
  if (hidden === '' || hidden === '.' || hidden === '..')
    throw new RuntimeError('bad-archive', 'a whiteout without a name')
  return hidden
}

function setAttributes(path: Buffer, member: TarMember): void {
  const owned = unlessUnmapped(() => lchownSync(path, member.uid, member.gid))
  if (member.kind !== 'symlink') chmodSync(path, modeOf(member, owned))
  lutimesSync(path, timeOf(member), timeOf(member))
}

/** False where the user namespace of this process has no such user or group: then the file stays root's, as `modeOf` says. */
function unlessUnmapped(own: () => void): boolean {
  try {
    own()
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error
    return false
  }
}

const SET_IDS = 0o6000

/** A program that was to run as somebody else must not run as root instead. */
function modeOf({ mode }: TarMember, owned: boolean): number {
  return owned ? mode : mode & ~SET_IDS
}

function timeOf({ mtime }: TarMember): number {
  return Math.min(Math.max(mtime, 0), LATEST_TIME)
}

/** What an archive brings about with names that the file system cannot have is a fault of the archive. */
const FAULTS_OF_THE_ARCHIVE = new Set([
  'ENAMETOOLONG',
  'ENOTDIR',
  'EISDIR',
  'EEXIST',
  'ELOOP',
  'EMLINK',
  'EINVAL',
  'ENOENT',
])

function describeFailure(work: () => void): void {
  try {
    work()
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException
    if (FAULTS_OF_THE_ARCHIVE.has(code))
      throw new RuntimeError('bad-archive', `the image has a file that cannot be made here: ${message}`, {
        cause: error,
      })
    throw orDiskFull(error)
  }
}
