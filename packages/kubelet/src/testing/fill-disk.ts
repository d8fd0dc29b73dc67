/** For tests: a disk on which there is no room. */
import { rmSync, statfsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'

/** Takes all that is left of the disk of a directory, but for so many bytes, until it is disposed. */
export async function fillDisk(directory: string, leaveBytes = 0): Promise<Disposable> {
  const path = join(directory, 'full')
  const { bsize } = statfsSync(directory)
  const block = Buffer.alloc(bsize)
  const left = (): number => statfsSync(directory).bavail * bsize - leaveBytes
  await using file = await open(path, 'wx')
  while (left() > 0) {
    // Somebody else may have taken the last of it.
    const { bytesWritten } = await file.write(block).catch(() => ({ bytesWritten: 0 }))
    if (bytesWritten < bsize) break
  }
  return { [Symbol.dispose]: () => rmSync(path) }
}
