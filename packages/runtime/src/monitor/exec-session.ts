import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { watch, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Duplex } from 'node:stream'
import { type ExitStatus, type TerminalSize } from '../runtime.ts'
import { RuntimeError } from '../runtime-error.ts'
import type { TaskProcess } from '../shim/task-service.ts'
import type { FifoPool } from './fifo-pool.ts'
import { exitStatusOf, launchProcess } from './launched-process.ts'
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
  windowSize,
} from './process-pipes.ts'
import { type DirectExec, type ExecRequest, FRAME, writeFrame, writeJsonFrame } from './protocol.ts'
import { failureCode, lastComplaint } from './runtime-log.ts'
import { type RuntimeWords, withholdRuntimeWords } from './runtime-words.ts'
import { type ControlConnection, connectToSentry, execute, killProcessTree, waitForProcess } from './sentry-control.ts'
import { execInShim, killInShim, resizeInShim } from './shim-process.ts'
import { shortPath } from './short-path.ts'
import { tellFailure } from './tell-failure.ts'
import type { AttachedClient } from './watch-container.ts'

const PID_FILE = 'pid'
const REQUEST_FILE = 'request.json'
/** Directories of execs begin with it; they lie in the container's own. */
export const EXEC_PREFIX = 'exec-'

/** What OCI runtimes answer where the command could not be executed at all; shells use the same two numbers. */
const CANNOT_EXECUTE = new Set([126, 127, 128, 255])

/**
 * Runs one process in a container for one client, to the end of either: when the client goes, the process and its group
 * are killed.
 */
export async function execForClient(request: ExecRequest, client: Duplex, pool: FifoPool): Promise<AttachedClient> {
  const { directory } = request
  const session = await beginWithPipes(request, pool)
  const { ends, status } = session
  const words = withholdRuntimeWords()
  // The runtime writes to the same output as the command would: with a terminal there is only one.
  const output = (fd: number, stream: Stream): Output =>
    createOutput({
      fd,
      stream,
      container: dirname(directory),
      ...(stream === streamOfWords(request) && { pass: words.pass }),
    })
  const outputs = [output(ends.stdout, 'stdout')]
  if (ends.stderr !== undefined) outputs.push(output(ends.stderr, 'stderr'))
  const ended = new AbortController()
  void finishExec({ request, client, outputs, words, status }).finally(() => {
    ended.abort()
    ends.stdin?.destroy()
    ends.resize?.destroy()
    removeLeft(directory)
  })
  return {
    begin() {
      for (const output of outputs) output.addClient(client)
    },
    write: (chunk) => !ends.stdin || ends.stdin.destroyed || ends.stdin.writableEnded || ends.stdin.write(chunk),
    onDrain: (listener) => ends.stdin?.once('drain', listener).once('close', listener),
    endInput() {
      if (!request.tty) ends.stdin?.end()
    },
    resize(size: TerminalSize) {
      const { kill } = request
      if (kill.kind === 'shim') resizeInShim(kill.containerDirectory, taskProcess(request), size)
      else ends.resize?.write(windowSize(size))
    },
    detach() {
      for (const output of outputs) output.removeClient(client)
      // Where the sentry is gone there is nothing left to kill.
      if (!ended.signal.aborted) killExec(request, ended.signal, session.pid).catch(() => {})
    },
  }
}

type Stream = 'stdout' | 'stderr'

function streamOfWords({ tty }: ExecRequest): Stream {
  return tty ? 'stdout' : 'stderr'
}

/** Nothing is left of what could not be begun. */
async function beginWithPipes(request: ExecRequest, pool: FifoPool): Promise<Session> {
  const { directory } = request
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  try {
    await layPipes(pool, directory, request)
    return await begin(request)
  } catch (error) {
    removeLeft(directory)
    throw error
  }
}

async function begin(request: ExecRequest): Promise<Session> {
  const { kill, directory, tty, stdin, size } = request
  if (kill.kind === 'sentry' && kill.direct) {
    const session = await startInSentry(request, kill.stateFile, kill.direct)
    // Where there is nobody to be asked, the command says why.
    if (session) return session
  }
  writeFileSync(join(directory, 'process.json'), JSON.stringify(request.process), { mode: 0o600 })
  writeFileSync(join(directory, REQUEST_FILE), recordOf(request), { mode: 0o600 })
  if (kill.kind !== 'shim') return tty ? await startWithTerminal(request) : startWithPipes(request)
  return execInShim({
    directory,
    containerDirectory: kill.containerDirectory,
    process: taskProcess(request),
    spec: request.process,
    tty,
    stdin,
    size,
    pidFile: kill.hostPids ? join(directory, PID_FILE) : undefined,
  })
}

/** What the next monitor has to know to end it. */
function recordOf(request: ExecRequest): string {
  const { kill } = request
  const withoutSecrets = kill.kind === 'sentry' ? { kind: kill.kind, stateFile: kill.stateFile } : kill
  return JSON.stringify({ ...request, process: {}, kill: withoutSecrets })
}

/** The name of its directory is one that no other has. */
function taskProcess({ containerId, directory }: ExecRequest): TaskProcess {
  return { id: containerId, exec: basename(directory) }
}

/** Ends what an earlier monitor executed in a container: its client's connection was to that monitor. */
export async function abandonExecs(containerDirectory: string, containerPid: number): Promise<void> {
  for (const name of readdirSync(containerDirectory)) {
    if (!name.startsWith(EXEC_PREFIX)) continue
    const directory = join(containerDirectory, name)
    try {
      const request = JSON.parse(readFileSync(join(directory, REQUEST_FILE), 'utf8')) as ExecRequest
      // Only what has a process id was begun; nobody will begin the others any more.
      const { kill } = request
      const needsNoPid = kill.kind === 'sentry' || (kill.kind === 'shim' && !kill.hostPids)
      if (needsNoPid || isInside(directory, containerPid)) await killExec(request, AbortSignal.abort())
    } catch {
      // Cut off before it was written, or ended by itself.
    }
    removeLeft(directory)
  }
}

/** What cannot be taken away, as where no more files may be opened, goes with the container's directory. */
function removeLeft(directory: string): void {
  tellFailure(() => rmSync(directory, { recursive: true, force: true }))
}

/** Its number on this machine may belong to somebody else by now; the namespace does not. */
function isInside(directory: string, containerPid: number): boolean {
  const pid = Number(readFileSync(join(directory, PID_FILE), 'utf8'))
  return readlinkSync(`/proc/${pid}/ns/pid`) === readlinkSync(`/proc/${containerPid}/ns/pid`)
}

interface Session {
  ends: MonitorEnds
  status: Promise<ExitStatus>
  /** Its number in the container; without it a file in its directory will have it. */
  pid?: Promise<number>
}

interface FinishOptions {
  request: ExecRequest
  client: Duplex
  outputs: Output[]
  words: RuntimeWords
  status: Promise<ExitStatus>
}

async function finishExec({ request, client, outputs, words, status }: FinishOptions): Promise<void> {
  const tellRest = (failure: string | undefined): void => {
    const rest = words.rest(failure)
    if (rest) writeFrame(client, FRAME[streamOfWords(request)], rest)
  }
  try {
    const exit = await status
    await Promise.all(outputs.map((output) => output.ended))
    const complaint = CANNOT_EXECUTE.has(exit.exitCode) ? lastComplaint(request.runtimeLog) : undefined
    tellRest(complaint)
    if (complaint !== undefined) {
      writeJsonFrame(client, FRAME.failed, { code: failureCode(complaint), message: complaint })
    } else {
      writeJsonFrame(client, FRAME.ended, exit)
    }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    tellRest(message)
    writeJsonFrame(client, FRAME.failed, { code: error instanceof RuntimeError ? error.code : 'failed', message })
  } finally {
    for (const output of outputs) output[Symbol.dispose]()
    client.end()
  }
}

function execArguments(request: ExecRequest, options: string[]): string[] {
  const process = ['--process', join(request.directory, 'process.json')]
  const pid = request.kill.kind === 'sentry' ? '--internal-pid-file' : '--pid-file'
  return [...request.command.args, ...process, pid, join(request.directory, PID_FILE), ...options, request.containerId]
}

function startWithPipes(request: ExecRequest): Session {
  const { ours, theirs } = openPipes(request.directory, request)
  const { promise, resolve, reject } = Promise.withResolvers<ExitStatus>()
  try {
    const child = spawn(request.command.program, execArguments(request, []), {
      env: request.command.env,
      cwd: '/',
      // Its own session: a signal to us is none for what runs in a container.
      detached: true,
      stdio: [theirs.stdin, theirs.stdout, theirs.stderr],
    })
    child.on('error', reject)
    // An OCI runtime's exec ends as its process ended, with 128 + n for a signal.
    child.on('exit', (code, signal) => resolve({ exitCode: code ?? 137, ...(signal ? { signal: 9 } : {}) }))
  } catch (error) {
    closeOurs(ours)
    throw error
  } finally {
    closeEnds(theirs)
  }
  return { ends: ours, status: promise }
}

/**
 * The sentry is told what `runsc exec` would tell it, without the 20 ms and 20 MB of such a process. Undefined where it
 * could not be reached, and so was told nothing.
 */
async function startInSentry(
  request: ExecRequest,
  stateFile: string,
  { args, sendFiles }: DirectExec,
): Promise<Session | undefined> {
  const connection = await connectToSentry(stateFile).catch(() => undefined)
  if (!connection) return undefined
  const { containerId } = request
  try {
    const { ours, theirs } = openPipes(request.directory, request)
    const executed = execute(connection, { args, sendFiles, files: [theirs.stdin, theirs.stdout, theirs.stderr] })
    closeEnds(theirs)
    const status = endOf({ request, connection, executed, containerId, argv: args.argv })
    return { ends: ours, status, pid: executed }
  } catch (error) {
    connection[Symbol.dispose]()
    throw error
  }
}

interface Executing {
  request: ExecRequest
  connection: ControlConnection
  executed: Promise<number>
  containerId: string
  argv: string[]
}

async function endOf({ request, connection, executed, containerId, argv }: Executing): Promise<ExitStatus> {
  using _ = connection
  try {
    const pid = await executed
    // Its output is on the way: nothing here may keep it waiting. On a disk that is full only the next monitor misses it.
    const noted = noteBegun(request, pid).catch(() => {})
    const status = await waitForProcess(connection, { containerId, pid })
    await noted
    return { exitCode: exitStatusOf(status).exitCode }
  } catch (error) {
    // As the command says it, so that both ways speak alike.
    const what = `executing processes for container: executing command ${JSON.stringify(argv.join(' '))} in sandbox`
    const complaint = `${what}: ${error instanceof Error ? error.message : String(error)}`
    throw new RuntimeError(failureCode(complaint), complaint)
  }
}

/** The number last: whoever finds it finds the rest. */
async function noteBegun(request: ExecRequest, pid: number): Promise<void> {
  await writeFile(join(request.directory, REQUEST_FILE), recordOf(request), { mode: 0o600 })
  await writeFile(join(request.directory, PID_FILE), String(pid), { mode: 0o600 })
}

async function startWithTerminal(request: ExecRequest): Promise<Session> {
  const { directory } = request
  using unbegun = new DisposableStack()
  const ends = unbegun.adopt(openTerminalPipes(directory), closeOurs)
  // Waits in the pipe until there is a terminal, so that the process never sees another size.
  if (request.size) ends.resize?.write(windowSize(request.size))
  const whileItRuns = unbegun.use(new DisposableStack())
  const socket = whileItRuns.use(shortPath(join(directory, 'console.sock')))
  whileItRuns.use(await receiveTerminal({ socketPath: socket.path, console: request.console, directory }))
  const hostPid = join(directory, 'host-pid')
  const options = ['--detach', '--console-socket', socket.path]
  if (request.kill.kind === 'sentry') options.push('--pid-file', hostPid)
  const launched = whileItRuns.use(
    launchProcess({
      directory,
      launch: request.launch,
      command: { ...request.command, args: execArguments(request, options) },
      stdio: ['ignore', 'ignore', 'ignore'],
      hold: [],
      joins: [],
    }),
  )
  unbegun.move()
  const status = (async (): Promise<ExitStatus> => {
    using _ = whileItRuns
    const detached = exitStatusOf(await launched.command)
    if (detached.exitCode !== 0) {
      const complaint = lastComplaint(request.runtimeLog) ?? `the OCI runtime ended with exit code ${detached.exitCode}`
      throw new RuntimeError(failureCode(complaint), complaint)
    }
    const pidFile = request.kill.kind === 'sentry' ? hostPid : join(directory, PID_FILE)
    const waitStatus = await launched.statusOf(Number(readFileSync(pidFile, 'utf8')))
    return waitStatus === undefined ? { exitCode: 137, signal: 9 } : exitStatusOf(waitStatus)
  })()
  return { ends, status }
}

/** Kills the process and what it has started. */
async function killExec(request: ExecRequest, ended: AbortSignal, known?: Promise<number>): Promise<void> {
  if (request.kill.kind === 'shim' && !request.kill.hostPids) {
    await killInShim(request.kill.containerDirectory, taskProcess(request))
    return
  }
  const pid = known ? await known : await readPid(request.directory, ended)
  if (pid === undefined) return
  if (request.kill.kind === 'sentry') {
    await killProcessTree(request.kill.stateFile, request.containerId, pid)
    return
  }
  const startTime = processStartTime(pid)
  if (startTime === undefined) return
  try {
    // It leads a session of its own; the group has its number.
    process.kill(-pid, 'SIGKILL')
  } catch {
    killProcess(pid, startTime, 'SIGKILL')
  }
}

/** Waits for the process to have been started, in case the client was gone before; undefined where it never was. */
async function readPid(directory: string, ended: AbortSignal): Promise<number | undefined> {
  const read = (): number => {
    try {
      return Number(readFileSync(join(directory, PID_FILE), 'utf8'))
    } catch {
      return 0
    }
  }
  const found = new AbortController()
  try {
    const changes = watch(directory, { signal: AbortSignal.any([ended, found.signal]) })[Symbol.asyncIterator]()
    for (;;) {
      // Watched before it is looked at, so that nothing falls between.
      const change = changes.next()
      change.catch(() => {})
      const pid = read()
      if (pid > 0) return pid
      if ((await change).done) return undefined
    }
  } catch {
    return undefined
  } finally {
    found.abort()
  }
}
