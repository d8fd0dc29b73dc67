import { appendFileSync, constants, mkdirSync, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { RuntimeError } from '../runtime-error.ts'
import { settlesWithin } from '../settles-within.ts'
import type { FifoPool } from './fifo-pool.ts'
import { ALIVE_FIFO, exitStatusOf, launchProcess } from './launched-process.ts'
import type { Held } from './protocol.ts'
import { startFailure } from './runtime-log.ts'
import { tellFailure } from './tell-failure.ts'

/** In a container's directory: the log of a command that is held, and the directory of what launched it. */
export const HELD_LOG = 'held.pipe'
const HELD_DIRECTORY = 'held'

/** Its log is closed when it has ended: what it said last is in the pipe by then. */
const LAST_WORDS_MS = 1_000

/** Disposing of it ends the command, if it goes on. */
export interface HeldCommand extends AsyncDisposable {
  /**
   * Lets it go on, and resolves when it has succeeded. Its log goes to the file.
   * @param directory of the container, by its present name
   */
  release(directory: string, runtimeLog: string): Promise<void>
}

export interface HoldOptions {
  /** Of the container, in which the command runs. It may get another name meanwhile: the command names what is in it relative to it. */
  directory: string
  /** Of an OCI runtime, with `HELD_LOG` as its log. */
  held: Held
}

/**
 * Starts a command that stops before it has done anything: an OCI runtime opens its log first, and this log is a pipe that
 * nobody reads yet. What it takes to start, some 20 ms, is over when it is let go on.
 */
export async function holdCommand({ directory, held }: HoldOptions, pool: FifoPool): Promise<HeldCommand> {
  const own = join(directory, HELD_DIRECTORY)
  mkdirSync(own, { mode: 0o700 })
  await pool.place([join(own, ALIVE_FIFO), join(directory, HELD_LOG)])
  const launched = launchProcess({
    directory: own,
    ...held,
    cwd: directory,
    stdio: ['ignore', 'ignore', 'ignore'],
    hold: [],
    // It tells the sentry what to do and ends; joining takes the kernel longer than that.
    joins: [],
  })
  launched.command.catch(() => {})
  return {
    async release(current, runtimeLog) {
      const log = readPipe(join(current, HELD_LOG), (text) =>
        // On a disk that is full its words are lost, and nothing else.
        tellFailure(() => appendFileSync(runtimeLog, text)),
      )
      const status = exitStatusOf(
        await launched.command.catch((cause: unknown) => {
          throw new RuntimeError('failed', `could not run ${held.command.program}`, { cause })
        }),
      )
      if (status.exitCode === 0) return
      await settlesWithin(log, LAST_WORDS_MS)
      throw startFailure(runtimeLog, status.exitCode)
    },
    async [Symbol.asyncDispose]() {
      await launched.kill()
      launched[Symbol.dispose]()
    },
  }
}

/** Resolves at the end of what is written to a pipe, and never rejects. Throws where it cannot be opened. */
function readPipe(path: string, onText: (text: string) => void): Promise<void> {
  const pipe = new Socket({
    fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK),
    readable: true,
    writable: false,
  })
  const { promise, resolve } = Promise.withResolvers<void>()
  pipe
    .on('error', () => {})
    .on('close', () => resolve())
    .setEncoding('utf8')
    .on('data', onText)
  return promise
}
