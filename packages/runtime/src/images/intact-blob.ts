/** What lies in the store may have been damaged since: by a disk, by a crash of the machine, by somebody's hand. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import type { Descriptor } from '../registry/remote-image.ts'
import type { ImageFiles, StoredImage } from './image-files.ts'

/** Whether a file is the blob that it should be, to the last byte. Reads all of it. */
export async function isIntact(file: string, { digest, size }: Descriptor, signal: AbortSignal): Promise<boolean> {
  if (!(await hasSize(file, size))) return false
  const hash = createHash('sha256')
  try {
    await pipeline(createReadStream(file), hash, { signal })
  } catch {
    signal.throwIfAborted()
    // A disk that cannot read it back has lost it.
    return false
  }
  return `sha256:${hash.digest('hex')}` === digest
}

/** Whether all blobs of an image are there, as long as they should be. Of older images, of which none were kept, none is missing. */
export async function hasWholeBlobs(files: Pick<ImageFiles, 'blobFile'>, { blobs }: StoredImage): Promise<boolean> {
  if (!blobs) return true
  const all = [blobs.config, ...blobs.layers, ...(blobs.manifest ? [blobs.manifest] : [])]
  const whole = await Promise.all(all.map(({ digest, size }) => hasSize(files.blobFile(digest), size)))
  return whole.every(Boolean)
}

/**
 * Whether an image is here, of these very layers as they are stored, lowest first. Its id alone says nothing of them:
 * whoever has its configuration can serve that with any layers.
 */
export async function hasLayers(
  files: Pick<ImageFiles, 'readImage'>,
  id: string,
  layers: ReadonlyArray<Pick<Descriptor, 'digest'>>,
): Promise<boolean> {
  const here = (await files.readImage(id))?.blobs?.layers
  return here?.length === layers.length && here.every(({ digest }, index) => digest === layers[index]?.digest)
}

async function hasSize(file: string, size: number): Promise<boolean> {
  return await stat(file).then(
    (found) => found.size === size,
    () => false,
  )
}
