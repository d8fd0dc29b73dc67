/** File systems in files: volumes that can hold no more than they should, on whatever file system they lie. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { rename, rm, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * Share of the disk that is left beside it: more than the tenth below which the node says that its disk is under pressure
 * and evicts Pods, which would give nothing of a volume back.
 */
const RESERVED = 0.15

/**
 * Makes an ext4 file system of so many bytes in a file, unless it is there. Its blocks are taken from the disk at once: what
 * has been promised is there when it is written to. Throws where the disk has no room or a program is missing, and leaves
 * nothing then.
 */
export async function makeImageFile(path: string, bytes: number): Promise<void> {
  if (existsSync(path)) return
  // Asked first: to try would leave nobody else any room meanwhile.
  const { bavail, blocks, bsize } = await statfs(dirname(path))
  if ((bavail - blocks * RESERVED) * bsize < bytes) throw new Error(noRoom(bytes))
  const unfinished = `${path}.new`
  try {
    await rm(unfinished, { force: true })
    await run('fallocate', ['--length', String(Math.ceil(bytes)), '--', unfinished])
    // Nothing is kept for root, and no block is given back to the disk.
    await run('mkfs.ext4', ['-q', '-F', '-m', '0', '-E', 'nodiscard', unfinished])
    await rename(unfinished, path)
  } catch (error) {
    await rm(unfinished, { force: true })
    throw new Error(sayWhy(error as NodeJS.ErrnoException & { stderr?: string }, bytes), { cause: error })
  }
}

function sayWhy(
  { code, path, stderr = '', message }: NodeJS.ErrnoException & { stderr?: string },
  bytes: number,
): string {
  if (code === 'ENOENT') return `${path} is not installed on this machine: install util-linux and e2fsprogs`
  if (stderr.includes('No space left')) return noRoom(bytes)
  return stderr.trim() || message
}

function noRoom(bytes: number): string {
  return `the disk has no room for a volume of ${bytes} bytes`
}
