/** For tests: a disk on which there is no room. */
import { rmSync, statfsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'

/** Takes all that is left of the disk of a directory, but for so many bytes, until it is disposed. */
export async function fillDisk(directory: string, leaveBytes = 0): Promise<Disposable> {
  const path = join(directory, 'full')
  const { bavail, bsize } = statfsSync(directory)
  {
    await using file = await open(path, 'wx')
    const block = Buffer.alloc(bsize)
    for (let left = bavail * bsize - leaveBytes; left > 0; left -= bsize)
      if ((await file.write(block)).bytesWritten < bsize) break
  }
  return { [Symbol.dispose]: () => rmSync(path) }
}
