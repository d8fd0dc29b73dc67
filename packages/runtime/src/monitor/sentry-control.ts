import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { constants } from 'node:os'
import { createAnswerReader } from './sentry-answer.ts'
import { shortPath } from './short-path.ts'

const { SIGKILL, SIGSTOP } = constants.signals

/**
 * The control socket of a sentry: one JSON object a call, one back. It is what `runsc kill` and `runsc wait` use, without
 * the 20 ms and 20 MB that starting such a process costs. It is no published interface, so every caller has the command
 * as second way, or asks only sentries of builds that are known.
 */
export class SentryControlError extends Error {
  override readonly name = 'SentryControlError'
  /** True where the sentry closed the connection without an answer: it ended. */
  readonly hungUp: boolean
  constructor(message: string, hungUp: boolean) {
    super(message)
    this.hungUp = hungUp
  }
}

/**
 * From the first byte of an answer to its last, ms. A sentry writes it at once; how long it takes to begin is for each
 * call to say, and a wait has no end.
 */
const ANSWER_WITHIN_MS = 30_000

/** Of the ways to deliver a signal that a sentry knows, the one for a single process. */
const DELIVER_TO_PROCESS = 0
const SIGNAL = 'containerManager.Signal'

/** Of a tree of processes: as many as Linux has unless told otherwise. */
const MOST_KILLED = 32_768
/** Each finds what was forked before the one before it stopped all: a few, unless somebody has them go on. */
const MOST_ROUNDS = 64

export interface SentrySignal {
  containerId: string
  signal: number
  /** In the container's own numbering; 0 means its first process. */
  pid: number
}

export interface SentryProcess {
  pid: number
  ppid: number
}

/** Resolves with the wait status once the container has ended, at once where it has already. */
export async function waitForContainer(stateFile: string, containerId: string): Promise<number> {
  const result = await call(stateFile, 'containerManager.Wait', containerId)
  if (typeof result !== 'number') throw new SentryControlError('the sentry answered Wait without a status', false)
  return result
}

export async function signalContainer(stateFile: string, signal: SentrySignal): Promise<void> {
  await call(stateFile, SIGNAL, signalArgument(signal))
}

function signalArgument({ containerId, signal, pid }: SentrySignal): object {
  return { CID: containerId, Signo: signal, PID: pid, Mode: DELIVER_TO_PROCESS }
}

/** A process that a sentry executes, in the form in which it is told: gVisor's `ExecArgs`. */
export interface SentryExecArgs {
  filename: string
  argv: string[]
  envv: string[]
  wd: string
  KUID: number
  KGID: number
  ExtraKGIDs: number[]
  Capabilities: Record<'PermittedCaps' | 'InheritableCaps' | 'EffectiveCaps' | 'BoundingCaps' | 'AmbientCaps', number>
  StdioIsPty: boolean
  ContainerID: string
}

export interface SentryExecution {
  args: SentryExecArgs
  /** Open descriptors that become 0 and so on of the process. They are passed on before this returns, not before it resolves. */
  files: readonly number[]
  /** An open file that is executed in place of one of the container's. */
  program?: number
  /** The program `native/send-files`. */
  sendFiles: string
}

/**
 * Has a sentry execute a process, over a connection of its own. Resolves with the process's number in the container once
 * it runs; rejects with what the sentry says where it does not.
 */
export async function execute(connection: ControlConnection, execution: SentryExecution): Promise<number> {
  const { args, files, program, sendFiles } = execution
  const arg = { ...args, GuestFDs: files.map((_, index) => index) }
  const sent = program === undefined ? [...files] : [...files, program]
  const pid = await connection.callWithFiles({ method: 'containerManager.ExecuteAsync', arg, files: sent, sendFiles })
  if (typeof pid !== 'number') throw new SentryControlError('the sentry executed a process without a number', false)
  return pid
}

/** Resolves with the wait status of what was executed, once it has ended. */
export async function waitForProcess(
  connection: ControlConnection,
  { containerId, pid }: { containerId: string; pid: number },
): Promise<number> {
  const status = await connection.call('containerManager.WaitPID', { PID: pid, CID: containerId })
  if (typeof status !== 'number') throw new SentryControlError('the sentry answered WaitPID without a status', false)
  return status
}

export interface SentryProgram {
  containerId: string
  /** Open files: the program, and its input. */
  program: number
  input: number
  /** What it is called. */
  name: string
  /** Bits of the capabilities that it runs with, as root. */
  capabilities: number
  /** The program `native/send-files`. */
  sendFiles: string
}

/** Runs a program of the machine's in a container, without outputs, to its end. Resolves with its wait status. */
export async function runInContainer(stateFile: string, options: SentryProgram): Promise<number> {
  const { containerId, program, input, name, capabilities, sendFiles } = options
  const args: SentryExecArgs = {
    filename: '',
    argv: [name],
    envv: [],
    wd: '/',
    KUID: 0,
    KGID: 0,
    ExtraKGIDs: [],
    Capabilities: {
      PermittedCaps: capabilities,
      InheritableCaps: capabilities,
      EffectiveCaps: capabilities,
      BoundingCaps: capabilities,
      AmbientCaps: 0,
    },
    StdioIsPty: false,
    ContainerID: containerId,
  }
  using connection = await connectToSentry(stateFile)
  const pid = await execute(connection, { args, files: [input], program, sendFiles })
  return await waitForProcess(connection, { containerId, pid })
}

/** What runs in a container, numbered as it sees itself. */
async function listProcesses(connection: ControlConnection, containerId: string): Promise<SentryProcess[]> {
  const result = await connection.call('containerManager.Processes', containerId)
  if (!Array.isArray(result)) throw new SentryControlError('the sentry answered Processes without a list', false)
  return (result as Array<SentryProcess | null>).filter((each) => each !== null)
}

/**
 * Kills a process and everything below it: with more than 32,768 below it, or where others in the container have what was
 * stopped go on and fork without end, what was found until then. A sentry cannot signal a process group that is not a
 * terminal's.
 */
export async function killProcessTree(stateFile: string, containerId: string, root: number): Promise<void> {
  using connection = await connectToSentry(stateFile)
  const send = async (signal: number, pids: Iterable<number>): Promise<void> => {
    for (const pid of pids)
      await connection.call(SIGNAL, signalArgument({ containerId, signal, pid })).catch(ignoreGone)
  }
  const tree = new Set([root])
  // Stopped first, until nobody new turns up: what is stopped cannot fork, and its children stay its children.
  let found = [root]
  for (let round = 0; round < MOST_ROUNDS && found.length > 0; round++) {
    await send(SIGSTOP, found)
    const children = (await listProcesses(connection, containerId)).filter(({ ppid }) => tree.has(ppid))
    found = [...new Set(children.map(({ pid }) => pid))]
      .filter((pid) => !tree.has(pid))
      .slice(0, MOST_KILLED - tree.size)
    for (const pid of found) tree.add(pid)
  }
  await send(SIGKILL, tree)
}

function ignoreGone(error: unknown): void {
  if (!(error instanceof SentryControlError) || error.hungUp) throw error
}

async function call(stateFile: string, method: string, arg: unknown): Promise<unknown> {
  using connection = await connectToSentry(stateFile)
  return await connection.call(method, arg)
}

/** One call at a time. */
export interface ControlConnection extends Disposable {
  call(method: string, arg: unknown): Promise<unknown>
  callWithFiles(options: CallWithFiles): Promise<unknown>
}

interface CallWithFiles {
  method: string
  arg: unknown
  /** Open descriptors, the caller's to close once this has returned. */
  files: readonly number[]
  sendFiles: string
}

/** Rejects where the sentry is gone, or its state says nothing that we understand. */
export async function connectToSentry(stateFile: string): Promise<ControlConnection> {
  using path = shortPath(controlSocket(stateFile))
  const socket = connect(path.path)
  const answers = createAnswerReader()
  let lateAnswer: NodeJS.Timeout | undefined
  let asked: PromiseWithResolvers<unknown> | undefined
  const fail = (message: string): void => {
    clearTimeout(lateAnswer)
    asked?.reject(new SentryControlError(message, true))
  }
  const giveUp = (): void =>
    void socket.destroy(new Error(`the sentry did not end its answer within ${ANSWER_WITHIN_MS} ms`))

  function receive(piece: Buffer): void {
    if (!asked) throw new Error('the sentry answers though it was asked nothing')
    const answer = answers.push(piece)
    if (!answer) {
      lateAnswer ??= setTimeout(giveUp, ANSWER_WITHIN_MS)
      return
    }
    clearTimeout(lateAnswer)
    lateAnswer = undefined
    if (answer.success) asked.resolve(answer.result)
    else asked.reject(new SentryControlError(answer.complaint, false))
    asked = undefined
  }

  socket.on('data', (piece: Buffer) => {
    try {
      receive(piece)
    } catch (error) {
      socket.destroy(error instanceof Error ? error : new Error(String(error)))
    }
  })
  socket.on('error', ({ message }) => fail(message))
  socket.on('close', () => fail('the sentry closed its control socket'))

  function expectAnswer(): Promise<unknown> {
    asked = Promise.withResolvers<unknown>()
    if (socket.destroyed) fail('the sentry closed its control socket')
    return asked.promise
  }

  try {
    await once(socket, 'connect')
  } catch (cause) {
    socket.destroy()
    throw new SentryControlError(cause instanceof Error ? cause.message : String(cause), true)
  }
  return {
    call(method, arg) {
      const result = expectAnswer()
      socket.write(JSON.stringify({ method, arg }))
      return result
    },
    async callWithFiles({ method, arg, files, sendFiles }) {
      const result = expectAnswer()
      // Its failure may come while the files are being sent.
      result.catch(() => {})
      const sender = spawn(sendFiles, files.map(String), {
        env: {},
        stdio: ['ignore', 'ignore', 'ignore', socket, ...files],
      })
      // Node leaves a socket to whom it gives it; the answer is for us.
      socket.resume()
      const [code] = (await once(sender, 'exit')) as [number | null]
      if (code !== 0) throw new SentryControlError('the files could not be sent to the sentry', false)
      // The first byte went with them.
      socket.write(JSON.stringify({ method, arg }).slice(1))
      return await result
    },
    [Symbol.dispose]: () => void socket.destroy(),
  }
}

function controlSocket(stateFile: string): string {
  // A few kilobytes, most likely in memory: a thread would take longer.
  const state = JSON.parse(readFileSync(stateFile, 'utf8')) as { sandbox?: { controlSocketPath?: string } }
  const path = state.sandbox?.controlSocketPath
  if (!path?.startsWith('/')) throw new SentryControlError('the state of the sentry names no control socket', false)
  return path
}
