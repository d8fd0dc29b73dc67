import { readdir, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** A block of `stat`, whatever the file system's own are. */
const BLOCK = 512

/**
 * What a sentry's containers have written to their root file systems, on disk. It goes to files that have no name any
 * more: they are found where the sentry holds them open.
 */
export async function writtenBytes(sentryPid: number, overlayDirectory: string): Promise<number> {
  const descriptors = `/proc/${sentryPid}/fd`
  const names = await readdir(descriptors).catch(() => [])
  const sizes = await Promise.all(
    names.map(async (name) => {
      const path = join(descriptors, name)
      try {
        return (await readlink(path)).startsWith(`${overlayDirectory}/`) ? (await stat(path)).blocks * BLOCK : 0
      } catch {
        // Closed in between.
        return 0
      }
    }),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}
