/** Processes that a shim starts and waits for: it opens the same pipes by their names, and is asked for the rest. */
import { readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { type ExitStatus, type TerminalSize } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import { ensureEvents } from '../shim/events.ts'
import { connectToTask, SHIM_ADDRESS_FILE, type TaskProcess, type TaskStreams, withTask } from '../shim/task-service.ts'
import { exitStatusOf, type LaunchedProcess, type LaunchRequest, launchProcess } from './launched-process.ts'
import { openFiles } from './open-files.ts'
import {
  closeEnds,
  closeOurs,
  type MonitorEnds,
  openPipes,
  openTerminalPipes,
  type PipeKinds,
  streamPaths,
} from './process-pipes.ts'
import type { ShimExec, ShimSupervision, Supervision } from './protocol.ts'
import { failureCode } from './runtime-log.ts'

const SIGKILL = constants.signals.SIGKILL
const COMPLAINT_CHARACTERS = 2_000

export interface ShimContainer {
  launched: LaunchedProcess
  ends: MonitorEnds
  pid: number
}

/** Starts the shim, or finds the one that the sandbox has, and has it create the container. Nothing of it runs yet. */
export async function createInShim(supervision: Supervision, shim: ShimSupervision): Promise<ShimContainer> {
  const { directory, ociId } = supervision
  await ensureEvents(shim.events)
  // The shim opens it; a pipe would need somebody who reads.
  writeFileSync(join(directory, 'log'), '', { mode: 0o600 })
  using pipes = openShimPipes(directory, supervision)
  using unbegun = new DisposableStack()
  const launched = unbegun.use(await startShim(supervision, shim, pipes.hold))
  using task = await connectToTask(directory)
  const streams = streamsOf(directory, supervision)
  const pid = await said(task.create({ id: ociId, bundle: directory, streams, runcRoot: shim.runcRoot }))
  unbegun.move()
  return { launched, ends: pipes.keep(), pid }
}

/** Disposing closes the shim's ends, which until then keep either end of each pipe from waiting for the other. */
interface ShimPipes extends Disposable {
  /** Read ends of the output; see `LaunchRequest`. */
  hold: number[]
  /** Our ends, which are the caller's from here on; else they are closed too. */
  keep(): MonitorEnds
}

function openShimPipes(directory: string, kinds: PipeKinds): ShimPipes {
  const opened = new DisposableStack()
  const pipes = kinds.tty ? undefined : openPipes(directory, kinds)
  if (pipes) opened.adopt(pipes.theirs, closeEnds)
  const unkept = opened.use(new DisposableStack())
  const ends = unkept.adopt(pipes?.ours ?? openTerminalPipes(directory), closeOurs)
  return {
    hold: pipes ? [pipes.theirs.holdStdout, pipes.theirs.holdStderr] : [],
    keep() {
      unkept.move()
      return ends
    },
    [Symbol.dispose]: () => opened.dispose(),
  }
}

async function startShim(supervision: Supervision, shim: ShimSupervision, hold: number[]): Promise<LaunchedProcess> {
  const { directory, launch, command, joins } = supervision
  const complaints = join(directory, 'shim-complaints')
  const launched = launchShim({ directory, launch, command, cwd: directory, hold, joins }, complaints)
  const status = await launched.command.catch((cause: unknown) => {
    throw new RuntimeError('failed', `could not run ${command.program}`, { cause })
  })
  const { exitCode } = exitStatusOf(status)
  if (exitCode === 0) return launched
  launched[Symbol.dispose]()
  const complaint = readFileSync(complaints, 'utf8').trim().slice(-COMPLAINT_CHARACTERS)
  throw new RuntimeError('failed', `${shim.name} ended with exit code ${exitCode}: ${complaint || 'it said nothing'}`)
}

function launchShim(request: Omit<LaunchRequest, 'stdio'>, complaints: string): LaunchedProcess {
  using given = openFiles()
  const stdout = given.open(join(request.directory, SHIM_ADDRESS_FILE), 'w', 0o600)
  return launchProcess({ ...request, stdio: ['ignore', stdout, given.open(complaints, 'w', 0o600)] })
}

export async function beginInShim({ directory, ociId }: Supervision): Promise<void> {
  await said(withTask(directory, (task) => task.start({ id: ociId })))
}

/** Rejects with code `not-found` where the shim ended before. */
export async function waitInShim({ directory, ociId }: Pick<Supervision, 'directory' | 'ociId'>): Promise<ExitStatus> {
  return statusOf(await withTask(directory, (task) => task.wait({ id: ociId })))
}

export function resizeInShim(directory: string, process: TaskProcess, { columns, rows }: TerminalSize): void {
  // It may have ended meanwhile, which is nobody's error.
  withTask(directory, (task) => task.resize({ ...process, columns, rows })).catch(() => {})
}

export interface ShimExecSession {
  ends: MonitorEnds
  status: Promise<ExitStatus>
}

/** One more process in a container, with pipes in a directory of its own. */
export async function execInShim(exec: ShimExec & { size?: TerminalSize | undefined }): Promise<ShimExecSession> {
  const { directory, containerDirectory, process, tty, size } = exec
  using pipes = openShimPipes(directory, exec)
  const task = await connectToTask(containerDirectory)
  try {
    await said(task.exec({ ...process, streams: streamsOf(directory, exec), process: exec.spec }))
    const pid = await said(task.start(process))
    if (exec.pidFile !== undefined) writeFileSync(exec.pidFile, String(pid), { mode: 0o600 })
    if (tty && size) await task.resize({ ...process, ...size }).catch(() => {})
  } catch (error) {
    await task.delete(process).catch(() => {})
    task[Symbol.dispose]()
    throw error
  }
  const finish = async (): Promise<ExitStatus> => {
    try {
      const status = statusOf(await task.wait(process))
      await task.delete(process).catch(() => {})
      return status
    } finally {
      task[Symbol.dispose]()
    }
  }
  return { ends: pipes.keep(), status: finish() }
}

export async function killInShim(containerDirectory: string, process: TaskProcess): Promise<void> {
  await withTask(containerDirectory, (task) => task.kill({ ...process, signal: SIGKILL, all: true }))
}

function streamsOf(directory: string, { tty, stdin }: { tty: boolean; stdin: boolean }): TaskStreams {
  const paths = streamPaths(directory)
  return {
    terminal: tty,
    stdin: tty || stdin ? paths.stdin : '',
    stdout: paths.stdout,
    stderr: tty ? '' : paths.stderr,
  }
}

/** What a shim says of a failure ends with the class that gRPC has for it. */
async function said<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof RuntimeError) throw error
    const message = (error as Error).message.replace(/: unknown$/, '')
    throw new RuntimeError(failureCode(message), message, { cause: error })
  }
}

/** A shim says 128 + n where signal n ended the process, as a shell does. */
function statusOf(code: number): ExitStatus {
  return code > 128 && code <= 128 + 64 ? { exitCode: code, signal: code - 128 } : { exitCode: code }
}
