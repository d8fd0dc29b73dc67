/** Copies a tree of files that somebody may change meanwhile who must not gain anything by it. */
import { constants } from 'node:fs'
import { constants as system } from 'node:os'
import { copyAttributes, copyData, type OpenFiles, PIECE_BYTES } from './copy-content.ts'
import { type FileStatus, readEntries, readStatus, STATUS_MASK, STATUS_SIZE } from './file-status.ts'
import { type Batch, type Call, kernelError, openSystemCalls, type SystemCalls } from './system-calls.ts'

export interface TreeCopy {
  /** A directory. */
  source: string
  /** An empty directory. */
  target: string
  /** A private directory for the program that makes the system calls. */
  programs: string
  /** Ends it half-way; rejects with its reason, when nothing is written any more. */
  signal: AbortSignal
  /** Is told of each file's bytes before they are copied; what it throws ends the copying. */
  counted?(bytes: number): void
}

interface Directory {
  /** Below the roots. */
  path: Buffer
  status: FileStatus
}

interface Entry {
  /** With the byte that ends it. */
  name: Buffer
  /** Holds the file, whatever has its name. */
  held: number
  status: FileStatus
}

/** What is still to be done with an entry, and read from the calls that began it before the next are made. */
interface Begun {
  read?(): void
  content?(): Promise<void>
  end(batch: Batch): void
}

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY, O_DIRECTORY } = constants
const { S_IFREG, S_IFDIR, S_IFLNK } = constants
const O_PATH = 0x20_0000
const O_CLOEXEC = 0x8_0000
const AT_FDCWD = -100
const AT_SYMLINK_NOFOLLOW = 0x100
const AT_EMPTY_PATH = 0x1000
/** RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS. */
const BENEATH = 0x8 | 0x4
const FICLONE = 0x4004_9409

const ROOT = Buffer.from('.')
const NOTHING = Buffer.from('\0')
/** Bytes of entries that are read at a time, and of them how many are copied at a time: each is three open files. */
const ENTRIES_BYTES = 32 * 1024
const AT_ONCE = 64
/** What has to be remembered until another is found counts as no less. */
const REMEMBERED_BYTES = 4096

/** `struct open_how`: a directory that no link is on the way to. */
const DIRECTORY_BENEATH = Buffer.alloc(24)
DIRECTORY_BENEATH.writeBigUInt64LE(BigInt(O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC), 0)
DIRECTORY_BENEATH.writeBigUInt64LE(BigInt(BENEATH), 16)

/**
 * Copies what is in a tree, as `cp --archive --one-file-system` does: owners, permissions, times, extended attributes, links
 * of both kinds, holes, pipes, sockets and device nodes; blocks are shared where the file system can.
 *
 * Whoever writes to either tree meanwhile has it lead nowhere else, and hold nothing up: each file is held by itself, not by
 * its name, before it is known what it is, and only regular files and directories are opened. Directories are found from
 * the root without following a link. Of a file the bytes are copied that it had when it was looked at. What goes meanwhile
 * is no part of the copy. What is in the target at a moment when that should be empty is an error with code `EEXIST`.
 *
 * Rejects with an Error with the kernel's `code`, which is `ENOSPC` where there is no room.
 */
export async function copyTree({ source, target, programs, signal, counted = () => {} }: TreeCopy): Promise<void> {
  const calls = await openSystemCalls(programs, signal)
  try {
    const batch = calls.batch()
    const [from, to] = [source, target].map((path) => {
      return batch.must('openat', AT_FDCWD, Buffer.from(`${path}\0`), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    }) as [Call, Call]
    const room = batch.room(STATUS_SIZE)
    batch.must('statx', from, NOTHING, AT_EMPTY_PATH, STATUS_MASK, room)
    await batch.run()
    const status = readStatus(batch.bytes(room))
    counted(status.size)
    await copyAll(calls, { roots: { from: batch.result(from), to: batch.result(to) }, status, counted })
  } finally {
    await calls[Symbol.asyncDispose]()
  }
}

async function copyAll(
  calls: SystemCalls,
  { roots, status, counted }: { roots: OpenFiles; status: FileStatus; counted(bytes: number): void },
): Promise<void> {
  /** Where the first name of a file with several is, by its identity. */
  const firstNames = new Map<string, Buffer>()
  /** Whether blocks can be shared; not known before it was tried. */
  let clones: boolean | undefined
  /** The last is the next. A directory is left, which gives it its times, when all that is in it is there. */
  const steps: Array<() => Promise<void>> = [() => enter({ path: ROOT, status })]
  for (let step = steps.pop(); step; step = steps.pop()) await step()

  async function enter(directory: Directory): Promise<void> {
    const { path } = directory
    const batch = calls.batch()
    const to = openBeneath(batch, roots.to, path)
    const from = batch.call('openat2', roots.from, ended(path), DIRECTORY_BENEATH, DIRECTORY_BENEATH.length)
    const attributes = batch.call('flistxattr', from, 0, 0)
    await batch.run()
    const files = { from: batch.result(from), to: batch.result(to) }
    const hasAttributes = batch.result(attributes) > 0
    steps.push(() => leave(directory, hasAttributes))
    // Another has its name by now, or what it held is another file system's.
    const isThere = files.from >= 0 && directory.status.fileSystem === status.fileSystem
    if (isThere) await copyEntries(path, files)
    const closing = calls.batch()
    closing.call('close', files.from)
    closing.call('close', files.to)
    await closing.run()
  }

  async function leave({ path, status: of }: Directory, hasAttributes: boolean): Promise<void> {
    const batch = calls.batch()
    const to = openBeneath(batch, roots.to, path)
    batch.must('fchown', to, of.uid, of.gid)
    batch.must('fchmod', to, of.permissions)
    const from = batch.call('openat2', roots.from, ended(path), DIRECTORY_BENEATH, DIRECTORY_BENEATH.length)
    await batch.run()
    const files = { from: batch.result(from), to: batch.result(to) }
    // Of which those that new files have from it come last.
    if (hasAttributes && files.from >= 0) await copyAttributes(calls, files)
    const closing = calls.batch()
    closing.must('utimensat', files.to, 0, of.times, 0)
    closing.call('close', files.from)
    closing.call('close', files.to)
    await closing.run()
  }

  async function copyEntries(path: Buffer, files: OpenFiles): Promise<void> {
    for (;;) {
      const batch = calls.batch()
      const room = batch.room(ENTRIES_BYTES)
      const read = batch.must('getdents64', files.from, room, ENTRIES_BYTES)
      await batch.run()
      const bytes = batch.result(read)
      if (bytes === 0) return
      const names = readEntries(batch.bytes(room).subarray(0, bytes))
      for (let at = 0; at < names.length; at += AT_ONCE) {
        const entries = await hold(files.from, names.slice(at, at + AT_ONCE))
        // One alone first, where that tells how the others are copied.
        const alone = clones === undefined ? entries.findIndex((entry) => hasData(entry)) : -1
        if (alone >= 0) await copyHeld(path, files, entries.splice(alone, 1))
        await copyHeld(path, files, entries)
      }
    }
  }

  async function hold(from: number, names: readonly Buffer[]): Promise<Entry[]> {
    const batch = calls.batch()
    const looks = names.map((name) => {
      const held = batch.call('openat', from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC)
      const room = batch.room(STATUS_SIZE)
      return { name, held, room, looked: batch.call('statx', held, NOTHING, AT_EMPTY_PATH, STATUS_MASK, room) }
    })
    await batch.run()
    return looks.flatMap(({ name, held, room, looked }) => {
      if (batch.result(held) === -system.errno.ENOENT) return []
      if (batch.result(looked) < 0) throw kernelError('statx', batch.result(looked))
      return [{ name, held: batch.result(held), status: readStatus(batch.bytes(room)) }]
    })
  }

  async function copyHeld(path: Buffer, files: OpenFiles, entries: readonly Entry[]): Promise<void> {
    const beginning = calls.batch()
    const begun = entries.map((entry) => begin(beginning, path, files.to, entry))
    await beginning.run()
    for (const { read } of begun) read?.()
    for (const { content } of begun) await content?.()
    const ending = calls.batch()
    for (const [index, { end }] of begun.entries()) {
      end(ending)
      ending.call('close', entries[index]?.held ?? -1)
    }
    await ending.run()
  }

  function begin(batch: Batch, path: Buffer, to: number, entry: Entry): Begun {
    const { name, held, status: of } = entry
    const below = path === ROOT ? unended(name) : Buffer.concat([path, Buffer.from('/'), unended(name)])
    const isDirectory = of.type === S_IFDIR
    const first = isDirectory ? undefined : firstNames.get(of.identity)
    if (first) return { end: (ending) => giveName(ending, first, to, name) }
    const isRemembered = isDirectory || of.links > 1
    counted(isRemembered ? Math.max(of.size, REMEMBERED_BYTES) : of.size)
    if (isDirectory) {
      batch.must('mkdirat', to, name, 0o700)
      return { read: () => void steps.push(() => enter({ path: below, status: of })), end: () => {} }
    }
    if (of.links > 1) firstNames.set(of.identity, below)
    if (of.type === S_IFREG) return beginFile(batch, to, entry)
    const own = (ending: Batch): void => {
      ending.must('fchownat', to, name, of.uid, of.gid, AT_SYMLINK_NOFOLLOW)
      ending.must('utimensat', to, name, of.times, AT_SYMLINK_NOFOLLOW)
    }
    if (of.type === S_IFLNK)
      return beginLink(batch, held, of.size, (ending, text) => {
        ending.must('symlinkat', text, to, name)
        own(ending)
      })
    return {
      end(ending) {
        ending.must('mknodat', to, name, of.type | of.permissions, of.device)
        own(ending)
      },
    }
  }

  function giveName(batch: Batch, first: Buffer, to: number, name: Buffer): void {
    const slash = first.lastIndexOf('/')
    const directory = openBeneath(batch, roots.to, slash < 0 ? ROOT : first.subarray(0, slash))
    batch.must('linkat', directory, ended(first.subarray(slash + 1)), to, name, 0)
    batch.call('close', directory)
  }

  function beginLink(batch: Batch, held: number, size: number, make: (ending: Batch, text: Buffer) => void): Begun {
    const room = batch.room(size + 1)
    const length = batch.must('readlinkat', held, NOTHING, room, size + 1)
    let text: Buffer = NOTHING
    return {
      read() {
        text = ended(batch.bytes(room).subarray(0, batch.result(length)))
      },
      end: (ending) => make(ending, text),
    }
  }

  function beginFile(batch: Batch, to: number, { name, held, status: of }: Entry): Begun {
    const path = Buffer.from(`/proc/self/fd/${held}\0`)
    const source = batch.must('openat', AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
    const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
    const copy = batch.must('openat', to, name, flags, 0o600)
    const attributes = batch.call('flistxattr', source, 0, 0)
    const cloned = of.size > 0 && clones !== false ? batch.call('ioctl', copy, FICLONE, source) : undefined
    const isWhole = of.size <= PIECE_BYTES && of.bytes >= of.size
    const sent = !cloned && of.size > 0 && isWhole ? batch.must('sendfile', copy, source, 0, of.size) : undefined
    // Its last bytes may be a hole, and what was shared may have grown.
    if (!sent) batch.must('ftruncate', copy, of.size)
    batch.must('fchown', copy, of.uid, of.gid)
    batch.must('fchmod', copy, of.permissions)
    let files = { from: -1, to: -1 }
    let done = 0
    let hasAttributes = false
    return {
      read() {
        files = { from: batch.result(source), to: batch.result(copy) }
        hasAttributes = batch.result(attributes) > 0
        if (sent) done = batch.result(sent)
        if (!cloned) return
        const isCloned = batch.result(cloned) === 0
        clones ??= isCloned
        if (isCloned) done = of.size
      },
      async content() {
        if (done < of.size) await copyData(calls, files, done, of.size)
        if (hasAttributes) await copyAttributes(calls, files)
      },
      end(ending) {
        ending.must('utimensat', files.to, 0, of.times, 0)
        ending.call('close', files.from)
        ending.call('close', files.to)
      },
    }
  }
}

const hasData = ({ status }: Entry): boolean => status.type === S_IFREG && status.size > 0

function openBeneath(batch: Batch, root: number, path: Buffer): Call {
  return batch.must('openat2', root, ended(path), DIRECTORY_BENEATH, DIRECTORY_BENEATH.length)
}

/** With the byte that ends a path. */
function ended(path: Buffer): Buffer {
  return Buffer.concat([path, NOTHING])
}

function unended(name: Buffer): Buffer {
  return name.subarray(0, -1)
}
