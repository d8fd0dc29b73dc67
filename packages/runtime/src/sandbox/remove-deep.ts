import { rm } from 'node:fs/promises'
import { runProgram } from '../tools/run-program.ts'

/**
 * Removes a directory with all that containers made in it, however deep it is nested; links in it are removed, not
 * followed. No error where there is none. Nothing may be mounted in it.
 */
export async function removeDeep(directory: string): Promise<void> {
  try {
    await rm(directory, { recursive: true, force: true })
  } catch {
    // Directories can be nested deeper than a path is long; the program walks by open directories.
    await runProgram('rm', ['-rf', '--one-file-system', '--', directory])
  }
}
