import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { imagesOfSnapshot } from '@caisson/runtime'
import { podDirectories } from '../pod-directories.ts'

/** Ids of the images that the snapshots of this node begin with. */
export async function snapshotImages(dataDir: string): Promise<Set<string>> {
  const directories = podDirectories(dataDir)
  const uids = await readdir(directories.snapshots).catch((error: NodeJS.ErrnoException): string[] => {
    // Before the first one.
    if (error.code === 'ENOENT') return []
    throw error
  })
  const ids = await Promise.all(uids.map((uid) => imagesOfSnapshot(join(directories.snapshot(uid), 'memory'))))
  return new Set(ids.flat())
}
