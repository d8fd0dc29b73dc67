import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { packTar, type TarEntry } from 'modern-tar'
import { hostArchitecture } from '../native/native-programs.ts'
import { findTool } from '../tools/tools.ts'

const APPLETS = [
  'sh',
  'cat',
  'echo',
  'sleep',
  'ls',
  'hostname',
  'grep',
  'nc',
  'stty',
  'dd',
  'true',
  'id',
  'ps',
  'wc',
  'env',
]

/** A docker-archive of one layer: the busybox of the tools directory with links for what tests call. */
export async function busyboxArchive(toolsDirectory: string): Promise<Uint8Array> {
  const busybox = await findTool('busybox', toolsDirectory)
  if (!busybox) throw new Error('busybox is not in the tools directory')
  const directories = ['bin/', 'etc/', 'tmp/', 'proc/', 'dev/', 'sys/', 'data/', 'scratch/']
  return dockerArchive({
    tags: ['busybox:latest'],
    layers: [
      [
        ...directories.map((name): TarEntry => ({ header: { name, size: 0, type: 'directory', mode: 0o755 } })),
        file('bin/busybox', await readFile(busybox.path), 0o755),
        file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\napp:x:1234:1235::/:/bin/sh\n'),
        file('etc/group', 'root:x:0:\napp:x:1235:\nmore:x:44:app\n'),
        file('etc/given', ''),
        ...APPLETS.map(
          (name): TarEntry => ({ header: { name: `bin/${name}`, size: 0, type: 'symlink', linkname: 'busybox' } }),
        ),
      ],
    ],
    config: { Cmd: ['/bin/sh'], Env: ['PATH=/bin', 'FROM=image'], User: 'app', WorkingDir: '/tmp' },
  })
}

export function file(name: string, content: string | Uint8Array, mode = 0o644): TarEntry {
  const body = typeof content === 'string' ? new TextEncoder().encode(content) : content
  return { header: { name, size: body.length, type: 'file', mode }, body }
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
