/** The end of a process that serves a data directory, and of every sandbox in it. */
import { existsSync } from 'node:fs'
import { CliError } from '../cli-error.ts'
import { parseDuration } from '../duration.ts'
import { say } from '../terminal-text.ts'
import { hasEnded, readDaemonRecord } from './daemon-record.ts'
import type { DataDirectory } from './data-directory.ts'

/** A killed process is gone within milliseconds, unless the kernel itself is stuck in it. */
const KILL_MS = 10_000
/** Commands of the OCI runtimes, for as many sandboxes as the node takes. */
const LEFTOVERS_MS = 120_000

/**
 * Sandboxes that a killed process left behind are stopped too. Resolves with whether there was a process.
 *
 * @param timeout how long it may take before it is killed, as `--timeout` says it
 */
export async function endDaemon(directory: DataDirectory, timeout: string): Promise<boolean> {
  const patienceMs = parseDuration('--timeout', timeout)
  const record = readDaemonRecord(directory)
  if (record) {
    // SIGTERM alone leaves the sandboxes running, for an update of Caisson; SIGINT stops them first.
    process.kill(record.pid, 'SIGINT')
    if (!(await hasEnded(record, patienceMs))) {
      say(`process ${record.pid} has not stopped within ${timeout} and is killed`)
      process.kill(record.pid, 'SIGKILL')
      if (!(await hasEnded(record, KILL_MS))) {
        throw new CliError(
          'timed-out',
          `process ${record.pid} does not end although it was killed: see ${directory.log}`,
        )
      }
    }
  }
  // One that was ending already leaves its sandboxes running.
  if (!record || record.ending || existsSync(directory.daemon)) {
    const { stopLeftovers } = await import('./leftovers.ts')
    await withinTime(stopLeftovers(directory), directory.log)
  }
  return record !== undefined
}

async function withinTime(work: Promise<void>, log: string): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    reject(
      new CliError(
        'timed-out',
        `sandboxes are still there after ${LEFTOVERS_MS / 1000} s: run it again, and see ${log}`,
      ),
    )
  }, LEFTOVERS_MS)
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
