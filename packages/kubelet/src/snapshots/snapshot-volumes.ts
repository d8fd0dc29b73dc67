/**
 * The volumes that are a Pod's own, which a snapshot of its memory needs as they were at that moment: those that live and
 * end with it, and the claims that its Sandbox has made for itself.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, statfs, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { controllerOf } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import { copyTree, runProgram, type TreeCopy } from '@caisson/runtime'
import type { PodDirectories } from '../pod-directories.ts'
import type { PodSources } from '../pod-sources.ts'
import { specOf } from '../pods/observed-pod.ts'
import { persistentVolumePath } from '../volumes/persistent-volume.ts'

/** Bytes of all volumes of a Pod that a snapshot holds at most. */
const MOST_BYTES = 4 * 1024 ** 3
/** Room that is left on the disk beside them. */
const RESERVE_BYTES = 64 * 1024 ** 2

/** The Pod stands still meanwhile; 4 GiB in many small files take a slow disk two minutes. */
const LONGEST_MS = 5 * 60_000

export interface CopyOptions {
  /** Ends the copying; rejects with its reason. */
  signal: AbortSignal
  /** All of it may take so long. Default 5 minutes. */
  longestMs?: number
  /** The node's own programs. */
  programs: string
}

export class VolumesTooLargeError extends Error {
  override readonly name = 'VolumesTooLargeError'
  readonly code = 'VOLUMES_TOO_LARGE'
}

export type OwnVolume = {
  /** In the Pod. */
  name: string
  /** On this machine. */
  path: string
} & (
  | {
      /** Of one that lives with the Pod: the file, out of the Pod's reach, that says that it was filled. */
      filled: string
    }
  | {
      /** Of a claim: it outlives the Pod. */
      claimUid: string
    }
)

/**
 * Those of a Pod. Claims that others made are shared with whoever else mounts them, and no part of it.
 * Throws a VolumeError where a claim is not bound.
 */
export async function ownVolumes(
  pod: PodObject,
  { directories, sources }: { directories: PodDirectories; sources: Pick<PodSources, 'volumeClaim' | 'volume'> },
): Promise<OwnVolume[]> {
  const { uid = '', namespace = '' } = pod.metadata
  const owner = controllerOf(pod)
  const own: OwnVolume[] = []
  for (const { name, emptyDir, persistentVolumeClaim } of specOf(pod).volumes ?? []) {
    if (emptyDir) own.push({ name, path: directories.volume(uid, name), filled: directories.filled(uid, name) })
    if (!persistentVolumeClaim || persistentVolumeClaim.readOnly || owner?.kind !== 'Sandbox') continue
    const claim = await sources.volumeClaim(namespace, persistentVolumeClaim.claimName)
    const claimUid = claim?.metadata.uid
    if (!claim || claimUid === undefined || controllerOf(claim)?.uid !== owner.uid) continue
    const { path, imageFile } = await persistentVolumePath(pod, persistentVolumeClaim.claimName, {
      sources,
      ownedByPod: false,
    })
    own.push({ name, path: imageFile === undefined ? path : directories.volume(uid, name), claimUid })
  }
  return own
}

/**
 * Copies them from a Pod into a snapshot, and says how many bytes that are. Throws a VolumesTooLargeError, also where they
 * become too large meanwhile, or an Error where it takes too long.
 */
export async function keepVolumes(
  volumes: readonly OwnVolume[],
  { target, programs, ...limits }: CopyOptions & { target: string },
): Promise<number> {
  await mkdir(target, { recursive: true, mode: 0o700 })
  const sources = volumes.filter(({ path }) => existsSync(path))
  if (sources.length === 0) return 0
  const { bavail, bsize } = await statfs(target)
  const most = Math.min(MOST_BYTES, bavail * bsize - RESERVE_BYTES)
  const requireAtMost = (bytes: number): void => {
    if (bytes > most)
      throw new VolumesTooLargeError(`the volumes of the Pod have ${bytes} bytes, expected at most ${most}`)
  }
  return await inTime(limits, async (signal) => {
    const paths = sources.map(({ path }) => path)
    requireAtMost(await sizeOf(paths, signal))
    let size = 0
    const counted = (bytes: number): void => requireAtMost((size += bytes))
    for (const { name, path } of sources)
      await copyInto({ source: path, target: join(target, name), programs, signal, counted })
    return size
  })
}

/** Puts what is in directories on the disk for good. Throws as `keepVolumes` does. */
export async function putOnDisk(
  directories: readonly string[],
  limits: Pick<CopyOptions, 'signal' | 'longestMs'>,
): Promise<void> {
  await inTime(limits, (signal) => synchronise(directories, signal))
}

async function synchronise(directories: readonly string[], signal: AbortSignal): Promise<void> {
  if (directories.length > 0) await runProgram('sync', ['--file-system', '--', ...directories], signal)
}

/**
 * Copies them from a snapshot into a Pod whose volumes are there. Each is filled once, where nobody has put anything into
 * it: also of one that lives with the Pod, since a start can fail after something has run.
 */
export async function restoreVolumes(
  volumes: readonly OwnVolume[],
  { source, programs, ...limits }: CopyOptions & { source: string },
): Promise<void> {
  await inTime(limits, async (signal) => {
    for (const volume of volumes) {
      const kept = join(source, volume.name)
      if (!existsSync(kept)) continue
      const outlives = 'claimUid' in volume
      const filled = outlives ? join(dirname(source), 'filled', volume.claimUid) : volume.filled
      await fillOnce({ source: kept, target: volume.path, programs, signal }, { filled, outlives })
    }
  })
}

/** Whatever is cut off, the next attempt knows whether what is there is half of a copy, or somebody's work since then. */
async function fillOnce(copy: TreeCopy, { filled, outlives }: { filled: string; outlives: boolean }): Promise<void> {
  const begun = `${filled}.begun`
  if (existsSync(filled)) return
  await mkdir(dirname(filled), { recursive: true, mode: 0o700 })
  const before = await readdir(copy.target)
  if (before.length > 0 && !existsSync(begun)) return
  await writeFile(begun, '', { mode: 0o600 })
  await copyInto(copy)
  // What lives with the Pod is begun anew after a crash of the machine.
  if (outlives) await synchronise([copy.target], copy.signal)
  await rename(begun, filled)
}

/** Puts what is in a tree in place of what an earlier attempt has left. */
async function copyInto(copy: TreeCopy): Promise<void> {
  const { target, signal } = copy
  await mkdir(target, { recursive: true, mode: 0o700 })
  if ((await readdir(target)).length > 0) await runProgram('find', [target, '-mindepth', '1', '-delete'], signal)
  await copyTree(copy)
}

/** Ends work when the time of all of it is over, or nobody wants it any more. */
async function inTime<T>(
  { signal, longestMs = LONGEST_MS }: Pick<CopyOptions, 'signal' | 'longestMs'>,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = AbortSignal.timeout(longestMs)
  try {
    return await work(AbortSignal.any([signal, limit]))
  } catch (error) {
    signal.throwIfAborted()
    if (!limit.aborted) throw error
    throw new Error(`copying the volumes of the Pod took longer than ${longestMs / 1000} s`, { cause: error })
  }
}

/** Bytes of a tree of the node's own making. */
export async function treeBytes(path: string, signal: AbortSignal): Promise<number> {
  return await inTime({ signal }, (either) => sizeOf([path], either))
}

async function sizeOf(paths: string[], signal: AbortSignal): Promise<number> {
  const args = ['--summarize', '--bytes', '--total', '--one-file-system', '--', ...paths]
  const stdout = await runProgram('du', args, signal)
  return Number(stdout.trim().split('\n').at(-1)?.split('\t')[0] ?? Number.NaN)
}
