import { rm } from 'node:fs/promises'
import { RuntimeError } from '../runtime-error.ts'
import { runCommand } from '../tools/run-command.ts'

/**
 * Removes a directory of ours with all that a container made in it; nothing where there is none. Nothing may be mounted in
 * it, and its name must not come again: what is begun here may outlive this process.
 */
export async function removeDeep(directory: string): Promise<void> {
  try {
    await rm(directory, { recursive: true, force: true })
  } catch {
    // Directories can be nested deeper than a path is long; the program walks by open directories.
    const { exitCode, stderr } = await runCommand('rm', ['-rf', '--one-file-system', '--', directory])
    if (exitCode !== 0) throw new RuntimeError('failed', `could not remove ${directory}: ${stderr.trim()}`)
  }
}
