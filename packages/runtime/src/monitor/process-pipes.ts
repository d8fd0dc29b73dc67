import { spawn } from 'node:child_process'
import { closeSync, constants } from 'node:fs'
import { createServer, Socket } from 'node:net'
import { join } from 'node:path'
import type { TerminalSize } from '../runtime.ts'
import type { FifoPool } from './fifo-pool.ts'
import { ALIVE_FIFO } from './launched-process.ts'
import { openFiles } from './open-files.ts'

const { O_RDONLY, O_WRONLY, O_RDWR, O_NONBLOCK } = constants

/** Named pipes between a process and its monitor. They have names so that the next monitor can open them again. */
export interface PipeNames {
  stdin: string
  stdout: string
  stderr: string
  resize: string
}

/** For whoever opens the process's ends by name. */
export function streamPaths(directory: string): Pick<PipeNames, 'stdin' | 'stdout' | 'stderr'> {
  return pipeNames(directory)
}

function pipeNames(directory: string): PipeNames {
  const path = (name: string): string => join(directory, name)
  return { stdin: path('stdin'), stdout: path('stdout'), stderr: path('stderr'), resize: path('resize') }
}

export interface PipeKinds {
  tty: boolean
  stdin: boolean
}

/** Lays the pipes that a process of this kind needs, and the one that tells that its reaper lives. */
export async function layPipes(pool: FifoPool, directory: string, kinds: PipeKinds): Promise<void> {
  const names = pipeNames(directory)
  const wanted = kinds.tty ? [names.stdin, names.stdout, names.resize] : [names.stdout, names.stderr]
  if (kinds.stdin && !kinds.tty) wanted.push(names.stdin)
  await pool.place([...wanted, join(directory, ALIVE_FIFO)])
}

/** Our ends. Descriptors are non-blocking and belong to the caller. */
export interface MonitorEnds {
  stdout: number
  stderr: number | undefined
  stdin: Socket | undefined
  resize: Socket | undefined
}

/** The process's ends, which block as a process expects; to be closed after it was started. */
export interface ProcessEnds {
  stdin: number
  stdout: number
  stderr: number
  /** More reading ends, for whoever keeps the pipes readable while a monitor is replaced. */
  holdStdout: number
  holdStderr: number
}

/** Opens both ends of every pipe of a process without a terminal. Where one cannot be opened, none stays open. */
export function openPipes(directory: string, kinds: PipeKinds): { ours: MonitorEnds; theirs: ProcessEnds } {
  const names = pipeNames(directory)
  using opened = openFiles()
  using meanwhile = openFiles()
  const stdout = opened.open(names.stdout, O_RDONLY | O_NONBLOCK)
  const stderr = opened.open(names.stderr, O_RDONLY | O_NONBLOCK)
  // A pipe that is open for both makes neither end wait for the other.
  if (kinds.stdin) meanwhile.open(names.stdin, O_RDWR)
  const theirs = {
    stdin: opened.open(kinds.stdin ? names.stdin : '/dev/null', O_RDONLY),
    stdout: opened.open(names.stdout, O_WRONLY),
    stderr: opened.open(names.stderr, O_WRONLY),
    holdStdout: opened.open(names.stdout, O_RDONLY | O_NONBLOCK),
    holdStderr: opened.open(names.stderr, O_RDONLY | O_NONBLOCK),
  }
  const stdin = kinds.stdin ? writer(opened.open(names.stdin, O_WRONLY | O_NONBLOCK)) : undefined
  opened.keep()
  return { ours: { stdout, stderr, stdin, resize: undefined }, theirs }
}

/** Our ends of a process that has a terminal; `receiveTerminal` provides the other ones. */
export function openTerminalPipes(directory: string): MonitorEnds {
  const names = pipeNames(directory)
  using opened = openFiles()
  const stdout = opened.open(names.stdout, O_RDONLY | O_NONBLOCK)
  // Both directions, so that they never wait for the program that carries the bytes.
  const [stdin, resize] = [names.stdin, names.resize].map((name) => opened.open(name, O_RDWR | O_NONBLOCK)).map(writer)
  opened.keep()
  return { stdout, stderr: undefined, stdin, resize }
}

/** Our ends again, after an earlier monitor was killed. Its end of stdin went with it, which the process saw as its end. */
export function reopenPipes(directory: string, kinds: PipeKinds): MonitorEnds {
  if (kinds.tty) return openTerminalPipes(directory)
  const names = pipeNames(directory)
  using opened = openFiles()
  const stdout = opened.open(names.stdout, O_RDONLY | O_NONBLOCK)
  const stderr = opened.open(names.stderr, O_RDONLY | O_NONBLOCK)
  opened.keep()
  return { stdout, stderr, stdin: undefined, resize: undefined }
}

export function closeEnds(ends: ProcessEnds): void {
  for (const fd of Object.values(ends)) closeSync(fd)
}

/** Gives back our ends where nothing was started. */
export function closeOurs(ends: MonitorEnds): void {
  closeSync(ends.stdout)
  if (ends.stderr !== undefined) closeSync(ends.stderr)
  ends.stdin?.destroy()
  ends.resize?.destroy()
}

/** Bytes of struct winsize. */
export function windowSize({ columns, rows }: TerminalSize): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt16LE(clampToUint16(rows), 0)
  bytes.writeUInt16LE(clampToUint16(columns), 2)
  return bytes
}

/**
 * Waits for an OCI runtime to send a terminal to `socketPath` and starts the program that carries its bytes to and from
 * the pipes. That program outlives us.
 */
export async function receiveTerminal(options: {
  socketPath: string
  console: string
  directory: string
}): Promise<Disposable> {
  const names = pipeNames(options.directory)
  // The message with the terminal must be left for the other program: we never read from the connection.
  const server = createServer({ pauseOnConnect: true }, (connection) => {
    server.close()
    // Without the program the runtime's own error says that nobody took its terminal.
    try {
      using given = openFiles()
      const [stdin, stdout, resize] = [names.stdin, names.stdout, names.resize].map((name) => given.open(name, O_RDWR))
      const child = spawn(options.console, [], {
        env: {},
        cwd: '/',
        detached: true,
        stdio: [stdin, stdout, 'ignore', connection, resize],
      })
      child.on('error', () => {})
      child.unref()
    } catch {
      // There are no descriptors left.
    } finally {
      connection.destroy()
    }
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  // Later ones too: of a terminal that could not be taken the runtime's own error tells.
  server.on('error', reject)
  server.listen(options.socketPath, resolve)
  await promise
  server.unref()
  return { [Symbol.dispose]: () => void server.close() }
}

function writer(fd: number): Socket {
  const socket = new Socket({ fd, readable: false, writable: true })
  // The process closed its stdin or ended: what it did not want to read is nobody's error.
  socket.on('error', () => {})
  socket.unref()
  return socket
}

function clampToUint16(value: number): number {
  return Number.isFinite(value) ? Math.max(0, Math.min(0xffff, Math.trunc(value))) : 0
}
