/** Files of sandboxes: each operation is one command in there, and has the rights of who runs it. */
import { randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Client } from '@caisson/client'
import type { SandboxPod } from '../routing/sandbox-pods.ts'
import type { ByteRange } from './byte-range.ts'
import { ExecError } from './exec-error.ts'
import { fileTime } from './file-time.ts'
import type { HeldBytes } from './held-bytes.ts'
import { complaintOf, runScript, startScript } from './run-in-pod.ts'
import { sandboxPath } from './sandbox-path.ts'
import { CLEAN, DELETE, EXISTS, READ, WRITE } from './scripts.ts'

export type FileErrorCode =
  | 'escape'
  | 'missing'
  | 'denied'
  | 'directory'
  | 'special'
  | 'root'
  | 'not-empty'
  | 'changed'
  | 'failed'

export class FileError extends Error {
  override readonly name = 'FileError'
  readonly code: FileErrorCode
  constructor(code: FileErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

export interface DirectoryEntry {
  name: string
  type: 'file' | 'directory'
  size: number
  /** Seconds since the epoch. */
  modified: number
  /** Permission bits. */
  mode: number
}

export type Opened =
  | { kind: 'directory' }
  | {
      kind: 'file'
      /** Undefined where the sandbox has no tool that says it. */
      size: number | undefined
      modified: number | undefined
      /** What the content is of it; undefined where it is all. */
      part: ByteRange | undefined
      /** Fails where the file turns out to be shorter; what is more than the size is not part of it. */
      content: Readable
    }

export interface SandboxFiles {
  /** `content` has to be read or disposed of. */
  open(path: string, signal: AbortSignal, part?: ByteRange): Promise<Opened & AsyncDisposable>
  /** What `open` says of it, without its content. */
  look(
    path: string,
    signal: AbortSignal,
  ): Promise<Omit<Extract<Opened, { kind: 'file' }>, 'content' | 'part'> | { kind: 'directory' }>
  /** In the order of their names. */
  list(path: string, signal: AbortSignal): Promise<DirectoryEntry[]>
  exists(path: string, signal: AbortSignal): Promise<boolean>
  /** The file has the whole content, or is what it was. `mode` is in octal; without one it keeps its own. */
  write(path: string, content: Readable, options: { mode?: string; signal: AbortSignal }): Promise<void>
  remove(path: string, options: { recursive: boolean; signal: AbortSignal }): Promise<void>
}

const CLEAN_MS = 10_000
const LISTING_ATTEMPTS = 3

/** `usualBase` is the directory that paths are relative to, where the sandbox has it. */
export function filesOf(
  { client, pod, held }: { client: Client; pod: SandboxPod; held: HeldBytes },
  usualBase: string,
): SandboxFiles {
  function inside(path: string): string {
    const relative = sandboxPath(path)
    if (relative === undefined)
      throw new FileError('escape', `${JSON.stringify(path)} leads out of the sandbox's directory`)
    return relative
  }

  async function look(path: string, signal: AbortSignal) {
    const { ok, words, complaint } = await runScript(client, pod, {
      script: READ,
      args: [usualBase, inside(path), 'head'],
      signal,
    })
    if (!ok) throw fileError(words, path, complaint)
    return words[0] === 'directory' ? { kind: 'directory' as const } : { kind: 'file' as const, ...sizeAndTime(words) }
  }

  return {
    look,
    async open(path, signal, part) {
      await using stack = new AsyncDisposableStack()
      const bytes = part ? [String(part.offset + 1), String(part.length)] : []
      const script = stack.use(
        await startScript(client, pod, { script: READ, args: [usualBase, inside(path), '', ...bytes], signal }),
      )
      if (!script.ok) throw fileError(script.words, path, '')
      script.stderr?.resume()
      const owned = stack.move()
      const dispose = { [Symbol.asyncDispose]: () => owned.disposeAsync() }
      if (script.words[0] === 'directory') return { kind: 'directory', ...dispose }
      const { size, modified } = sizeAndTime(script.words)
      // Of those that the kernel makes up as they are read it says that they are empty.
      const declared = size === 0 ? undefined : size
      return { kind: 'file', size: declared, modified, part, content: script.stdout, ...dispose }
    },

    async list(path, signal) {
      for (let attempt = 1; ; attempt++) {
        const { ok, words, stdout, complaint } = await runScript(client, pod, {
          script: READ,
          args: [usualBase, inside(path), ''],
          held,
          signal,
        })
        if (!ok) throw fileError(words, path, complaint)
        if (words[0] !== 'directory') throw new FileError('special', `${path} is not a directory`)
        const entries = parseListing(stdout)
        if (entries) return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
        if (attempt === LISTING_ATTEMPTS)
          throw new FileError('changed', `${path} changes while it is listed, or the sandbox has no stat`)
      }
    },

    async exists(path, signal) {
      const { ok, words, complaint } = await runScript(client, pod, {
        script: EXISTS,
        args: [usualBase, inside(path)],
        signal,
      })
      if (!ok) throw fileError(words, path, complaint)
      return words[0] === 'yes'
    },

    async write(path, content, { mode = '', signal }) {
      const relative = inside(path)
      if (relative === '') throw new FileError('directory', `${JSON.stringify(path)} names no file`)
      const unfinished = `.caisson-${randomBytes(9).toString('base64url')}`
      try {
        await sendContent(content, { relative, mode, unfinished, signal })
      } catch (error) {
        if (error instanceof FileError) throw error
        // Killed where it was: what it had written is nobody's.
        runScript(client, pod, {
          script: CLEAN,
          args: [usualBase, relative, unfinished],
          signal: AbortSignal.timeout(CLEAN_MS),
        }).catch(() => {})
        throw error
      }
    },

    async remove(path, { recursive, signal }) {
      const { ok, words, complaint } = await runScript(client, pod, {
        script: DELETE,
        args: [usualBase, inside(path), recursive ? 'recursive' : ''],
        signal,
      })
      if (!ok) throw fileError(words, path, complaint)
    },
  }

  async function sendContent(
    content: Readable,
    { relative, mode, unfinished, signal }: { relative: string; mode: string; unfinished: string; signal: AbortSignal },
  ): Promise<void> {
    const sent = Promise.withResolvers<Error | undefined>()
    const broken = new AbortController()
    const script = await startScript(client, pod, {
      script: WRITE,
      args: [usualBase, relative, mode, unfinished],
      stdin: true,
      signal: AbortSignal.any([signal, broken.signal]),
      // The script says how it went when it has read everything, or when it will not.
      feed: (stdin) => {
        pipeline(content, stdin).then(
          () => sent.resolve(undefined),
          (error: Error) => {
            // Without its end it would wait for the rest; the connection's end kills it.
            if (!stdin.writableFinished) broken.abort(error)
            sent.resolve(error)
          },
        )
      },
    })
    await using _ = script
    const complaint = script.stderr ? complaintOf(script.stderr) : Promise.resolve('')
    script.stdout.resume()
    await script.exit
    if (!script.ok) throw fileError(script.words, relative, await complaint)
    const failure = await sent.promise
    if (failure) throw failure
  }
}

function sizeAndTime(words: readonly string[]): { size: number | undefined; modified: number | undefined } {
  const [size, modified] = words.slice(1).map(Number)
  return {
    size: Number.isSafeInteger(size) ? size : undefined,
    modified: modified === undefined || Number.isNaN(modified) ? undefined : fileTime(modified),
  }
}

/** Batches of: how many, a line of `stat` for each, and their names, each with a NUL behind it. Undefined where they differ. */
function parseListing(output: Buffer): DirectoryEntry[] | undefined {
  const entries: DirectoryEntry[] = []
  let at = 0
  function line(): string {
    const end = output.indexOf('\n', at)
    const text = output.subarray(at, end < 0 ? output.length : end).toString('latin1')
    at = end < 0 ? output.length : end + 1
    return text
  }
  while (at < output.length) {
    const count = Number(line())
    if (!Number.isInteger(count)) return undefined
    const states: { mode: number; size: number; modified: number }[] = []
    for (let index = 0; index < count; index++) {
      const [, mode = '', size, modified] = /^([0-9a-f]+) (\d+) (-?\d+)$/.exec(line()) ?? []
      if (mode === '') return undefined
      states.push({ mode: Number.parseInt(mode, 16), size: Number(size), modified: fileTime(Number(modified)) })
    }
    for (const { mode, size, modified } of states) {
      const end = output.indexOf(0, at)
      if (end < 0) return undefined
      const name = output.subarray(at, end).toString('utf8')
      at = end + 1
      entries.push({
        name,
        size,
        modified,
        mode: mode & 0o7777,
        type: (mode & 0o170000) === 0o040000 ? 'directory' : 'file',
      })
    }
  }
  return entries
}

function fileError([code]: readonly string[], path: string, complaint: string): Error {
  const what = JSON.stringify(path)
  switch (code) {
    case 'escape':
      return new FileError('escape', `${what} leads out of the sandbox's directory`)
    case 'missing':
      return new FileError('missing', `${what} does not exist within the sandbox`)
    case 'denied':
      return new FileError('denied', `${what}: permission denied`)
    case 'directory':
      return new FileError('directory', `${what} is a directory`)
    case 'special':
      return new FileError('special', `${what} is neither a file nor a directory`)
    case 'root':
      return new FileError('root', "this is the sandbox's directory itself: pass recursive=true to clear it")
    case 'notempty':
      return new FileError('not-empty', 'directory is not empty; pass recursive=true to remove it')
    case 'base':
    case 'failed': {
      const denied = /permission denied|read-only file system|operation not permitted/i.test(complaint)
      return new FileError(denied ? 'denied' : 'failed', complaint || `${what} could not be changed`)
    }
    default:
      return new ExecError('failed', 'the sandbox answered what no script of the router says')
  }
}
