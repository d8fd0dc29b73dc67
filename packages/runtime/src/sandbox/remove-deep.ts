import { runProgram } from '../tools/run-program.ts'

/**
 * Removes a directory with all that containers made in it, however deep it is nested. No error where there is none.
 * Nothing may be mounted in it. Something in a sandbox may still write there: a directory that it replaces by a link
 * meanwhile leads nowhere, since the program walks by open directories and removes links without following them. Node's
 * own `rm` walks by path.
 */
export async function removeDeep(directory: string): Promise<void> {
  await runProgram('rm', ['-rf', '--one-file-system', '--', directory])
}
