/** What a whole sentry is told for a snapshot of it: to stand still, to write down what is in it, and to go on. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { RuntimeError } from '../runtime-error.ts'
import { CHECKPOINTED_FILE } from './container-files.ts'
import { openFiles } from './open-files.ts'
import type { Saving, SentryPlace } from './protocol.ts'
import { connectToSentry, SentryControlError } from './sentry-control.ts'

/**
 * In the directory of a sentry's first container while that stands still; empty as long as the sentry was told and has not
 * answered. It ends where it is told to go on and does not stand still, so that nobody may guess.
 */
export const STILL_FILE = 'stands-still'
const STANDS_STILL = 'yes'

/** Its connection, which ends with it. */
type Runtime = Pick<Socket, 'destroyed'>

/** Does one thing at a time with each sentry. */
export interface SentryKeeper {
  /**
   * Has all that runs in it stand still, for as long as its runtime is there. Nothing is done where it does.
   * @param runtime whoever asks
   */
  pause(sentry: SentryPlace, runtime: Runtime): Promise<void>
  /**
   * Has it go on, where it stands still. Rejects where that is not known, since a monitor was killed that had told it
   * one or the other.
   */
  resume(sentry: SentryPlace): Promise<void>
  /** Writes down all that is in it; it goes on afterwards, unless it stands still. */
  save(saving: Saving): Promise<void>
  /** A runtime is gone: what it had stand still goes on, but for what is kept already and is to end. */
  release(runtime: Runtime): void
}

/**
 * What `runsc checkpoint --leave-running --compression=none --exclude-committed-zero-pages` says: a snapshot is read many
 * times and written once, through the page cache both ways.
 */
const SAVING = {
  key: null,
  metadata: { compression: 'none' },
  MemoryFileSaveOpts: { ExcludeCommittedZeroPages: true },
  have_pages_file: true,
  Resume: true,
}

export function createSentryKeeper(): SentryKeeper {
  const lastWords = new Map<string, Promise<unknown>>()
  const paused = new Map<string, { sentry: SentryPlace; runtime: Runtime }>()

  async function inTurn<T>({ directory }: SentryPlace, work: () => Promise<T>): Promise<T> {
    const before = lastWords.get(directory)
    const own = (async () => {
      await before?.catch(() => {})
      return await work()
    })()
    lastWords.set(directory, own)
    try {
      return await own
    } finally {
      if (lastWords.get(directory) === own) lastWords.delete(directory)
    }
  }

  function resume(sentry: SentryPlace): Promise<void> {
    return inTurn(sentry, async () => {
      paused.delete(sentry.directory)
      if (standsStill(sentry)) await tell(sentry, 'Resume')
    })
  }

  return {
    pause: (sentry, runtime) =>
      inTurn(sentry, async () => {
        if (runtime.destroyed) throw new RuntimeError('failed', 'whoever wanted the sandbox to stand still is gone')
        if (standsStill(sentry)) return
        paused.set(sentry.directory, { sentry, runtime })
        await tell(sentry, 'Pause')
      }),
    resume,
    save: ({ sentry, files, sendFiles }) =>
      inTurn(sentry, async () => {
        using given = openFiles()
        const opened = files.map((path) => given.open(path, 'r+'))
        using connection = await connectToSentry(sentry.stateFile)
        await connection.callWithFiles({ method: 'containerManager.Checkpoint', arg: SAVING, files: opened, sendFiles })
      }),
    release(runtime) {
      for (const [directory, { sentry, runtime: whose }] of paused) {
        if (whose !== runtime) continue
        paused.delete(directory)
        if (!existsSync(join(directory, CHECKPOINTED_FILE)))
          resume(sentry).catch((error: unknown) => console.error(error))
      }
    },
  }
}

function standsStill({ directory }: SentryPlace): boolean {
  const path = join(directory, STILL_FILE)
  if (!existsSync(path)) return false
  if (readFileSync(path, 'utf8') === STANDS_STILL) return true
  throw new RuntimeError('failed', 'whether the sandbox stands still is not known: the monitor that told it was killed')
}

/** Notes first that a sentry is being told, and then what it does. */
async function tell({ directory, stateFile }: SentryPlace, word: 'Pause' | 'Resume'): Promise<void> {
  using connection = await connectToSentry(stateFile)
  const note = (still: boolean): void =>
    still
      ? writeFileSync(join(directory, STILL_FILE), STANDS_STILL)
      : rmSync(join(directory, STILL_FILE), { force: true })
  writeFileSync(join(directory, STILL_FILE), '', { mode: 0o600 })
  try {
    await connection.call(`containerManager.${word}`, null)
  } catch (error) {
    if (error instanceof SentryControlError && !error.hungUp) note(word === 'Resume')
    throw error
  }
  note(word === 'Pause')
}
