/** Images that an earlier version unpacked, and what it unpacked them to may not be what they came as any more. */
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseJsonObject } from '../registry/remote-image.ts'
import type { ImageFiles, StoredImage } from './image-files.ts'
import { checkConfig, parseConfig } from './manifest.ts'
import { type UnpackLimits, unpackImage } from './unpack-image.ts'

/**
 * Unpacks them again from the layers that were kept. One that cannot be (of a version that kept none, on a disk without
 * room) is as good as not there: it is pulled or imported again, or tried again with the next start.
 */
export async function renewImages(files: ImageFiles, limits: UnpackLimits): Promise<void> {
  // What is wrong with one is no reason to be without the others.
  for (const image of await files.outdated())
    if (image.blobs) await renew(files, { ...image, blobs: image.blobs }, limits).catch(() => undefined)
}

async function renew(
  files: ImageFiles,
  image: StoredImage & { blobs: NonNullable<StoredImage['blobs']> },
  limits: UnpackLimits,
): Promise<void> {
  const { id, blobs, pulled } = image
  const config = parseConfig(parseJsonObject(await readFile(files.blobFile(blobs.config.digest)), 'the configuration'))
  checkConfig(config, blobs.layers.length)
  await using work = await files.makeWork()
  const ready = join(work.path, 'image')
  await mkdir(ready, { mode: 0o700 })
  await using unpacking = await unpackImage(ready, { limits, signal: undefined })
  for (const [index, { digest }] of blobs.layers.entries())
    await unpacking.apply({ file: files.blobFile(digest), diffId: config.diffIds[index] ?? '' })
  await files.describe(ready, { ...unpacking.describe(id, config), pulled, blobs })
  await files.add([{ id, names: [], ready, blobs: new Map(), grants: await files.readGrants(id) }])
}
