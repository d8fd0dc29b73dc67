import { rm } from 'node:fs/promises'
import { unmountBelow } from './mounts.ts'
import { runProgram } from './run-program.ts'

/** Removes a directory of ours with all that containers put there. What is mounted in it is unmounted, never deleted. */
export async function removeTree(directory: string): Promise<void> {
  await unmountBelow(directory)
  try {
    await rm(directory, { recursive: true, force: true })
  } catch {
    // Directories can be nested deeper than a path is long; rm walks by open directories.
    await runProgram('rm', ['-rf', '--one-file-system', '--', directory])
  }
}
