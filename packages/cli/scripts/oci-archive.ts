/** Container images as oci-archives, written without a container engine: the same files give the same bytes. */
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { packTar, type TarEntry } from 'modern-tar'

export type { TarEntry }

export interface ArchivedImage {
  /** With registry and tag, as Pods name it. */
  name: string
  /** From the lowest up. The same array in several images is one blob. */
  layers: ReadonlyArray<readonly TarEntry[]>
  /** The `config` of the image's configuration: `Entrypoint`, `Env`, `User` and so on. */
  config: Record<string, unknown>
}

interface Blob {
  mediaType: string
  digest: string
  size: number
}

const EPOCH = new Date(0)

export function directory(name: string, mode = 0o755): TarEntry {
  return { header: { name: `${name}/`, size: 0, type: 'directory', mode, mtime: EPOCH } }
}

export function file(name: string, content: string | Uint8Array, mode = 0o644): TarEntry {
  const body = typeof content === 'string' ? Buffer.from(content) : content
  return { header: { name, size: body.length, type: 'file', mode, mtime: EPOCH }, body }
}

export function link(name: string, to: string): TarEntry {
  return { header: { name, size: 0, type: 'symlink', linkname: to, mode: 0o777, mtime: EPOCH } }
}

/** One archive of all images, for this machine's architecture. */
export async function ociArchive(images: readonly ArchivedImage[]): Promise<Uint8Array> {
  const entries = new Map<string, TarEntry>()
  const blob = (mediaType: string, bytes: Uint8Array): Blob => {
    const { path, digest } = addressed(bytes)
    entries.set(path, file(path, bytes))
    return { mediaType, digest, size: bytes.length }
  }
  const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
  const written = new Map<readonly TarEntry[], { diffId: string; layer: Blob }>()
  const write = async (layer: readonly TarEntry[]) => {
    const known = written.get(layer)
    if (known !== undefined) return known
    const tar = await packTar([...layer])
    const done = {
      diffId: addressed(tar).digest,
      layer: blob('application/vnd.oci.image.layer.v1.tar+gzip', gzipSync(tar)),
    }
    written.set(layer, done)
    return done
  }
  const manifests: object[] = []
  for (const { name, layers, config } of images) {
    const parts = []
    for (const layer of layers) parts.push(await write(layer))
    const configuration = blob(
      'application/vnd.oci.image.config.v1+json',
      json({
        architecture: { x64: 'amd64' }[process.arch as string] ?? process.arch,
        os: 'linux',
        created: EPOCH.toISOString(),
        config,
        rootfs: { type: 'layers', diff_ids: parts.map((part) => part.diffId) },
      }),
    )
    const mediaType = 'application/vnd.oci.image.manifest.v1+json'
    const manifest = blob(
      mediaType,
      json({ schemaVersion: 2, mediaType, config: configuration, layers: parts.map((part) => part.layer) }),
    )
    const tag = name.slice(name.lastIndexOf(':') + 1)
    const annotations = { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': tag }
    manifests.push({ ...manifest, annotations })
  }
  return packTar([
    file('oci-layout', json({ imageLayoutVersion: '1.0.0' })),
    file('index.json', json({ schemaVersion: 2, manifests })),
    ...entries.values(),
  ])
}

function addressed(bytes: Uint8Array): { digest: string; path: string } {
  const hex = createHash('sha256').update(bytes).digest('hex')
  return { digest: `sha256:${hex}`, path: `blobs/sha256/${hex}` }
}
