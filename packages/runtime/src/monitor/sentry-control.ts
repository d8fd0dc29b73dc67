import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { constants } from 'node:os'
import { shortPath } from './short-path.ts'

const { SIGKILL, SIGSTOP } = constants.signals

/**
 * The control socket of a sentry: one JSON object a call, one back. It is what `runsc kill` and `runsc wait` use, without
 * the 20 ms and 20 MB that starting such a process costs. It is no published interface, so every caller has the command
 * as second way.
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

/** Of the ways to deliver a signal that a sentry knows, the one for a single process. */
const DELIVER_TO_PROCESS = 0

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

export async function signalContainer(stateFile: string, { containerId, signal, pid }: SentrySignal): Promise<void> {
  await call(stateFile, 'containerManager.Signal', {
    CID: containerId,
    Signo: signal,
    PID: pid,
    Mode: DELIVER_TO_PROCESS,
  })
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
  const sets = ['Permitted', 'Inheritable', 'Effective', 'Bounding'].map((set) => [`${set}Caps`, capabilities])
  const arg = {
    filename: '',
    argv: [name],
    envv: [],
    wd: '/',
    KUID: 0,
    KGID: 0,
    ExtraKGIDs: [],
    Capabilities: { ...Object.fromEntries(sets), AmbientCaps: 0 },
    StdioIsPty: false,
    GuestFDs: [0],
    ContainerID: containerId,
  }
  const socket = connect(await controlSocket(stateFile))
  const answer = answerOf(socket)
  // Its failure shows in the other.
  answer.catch(() => {})
  try {
    await once(socket, 'connect')
    const sender = spawn(sendFiles, [], { env: {}, stdio: ['pipe', 'ignore', 'ignore', socket, input, program] })
    // Node leaves a socket to whom it gives it; the answer is for us.
    socket.resume()
    sender.stdin?.on('error', () => {}).end(JSON.stringify({ method: 'containerManager.ExecuteAsync', arg }))
    const [code] = (await once(sender, 'exit')) as [number | null]
    if (code !== 0) throw new SentryControlError('the files could not be sent to the sentry', false)
    const pid = await answer
    const status = await call(stateFile, 'containerManager.WaitPID', { PID: pid, CID: containerId })
    if (typeof status !== 'number') throw new SentryControlError('the sentry answered WaitPID without a status', false)
    return status
  } finally {
    socket.destroy()
  }
}

/** What runs in a container, numbered as it sees itself. */
async function listProcesses(stateFile: string, containerId: string): Promise<SentryProcess[]> {
  const result = await call(stateFile, 'containerManager.Processes', containerId)
  if (!Array.isArray(result)) throw new SentryControlError('the sentry answered Processes without a list', false)
  return (result as SentryProcess[]).map(({ pid, ppid }) => ({ pid, ppid }))
}

/** Kills a process and everything below it. A sentry cannot signal a process group that is not a terminal's. */
export async function killProcessTree(stateFile: string, containerId: string, root: number): Promise<void> {
  const tree = new Set([root])
  // Stopped first, until nobody new turns up: what is stopped cannot fork, and its children stay its children.
  for (let known = 0; known < tree.size; ) {
    known = tree.size
    for (const pid of tree) await signalContainer(stateFile, { containerId, signal: SIGSTOP, pid }).catch(ignoreGone)
    for (const { pid, ppid } of await listProcesses(stateFile, containerId)) if (tree.has(ppid)) tree.add(pid)
  }
  for (const pid of tree) await signalContainer(stateFile, { containerId, signal: SIGKILL, pid }).catch(ignoreGone)
}

function ignoreGone(error: unknown): void {
  if (!(error instanceof SentryControlError) || error.hungUp) throw error
}

async function call(stateFile: string, method: string, arg: unknown): Promise<unknown> {
  using path = shortPath(await controlSocket(stateFile))
  const socket = connect(path.path)
  try {
    return await roundTrip(socket, JSON.stringify({ method, arg }))
  } finally {
    socket.destroy()
  }
}

async function controlSocket(stateFile: string): Promise<string> {
  const state = JSON.parse(await readFile(stateFile, 'utf8')) as { sandbox?: { controlSocketPath?: string } }
  const path = state.sandbox?.controlSocketPath
  if (!path?.startsWith('/')) throw new SentryControlError('the state of the sentry names no control socket', false)
  return path
}

function roundTrip(socket: Socket, request: string): Promise<unknown> {
  const answer = answerOf(socket)
  socket.write(request)
  return answer
}

function answerOf(socket: Socket): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>()
  let answer = ''
  socket.setEncoding('utf8').on('data', (text: string) => {
    answer += text
    const parsed = parseAnswer(answer)
    if (!parsed) return
    if (parsed.success) resolve(parsed.result)
    else reject(new SentryControlError(parsed.err ?? 'the sentry refused', false))
  })
  socket.on('error', (cause) => reject(new SentryControlError(cause.message, true)))
  socket.on('close', () => reject(new SentryControlError('the sentry closed its control socket', true)))
  return promise
}

interface ControlAnswer {
  success: boolean
  err?: string
  result?: unknown
}

/** There is no frame around an answer: it is whole when it parses. */
function parseAnswer(text: string): ControlAnswer | undefined {
  try {
    return JSON.parse(text) as ControlAnswer
  } catch {
    return undefined
  }
}
