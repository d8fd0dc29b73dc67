import { readdir, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { CollectOptions } from '../runtime.ts'
import type { ImageFiles } from './image-files.ts'

interface Candidate {
  id: string
  /** Of its files and its blobs. */
  bytes: number
  /** ms since the epoch. */
  lastUsed: number
}

/**
 * Which images go, the longest unused first, until so many of them are gone and so many bytes free.
 * @returns also how many bytes could not be found
 */
function planCollection(
  candidates: readonly Candidate[],
  { bytesToFree, excess, unusedSince }: { bytesToFree: number; excess: number; unusedSince: number },
): { ids: string[]; missingBytes: number } {
  let left = bytesToFree
  const ids: string[] = []
  for (const { id, bytes, lastUsed } of [...candidates].sort((a, b) => a.lastUsed - b.lastUsed)) {
    if (left <= 0 && ids.length >= excess) break
    if (lastUsed > unusedSince) continue
    ids.push(id)
    left -= bytes
  }
  return { ids, missingBytes: Math.max(0, left) }
}

/** Removes images as `CollectOptions` says; those that came from archives stay, because nobody could get them again. */
export async function collectImages(
  files: ImageFiles,
  options: CollectOptions & { inUse: () => Promise<Set<string>>; now: number },
): Promise<{ removed: string[]; missingBytes: number }> {
  const bytesOver = async (): Promise<number> =>
    Math.max(await bytesOverDisk(files, options), await bytesOverBound(files, options))
  const excess = new Set((await files.readNames()).values()).size - (options.maxImages ?? Number.POSITIVE_INFINITY)
  if ((await bytesOver()) <= 0 && excess <= 0) return { removed: [], missingBytes: 0 }
  await removeUnnamed(files)
  const bytesToFree = await bytesOver()
  await using work = await files.makeWork()
  return await files.lock.hold(async () => {
    const used = await options.inUse()
    const candidates: Candidate[] = []
    for (const [id, lastUsed] of await files.lastUses()) {
      const image = await files.readImage(id)
      if (!image?.pulled || used.has(id)) continue
      const compressed = image.blobs?.layers.reduce((sum, { size }) => sum + size, 0) ?? 0
      candidates.push({ id, bytes: image.sizeBytes + compressed, lastUsed })
    }
    const plan = planCollection(candidates, {
      bytesToFree,
      excess,
      unusedSince: options.now - options.minAgeMs,
    })
    const names = await files.readNames()
    const ids = new Set(plan.ids)
    const gone = [...names].filter(([, id]) => ids.has(id)).map(([name]) => name)
    if (gone.length > 0) await files.removeNames(names, gone, work.path)
    return { removed: gone, missingBytes: plan.missingBytes }
  })
}

/** Those whose names have moved on while something still needed them, of which nobody tells that it needs them no more. */
async function removeUnnamed(files: ImageFiles): Promise<void> {
  await using work = await files.makeWork()
  await files.lock.hold(async () => files.removeNames(await files.readNames(), [], work.path))
}

async function bytesOverDisk({ directory }: ImageFiles, { highPercent, lowPercent }: CollectOptions): Promise<number> {
  const { blocks, bavail, bsize } = await statfs(directory)
  const usedPercent = 100 - Math.floor((bavail * 100) / blocks)
  return usedPercent >= highPercent ? (blocks * bsize * (100 - lowPercent)) / 100 - bavail * bsize : 0
}

async function bytesOverBound(
  files: ImageFiles,
  { highPercent, lowPercent, maxBytes }: CollectOptions,
): Promise<number> {
  if (maxBytes === undefined) return 0
  const used = await storeBytes(files)
  return used > (maxBytes * highPercent) / 100 ? used - (maxBytes * lowPercent) / 100 : 0
}

/** What all images take: their files, and the blobs that they came as. */
async function storeBytes(files: ImageFiles): Promise<number> {
  let bytes = 0
  for (const id of new Set((await files.readNames()).values())) bytes += (await files.readImage(id))?.sizeBytes ?? 0
  const blobs = join(files.directory, 'blobs')
  for (const name of await readdir(blobs)) bytes += (await stat(join(blobs, name)).catch(() => undefined))?.size ?? 0
  return bytes
}
