import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'

/** Changes to what several processes share, one at a time. */
export interface StoreLock {
  /** Runs a change when nobody else, in this process or another, is at one. Short ones only: others wait. */
  hold<T>(change: () => Promise<T>): Promise<T>
}

const BUSY = 5
const RETRY_MS = 5
// A change renames and writes one small file; who holds the lock for longer hangs.
const PATIENCE_MS = 30_000

/**
 * A lock that many processes can share and that no crashed one can keep: the kernel gives a file lock back when its
 * process ends, however it ends. SQLite is Node's only way to one. Nothing is stored in the file.
 */
export function createStoreLock(file: string): StoreLock {
  let turn: Promise<unknown> = Promise.resolve()

  async function acquire(): Promise<DatabaseSync> {
    const database = new DatabaseSync(file, { timeout: 0 })
    const deadline = performance.now() + PATIENCE_MS
    for (;;) {
      try {
        // On a full disk too there is room for no journal: what could not be removed then would fill it for ever.
        database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
        return database
      } catch (error) {
        if ((error as { errcode?: number }).errcode !== BUSY || performance.now() > deadline) {
          database.close()
          throw error
        }
      }
      // The kernel tells nobody when a file lock becomes free.
      await delay(RETRY_MS)
    }
  }

  async function locked<T>(change: () => Promise<T>): Promise<T> {
    const database = await acquire()
    try {
      return await change()
    } finally {
      // Ends the transaction, which has written nothing, and with it the lock.
      database.close()
    }
  }

  return {
    hold(change) {
      // In turn within this process, because SQLite would let a busy loop decide.
      const result = turn.then(() => locked(change))
      turn = result.catch(() => {})
      return result
    },
  }
}
