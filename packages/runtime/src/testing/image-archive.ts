import { createHash } from 'node:crypto'
import { packTar, type TarEntry } from 'modern-tar'
import { hostArchitecture } from '../native/native-programs.ts'

export function file(name: string, content: string | Uint8Array, mode = 0o644): TarEntry {
  const body = typeof content === 'string' ? new TextEncoder().encode(content) : content
  return { header: { name, size: body.length, type: 'file', mode, mtime: new Date(0) }, body }
}

export interface ArchiveOptions {
  tags: string[]
  layers: TarEntry[][]
  config?: Record<string, unknown>
  /** What the configuration says instead of the truth. */
  diffIds?: string[]
}

export async function dockerArchive({ tags, layers, config = {}, diffIds }: ArchiveOptions): Promise<Uint8Array> {
  const packed = await Promise.all(layers.map((entries) => packTar(entries)))
  const document = JSON.stringify(imageConfig(config, diffIds ?? packed.map(digest)))
  const manifest = [{ Config: 'config.json', RepoTags: tags, Layers: packed.map((_, index) => `${index}/layer.tar`) }]
  return packTar([
    ...packed.map((layer, index) => file(`${index}/layer.tar`, layer)),
    file('config.json', document),
    file('manifest.json', JSON.stringify(manifest)),
  ])
}

export function imageConfig(config: Record<string, unknown>, diffIds: string[]): Record<string, unknown> {
  return {
    architecture: hostArchitecture(),
    os: 'linux',
    created: '2026-01-02T03:04:05Z',
    config,
    rootfs: { type: 'layers', diff_ids: diffIds },
  }
}

export function digest(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
