import { dataDirectory, wasUsed } from '../cluster/data-directory.ts'
import { endDaemon } from '../cluster/end-daemon.ts'
import { enterUserNamespace } from '../cluster/user-namespace.ts'
import type { GlobalOptions } from '../global-options.ts'
import { sayWaiting } from '../say-waiting.ts'

export interface DownOptions extends GlobalOptions {
  timeout: string
}

/** Stops the cluster's process and every sandbox. Sandboxes that a killed cluster left behind are stopped too. */
export async function down(options: DownOptions): Promise<void> {
  const directory = dataDirectory(options.dataDir)
  // Where there may be something to take apart.
  if (wasUsed(directory)) enterUserNamespace(directory)
  using waiting = sayWaiting('the cluster to stop')
  waiting.print((await endDaemon(directory, options.timeout)) ? 'stopped' : 'not running')
}
