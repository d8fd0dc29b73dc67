import { createHash } from 'node:crypto'
import { link } from 'node:fs/promises'
import { join } from 'node:path'
import type { Descriptor } from '../registry/remote-image.ts'
import { RuntimeError } from '../runtime-error.ts'
import type { ImageFiles, StoredImage } from './image-files.ts'

/** An image's blobs, which stay while they are read, whoever removes the image. */
export interface HeldImage {
  config: Descriptor
  layers: readonly Descriptor[]
  manifest: Descriptor
  /** Content of the manifest where the image came from an archive that had none; else it is a blob. */
  made: string | undefined
  fileOf(blob: Descriptor): string
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

/** Links them into `directory`, which may hold those of other images. */
export async function holdBlobs(
  files: Pick<ImageFiles, 'blobFile'>,
  { name, image }: { name: string; image: StoredImage },
  directory: string,
): Promise<HeldImage> {
  const { blobs } = image
  if (!blobs)
    throw new RuntimeError(
      'failed',
      `the image ${name} was imported by an older Caisson, which kept no layers: import it again`,
    )
  const fileOf = ({ digest }: Descriptor): string => join(directory, digest.slice('sha256:'.length))
  const { config, layers, manifest } = blobs
  for (const blob of [config, ...layers, ...(manifest ? [manifest] : [])])
    await link(files.blobFile(blob.digest), fileOf(blob)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  if (manifest) return { config, layers, manifest, made: undefined, fileOf }
  const made = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config, layers })
  const digest = `sha256:${createHash('sha256').update(made).digest('hex')}`
  return {
    config,
    layers,
    manifest: { mediaType: MANIFEST, digest, size: Buffer.byteLength(made) },
    made,
    fileOf,
  }
}
