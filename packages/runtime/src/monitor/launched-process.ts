import { spawn } from 'node:child_process'
import { closeSync, constants, type FSWatcher, fstatSync, readSync, watch, writeFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { JOINED_GROUPS_LIMIT, LAUNCHED } from '../native/programs.ts'
import type { ExitStatus } from '../runtime.ts'
import { openFiles } from './open-files.ts'
import { killProcess, processStartTime } from './process-identity.ts'
import type { CommandLine } from './protocol.ts'

/** Names in the directory of something that was launched. */
export const EXITS_FILE = 'exits'
export const ALIVE_FIFO = 'alive'

const { O_RDONLY, O_WRONLY, O_NONBLOCK } = constants

export interface LaunchRequest {
  directory: string
  launch: string
  command: CommandLine
  /** Descriptors for the command's stdin, stdout and stderr. */
  stdio: Array<number | 'ignore'>
  /** Read ends of the output that stay open as long as `launch` lives. */
  hold: number[]
  /** Files by which the command joins control groups. */
  joins: string[]
  /** Default: the root directory. */
  cwd?: string
}

/** What `launch` writes down about the processes that it reaps. */
export interface LaunchedProcess extends Disposable {
  /** Wait status of the command itself. */
  command: Promise<number>
  /** Wait status of a process that the command left behind; undefined where `launch` itself was killed before. */
  statusOf(pid: number): Promise<number | undefined>
  /** Kills the command, unless it has ended, and resolves when it has. */
  kill(): Promise<void>
}

/** Starts a command under a reaper of its own that outlives us. Where it throws, nothing was started and nothing is open. */
export function launchProcess(request: LaunchRequest): LaunchedProcess {
  const exits = join(request.directory, EXITS_FILE)
  using given = openFiles()
  using unbegun = new DisposableStack()
  // `launch` writes to as many, whether there is something to join or not.
  const paths = Array.from({ length: JOINED_GROUPS_LIMIT }, (_, index) => request.joins[index] ?? '/dev/null')
  const groups = paths.map((path) => given.open(path, 'w'))
  writeFileSync(exits, '', { mode: 0o600 })
  // Reading end first: the writing end cannot be opened before there is a reader.
  const process = unbegun.use(observe(request.directory))
  const aliveWriter = given.open(join(request.directory, ALIVE_FIFO), O_WRONLY | O_NONBLOCK)
  const records = given.open(exits, 'a')
  const [hold1, hold2] = request.hold
  const child = spawn(request.launch, [request.command.program, ...request.command.args], {
    env: request.command.env,
    cwd: request.cwd ?? '/',
    detached: true,
    stdio: [...request.stdio, records, aliveWriter, hold1 ?? 'ignore', hold2 ?? 'ignore', ...groups],
  })
  child.on('error', (cause) => process.fail(cause))
  child.unref()
  unbegun.move()
  return process
}

/** Goes on watching what an earlier monitor launched. */
export function adoptLaunched(directory: string): LaunchedProcess {
  return observe(directory)
}

function observe(directory: string): LaunchedProcess & { fail(cause: Error): void } {
  const exits = join(directory, EXITS_FILE)
  using opened = openFiles()
  const aliveFd = opened.open(join(directory, ALIVE_FIFO), O_RDONLY | O_NONBLOCK)
  // By descriptor: the directory may get another name.
  const recordsFd = opened.open(exits, 'r')
  const statuses = new Map<number, number>()
  const waiting = new Map<number, (status: number | undefined) => void>()
  const begun = Promise.withResolvers<number>()
  const command = Promise.withResolvers<number>()
  // Nobody may be interested, after an adoption.
  begun.promise.catch(() => {})
  command.promise.catch(() => {})
  let gone = false

  function read(): void {
    const bytes = Buffer.alloc(fstatSync(recordsFd).size)
    readSync(recordsFd, bytes, 0, bytes.length, 0)
    let commandPid: number | undefined
    for (let at = 0; at + 8 <= bytes.length; at += 8) {
      const [pid, status] = [bytes.readInt32LE(at), bytes.readInt32LE(at + 4)]
      if (status === LAUNCHED && commandPid === undefined) {
        commandPid = pid
        begun.resolve(pid)
        continue
      }
      statuses.set(pid, status)
      if (pid === commandPid) command.resolve(status)
      waiting.get(pid)?.(status)
      waiting.delete(pid)
    }
  }

  function giveUp(cause: Error): void {
    begun.reject(cause)
    command.reject(cause)
  }

  const watcher: FSWatcher = watch(exits, { persistent: false }, () => read())
  watcher.on('error', () => {})
  // Closed by the kernel when `launch` ends, however it ends.
  const alive = new Socket({ fd: aliveFd, readable: true, writable: false })
  alive.unref().resume()
  alive.on('error', () => {})
  opened.keep()
  alive.on('close', () => {
    gone = true
    watcher.close()
    read()
    closeSync(recordsFd)
    for (const [, resolve] of waiting) resolve(undefined)
    waiting.clear()
    giveUp(new Error('the process that launches containers was killed'))
  })
  read()

  return {
    command: command.promise,
    statusOf(pid) {
      if (statuses.has(pid) || gone) return Promise.resolve(statuses.get(pid))
      const { promise, resolve } = Promise.withResolvers<number | undefined>()
      waiting.set(pid, resolve)
      return promise
    },
    async kill() {
      // It may not have been started yet.
      const pid = await begun.promise.catch(() => undefined)
      if (!gone) read()
      if (pid !== undefined && !gone && !statuses.has(pid)) killProcess(pid, processStartTime(pid) ?? '', 'SIGKILL')
      await command.promise.catch(() => {})
    },
    fail(cause) {
      giveUp(cause)
      alive.destroy()
    },
    [Symbol.dispose]() {
      watcher.close()
      alive.destroy()
    },
  }
}

/** What a wait status says: an exit code, 128 + n where signal n ended the process. */
export function exitStatusOf(waitStatus: number): ExitStatus {
  const signal = waitStatus & 0x7f
  if (signal === 0) return { exitCode: (waitStatus >> 8) & 0xff }
  return { exitCode: 128 + signal, signal }
}
