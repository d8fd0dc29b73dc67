import { constants } from 'node:fs'
import { open, opendir, rmdir, unlink } from 'node:fs/promises'
import { runProgram } from '../tools/run-program.ts'

/**
 * What is removed by this process itself, which is most of what there is to remove: to start a program stops it for 8 ms.
 * More is left to one, which can go as deep as there is and has a processor of its own for it.
 */
const MOST = { entries: 200, depth: 8 }

/**
 * Removes a directory with all that containers made in it, however deep it is nested. No error where there is none.
 * Nothing may be mounted in it. Something in a sandbox may still write there: a directory that it replaces by a link
 * meanwhile leads nowhere, since both ways walk by open directories and remove links without following them. Node's own
 * `rm` walks by path.
 */
export async function removeDeep(directory: string): Promise<void> {
  try {
    await removeHere(directory, 0, { left: MOST.entries })
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' && path === directory) return
    // Whatever it is that cannot be done here: the program does it, or says why not.
    await runProgram('rm', ['-rf', '--one-file-system', '--', directory])
  }
}

interface Walk {
  /** Entries that may still come. */
  left: number
  device?: number
}

async function removeHere(path: string | Buffer, depth: number, walk: Walk): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    const { dev } = await directory.stat()
    walk.device ??= dev
    if (dev !== walk.device || depth > MOST.depth) throw new Error('not to be removed here')
    // By what is open: the kernel looks for no name on the way.
    const here = `/proc/self/fd/${directory.fd}/`
    const entries: Array<{ path: Buffer; isDirectory: boolean }> = []
    // Names are bytes, of which every one is a character of this encoding.
    for await (const entry of await opendir(here, { encoding: 'latin1' })) {
      if (walk.left-- === 0) throw new Error('too much to be removed here')
      entries.push({ path: Buffer.from(here + entry.name, 'latin1'), isDirectory: entry.isDirectory() })
    }
    for (const entry of entries) {
      if (entry.isDirectory) await removeHere(entry.path, depth + 1, walk)
      else await unlink(entry.path)
    }
  } finally {
    await directory.close()
  }
  await rmdir(path)
}
