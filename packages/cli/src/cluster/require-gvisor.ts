import { CliError } from '../cli-error.ts'
import { type DataDirectory, doctorFix, toolsDirectory } from './data-directory.ts'

/** Without it nothing runs that names no RuntimeClass: better said before a cluster is started or hears of a node. */
export async function requireGvisor(directory: DataDirectory): Promise<void> {
  const { findTool } = await import('@caisson/runtime')
  if (await findTool('runsc', toolsDirectory(directory))) return
  throw new CliError(
    'unavailable',
    `gVisor is not there, which sandboxes run in: '${doctorFix(directory)}' fetches it, without touching the system`,
  )
}
