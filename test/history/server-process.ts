/** Starts the server under test, has it die in its many ways, and starts it again on what it left. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import type { WatchEntry, Watching } from './history.ts'
import type { Told } from './inner-watcher.ts'

export interface ServerSettings {
  token: string
  /** So many bytes that only the number of events counts. */
  window: { events: number; bytes: number }
  /** How long a client may leave what is sent to it, ms. */
  stalledMs: number
  /** Of what its own watches do. */
  seed: number
}

/** What the process is told. */
export type Order =
  /** At the next commit: it is in the file, the disk has not been asked to keep it, nobody has been answered. */
  | { kind: 'die-before-sync' }
  /** At the next commit: the disk has it, nobody has been answered. */
  | { kind: 'die-after-sync' }
  /** From now on the disk fails. */
  | { kind: 'fail-sync' }
  | { kind: 'move-clock'; ms: number }

export interface ServerProcess {
  pid: number
  port: number
  ca: string
  /** Resolves when the process is gone. */
  readonly gone: Promise<void>
  tell(order: Order): void
  kill(): void
  /** Has it end in order. */
  stop(): void
  /** What was watched inside it, until now. */
  watchings(): Watching[]
  /** Kills it when its database is next written to: what commits go to is the log beside it, so that is a checkpoint. Resolves when it is lain in wait for. */
  killAtCheckpoint(): Promise<void>
}

type Writable<T> = Omit<T, 'entries'> & { entries: WatchEntry[] }

const PROGRAM = fileURLToPath(new URL('server-program.ts', import.meta.url))

/** Resolves when it answers; killed after so many ms, where that is given, it may never. */
export async function startServerProcess(
  directory: string,
  settings: ServerSettings,
  interruptedAfter?: number,
): Promise<ServerProcess> {
  const child = fork(PROGRAM, [directory, JSON.stringify(settings)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const gone = once(child, 'exit').then(() => undefined)
  const watchings = new Map<number, Writable<Watching>>()
  child.on('message', (message: Told) => {
    const at = performance.now()
    if (message.kind === 'began')
      watchings.set(message.watch, {
        ...message.head,
        began: at,
        ended: at,
        entries: [],
        end: 'lost',
        until: undefined,
      })
    else if (message.kind === 'told') watchings.get(message.watch)?.entries.push({ ...message.entry, at })
  })
  if (interruptedAfter !== undefined) setTimeout(() => child.kill('SIGKILL'), interruptedAfter)
  const { port, ca } = await ready(child)
  const kill = (): void => void child.kill('SIGKILL')
  return {
    pid: child.pid as number,
    port,
    ca,
    gone,
    tell: (order) => void child.send(order),
    kill,
    watchings: () => [...watchings.values()],
    stop: () => void child.kill('SIGTERM'),
    async killAtCheckpoint() {
      const workerData = { file: join(directory, 'state', 'state.db'), pid: child.pid }
      const watcher = new Worker(new URL('kill-at-write.ts', import.meta.url), { workerData })
      child.once('exit', () => void watcher.terminate())
      await once(watcher, 'message')
    },
  }
}

async function ready(child: ChildProcess): Promise<{ port: number; ca: string }> {
  const [message] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code, signal]) => {
      throw new Error(`the server ended (${code ?? signal}) before it answered`)
    }),
  ])) as [{ port: number; ca: string }]
  return message
}
