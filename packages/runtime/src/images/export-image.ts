import { createHash } from 'node:crypto'
import { link } from 'node:fs/promises'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { packTar, type TarSource } from 'modern-tar/fs'
import type { Descriptor } from '../registry/remote-image.ts'
import { RuntimeError } from '../runtime.ts'
import type { ImageFiles, StoredImage } from './image-files.ts'
import { parseReference } from './reference.ts'

const INDEX = 'application/vnd.oci.image.index.v1+json'
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

export interface ExportedImage {
  name: string
  image: StoredImage
}

/**
 * Writes images as one oci-archive, with the list that engines which only know the older docker-archive look for: with the
 * very layers and configuration that they came with, so that their ids stay.
 */
export async function exportImages(
  files: ImageFiles,
  images: readonly ExportedImage[],
  { target, signal }: { target: Writable; signal: AbortSignal | undefined },
): Promise<void> {
  await using work = await files.makeWork()
  const sources = new Map<string, TarSource>()
  const content = (name: string, text: string): void =>
    void sources.set(name, { type: 'content', target: name, content: text, mode: 0o644 })
  const manifests: unknown[] = []
  const list: unknown[] = []
  for (const { name, image } of images) {
    const { blobs } = image
    if (!blobs)
      throw new RuntimeError(
        'failed',
        `the image ${name} was imported by an older Caisson, which kept no layers: import it again`,
      )
    for (const descriptor of [blobs.config, ...blobs.layers, ...(blobs.manifest ? [blobs.manifest] : [])]) {
      const blob = blobName(descriptor.digest)
      if (sources.has(blob)) continue
      const source = join(work.path, descriptor.digest.slice('sha256:'.length))
      // Linked: it stays while it is written, whoever removes the image.
      await link(files.blobFile(descriptor.digest), source)
      sources.set(blob, { type: 'file', target: blob, source })
    }
    const manifest = blobs.manifest ?? madeManifest(blobs, content)
    const annotations = { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': tagOf(name) }
    manifests.push({ ...manifest, annotations })
    list.push({
      Config: blobName(blobs.config.digest),
      RepoTags: name.includes('@') ? [] : [name],
      Layers: blobs.layers.map(({ digest }) => blobName(digest)),
    })
  }
  content('oci-layout', JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  content('index.json', JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests }))
  content('manifest.json', JSON.stringify(list))
  await pipeline(packTar([...sources.values()]), target, signal ? { signal } : {})
}

/** For an image that came from an archive which had none. */
function madeManifest(
  { config, layers }: NonNullable<StoredImage['blobs']>,
  content: (name: string, text: string) => void,
): Descriptor {
  const text = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config, layers })
  const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`
  content(blobName(digest), text)
  return { mediaType: MANIFEST, digest, size: Buffer.byteLength(text) }
}

function blobName(digest: string): string {
  return `blobs/sha256/${digest.slice('sha256:'.length)}`
}

function tagOf(name: string): string {
  return parseReference(name).tag ?? name
}
