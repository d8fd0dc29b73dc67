import { existsSync } from 'node:fs'
import { CliError } from '../cli-error.ts'
import { dataDirectory, requireOpen } from '../cluster/data-directory.ts'
import type { GlobalOptions } from '../global-options.ts'

/** Prints the path of the kubeconfig; it is there once the cluster has been started. */
export function kubeconfig(options: GlobalOptions): void {
  const directory = dataDirectory(options.dataDir)
  if (!existsSync(directory.kubeconfig)) {
    requireOpen(directory)
    throw new CliError(
      'unavailable',
      `there is no cluster in ${directory.root} yet: start one with 'caisson up --detach'`,
    )
  }
  console.log(directory.kubeconfig)
}
