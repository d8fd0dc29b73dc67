import { readFile } from 'node:fs/promises'
import type { TarEntry } from 'modern-tar'
import { findTool } from '../tools/tools.ts'
import { dockerArchive, file } from './image-archive.ts'
import { type BuiltImage, buildImage } from './remote-image-fixture.ts'

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

const CONFIG = { Cmd: ['/bin/sh'], Env: ['PATH=/bin', 'FROM=image'], User: 'app', WorkingDir: '/tmp' }

/** A docker-archive of one layer: the busybox of the tools directory with links for what tests call. */
export async function busyboxArchive(toolsDirectory: string): Promise<Uint8Array> {
  const { files, links } = await busyboxLayers(toolsDirectory)
  return dockerArchive({ tags: ['busybox:latest'], layers: [[...files, ...links]], config: CONFIG })
}

/** The same in two layers, for registries. */
export async function busyboxImage(toolsDirectory: string): Promise<BuiltImage> {
  const { files, links } = await busyboxLayers(toolsDirectory)
  return buildImage([files, links], { config: CONFIG })
}

async function busyboxLayers(toolsDirectory: string): Promise<{ files: TarEntry[]; links: TarEntry[] }> {
  const busybox = await findTool('busybox', toolsDirectory)
  if (!busybox) throw new Error('busybox is not in the tools directory')
  const directories = ['bin/', 'etc/', 'tmp/', 'proc/', 'dev/', 'sys/', 'data/', 'scratch/']
  return {
    files: [
      ...directories.map((name): TarEntry => ({ header: { name, size: 0, type: 'directory', mode: 0o755 } })),
      file('bin/busybox', await readFile(busybox.path), 0o755),
      file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\napp:x:1234:1235::/:/bin/sh\n'),
      file('etc/group', 'root:x:0:\napp:x:1235:\nmore:x:44:app\n'),
      file('etc/given', ''),
    ],
    links: APPLETS.map(
      (name): TarEntry => ({ header: { name: `bin/${name}`, size: 0, type: 'symlink', linkname: 'busybox' } }),
    ),
  }
}
