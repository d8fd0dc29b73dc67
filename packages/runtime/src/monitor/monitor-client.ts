import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { getCompileCacheDir } from 'node:module'
import { connect, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { RuntimeError } from '../runtime-error.ts'
import { type RunCommand, runCommand } from '../tools/run-command.ts'
import { MONITOR_SOCKET, READY_FD } from './monitor-server.ts'
import {
  type Answer,
  type Beginning,
  type Call,
  DONE,
  type ErrandOutcome,
  type ExitNotice,
  FRAME,
  type Held,
  type InsideProgram,
  type Opening,
  parseFrame,
  readFrames,
  type Saving,
  type SentryPlace,
  type Started,
  type Supervision,
  writeJsonFrame,
} from './protocol.ts'
import { shortPath } from './short-path.ts'

export interface MonitorClientOptions {
  stateDirectory: string
  /** Program and arguments that run the monitor; the state directory is added. */
  command: string[]
  onExit: (notice: ExitNotice) => void
  /**
   * The connection to the monitor was lost, and there is one again, perhaps to another monitor; exits in between were
   * missed. Called again, a while later, where it rejects.
   */
  onReplaced: () => Promise<void>
}

/** What keeps a monitor from starting, such as a machine without memory, may last. */
const RECONNECT_MS = 1_000

/** The runtime's side of its monitor, which is started when it is not there and again whenever it dies. */
export interface MonitorClient extends AsyncDisposable {
  start(supervision: Supervision): Promise<Started>
  prepare(supervision: Supervision, held: Held): Promise<void>
  begin(supervision: Supervision, beginning: Beginning): Promise<Started>
  /** Rejects where the program does not succeed. */
  runInside(inside: InsideProgram): Promise<void>
  /**
   * Runs a short-lived program in the monitor, which holds little: to start one stops this process for as long as it takes
   * to copy its page tables, 3 to 50 ms. Where there is no monitor, or it goes meanwhile, it is run here, perhaps a second
   * time. Rejects as `runCommand` does.
   */
  run: RunCommand
  /** Whether it was done: a monitor of an earlier version does not know how. Likewise the next two. */
  pause(sentry: SentryPlace): Promise<boolean>
  resume(sentry: SentryPlace): Promise<boolean>
  save(saving: Saving): Promise<boolean>
  rouse(directory: string): Promise<void>
  expectKill(id: string): Promise<void>
  forget(container: { id: string; directory: string }): Promise<void>
  /** Process id of the monitor: of the next one where the one that was there ends meanwhile. */
  ping(): Promise<number>
  /** Asks it to end unless a container runs; it does so by itself when nobody is connected for a while. */
  retire(): Promise<void>
  /** A connection for an exec or an attach. */
  open(opening: Opening): Promise<Socket>
}

export function createMonitorClient(options: MonitorClientOptions): MonitorClient {
  const path = join(options.stateDirectory, MONITOR_SOCKET)
  const pending = new Map<number, PromiseWithResolvers<unknown>>()
  let nextCall = 1
  let control: Promise<Socket> | undefined
  let closed = false
  /** Exits were missed, and nobody was told. */
  let missed = false
  let replacing: Promise<void> | undefined

  /** Until there is a connection, whoever opens it, and what was missed without one is known. */
  async function replace(): Promise<void> {
    while (missed) {
      if (closed) return
      try {
        await connectControl()
        missed = false
        await options.onReplaced()
      } catch {
        // Whoever asks for something meanwhile hears why; the monitor's log says it too.
        missed = true
        await delay(RECONNECT_MS, undefined, { ref: false })
      }
    }
    replacing = undefined
  }

  function connectControl(): Promise<Socket> {
    control ??= openControl().catch((error: unknown) => {
      control = undefined
      throw error
    })
    return control
  }

  async function openControl(): Promise<Socket> {
    const socket = await connectOrStart()
    readFrames(socket, (type, payload) => {
      if (type === FRAME.exit) options.onExit(parseFrame(payload))
      if (type !== FRAME.answer) return
      const answer = parseFrame<Answer>(payload)
      const waiting = pending.get(answer.call)
      pending.delete(answer.call)
      if ('failure' in answer) waiting?.reject(new RuntimeError(answer.failure.code, answer.failure.message))
      else waiting?.resolve(answer.result)
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      control = undefined
      for (const each of pending.values())
        each.reject(new RuntimeError('failed', 'the monitor of the containers was killed'))
      pending.clear()
      missed = true
      replacing ??= replace()
    })
    writeJsonFrame(socket, FRAME.open, { kind: 'control' } satisfies Opening)
    return socket
  }

  async function connectOrStart(): Promise<Socket> {
    const present = await tryConnect(path)
    if (present) return present
    await startMonitor(options)
    const socket = await tryConnect(path)
    if (socket) return socket
    throw new RuntimeError('failed', `the monitor of the containers did not start; see ${logPath(options)}`)
  }

  async function call<T>(request: DistributiveOmit<Call, 'call'>): Promise<T> {
    const socket = await connectControl()
    const id = nextCall++
    const answer = Promise.withResolvers<unknown>()
    pending.set(id, answer)
    writeJsonFrame(socket, FRAME.call, { call: id, ...request })
    return (await answer.promise) as T
  }

  async function ping(): Promise<number> {
    const socket = await connectControl()
    try {
      return await call<number>({ method: 'ping' })
    } catch (error) {
      if (closed || !socket.destroyed) throw error
      // It had nothing to do any more, and was ending when it was asked.
      return await call<number>({ method: 'ping' })
    }
  }

  const run: RunCommand = async (program, args, options = {}) => {
    const outcome = closed
      ? undefined
      : await call<ErrandOutcome>({ method: 'run', errand: { program, args, ...options } }).catch(() => undefined)
    // One of an earlier version answers something else.
    if (typeof outcome !== 'object') return runCommand(program, args, options)
    if ('failure' in outcome) throw new RuntimeError('failed', outcome.failure)
    return outcome
  }

  return {
    start: (supervision) => call<Started>({ method: 'start', supervision }),
    async prepare(supervision, held) {
      await call({ method: 'prepare', supervision, held })
    },
    begin: (supervision, beginning) => call<Started>({ method: 'begin', supervision, beginning }),
    async runInside(inside) {
      await call({ method: 'run-inside', inside })
    },
    run,
    pause: async (sentry) => (await call({ method: 'pause', sentry })) === DONE,
    resume: async (sentry) => (await call({ method: 'resume', sentry })) === DONE,
    save: async (saving) => (await call({ method: 'save', saving })) === DONE,
    async rouse(directory) {
      await call({ method: 'rouse', directory })
    },
    async expectKill(id) {
      await call({ method: 'expect-kill', id })
    },
    async forget(container) {
      await call({ method: 'forget', ...container })
    },
    ping,
    async retire() {
      const socket = await control?.catch(() => undefined)
      if (!socket) return
      closed = true
      const ended = new Promise((resolve) => socket.once('close', resolve))
      const retired = await call<boolean>({ method: 'retire' }).catch(() => true)
      if (retired) await ended
    },
    async open(opening) {
      await connectControl()
      const socket = await tryConnect(path)
      if (!socket) throw new RuntimeError('failed', 'the monitor of the containers was killed')
      writeJsonFrame(socket, FRAME.open, opening)
      return socket
    },
    async [Symbol.asyncDispose]() {
      closed = true
      const socket = await control?.catch(() => undefined)
      socket?.destroy()
    },
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never

/** Resolves when it listens, or has ended because another one does. */
async function startMonitor(options: MonitorClientOptions): Promise<void> {
  const [program, ...args] = options.command
  if (!program) throw new Error('the command of the monitor is empty')
  const log = openSync(logPath(options), 'a', 0o600)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  try {
    const child = spawn(program, [...args, options.stateDirectory], {
      cwd: '/',
      env: { PATH: process.env.PATH ?? '', [READY_FD]: '3', ...compileCache() },
      detached: true,
      stdio: ['ignore', log, log, 'pipe'],
    })
    child.on('error', reject)
    child.unref()
    const ready = child.stdio[3]
    if (ready instanceof Readable)
      ready
        .on('error', () => {})
        .on('close', resolve)
        .resume()
  } finally {
    closeSync(log)
  }
  await promise
}

/** The monitor takes its compiled code from where this process does. */
function compileCache(): { NODE_COMPILE_CACHE?: string } {
  const versioned = getCompileCacheDir()
  return versioned === undefined ? {} : { NODE_COMPILE_CACHE: dirname(versioned) }
}

function logPath(options: MonitorClientOptions): string {
  return join(options.stateDirectory, 'monitor.log')
}

async function tryConnect(path: string): Promise<Socket | undefined> {
  using short = shortPath(path)
  const { promise, resolve } = Promise.withResolvers<Socket | undefined>()
  const socket = connect(short.path)
  socket.once('connect', () => resolve(socket))
  socket.once('error', () => resolve(undefined))
  return promise
}
