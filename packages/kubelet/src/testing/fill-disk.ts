/** For tests: a disk on which there is no room for anything. */
import { rmSync, statfsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'

/** Takes all that is left of the disk of a directory, until it is disposed. */
export async function fillDisk(directory: string): Promise<Disposable> {
  const path = join(directory, 'full')
  {
    await using file = await open(path, 'wx')
    for (const bytes of [1024 * 1024, 4096]) {
      const block = Buffer.alloc(bytes)
      for (;;) {
        const { bytesWritten } = await file.write(block).catch(() => ({ bytesWritten: 0 }))
        if (bytesWritten < block.length) break
      }
    }
  }
  if (statfsSync(directory).bavail > 0) throw new Error(`${directory} still has room`)
  return { [Symbol.dispose]: () => rmSync(path) }
}
