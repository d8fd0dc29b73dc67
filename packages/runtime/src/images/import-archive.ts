import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { Descriptor } from '../registry/remote-image.ts'
import { RuntimeError } from '../runtime-error.ts'
import { compressionOf, openArchive } from './archive.ts'
import { freeBytes, type ImageFiles, type NewImage, noRoom } from './image-files.ts'
import { hasLayers } from './intact-blob.ts'
import { type ArchivedImage, readArchivedImages } from './manifest.ts'
import { normalizeReference, parseReference, repositoryOf } from './reference.ts'
import { type UnpackLimits, unpackImage } from './unpack-image.ts'

export interface ImportOptions {
  file: string | Readable
  name: string | undefined
  signal: AbortSignal | undefined
  limits: UnpackLimits
}

/** Puts the images of an archive into the store, for everyone. Returns their names. */
export async function importArchive(files: ImageFiles, options: ImportOptions): Promise<string[]> {
  const { file, name, signal, limits } = options
  await using work = await files.makeWork()
  const { maxBytes } = limits
  const free = await freeBytes(files.directory)
  // Of what comes nothing is known before.
  const size = typeof file === 'string' ? (await stat(file)).size : 0
  if (size > free) throw noRoom(size - free)
  const archive = await openArchive(file, work.path, { maxBytes, freeBytes: free, signal })
  const images = await readArchivedImages(archive)
  const given = images.map((image) => imageNames(image, { name, only: images.length === 1 }))
  const ready = new Map<string, string>()
  // Another process may take an image away while this one unpacks the next: whatever is not there is unpacked here.
  for (;;) {
    for (const image of images)
      if (!ready.has(image.id) && !(await hasLayers(files, image.id, image.layers)))
        ready.set(image.id, await prepare(files, image, { work: work.path, signal, limits }))
    const added = await files.add(
      images.map((image, index) => newImage(image, { names: given[index] ?? [], ready: ready.get(image.id) })),
    )
    if (added) return given.flat()
  }
}

/** Gives the directory in which the image lies ready to be moved to its place. */
async function prepare(
  files: ImageFiles,
  image: ArchivedImage,
  { work, signal, limits }: { work: string; signal: AbortSignal | undefined; limits: UnpackLimits },
): Promise<string> {
  const ready = join(work, image.id.slice('sha256:'.length))
  await mkdir(ready, { mode: 0o700 })
  await using unpacking = await unpackImage(ready, { limits, signal })
  for (const layer of image.layers) await unpacking.apply(layer)
  const { configFile } = image
  const blobs = {
    config: { mediaType: CONFIG, digest: configFile.digest, size: configFile.size },
    layers: await Promise.all(image.layers.map(layerDescriptor)),
    manifest: undefined,
  }
  const { config, id } = image
  await files.describe(ready, { ...unpacking.describe(id, config), pulled: false, blobs })
  return ready
}

const CONFIG = 'application/vnd.oci.image.config.v1+json'
const LAYER = 'application/vnd.oci.image.layer.v1.tar'

async function layerDescriptor({ file, digest, size }: ArchivedImage['layers'][number]): Promise<Descriptor> {
  const compression = await compressionOf(file)
  return { mediaType: compression === 'none' ? LAYER : `${LAYER}+${compression}`, digest, size }
}

function newImage(image: ArchivedImage, { names, ready }: { names: string[]; ready: string | undefined }): NewImage {
  const blobs = [image.configFile, ...image.layers].map(({ digest, file }): [string, string] => [digest, file])
  const repositories = names.map((each) => repositoryOf(parseReference(each)))
  return {
    id: image.id,
    names,
    ready,
    blobs: new Map(blobs),
    grants: Object.fromEntries(repositories.map((repository) => [repository, 'everyone' as const])),
  }
}

function imageNames(image: ArchivedImage, { name, only }: { name: string | undefined; only: boolean }): string[] {
  if (name !== undefined) {
    if (!only)
      throw new RuntimeError('bad-archive', 'the archive holds several images, so that they cannot all get one name')
    return [normalizeReference(name)]
  }
  if (image.names.length === 0)
    throw new RuntimeError('bad-archive', 'the archive does not say how its image is called: give it a name')
  return image.names.map(normalizeReference)
}
