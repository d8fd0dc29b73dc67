/** The end of a process that serves a data directory, and of every sandbox in it. */
import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { CliError } from '../cli-error.ts'
import { parseDuration } from '../duration.ts'
import { say } from '../terminal-text.ts'
import { type DaemonRecord, hasEnded, readDaemonRecord } from './daemon-record.ts'
import { type DataDirectory, requireOpen, wasUsed } from './data-directory.ts'
import { LOOK_MS, notDone, tryLock } from './directory-lock.ts'

/** A killed process is gone within milliseconds, unless the kernel itself is stuck in it. */
const KILL_MS = 10_000
/** Commands of the OCI runtimes, for as many sandboxes as the node takes. */
const LEFTOVERS_MS = 120_000

/**
 * Sandboxes that a killed process left behind are stopped too. One that is starting is ended when it is ready. Resolves with
 * whether there was a process.
 *
 * @param timeout how long it may take before it is killed, as `--timeout` says it
 */
export async function endDaemon(directory: DataDirectory, timeout: string): Promise<boolean> {
  const patienceMs = parseDuration('--timeout', timeout)
  if (!wasUsed(directory)) {
    requireOpen(directory)
    return false
  }
  const deadline = performance.now() + patienceMs
  let ended = false
  for (;;) {
    const running = readDaemonRecord(directory)
    if (running) {
      await end(running, { directory, timeout, patienceMs })
      ended = true
    }
    using lock = tryLock(directory)
    if (lock) {
      // The record says that it has left sandboxes running, as one does that was told so before.
      if (!ended || existsSync(directory.daemon)) {
        const { stopLeftovers } = await import('./leftovers.ts')
        await withinTime(stopLeftovers(directory), directory.log)
      }
      return ended
    }
    if (performance.now() > deadline) throw notDone(directory)
    await delay(LOOK_MS)
  }
}

interface Ending {
  directory: DataDirectory
  timeout: string
  patienceMs: number
}

async function end(record: DaemonRecord, { directory, timeout, patienceMs }: Ending): Promise<void> {
  // SIGTERM alone leaves the sandboxes running, for an update of Caisson; SIGINT stops them first.
  signal(record, 'SIGINT')
  if (await hasEnded(record, patienceMs)) return
  say(`process ${record.pid} has not stopped within ${timeout} and is killed`)
  signal(record, 'SIGKILL')
  if (await hasEnded(record, KILL_MS)) return
  throw new CliError('timed-out', `process ${record.pid} does not end although it was killed: see ${directory.log}`)
}

function signal({ pid }: DaemonRecord, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    // It has ended meanwhile.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
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
