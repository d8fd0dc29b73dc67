import { existsSync } from 'node:fs'
import { CliError } from '../cli-error.ts'
import { hasEnded, readDaemonRecord } from '../cluster/daemon-record.ts'
import { dataDirectory } from '../cluster/data-directory.ts'
import { enterUserNamespace } from '../cluster/user-namespace.ts'
import { parseDuration } from '../duration.ts'
import type { GlobalOptions } from '../global-options.ts'

export interface DownOptions extends GlobalOptions {
  timeout: string
}

/** A killed process is gone within milliseconds, unless the kernel itself is stuck in it. */
const KILL_MS = 10_000
/** Commands of the OCI runtimes, for as many sandboxes as the node takes. */
const LEFTOVERS_MS = 120_000

/** Stops the cluster's process and every sandbox. Sandboxes that a killed cluster left behind are stopped too. */
export async function down(options: DownOptions): Promise<void> {
  const patienceMs = parseDuration('--timeout', options.timeout)
  const directory = dataDirectory(options.dataDir)
  // Where there may be something to take apart.
  if (existsSync(directory.root)) enterUserNamespace(directory)
  const record = readDaemonRecord(directory)
  if (record) {
    // SIGTERM alone leaves the sandboxes running, for an update of Caisson; SIGINT stops them first.
    process.kill(record.pid, 'SIGINT')
    if (!(await hasEnded(record, patienceMs))) {
      console.error(`caisson: process ${record.pid} has not stopped within ${options.timeout} and is killed`)
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
    const { stopLeftovers } = await import('../cluster/leftovers.ts')
    await withinTime(stopLeftovers(directory), directory.log)
  }
  console.log(record ? 'stopped' : 'not running')
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
