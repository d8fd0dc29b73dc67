import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { packTar, type TarSource } from 'modern-tar/fs'
import { holdBlobs } from './held-blobs.ts'
import type { ImageFiles, StoredImage } from './image-files.ts'
import { parseReference } from './reference.ts'

const INDEX = 'application/vnd.oci.image.index.v1+json'

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
    const { config, layers, manifest, made, fileOf } = await holdBlobs(files, { name, image }, work.path)
    for (const blob of [config, ...layers, ...(made === undefined ? [manifest] : [])]) {
      const target = blobName(blob.digest)
      sources.set(target, { type: 'file', target, source: fileOf(blob) })
    }
    if (made !== undefined) content(blobName(manifest.digest), made)
    const annotations = { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': tagOf(name) }
    manifests.push({ ...manifest, annotations })
    list.push({
      Config: blobName(config.digest),
      RepoTags: name.includes('@') ? [] : [name],
      Layers: layers.map(({ digest }) => blobName(digest)),
    })
  }
  content('oci-layout', JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  content('index.json', JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests }))
  content('manifest.json', JSON.stringify(list))
  await pipeline(packTar([...sources.values()]), target, signal ? { signal } : {})
}

function blobName(digest: string): string {
  return `blobs/sha256/${digest.slice('sha256:'.length)}`
}

function tagOf(name: string): string {
  return parseReference(name).tag ?? name
}
