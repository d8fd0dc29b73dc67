/**
 * The volumes that are a Pod's own, which a snapshot of its memory needs as they were at that moment: those that live and
 * end with it, and the claims that its Sandbox has made for itself.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, statfs, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { controllerOf } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import { runProgram } from '@caisson/runtime'
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
 * Copies them from a Pod into a snapshot, and says how many bytes that are. Throws a VolumesTooLargeError, or an Error
 * where it takes too long.
 */
export async function keepVolumes(
  volumes: readonly OwnVolume[],
  { target, ...options }: CopyOptions & { target: string },
): Promise<number> {
  await mkdir(target, { recursive: true, mode: 0o700 })
  const sources = volumes.filter(({ path }) => existsSync(path))
  if (sources.length === 0) return 0
  const run = programs(options)
  const size = await sizeOf(
    run,
    sources.map(({ path }) => path),
  )
  const { bavail, bsize } = await statfs(target)
  const most = Math.min(MOST_BYTES, bavail * bsize - RESERVE_BYTES)
  if (size > most) throw new VolumesTooLargeError(`the volumes of the Pod have ${size} bytes, expected at most ${most}`)
  for (const { name, path } of sources) await copyTree(run, { source: path, target: join(target, name) })
  return size
}

/**
 * Copies them from a snapshot into a Pod whose volumes are there. Each is filled once, where nobody has put anything into
 * it: also of one that lives with the Pod, since a start can fail after something has run.
 */
export async function restoreVolumes(
  volumes: readonly OwnVolume[],
  { source, ...options }: CopyOptions & { source: string },
): Promise<void> {
  const run = programs(options)
  for (const volume of volumes) {
    const kept = join(source, volume.name)
    if (!existsSync(kept)) continue
    const outlives = 'claimUid' in volume
    const filled = outlives ? join(dirname(source), 'filled', volume.claimUid) : volume.filled
    await fillOnce(run, { source: kept, target: volume.path, filled, outlives })
  }
}

/** Whatever is cut off, the next attempt knows whether what is there is half of a copy, or somebody's work since then. */
async function fillOnce(
  run: Run,
  { source, target, filled, outlives }: { source: string; target: string; filled: string; outlives: boolean },
): Promise<void> {
  const begun = `${filled}.begun`
  if (existsSync(filled)) return
  await mkdir(dirname(filled), { recursive: true, mode: 0o700 })
  const before = await readdir(target)
  if (before.length > 0 && !existsSync(begun)) return
  await writeFile(begun, '', { mode: 0o600 })
  await copyTree(run, { source, target })
  // What lives with the Pod is begun anew after a crash of the machine.
  if (outlives) await run('sync', ['--file-system', '--', target])
  await rename(begun, filled)
}

type Run = (program: string, args: string[]) => Promise<string>

/** Runs programs that are killed when the time of all of them is over, or nobody wants them any more. */
function programs({ signal, longestMs = LONGEST_MS }: CopyOptions): Run {
  const limit = AbortSignal.timeout(longestMs)
  const either = AbortSignal.any([signal, limit])
  return async (program, args) => {
    try {
      return await runProgram(program, args, either)
    } catch (error) {
      signal.throwIfAborted()
      if (!limit.aborted) throw error
      throw new Error(`copying the volumes of the Pod took longer than ${longestMs / 1000} s`, {
        cause: error,
      })
    }
  }
}

/**
 * Copies between trees to which something in a sandbox may write meanwhile. Links are copied as links, and what becomes
 * one while it is copied must not lead out, nor a device to the machine's: no link is followed and no device opened on
 * mounts that say so, which only this copying sees. What is in the target goes. Blocks are shared where the file system can.
 */
async function copyTree(run: Run, { source, target }: { source: string; target: string }): Promise<void> {
  await mkdir(target, { recursive: true, mode: 0o700 })
  const script = [
    'for tree; do mount --bind "$tree" "$tree"; mount -o remount,bind,nosymfollow,nodev "$tree"; done',
    'setpriv --pdeathsig KILL -- find "$2" -mindepth 1 -delete',
    'exec cp --archive --reflink=auto --one-file-system --no-target-directory -- "$1" "$2"',
  ].join('\n')
  await run('unshare', ['--mount', '--propagation', 'private', '--', 'sh', '-euc', script, 'sh', source, target])
}

/** Bytes of a tree of the node's own making. */
export async function treeBytes(path: string, signal: AbortSignal): Promise<number> {
  return await sizeOf(programs({ signal }), [path])
}

async function sizeOf(run: Run, paths: string[]): Promise<number> {
  const stdout = await run('du', ['--summarize', '--bytes', '--total', '--one-file-system', '--', ...paths])
  return Number(stdout.trim().split('\n').at(-1)?.split('\t')[0] ?? Number.NaN)
}
