/** What a Pod may keep on its node's disk and in its volumes in memory, and whether it keeps to it: pure, in the kubelet's words. */
import { containerResource, parseQuantity, podResource } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { Eviction } from '../pods/observed-pod.ts'
import { initContainers, specOf } from '../pods/observed-pod.ts'

const STORAGE = 'ephemeral-storage'
/**
 * What containers may write to files that they were not given for keeping anything: /etc/hosts, /etc/hostname,
 * /etc/resolv.conf and their last words. Host names of a Pod alone can take 1.5 MiB.
 */
const FILES_LIMIT = 8 * 1024 * 1024

/** Bytes. */
export interface StorageUse {
  /** What was written to root file systems. Containers of one sandbox are not told apart. */
  written: number
  /** By container. */
  logs: ReadonlyMap<string, number>
  /** By volume, those on disk. */
  emptyDirs: ReadonlyMap<string, number>
  /** Volumes with more files than can be counted in reasonable time: that is too much, whatever their size. */
  uncountable?: ReadonlySet<string>
  /** In volumes in memory, together. It is none of the disk's. */
  inMemory: number
  /** In the files that every Pod has: of /etc, and those that take its containers' last words. */
  files: number
}

export function hasStorageLimits(pod: PodObject): boolean {
  return emptyDirLimits(pod).size > 0 || containerLimits(pod).size > 0 || memoryLimit(pod) !== undefined
}

/** What any Pod is evicted for, with limits or without. */
export function filesExcess({ files }: Pick<StorageUse, 'files'>): Eviction | undefined {
  if (files <= FILES_LIMIT) return undefined
  return evicted(
    'Pod keeps more than 8Mi in /etc/hosts, /etc/hostname, /etc/resolv.conf and its termination messages together: write to a volume instead. ',
  )
}

/** What the Pod is evicted for; undefined where it keeps to its limits. */
export function storageExcess(pod: PodObject, use: StorageUse): Eviction | undefined {
  const ofFiles = filesExcess(use)
  if (ofFiles) return ofFiles
  for (const volume of use.uncountable ?? []) {
    return evicted(`EmptyDir volume ${JSON.stringify(volume)} holds more files than the node can measure. `)
  }
  for (const [volume, limit] of emptyDirLimits(pod)) {
    if ((use.emptyDirs.get(volume) ?? 0) > limit.bytes) {
      return evicted(
        `Usage of EmptyDir volume ${JSON.stringify(volume)} exceeds the limit ${JSON.stringify(limit.text)}. `,
      )
    }
  }
  const inMemory = memoryLimit(pod)
  if (inMemory !== undefined && use.inMemory > inMemory) {
    return evicted(`Pod keeps more in its volumes in memory than its memory limit ${inMemory}. `)
  }
  const podLimit = podResource(specOf(pod), 'limits', STORAGE)
  if (podLimit !== undefined && totalUse(use) > podLimit) {
    return evicted(
      `Pod ephemeral local storage usage exceeds the total limit of containers ${podLimitText(pod, podLimit)}. `,
    )
  }
  const limits = containerLimits(pod)
  const alone = specOf(pod).containers.length + initContainers(pod).length === 1
  for (const [container, limit] of limits) {
    if ((use.logs.get(container) ?? 0) + (alone ? use.written : 0) > limit.bytes) {
      return evicted(
        `Container ${container} exceeded its local ephemeral storage limit ${JSON.stringify(limit.text)}. `,
      )
    }
  }
  return undefined
}

/** How much more could be written before the first limit is met. */
export function storageLeft(pod: PodObject, use: StorageUse): number {
  const podLimit = podResource(specOf(pod), 'limits', STORAGE)
  const left = [...emptyDirLimits(pod)].map(([volume, { bytes }]) => bytes - (use.emptyDirs.get(volume) ?? 0))
  const ofContainers = [...containerLimits(pod)].map(
    ([name, { bytes }]) => bytes - (use.logs.get(name) ?? 0) - use.written,
  )
  const inMemory = memoryLimit(pod)
  return Math.min(
    ...left,
    ...ofContainers,
    ...(podLimit === undefined ? [] : [podLimit - totalUse(use)]),
    ...(inMemory === undefined ? [] : [inMemory - use.inMemory]),
  )
}

/** More than any number where there is something that cannot be counted. */
export function totalUse({ written, logs, emptyDirs, uncountable, files }: StorageUse): number {
  if (uncountable?.size) return Number.POSITIVE_INFINITY
  return [...logs.values(), ...emptyDirs.values()].reduce((sum, size) => sum + size, written + files)
}

/**
 * Of a Pod with volumes in memory. Its control group counts what is written to them, but only as long as the sandbox
 * lives: what the next one finds there counts for nobody.
 */
function memoryLimit(pod: PodObject): number | undefined {
  const has = (specOf(pod).volumes ?? []).some(({ emptyDir }) => emptyDir?.medium === 'Memory')
  return has ? podResource(specOf(pod), 'limits', 'memory') : undefined
}

interface Limit {
  bytes: number
  text: string
}

function emptyDirLimits(pod: PodObject): Map<string, Limit> {
  return new Map(
    (specOf(pod).volumes ?? []).flatMap(({ name, emptyDir }): Array<[string, Limit]> => {
      const text = emptyDir?.medium === 'Memory' ? undefined : emptyDir?.sizeLimit
      const bytes = text === undefined ? 0 : (parseQuantity(text) ?? 0)
      return bytes > 0 && text !== undefined ? [[name, { bytes, text }]] : []
    }),
  )
}

function containerLimits(pod: PodObject): Map<string, Limit> {
  return new Map(
    [...initContainers(pod), ...specOf(pod).containers].flatMap((container): Array<[string, Limit]> => {
      const bytes = containerResource(container, 'limits', STORAGE)
      return bytes === undefined
        ? []
        : [[container.name, { bytes, text: container.resources?.limits?.[STORAGE] ?? '' }]]
    }),
  )
}

/** As it was written where there is one container, else in bytes. */
function podLimitText(pod: PodObject, limit: number): string {
  const [only, ...others] = containerLimits(pod).values()
  return only && others.length === 0 && only.bytes === limit ? only.text : String(limit)
}

function evicted(message: string): Eviction {
  return { reason: 'Evicted', message }
}
