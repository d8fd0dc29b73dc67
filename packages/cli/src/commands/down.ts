import { CliError } from '../cli-error.ts'
import { isAlive, readDaemonRecord } from '../cluster/daemon-record.ts'
import { dataDirectory } from '../cluster/data-directory.ts'
import type { GlobalOptions } from '../global-options.ts'

/** Containers get half a minute of grace, as Pods do; after twice that something is wrong. */
const PATIENCE_MS = 60_000

/** Stops the cluster's process and every sandbox. Sandboxes that a killed cluster left behind are stopped too. */
export async function down(options: GlobalOptions): Promise<void> {
  const directory = dataDirectory(options.dataDir)
  const record = readDaemonRecord(directory)
  if (record) {
    // SIGTERM alone leaves the sandboxes running, for an update of Caisson; SIGINT stops them first.
    process.kill(record.pid, 'SIGINT')
    const deadline = Date.now() + PATIENCE_MS
    // Not our child, so there is no event to wait for.
    while (isAlive(record)) {
      if (Date.now() > deadline) {
        throw new CliError('timed-out', `process ${record.pid} has not stopped within a minute: see ${directory.log}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  } else {
    const { stopLeftovers } = await import('../cluster/leftovers.ts')
    await stopLeftovers(directory)
  }
  console.log(record ? 'stopped' : 'not running')
}
