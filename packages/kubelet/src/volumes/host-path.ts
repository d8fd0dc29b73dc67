/** hostPath volumes, and what they are asked to be. Who may use one is decided at admission. */
import { chmod, mkdir, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { HostPathVolumeSource } from 'kubernetes-types/core/v1.d.ts'
import { VolumeError } from './volume-error.ts'

/** Makes what may be made, and throws a VolumeError where the path is not what it should be. */
export async function checkHostPath({ path, type = '' }: HostPathVolumeSource): Promise<void> {
  if (path.split('/').includes('..')) throw new VolumeError(`hostPath ${JSON.stringify(path)} must not contain ".."`)
  const found = await stat(path).catch(() => undefined)
  switch (type) {
    case '':
      // Whatever is there will do, but something has to be: the runtime's own message would not say what is missing.
      if (!found) throw new VolumeError(`hostPath ${path} does not exist`)
      return
    case 'DirectoryOrCreate':
      if (!found) {
        await mkdir(path, { recursive: true })
        await chmod(path, 0o755)
        return
      }
      return expect(found.isDirectory(), path, 'a directory')
    case 'FileOrCreate':
      if (!found) {
        if (!(await stat(dirname(path)).catch(() => undefined))?.isDirectory()) {
          throw new VolumeError(`hostPath type check failed: the directory of ${path} does not exist`)
        }
        return await writeFile(path, '', { mode: 0o644, flag: 'wx' })
      }
      return expect(found.isFile(), path, 'a file')
    case 'Directory':
      return expect(found?.isDirectory(), path, 'a directory')
    case 'File':
      return expect(found?.isFile(), path, 'a file')
    case 'Socket':
      return expect(found?.isSocket(), path, 'a socket file')
    case 'CharDevice':
      return expect(found?.isCharacterDevice(), path, 'a character device')
    case 'BlockDevice':
      return expect(found?.isBlockDevice(), path, 'a block device')
    default:
      throw new VolumeError(`hostPath type ${JSON.stringify(type)} is not supported`)
  }
}

/** In kubelet's words. */
function expect(holds: boolean | undefined, path: string, kind: string): void {
  if (!holds) throw new VolumeError(`hostPath type check failed: ${path} is not ${kind}`)
}
