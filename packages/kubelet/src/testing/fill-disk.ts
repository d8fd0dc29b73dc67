/** For tests: a disk on which there is no room. */
import { rmSync, statfsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'

const MOST_AT_ONCE = 1024 * 1024

/** Takes all that is left of the disk of a directory, but for so many bytes, until it is disposed. */
export async function fillDisk(directory: string, leaveBytes = 0): Promise<Disposable> {
  const path = join(directory, 'full')
  const left = (): number => {
    const { bavail, bsize } = statfsSync(directory)
    return bavail * bsize - leaveBytes
  }
  const block = Buffer.alloc(MOST_AT_ONCE)
  await using file = await open(path, 'wx')
  for (let bytes = left(); bytes > 0; bytes = left()) {
    const size = Math.min(bytes, MOST_AT_ONCE)
    // Somebody else may have taken the last of it.
    const { bytesWritten } = await file.write(block, 0, size).catch(() => ({ bytesWritten: 0 }))
    if (bytesWritten < size) break
  }
  return { [Symbol.dispose]: () => rmSync(path) }
}
