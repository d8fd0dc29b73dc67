import { readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { RuntimeError } from '../runtime-error.ts'
import { runCommand } from '../tools/run-command.ts'
import { oomKills } from './container-end.ts'
import { IMAGE_LINK, type RunningProcess, reserveExit, writeRecord } from './container-files.ts'
import type { FifoPool } from './fifo-pool.ts'
import { type HeldCommand, holdCommand } from './held-command.ts'
import { adoptLaunched, exitStatusOf, type LaunchedProcess, launchProcess } from './launched-process.ts'
import { killProcess, processStartTime } from './process-identity.ts'
import {
  closeEnds,
  closeOurs,
  layPipes,
  openPipes,
  openTerminalPipes,
  receiveTerminal,
  reopenPipes,
} from './process-pipes.ts'
import type { Beginning, Held, Supervision } from './protocol.ts'
import { startFailure } from './runtime-log.ts'
import { beginInShim, createInShim } from './shim-process.ts'
import { shortPath } from './short-path.ts'
import { setTimerSlack } from './timer-slack.ts'
import { endUnwatched, type Launch, type SupervisedContainer, watchContainer } from './watch-container.ts'

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
  reserveExit(supervision.directory)
  const killsBefore = oomKills(supervision)
  const { shim } = supervision
  const made = shim ? await createInShim(supervision, shim) : undefined
  const { launched, ends } = made ?? (await launch(supervision))
  const release = (): void => {
    closeOurs(ends)
    launched[Symbol.dispose]()
  }
  let pid: number
  let startTime: string
  try {
    if (!made) await succeeded(launched, supervision)
    pid = made?.pid ?? Number(readFileSync(supervision.pidFile, 'utf8'))
    startTime = processStartTime(pid) ?? ''
  } catch (error) {
    release()
    throw error
  }
  return {
    pid,
    release,
    end() {
      try {
        killProcess(pid, startTime, 'SIGKILL')
      } finally {
        release()
      }
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

/** Goes on with what an earlier monitor watched; undefined where it was half taken away by then, which is its end. */
export function adoptContainer(supervision: Supervision, running: RunningProcess): SupervisedContainer | undefined {
  using unbegun = new DisposableStack()
  try {
    const launched = unbegun.use(adoptLaunched(supervision.directory))
    const ends = reopenPipes(supervision.directory, supervision)
    unbegun.move()
    return watchContainer({ supervision, running, launched, ends, adopted: true })
  } catch (error) {
    // What only cannot be opened now is no reason to end anything.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    endUnwatched(supervision, running)
    return undefined
  }
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
  using unbegun = new DisposableStack()
  if (!tty) {
    const { ours, theirs } = openPipes(directory, supervision)
    unbegun.adopt(ours, closeOurs)
    try {
      const launched = start([theirs.stdin, theirs.stdout, theirs.stderr], [theirs.holdStdout, theirs.holdStderr], [])
      unbegun.move()
      return { launched, ends: ours }
    } finally {
      closeEnds(theirs)
    }
  }
  const ends = unbegun.adopt(openTerminalPipes(directory), closeOurs)
  const untilStarted = unbegun.use(new DisposableStack())
  const socket = untilStarted.use(shortPath(join(directory, 'console.sock')))
  untilStarted.use(await receiveTerminal({ socketPath: socket.path, console: supervision.console, directory }))
  const launched = start(['ignore', 'ignore', 'ignore'], [], ['--console-socket', socket.path])
  unbegun.move()
  const close = (): void => untilStarted.dispose()
  launched.command.then(close, close)
  return { launched, ends }
}
