/** hostPath volumes, and what they are asked to be. Who may use one is decided at admission. */
import { chmod, mkdir, stat, writeFile } from 'node:fs/promises'
import { dirname, normalize } from 'node:path'
import type { HostPathVolumeSource } from 'kubernetes-types/core/v1.d.ts'
import { mountPointsBelow, unmountBelow } from './mounts.ts'
import { bindSubPath } from './sub-path.ts'
import { VolumeError } from './volume-error.ts'

/**
 * Mounts what is asked for at `target`, where it lies within one of the directories that are allowed. Who may write to one
 * of these can put links into it, which are not followed out of it: neither now nor by whoever looks later. Throws a
 * VolumeError where it is none of them or not what it should be. No file is made.
 */
export async function bindHostPath(
  { path, type = '' }: HostPathVolumeSource,
  { allowed, target }: { allowed: readonly string[]; target: string },
): Promise<void> {
  const asked = normalize(path).replace(/(.)\/$/, '$1')
  const base = allowed.find((each) => each === '/' || asked === each || asked.startsWith(`${each}/`))
  if (path.split('/').includes('..') || base === undefined)
    throw new VolumeError(
      `hostPath ${path} is not within a directory that this node allows: see hostPaths in its node.yaml`,
    )
  if ((await mountPointsBelow(target)).includes(target)) return
  const subPath = asked.slice(base.length).replace(/^\//, '')
  try {
    await bindSubPath({ volume: base, subPath, target, makesNothing: type !== 'DirectoryOrCreate' })
  } catch (cause) {
    // What was found on the way is not for the tenant to know.
    throw new VolumeError(`hostPath ${path} does not exist, or leads out of the directory that this node allows`, {
      cause,
    })
  }
  try {
    await checkHostPath({ path: target, type: type.replace('OrCreate', '') })
  } catch (error) {
    await unmountBelow(target)
    throw new VolumeError((error as Error).message.replace(target, path), { cause: error })
  }
}

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
