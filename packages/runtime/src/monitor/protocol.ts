/**
 * What the runtime and its monitor say to each other over a unix socket. Each connection carries frames of one type byte,
 * a length of four bytes, little endian, and that many bytes. The first frame of a connection says what it is for.
 */
import type { Duplex } from 'node:stream'
import type { ContainerState, TerminalSize } from '../runtime.ts'
import type { RuntimeErrorCode } from '../runtime-error.ts'
import type { TaskProcess } from '../shim/task-service.ts'
import type { CommandResult } from '../tools/run-command.ts'
import type { SentryExecArgs } from './sentry-control.ts'

export const FRAME = {
  /** JSON, `Opening`: the first frame of a connection. */
  open: 1,
  /** JSON, `Call` to the monitor and `Answer` from it, on a control connection. */
  call: 2,
  answer: 3,
  /** JSON, `ExitNotice`: a container has ended. */
  exit: 4,
  /** Bytes. */
  stdin: 5,
  stdinEnd: 6,
  stdout: 7,
  stderr: 8,
  /** JSON, `TerminalSize`. */
  resize: 9,
  /** JSON, `ExitStatus`: the last frame of an exec or attach. */
  ended: 10,
  /** JSON, `Failure`: instead of `ended`. */
  failed: 11,
  /** Empty: an attach or exec is ready for input. */
  opened: 12,
} as const

// A frame holds at most one read of a pipe or one call; what is longer was not sent by us.
const FRAME_LIMIT = 8 * 1024 * 1024
const HEADER = 5

export interface CommandLine {
  program: string
  args: string[]
  env: Record<string, string>
}

/** Of a container that a containerd shim makes. */
export interface ShimSupervision {
  /** Of the program, for messages. */
  name: string
  /** Where its events go. */
  events: string
  /** Where runc, if that is what it uses, keeps its state. */
  runcRoot: string | undefined
}

/** A process that a shim executes. */
export interface ShimExec {
  /** Of its own, with its pipes. */
  directory: string
  containerDirectory: string
  process: TaskProcess
  /** OCI `process` object. */
  spec: unknown
  tty: boolean
  stdin: boolean
  /** Where its id goes, if that is one of this machine. */
  pidFile: string | undefined
}

/** How the monitor starts a container and how it will learn of its end. */
export interface Supervision {
  id: string
  /** What the OCI runtime calls it. */
  ociId: string
  /** Private directory of the container; the OCI bundle. */
  directory: string
  /**
   * The OCI runtime's `run --detach`, or `create`, with its options; the monitor adds the terminal's, if any, and the id.
   * Of a shim its `start`, whole.
   */
  command: CommandLine
  /** The program that reaps, `native/launch`. */
  launch: string
  /** The program that carries a terminal's bytes, `native/console`. */
  console: string
  /** Files of control groups that it joins, with all that it starts. */
  joins: string[]
  /** File that counts who was killed for want of memory. */
  oomFile?: string
  tty: boolean
  stdin: boolean
  stdinOnce: boolean
  log: { path: string; maxBytes: number; maxFiles: number }
  /** File into which the runtime writes its own complaints, as JSON lines. */
  runtimeLog: string
  /** File into which the runtime writes the process id. */
  pidFile: string
  shim?: ShimSupervision
  end: /** The shim is asked. */
    | { kind: 'shim' }
    | {
        /** The process in `pidFile` becomes a child of `launch`, which records its wait status. */
        kind: 'reaped'
        /** True where the process is a sentry: that it was killed by a signal then means more than an exit code. */
        sentry: boolean
      }
    | {
        /** A container inside a sentry that several share: the sentry is asked. */
        kind: 'asked'
        /** File of the sentry's state, which names its control socket. */
        stateFile: string
        /** `runsc wait`, should the sentry not understand. */
        wait: CommandLine
      }
}

/** A short-lived program. */
export interface Errand {
  program: string
  args: string[]
  /** The monitor's unless given. */
  env?: Record<string, string | undefined>
  stdin?: string
  /** ms */
  timeoutMs?: number
}

/** How it ended, or why it did not begin or was given up. */
export type ErrandOutcome = CommandResult | { failure: string }

/** What has a container that was only created run, once it is let go on; the monitor adds the container's id. */
export interface Held {
  /** The program that reaps it, and ends with the monitor, `native/launch-held`. */
  launch: string
  command: CommandLine
}

/** How a container that was only created is brought to run: the command that is held for it goes on. */
export interface Beginning {
  /** Directory that the command finds as `image` in the container's. */
  image: string
  /** Directory in which it was prepared, where that has another name now. */
  preparedIn?: string
  /** What is bound over paths of the machine before, by the program `native/bind-mounts`. */
  binds?: { program: string; mounts: Bind[] }
}

/** A program of ours that runs in a sandbox for a moment, as root of it. */
export interface InsideProgram {
  ociId: string
  /** Of the container; what the program reads is there meanwhile. */
  directory: string
  /** What it is called. */
  name: string
  /** One of those in `native`. */
  program: string
  /** What it reads. */
  input: string
  /** Bits of those that it runs with. */
  capabilities: number
  /** File of the sentry's state, which names its control socket. */
  stateFile: string
  /** The program `native/send-files`. */
  sendFiles: string
  /** `runsc exec` of the program on descriptor 3, should the sentry not understand; the monitor adds what it is called. */
  exec: CommandLine
  /** Of that command. */
  runtimeLog: string
}

/** A sentry, by the container that it began with. */
export interface SentryPlace {
  /** Of that container. */
  directory: string
  /** File of the sentry's state, which names its control socket. */
  stateFile: string
}

/** A sentry writes down all that is in it. */
export interface Saving {
  sentry: SentryPlace
  /** Empty ones, in the order in which the sentry takes them: its state, where memory is in the third, and memory. */
  files: string[]
  /** The program `native/send-files`. */
  sendFiles: string
}

export interface Bind {
  source: string
  target: string
}

export interface ExecRequest {
  /** Directory of its own, which the monitor makes and removes. */
  directory: string
  /** The OCI runtime's `exec` up to its options; the monitor adds those for streams, pid file and process. */
  command: CommandLine
  /** What stands behind the options: the container. */
  containerId: string
  runtimeLog: string
  launch: string
  console: string
  /** OCI `process` object. It may hold secrets, so it goes by file, never by argument. */
  process: Record<string, unknown>
  tty: boolean
  stdin: boolean
  size?: TerminalSize
  kill: /** With `direct` the sentry itself is asked to execute a process without a terminal. */
    | { kind: 'sentry'; stateFile: string; direct?: DirectExec }
    | { kind: 'process' }
    /** Through the shim of this container, which executes it as well. */
    | { kind: 'shim'; containerDirectory: string; hostPids: boolean }
}

export interface DirectExec {
  args: SentryExecArgs
  /** The program `native/send-files`. */
  sendFiles: string
}

export interface AttachRequest {
  id: string
  /** It is being started: the answer waits for that, and whoever asks hangs up where nothing comes of it. */
  expected?: true
}

export type Opening = { kind: 'control' } | ({ kind: 'attach' } & AttachRequest) | ({ kind: 'exec' } & ExecRequest)

/** What no monitor of an earlier version answers, which does not know of the call. */
export const DONE = 'done'
/** What a monitor answers to a call of a later version, which it does not know of. */
export const UNKNOWN = false

export type Call = { call: number } & (
  | { method: 'start'; supervision: Supervision }
  /**
   * Only creates the container, and holds the command that will have it run. Both are the connection's that asks: where
   * it is closed before they are used, they are taken away.
   */
  | { method: 'prepare'; supervision: Supervision; held: Held }
  /** Has a prepared one run, as what `supervision` says now: its id, its directory's name and its log may differ from before. */
  | { method: 'begin'; supervision: Supervision; beginning: Beginning }
  | { method: 'run-inside'; inside: InsideProgram }
  /** `sentry-keeper.ts` has what these do. They answer `DONE`. */
  | { method: 'pause' | 'resume'; sentry: SentryPlace }
  | { method: 'save'; saving: Saving }
  | { method: 'run'; errand: Errand }
  /** The sentry of the container with this directory is about to be asked for something: its timers are to be prompt. */
  | { method: 'rouse'; directory: string }
  /** The container is about to be killed on purpose. */
  | { method: 'expect-kill'; id: string }
  /** Its directory is about to be removed; what was held for it has ended when this is answered. */
  | { method: 'forget'; id: string; directory: string }
  | { method: 'ping' }
  /** End, unless a container runs: answers whether it does. */
  | { method: 'retire' }
)

export type Answer = { call: number } & ({ result: unknown } | { failure: Failure })

export interface Failure {
  code: RuntimeErrorCode
  message: string
}

export interface ExitNotice {
  id: string
  state: ContainerState
}

export interface Started {
  pid: number
  startedAt: number
}

/** Frames that carry a stretch of a stream: its pieces say as much as the whole. */
const STRETCHES: ReadonlySet<number> = new Set([FRAME.stdin, FRAME.stdout, FRAME.stderr])

/**
 * Calls `onFrame` for each frame: for one of a stream with each piece of it as it comes, so that no byte is copied, for any
 * other once it is whole. Destroys the stream where the peer does not keep to the format.
 */
export function readFrames(stream: Duplex, onFrame: (type: number, payload: Buffer) => void): void {
  let pending: Buffer = Buffer.alloc(0)
  /** What is still to come of a stretch. */
  let stretch = { type: 0, left: 0 }
  stream.on('data', (chunk: Buffer) => {
    let rest = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    for (;;) {
      if (stretch.left > 0 && rest.length > 0) {
        const piece = rest.subarray(0, stretch.left)
        rest = rest.subarray(piece.length)
        stretch.left -= piece.length
        onFrame(stretch.type, piece)
        continue
      }
      if (rest.length < HEADER) break
      const type = rest[0] ?? 0
      const length = rest.readUInt32LE(1)
      if (length > FRAME_LIMIT) {
        stream.destroy(new Error(`a frame of ${length} bytes is longer than the ${FRAME_LIMIT} allowed`))
        return
      }
      if (STRETCHES.has(type)) {
        stretch = { type, left: length }
        rest = rest.subarray(HEADER)
        continue
      }
      if (rest.length - HEADER < length) break
      const payload = rest.subarray(HEADER, HEADER + length)
      rest = rest.subarray(HEADER + length)
      onFrame(type, payload)
    }
    pending = rest
  })
}

/** @returns false where the peer is slower than us: wait for `drain` */
export function writeFrame(stream: Duplex, type: number, payload: Uint8Array = new Uint8Array()): boolean {
  if (stream.destroyed || stream.writableEnded) return true
  const header = Buffer.allocUnsafe(HEADER)
  header[0] = type
  header.writeUInt32LE(payload.length, 1)
  stream.cork()
  stream.write(header)
  const flowing = payload.length === 0 || stream.write(payload)
  stream.uncork()
  return flowing && !stream.writableNeedDrain
}

export function writeJsonFrame(stream: Duplex, type: number, value: unknown): boolean {
  return writeFrame(stream, type, Buffer.from(JSON.stringify(value)))
}

/** Only for frames of our own peer: the shape is trusted, the size is bounded by the frame. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- a cast that has a name
export function parseFrame<T>(payload: Buffer): T {
  return JSON.parse(payload.toString('utf8')) as T
}
