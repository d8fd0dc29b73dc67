/** For tests: images as registries have them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { packTar, type TarEntry } from 'modern-tar'
import { hostArchitecture } from '../native/native-programs.ts'
import type { RegistryCredential } from '../registry/credentials.ts'
import { createExchange } from '../registry/exchange.ts'
import { pushBlob, pushManifest } from '../registry/push.ts'
import { type RegistryConfig, registryEndpoints } from '../registry/registry-config.ts'
import { createSession } from '../registry/registry-session.ts'
import type { Descriptor } from '../registry/remote-image.ts'
import { digest, imageConfig } from './image-archive.ts'

export type Compression = 'none' | 'gzip' | 'zstd'

export interface BuiltImage {
  /** By digest. */
  blobs: Map<string, Buffer>
  config: Descriptor
  layers: Descriptor[]
  manifest: Descriptor & { text: string }
  /** For this machine and another one, of which there is nothing else. */
  index: Descriptor & { text: string }
}

const OCI = 'application/vnd.oci.image'
const DOCKER = 'application/vnd.docker'

export interface ImageOptions {
  compression?: Compression
  docker?: boolean
  config?: Record<string, unknown>
}

export async function buildImage(layers: TarEntry[][], options: ImageOptions = {}): Promise<BuiltImage> {
  const packed = await Promise.all(layers.map((entries) => packTar(entries)))
  const { compression = 'gzip' } = options
  return describeImage(
    packed.map((layer) => ({ bytes: compressed(layer, compression), diffId: digest(layer) })),
    options,
  )
}

/** An image of layers that are there already, compressed. */
export function describeImage(
  layers: Array<{ bytes: Uint8Array; diffId: string }>,
  { compression = 'gzip', docker = false, config: settings = {} }: ImageOptions = {},
): BuiltImage {
  const blobs = new Map<string, Buffer>()
  const blob = (bytes: Uint8Array, mediaType: string): Descriptor => {
    blobs.set(digest(bytes), Buffer.from(bytes))
    return { mediaType, digest: digest(bytes), size: bytes.length }
  }
  const suffix = compression === 'none' ? '' : `${docker ? '.' : '+'}${compression}`
  const layerType = docker ? `${DOCKER}.image.rootfs.diff.tar${suffix}` : `${OCI}.layer.v1.tar${suffix}`
  const described = layers.map(({ bytes }) => blob(bytes, layerType))
  const diffIds = layers.map(({ diffId }) => diffId)
  const configType = docker ? `${DOCKER}.container.image.v1+json` : `${OCI}.config.v1+json`
  const config = blob(Buffer.from(JSON.stringify(imageConfig(settings, diffIds))), configType)
  const manifestType = docker ? `${DOCKER}.distribution.manifest.v2+json` : `${OCI}.manifest.v1+json`
  const manifest = document(manifestType, { config, layers: described })
  const platform = { os: 'linux', architecture: hostArchitecture() }
  const index = indexOf([[manifest, platform]], docker)
  return { blobs, config, layers: described, manifest, index }
}

export function document(mediaType: string, content: Record<string, unknown>): Descriptor & { text: string } {
  const text = JSON.stringify({ schemaVersion: 2, mediaType, ...content })
  return { mediaType, digest: digest(text), size: Buffer.byteLength(text), text }
}

/** Of manifests, or of other indexes, each with what it says to be for. */
export function indexOf(
  entries: ReadonlyArray<[Descriptor, platform?: Record<string, string>]>,
  docker = false,
): Descriptor & { text: string } {
  return document(docker ? `${DOCKER}.distribution.manifest.list.v2+json` : `${OCI}.index.v1+json`, {
    manifests: entries.map(([entry, platform]) => ({ ...plain(entry), ...(platform && { platform }) })),
  })
}

function plain({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size }
}

function compressed(bytes: Uint8Array, compression: Compression): Uint8Array {
  if (compression === 'gzip') return gzipSync(bytes)
  return compression === 'zstd' ? zstdCompressSync(bytes) : bytes
}

export interface PushTarget {
  host: string
  repository: string
  tag: string
  config?: RegistryConfig
  credential?: RegistryCredential
}

/** Puts an image into a registry: the index under the tag, its manifest by digest alone. */
export function pushBuilt(image: BuiltImage, target: PushTarget): Promise<void> {
  return pushDocuments([image], [image.index], target)
}

/** Puts images into a registry, and documents that lead to them: all but the last by digest alone, that under the tag. */
export async function pushDocuments(
  images: readonly BuiltImage[],
  documents: ReadonlyArray<BuiltImage['index']>,
  { host, repository, tag, config = {}, credential }: PushTarget,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'caisson-push-'))
  using exchange = createExchange()
  try {
    const { signal } = new AbortController()
    const [endpoint] = await registryEndpoints(host, config)
    if (!endpoint) throw new Error('no endpoint')
    const credentials = credential ? [credential] : []
    const session = createSession({ exchange, endpoint, repository, credentials, trusted: true, actions: 'pull,push' })
    for (const [blobDigest, bytes] of images.flatMap(({ blobs }) => [...blobs])) {
      const file = join(directory, blobDigest.slice(7))
      await writeFile(file, bytes)
      await pushBlob(session, { mediaType: '', digest: blobDigest, size: bytes.length }, { file, signal })
    }
    const tagged = documents.at(-1)
    for (const each of [...images.map(({ manifest }) => manifest), ...documents]) {
      const { mediaType, text, digest } = each
      await pushManifest(session, each === tagged ? tag : digest, { bytes: text, mediaType, signal })
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
