import {
  closeSync,
  constants,
  existsSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { type ContainerState, type TerminalSize } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { settlesWithin } from '../settles-within.ts'
import { runCommand } from '../tools/run-command.ts'
import { type ContainerEnd, oomKills, waitForEnd } from './container-end.ts'
import type { FifoPool } from './fifo-pool.ts'
import { createFirstOutput } from './first-output.ts'
import { type HeldCommand, holdCommand } from './held-command.ts'
import { adoptLaunched, exitStatusOf, type LaunchedProcess, launchProcess } from './launched-process.ts'
import { createLogWriter } from './log-writer.ts'
import { createOutput, type Output } from './output.ts'
import { killProcess, processStartTime } from './process-identity.ts'
import {
  closeEnds,
  closeOurs,
  layPipes,
  type MonitorEnds,
  openPipes,
  openTerminalPipes,
  receiveTerminal,
  reopenPipes,
  windowSize,
} from './process-pipes.ts'
import {
  type Beginning,
  FRAME,
  type Held,
  type Started,
  type Supervision,
  writeFrame,
  writeJsonFrame,
} from './protocol.ts'
import { startFailure } from './runtime-log.ts'
import { beginInShim, createInShim, resizeInShim } from './shim-process.ts'
import { shortPath } from './short-path.ts'
import { setTimerSlack } from './timer-slack.ts'

/** Files in a container's directory: how it is watched, and how it ended. */
export const SUPERVISION_FILE = 'supervision.json'
export const EXIT_FILE = 'exit.json'
/** A file that says that its memory was kept before it was killed. */
export const CHECKPOINTED_FILE = 'checkpointed'
/** In a container's directory: leads to the snapshot that it is restored from. */
export const IMAGE_LINK = 'image'

/** What is kept on disk, so that the next monitor can go on. */
export interface SupervisionRecord {
  supervision: Supervision
  /** Absent until the runtime has started it. */
  running?: RunningProcess
}

export interface RunningProcess extends Started {
  /** Tells the process from a later one with the same id. */
  startTime: string
  /** How often memory had run out in its control group before it began. */
  oomKills: number
}

export type Exited = Extract<ContainerState, { phase: 'exited' }>

export interface SupervisedContainer {
  readonly supervision: Supervision
  readonly running: RunningProcess
  /** Resolves once it has ended, its output is in the log and its exit is on disk. */
  readonly exited: Promise<Exited>
  attach(client: Duplex): AttachedClient
  /** Somebody is about to kill it on purpose: then it is not its isolation that failed. */
  expectKill(): void
}

export interface AttachedClient {
  /** Lets output flow, beginning with what was kept for the first client. */
  begin(): void
  /** @returns false where the process reads more slowly: wait for `onDrain` */
  write(chunk: Buffer): boolean
  onDrain(listener: () => void): void
  endInput(): void
  resize(size: TerminalSize): void
  detach(): void
}

// A sentry that several containers share may hold on to a pipe of one that has ended: its last output is long in it.
const LAST_OUTPUT_MS = 2_000

/** A container that the runtime has made, with nothing in it that runs. Disposing of it ends what there is of it. */
export interface PreparedContainer extends AsyncDisposable {
  /** Has it run. Once; where it fails the container is of no more use. */
  begin(supervision: Supervision, beginning: Beginning): Promise<SupervisedContainer>
}

/** Starts a container and resolves once it runs. */
export async function superviseContainer(supervision: Supervision, pool: FifoPool): Promise<SupervisedContainer> {
  const made = await makeContainer(supervision, pool)
  try {
    if (supervision.shim) await beginInShim(supervision)
    return made.watch(supervision)
  } catch (error) {
    made.release()
    throw error
  }
}

/** Makes a container, and holds the command that will have it run. */
export async function prepareContainer(
  supervision: Supervision,
  held: Held,
  pool: FifoPool,
): Promise<PreparedContainer> {
  const { directory, ociId } = supervision
  const made = await makeContainer(supervision, pool)
  let command: HeldCommand
  try {
    const line = { ...held.command, args: [...held.command.args, ociId] }
    command = await holdCommand({ directory, held: { ...held, command: line } }, pool)
    setTimerSlack(made.pid, 'calm')
  } catch (error) {
    made.end()
    throw error
  }
  return {
    async begin(current, { image, binds }) {
      setTimerSlack(made.pid, 'awake')
      try {
        if (binds) await bindMounts(binds)
        symlinkSync(image, join(current.directory, IMAGE_LINK))
        await command.release(current.directory, current.runtimeLog)
        return made.watch(current)
      } catch (error) {
        made.release()
        throw error
      } finally {
        await command[Symbol.asyncDispose]()
      }
    },
    async [Symbol.asyncDispose]() {
      await command[Symbol.asyncDispose]()
      made.end()
    },
  }
}

async function bindMounts({ program, mounts }: NonNullable<Beginning['binds']>): Promise<void> {
  const { exitCode } = await runCommand(
    program,
    mounts.flatMap(({ source, target }) => [source, target]),
  )
  if (exitCode !== 0)
    throw new RuntimeError('failed', `could not bind ${mounts.map(({ source }) => source).join(', ')}`)
}

interface MadeContainer {
  /** Of its first process. */
  pid: number
  watch(supervision: Supervision): SupervisedContainer
  release(): void
  /** Kills its first process, of which nobody will hear. */
  end(): void
}

/** Runs the command that makes the container, and holds its pipes. */
async function makeContainer(supervision: Supervision, pool: FifoPool): Promise<MadeContainer> {
  await layPipes(pool, supervision.directory, supervision)
  writeRecord({ supervision })
  reserve(join(supervision.directory, EXIT_FILE))
  const killsBefore = oomKills(supervision)
  const { shim } = supervision
  const made = shim ? await createInShim(supervision, shim) : undefined
  const { launched, ends } = made ?? (await launch(supervision))
  const release = (): void => {
    closeOurs(ends)
    launched[Symbol.dispose]()
  }
  let pid: number
  try {
    if (!made) await succeeded(launched, supervision)
    pid = made?.pid ?? Number(readFileSync(supervision.pidFile, 'utf8'))
  } catch (error) {
    release()
    throw error
  }
  const startTime = processStartTime(pid) ?? ''
  return {
    pid,
    release,
    end() {
      killProcess(pid, startTime, 'SIGKILL')
      release()
    },
    watch(current) {
      const running = { pid, startedAt: Date.now(), startTime, oomKills: killsBefore }
      writeRecord({ supervision: current, running })
      return watchContainer({ supervision: current, running, launched, ends, adopted: false })
    },
  }
}

async function succeeded(
  { command }: LaunchedProcess,
  { command: { program }, runtimeLog }: Pick<Supervision, 'command' | 'runtimeLog'>,
): Promise<void> {
  const waitStatus = await command.catch((cause: unknown) => {
    throw new RuntimeError('failed', `could not run ${program}`, { cause })
  })
  const status = exitStatusOf(waitStatus)
  if (status.exitCode !== 0) throw startFailure(runtimeLog, status.exitCode)
}

/** Goes on with what an earlier monitor watched. */
export function adoptContainer(supervision: Supervision, running: RunningProcess): SupervisedContainer {
  const launched = adoptLaunched(supervision.directory)
  const ends = reopenPipes(supervision.directory, supervision)
  return watchContainer({ supervision, running, launched, ends, adopted: true })
}

interface Launch {
  launched: LaunchedProcess
  ends: MonitorEnds
}

async function launch(supervision: Supervision): Promise<Launch> {
  const { directory, tty, ociId } = supervision
  const start = (stdio: Array<number | 'ignore'>, hold: number[], terminal: string[]): LaunchedProcess =>
    launchProcess({
      directory,
      launch: supervision.launch,
      command: { ...supervision.command, args: [...supervision.command.args, ...terminal, ociId] },
      stdio,
      hold,
      joins: supervision.joins,
    })
  if (!tty) {
    const { ours, theirs } = openPipes(directory, supervision)
    try {
      return {
        launched: start([theirs.stdin, theirs.stdout, theirs.stderr], [theirs.holdStdout, theirs.holdStderr], []),
        ends: ours,
      }
    } finally {
      closeEnds(theirs)
    }
  }
  const ends = openTerminalPipes(directory)
  const socket = shortPath(join(directory, 'console.sock'))
  const terminal = await receiveTerminal({ socketPath: socket.path, console: supervision.console, directory })
  const launched = start(['ignore', 'ignore', 'ignore'], [], ['--console-socket', socket.path])
  const close = (): void => {
    terminal[Symbol.dispose]()
    socket[Symbol.dispose]()
  }
  launched.command.then(close, close)
  return { launched, ends }
}

function watchContainer(
  options: Launch & { supervision: Supervision; running: RunningProcess; adopted: boolean },
): SupervisedContainer {
  const { supervision, running, launched, ends, adopted } = options
  const { stdin, resize } = ends
  const log = createLogWriter(supervision.log)
  // One stdin is for one client, which wants all of the output. Of a container that was adopted the beginning is gone.
  const first =
    supervision.stdinOnce && !adopted ? createFirstOutput(() => outputs.forEach((each) => each.resume())) : undefined
  const output = (fd: number, stream: 'stdout' | 'stderr'): Output =>
    createOutput({
      fd,
      stream,
      onChunk: (chunk) => {
        log.write(stream, chunk)
        return first?.add(stream, chunk) ?? true
      },
    })
  const outputs = [output(ends.stdout, 'stdout')]
  if (ends.stderr !== undefined) outputs.push(output(ends.stderr, 'stderr'))
  const clients = new Set<Duplex>()
  let killExpected = false
  let ended: Exited | undefined

  function sayEnded(client: Duplex, { exitCode, signal }: Exited): void {
    writeJsonFrame(client, FRAME.ended, { exitCode, ...(signal ? { signal } : {}) })
    client.end()
  }

  async function finish(): Promise<Exited> {
    const end = await waitForEnd({ supervision, running, launched, killExpected: () => killExpected })
    const kept = existsSync(join(supervision.directory, CHECKPOINTED_FILE))
    const exited = exitedState(
      running,
      kept ? { exitCode: 0, finishedAt: end.finishedAt, reason: 'checkpointed' } : end,
    )
    first?.unbound()
    const read = Promise.all(outputs.map((each) => each.ended))
    // A client that is slow is waited for; one that is stuck is cut off elsewhere.
    let waiting = true
    while (waiting) waiting = !(await settlesWithin(read, LAST_OUTPUT_MS)) && outputs.some((each) => each.blocked())
    for (const output of outputs) output[Symbol.dispose]()
    log.close()
    stdin?.destroy()
    resize?.destroy()
    launched[Symbol.dispose]()
    ended = exited
    writeReserved(join(supervision.directory, EXIT_FILE), JSON.stringify(exited))
    for (const client of clients) sayEnded(client, exited)
    return exited
  }

  return {
    supervision,
    running,
    exited: finish(),
    expectKill() {
      killExpected = true
    },
    attach(client) {
      if (ended && !first?.waits()) throw new RuntimeError('not-found', `container ${supervision.id} is not running`)
      let hasInput = true
      const closeInput = (): void => {
        if (!hasInput) return
        hasInput = false
        // Without stdinOnce the next client goes on typing where this one stopped.
        if (supervision.stdinOnce && !supervision.tty) stdin?.end()
      }
      return {
        begin() {
          // Not before: from here on outputs are read on, and every byte needs its client.
          for (const { stream, chunk } of first?.take() ?? []) writeFrame(client, FRAME[stream], chunk)
          if (ended) return sayEnded(client, ended)
          clients.add(client)
          for (const output of outputs) output.addClient(client)
        },
        write: (chunk) => !stdin || stdin.destroyed || stdin.writableEnded || stdin.write(chunk),
        onDrain: (listener) => stdin?.once('drain', listener).once('close', listener),
        endInput: closeInput,
        resize(size) {
          if (supervision.shim) resizeInShim(supervision.directory, { id: supervision.ociId }, size)
          else resize?.write(windowSize(size))
        },
        detach() {
          closeInput()
          clients.delete(client)
          for (const output of outputs) output.removeClient(client)
        },
      }
    },
  }
}

function exitedState(running: RunningProcess, end: ContainerEnd): Exited {
  return {
    phase: 'exited',
    exitCode: end.exitCode,
    ...(end.signal === undefined ? {} : { signal: end.signal }),
    startedAt: running.startedAt,
    finishedAt: end.finishedAt,
    reason: end.reason,
    ...(end.message === undefined ? {} : { message: end.message }),
  }
}

function writeRecord(record: SupervisionRecord): void {
  writeAtomically(join(record.supervision.directory, SUPERVISION_FILE), JSON.stringify(record))
}

/** More than a record of an end takes. */
const RESERVED = Buffer.alloc(4096)

/** A container ends also when the disk is full: whoever waits for its end must come to know it then. */
function reserve(path: string): void {
  writeFileSync(`${path}.new`, RESERVED, { mode: 0o600 })
}

/** Where nothing was reserved, by an older monitor, it is written as if there were room. */
function writeReserved(path: string, text: string): void {
  const descriptor = openSync(`${path}.new`, constants.O_WRONLY | constants.O_CREAT, 0o600)
  try {
    ftruncateSync(descriptor, writeSync(descriptor, text, 0))
  } finally {
    closeSync(descriptor)
  }
  renameSync(`${path}.new`, path)
}

function writeAtomically(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 })
  renameSync(`${path}.new`, path)
}
