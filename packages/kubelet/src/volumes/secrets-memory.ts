/**
 * Where the files of Secrets and tokens are: in a file system in the machine's memory, as with kubelet, so that no disk
 * keeps them. One for the whole node, with a directory for each Pod: a mount for each volume would be thousands. It is
 * mounted for the first Pod that needs it, stays when the agent ends, since sandboxes go on that have parts of it
 * mounted, and is found again by the next one.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, rmdir, stat, statfs } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { dirname } from 'node:path'
import { readMountTable } from '@caisson/runtime'
import { type PodDirectories, podDirectories } from '../pod-directories.ts'
import { mountTmpfs, unmountBelow } from './mounts.ts'
import { VolumeError } from './volume-error.ts'

/** What the kernel shows in the place of a device. */
const SOURCE = 'caisson-secrets'
/** Of the machine's memory. Pages are taken only for what is there. */
const SHARE = 8
const BLOCK_BYTES = 4096
/** Half is for Pods that take so little that all that a node can have find room in it. */
const MOST_PODS = 1_000

/** Disposing it unmounts it where no Pod has anything in it. */
export interface SecretsMemory extends AsyncDisposable {
  /**
   * Where the files of a Pod's volume are to be: on the disk where this node may not mount anything, and where they are
   * there already, since the Pod's sandbox has that mounted.
   */
  directory(uid: string, volume: string): Promise<string>
  /**
   * Before files are written there; what is given is disposed when they are. Throws a VolumeError where the Pod takes much
   * and more than half of the memory would be taken: whoever takes little always finds room.
   *
   * @param bytes that all such volumes of the Pod take
   */
  admit(bytes: number): Promise<Disposable>
}

export interface SecretsMemoryOptions {
  directories: Pick<PodDirectories, 'secrets' | 'secretVolume' | 'volume'>
  /** Told once that nothing can be mounted. */
  onError(error: unknown, where: string): void
  /** Of the file system; default an eighth of the machine's memory. */
  sizeBytes?: number | undefined
  /** How long one that could not be mounted is not tried again. Default a minute. */
  retryMs?: number
}

/** What keeps a machine from mounting anything, such as a want of memory, may pass; what keeps this node from it may not. */
const RETRY_MS = 60_000

export function createSecretsMemory(options: SecretsMemoryOptions): SecretsMemory {
  const { directories, onError, sizeBytes, retryMs = RETRY_MS } = options
  const { secrets } = directories
  let mounting: Promise<boolean> | undefined
  let isTold = false
  /** Bytes that were admitted and may not be written yet. */
  let admitted = 0

  async function mount(): Promise<boolean> {
    try {
      await mkdir(secrets, { recursive: true, mode: 0o700 })
      if (!(await isMountPoint(secrets))) await mountSecrets(secrets, sizeBytes)
      return true
    } catch (error) {
      if (!isTold) onError(error, 'files of Secrets and tokens are on the disk, since nothing can be mounted for them')
      isTold = true
      setTimeout(() => {
        mounting = undefined
      }, retryMs).unref()
      return false
    }
  }

  return {
    async directory(uid, volume) {
      const onDisk = directories.volume(uid, volume)
      if (existsSync(onDisk)) return onDisk
      return (await (mounting ??= mount())) ? directories.secretVolume(uid, volume) : onDisk
    },
    async admit(bytes) {
      const { blocks, bfree, bsize } = await statfs(secrets)
      const half = (blocks * bsize) / 2
      const little = Math.floor(half / MOST_PODS)
      if (bytes > little && bfree * bsize - admitted - bytes < half) {
        throw new VolumeError(
          `the node's memory for files of Secrets and tokens is half full, and the rest is for Pods that need no more than ${Math.floor(little / 1024)}Ki of it`,
        )
      }
      admitted += bytes
      return { [Symbol.dispose]: () => void (admitted -= bytes) }
    },
    async [Symbol.asyncDispose]() {
      if (!existsSync(secrets) || !(await isMountPoint(secrets)) || (await readdir(secrets)).length > 0) return
      await unmountBelow(secrets)
    },
  }
}

/** Not to be swapped out, where the kernel knows that of a tmpfs (since 6.4, and not of one of a normal user). */
async function mountSecrets(target: string, sizeBytes = Math.floor(totalmem() / SHARE)): Promise<void> {
  // Files without content take memory too.
  const settings = { sizeBytes, mode: 0o700, source: SOURCE, files: Math.ceil(sizeBytes / BLOCK_BYTES) }
  await mountTmpfs(target, { ...settings, noSwap: true }).catch(() => mountTmpfs(target, settings))
}

async function isMountPoint(directory: string): Promise<boolean> {
  const [inside, outside] = await Promise.all([stat(directory), stat(dirname(directory))])
  return inside.dev !== outside.dev
}

/** What is written to a full one fails with this. */
export function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOSPC'
}

/** Mount points of data directories that were deleted under them: nobody will ever unmount them. */
export async function findStraySecrets(): Promise<string[]> {
  const isOurs = ({ point, source }: { point: string; source: string }): boolean =>
    source === SOURCE && point === podDirectories(dirname(point)).secrets
  return (await readMountTable())
    .filter(isOurs)
    .flatMap(({ point }) => (existsSync(podDirectories(dirname(point)).pods) ? [] : [point]))
}

/** Takes one away, and with it the directories above it that nothing else is in. */
export async function removeStraySecrets(point: string): Promise<void> {
  await unmountBelow(point)
  for (let directory = point; ; directory = dirname(directory)) {
    try {
      await rmdir(directory)
    } catch {
      return
    }
  }
}
