/**
 * One process at a time has to do with what a data directory holds: whoever serves it, from before it starts until all of it
 * has ended, or whoever takes apart what such a process has left. The kernel gives the lock back when its process ends,
 * however it ends. SQLite is Node's only way to one; nothing is stored in the file.
 */
import { closeSync, existsSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { CliError } from '../cli-error.ts'
import { type DaemonRecord, findDaemon } from './daemon-record.ts'
import { type DataDirectory, requireWritable } from './data-directory.ts'

/** Longer than any start, and than most ends, take. */
const PATIENCE_MS = 60_000
/** Nobody tells when another process has let go of it, or is ready. */
export const LOOK_MS = 50
/** SQLITE_BUSY. */
const BUSY = 5

/** Undefined where another process has it. @throws CliError where nothing may be written to the directory */
export function tryLock(directory: DataDirectory): Disposable | undefined {
  let database: DatabaseSync | undefined
  try {
    // Private, and only where it is missing: closing any descriptor of a file drops all locks that this process has on it.
    if (!existsSync(directory.lock)) closeSync(openSync(directory.lock, 'a', 0o600))
    database = new DatabaseSync(directory.lock, { timeout: 0 })
    // A journal would be a file, for which a full disk has no room.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    database?.close()
    if ((error as { errcode?: number }).errcode === BUSY) return undefined
    requireWritable(directory)
    throw error
  }
  const held = database
  return { [Symbol.dispose]: () => held.close() }
}

/**
 * The lock, for whoever wants to serve the directory; where another process is at it, waits until that one is ready, or has
 * ended.
 *
 * @returns the lock, or the record of the one that was faster
 * @throws CliError where the other one is neither within a minute
 */
export async function takeDirectory(directory: DataDirectory): Promise<Disposable | DaemonRecord> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const lock = tryLock(directory)
    if (lock) return lock
    const other = await findDaemon(directory)
    if (other) return other
    if (performance.now() > deadline) throw notDone(directory)
    await delay(LOOK_MS)
  }
}

/** @returns what to say where another process has it for too long */
export function notDone({ root, log }: DataDirectory): CliError {
  return new CliError(
    'timed-out',
    `another process is starting or stopping what ${root} holds, and takes long: try again, and see ${log}`,
  )
}
