/**
 * Measures what Pods with limits on storage keep on the disk, and of all others the files that every Pod has. No event
 * tells of a byte that is written, so that it is looked at from time to time: sooner the closer a Pod is to its limit.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { lstat, readdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { limitConcurrency } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { Runtime } from '@caisson/runtime'
import type { PodDirectories } from '../pod-directories.ts'
import type { Eviction } from '../pods/observed-pod.ts'
import { allContainers, specOf } from '../pods/observed-pod.ts'
import {
  filesExcess,
  hasStorageLimits,
  type StorageUse,
  storageExcess,
  storageLeft,
  totalUse,
} from './storage-limits.ts'

export interface StorageWatchOptions {
  runtime: Pick<Runtime, 'written'>
  directories: PodDirectories
  /** A Pod is over its limits: it is to be evicted. Said once. */
  onExceeded(uid: string): void
  onError(error: unknown, where: string): void
}

export interface StorageWatch extends Disposable {
  /** Goes on watching the Pod, and says what it is to be evicted for. */
  follow(pod: PodObject, sandboxId: string): Eviction | undefined
  forget(uid: string): void
  /** Bytes that the Pod keeps on the disk now. */
  measure(pod: PodObject, sandboxId: string): Promise<number>
}

/** kubelet's own interval. */
const LONGEST_MS = 10_000
const SHORTEST_MS = 1_000
/** No disk takes more in a second. */
const FASTEST_BYTES = 2 ** 31
/** A tree of a million files is counted in a few seconds; one that takes longer is made to be. */
const MEASURING_MS = 30_000
const TREES_AT_A_TIME = 2
/** What the node itself has written to the files that every Pod has is less. */
const NODES_OWN_BYTES = 64 * 1024
/** What statfs(2) says of a tmpfs. */
const TMPFS_MAGIC = 0x0102_1994
/** In which stat(2) counts, whatever the file system's own are. */
const BLOCK_BYTES = 512

interface Watched {
  sandboxId: string
  pod: PodObject
  excess: Eviction | undefined
  over: AbortController
}

export function createStorageWatch({ runtime, directories, onExceeded, onError }: StorageWatchOptions): StorageWatch {
  const pods = new Map<string, Watched>()
  const measuring = limitConcurrency(TREES_AT_A_TIME)

  function forget(uid: string): void {
    pods.get(uid)?.over.abort()
    pods.delete(uid)
  }

  async function watch(uid: string, watched: Watched): Promise<void> {
    const { signal } = watched.over
    const limited = hasStorageLimits(watched.pod)
    // What has no limits is not looked at while it starts.
    if (!limited) await pause(LONGEST_MS, signal)
    while (!signal.aborted) {
      let waitMs = LONGEST_MS
      try {
        const use = limited ? await measure(watched, signal) : undefined
        const excess = use ? storageExcess(watched.pod, use) : filesExcess({ files: await sizeOfPodFiles(watched.pod) })
        if (signal.aborted) return
        watched.excess = excess
        if (excess) return onExceeded(uid)
        if (use) waitMs = (storageLeft(watched.pod, use) / FASTEST_BYTES) * 1000
      } catch (error) {
        if (signal.aborted) return
        onError(error, `storage of pod ${uid}`)
      }
      await pause(Math.min(Math.max(waitMs, SHORTEST_MS), LONGEST_MS), signal)
    }
  }

  async function measure({ pod, sandboxId }: Watched, signal: AbortSignal): Promise<StorageUse> {
    const { uid = '', name = '', namespace = '' } = pod.metadata
    const containers = allContainers(pod)
    const logs = join(directories.podLogs({ uid, name, namespace }))
    const own = (specOf(pod).volumes ?? []).filter(({ emptyDir }) => emptyDir)
    const onDisk = own.filter(({ emptyDir }) => emptyDir?.medium !== 'Memory')
    const inMemory = own.filter((volume) => !onDisk.includes(volume))
    const [written, logSizes, volumeSizes, memorySizes, files] = await Promise.all([
      runtime.written(sandboxId),
      Promise.all(containers.map((each) => sizeOfFiles(join(logs, each.name)))),
      Promise.all(
        onDisk.map((volume) => measuring(() => sizeOfTree(directories.volume(uid, volume.name), signal), signal)),
      ),
      Promise.all(inMemory.map(({ name }) => sizeOfTmpfs(directories.volume(uid, name)))),
      sizeOfPodFiles(pod),
    ])
    return {
      written: written ?? 0,
      logs: new Map(containers.map((each, index) => [each.name, logSizes[index] ?? 0])),
      emptyDirs: new Map(onDisk.map((volume, index) => [volume.name, volumeSizes[index] ?? 0])),
      uncountable: new Set(onDisk.filter((_, index) => volumeSizes[index] === undefined).map(({ name }) => name)),
      inMemory: memorySizes.reduce((sum, size) => sum + size, 0),
      files,
    }
  }

  async function sizeOfPodFiles(pod: PodObject): Promise<number> {
    const { uid = '' } = pod.metadata
    const places = [directories.etc(uid), ...allContainers(pod).map(({ name }) => directories.lastWords(uid, name))]
    const sizes = await Promise.all(places.map((place) => sizeOfFiles(place)))
    return sizes.reduce((sum, size) => sum + size, 0)
  }

  return {
    follow(pod, sandboxId) {
      const uid = pod.metadata.uid ?? ''
      const known = pods.get(uid)
      if (known?.sandboxId === sandboxId) {
        known.pod = pod
        return known.excess
      }
      forget(uid)
      const watched: Watched = { sandboxId, pod, excess: undefined, over: new AbortController() }
      pods.set(uid, watched)
      void watch(uid, watched)
      return undefined
    },
    forget,
    async measure(pod, sandboxId) {
      const unfollowed = { pod, sandboxId, excess: undefined, over: new AbortController() }
      const use = await measure(unfollowed, unfollowed.over.signal)
      // Of a Pod that has kept nothing, nothing is gained by its end, however full the disk is.
      return totalUse({ ...use, files: use.files > NODES_OWN_BYTES ? use.files : 0 })
    },
    [Symbol.dispose]() {
      for (const uid of pods.keys()) forget(uid)
    },
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal, ref: false }).catch(() => {})
}

/** Files that we made: a few, and flat. In bytes that they take on the disk, of holes none. */
async function sizeOfFiles(directory: string): Promise<number> {
  const names = await readdir(directory).catch(() => [])
  const sizes = await Promise.all(
    names.map(async (name) => {
      const found = await lstat(join(directory, name)).catch(() => undefined)
      return found && found.blocks * BLOCK_BYTES
    }),
  )
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0)
}

/** Bytes that are taken in it; of one that is not mounted, none. */
async function sizeOfTmpfs(directory: string): Promise<number> {
  const found = await statfs(directory).catch(() => undefined)
  return found?.type === TMPFS_MAGIC ? (found.blocks - found.bfree) * found.bsize : 0
}

/**
 * A tree that a tenant wrote: walked by another process, which yields to all others and follows no link. Undefined where
 * it has so many files that they cannot be counted in time; nothing where it has gone, as with its Pod.
 */
function sizeOfTree(directory: string, signal: AbortSignal): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const options = { signal, timeout: MEASURING_MS, maxBuffer: 65_536 }
    execFile(
      'nice',
      ['-n', '19', 'du', '--summarize', '--one-file-system', '--block-size=1', '--', directory],
      options,
      (error, stdout) => {
        const size = Number.parseInt(stdout, 10)
        // What goes while it is counted makes it say 1; the sum is right all the same.
        if (Number.isFinite(size)) resolve(size)
        else if (error?.killed && !signal.aborted) resolve(undefined)
        else if (!existsSync(directory)) resolve(0)
        else reject(error ?? new Error(`du said ${JSON.stringify(stdout)}`))
      },
    )
  })
}
