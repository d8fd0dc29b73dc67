/** The volumes that live and end with a Pod, which a snapshot of its memory needs as they were at that moment. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { PodObject } from '@caisson/client'
import type { PodDirectories } from '../pod-directories.ts'
import { specOf } from '../pods/observed-pod.ts'

const execute = promisify(execFile)

/** Bytes of all volumes of a Pod that a snapshot holds at most. */
const MOST_BYTES = 4 * 1024 ** 3
/** Room that is left on the disk beside them. */
const RESERVE_BYTES = 64 * 1024 ** 2

/** The Pod stands still meanwhile; 4 GiB in many small files take a slow disk two minutes. */
const LONGEST_MS = 5 * 60_000

export interface CopyOptions {
  directories: PodDirectories
  /** Ends the copying; rejects with its reason. */
  signal: AbortSignal
  /** All of it may take so long. Default 5 minutes. */
  longestMs?: number
}

export class VolumesTooLargeError extends Error {
  override readonly name = 'VolumesTooLargeError'
  readonly code = 'VOLUMES_TOO_LARGE'
}

/** Whether there is anything to copy. */
export function hasOwnVolumes(pod: PodObject): boolean {
  return ownVolumes(pod).length > 0
}

/** Copies them from a Pod into a snapshot. Throws a VolumesTooLargeError, or an Error where it takes too long. */
export async function keepVolumes(
  pod: PodObject,
  { target, ...options }: CopyOptions & { target: string },
): Promise<void> {
  const uid = pod.metadata.uid ?? ''
  await mkdir(target, { recursive: true, mode: 0o700 })
  const sources = ownVolumes(pod)
    .map((name) => ({ name, path: options.directories.volume(uid, name) }))
    .filter(({ path }) => existsSync(path))
  if (sources.length === 0) return
  const run = programs(options)
  const size = await sizeOf(
    run,
    sources.map(({ path }) => path),
  )
  const { bavail, bsize } = await statfs(target)
  const most = Math.min(MOST_BYTES, bavail * bsize - RESERVE_BYTES)
  if (size > most)
    throw new VolumesTooLargeError(`the emptyDir volumes of the Pod have ${size} bytes, expected at most ${most}`)
  for (const { name, path } of sources) await copyTree(run, { source: path, target: join(target, name) })
}

/** Copies them from a snapshot into a Pod whose volumes are there and empty. */
export async function restoreVolumes(
  pod: PodObject,
  { source, ...options }: CopyOptions & { source: string },
): Promise<void> {
  const uid = pod.metadata.uid ?? ''
  const run = programs(options)
  for (const name of ownVolumes(pod)) {
    const kept = join(source, name)
    if (existsSync(kept)) await copyTree(run, { source: kept, target: options.directories.volume(uid, name) })
  }
}

function ownVolumes(pod: PodObject): string[] {
  return (specOf(pod).volumes ?? []).flatMap(({ name, emptyDir }) => (emptyDir ? [name] : []))
}

type Run = (program: string, args: string[]) => Promise<string>

/** Runs programs that are killed when the time of all of them is over, or nobody wants them any more. */
function programs({ signal, longestMs = LONGEST_MS }: CopyOptions): Run {
  const limit = AbortSignal.timeout(longestMs)
  const either = AbortSignal.any([signal, limit])
  return async (program, args) => {
    try {
      const { stdout } = await execute(program, args, { signal: either, killSignal: 'SIGKILL' })
      return stdout
    } catch (error) {
      signal.throwIfAborted()
      if (!limit.aborted) throw error
      throw new Error(`copying the emptyDir volumes of the Pod took longer than ${longestMs / 1000} s`, {
        cause: error,
      })
    }
  }
}

/** Blocks are shared where the file system can. Links are copied as links, never followed. */
async function copyTree(run: Run, { source, target }: { source: string; target: string }): Promise<void> {
  await mkdir(target, { recursive: true, mode: 0o700 })
  await run('cp', ['--archive', '--reflink=auto', '--one-file-system', '--no-target-directory', '--', source, target])
}

async function sizeOf(run: Run, paths: string[]): Promise<number> {
  const stdout = await run('du', ['--summarize', '--bytes', '--total', '--one-file-system', '--', ...paths])
  return Number(stdout.trim().split('\n').at(-1)?.split('\t')[0] ?? Number.NaN)
}
