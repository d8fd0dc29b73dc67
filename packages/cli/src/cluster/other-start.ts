/** Two commands that start the cluster of one directory at the same time: one of them does, the other one uses it. */
import { setTimeout as delay } from 'node:timers/promises'
import { StoreError } from '@caisson/apiserver'
import { type DaemonRecord, findDaemon } from './daemon-record.ts'
import type { DataDirectory } from './data-directory.ts'

/** Longer than any start takes. */
const PATIENCE_MS = 60_000
/** Nobody tells when another process has let go of the store, or is ready. */
const LOOK_MS = 50

/**
 * Starts, and where another process is at it, waits until that one is ready or has failed; then it is tried again.
 *
 * @returns what `start` did, or the record of the one that was faster
 * @throws StoreError `locked` where the other one is neither within a minute
 */
export async function whileNobodyElseStarts<T>(
  directory: DataDirectory,
  start: () => Promise<T>,
): Promise<T | DaemonRecord> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    try {
      return await start()
    } catch (error) {
      if (!(error instanceof StoreError && error.code === 'locked') || performance.now() > deadline) throw error
    }
    await delay(LOOK_MS)
    const other = await findDaemon(directory)
    if (other) return other
  }
}
