/** Sets a Pod's volumes up, and keeps those up to date that are made from objects of the API. */

import { chmod, lstat, mkdir, rmdir } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { parseQuantity, podResource } from '@caisson/api'
import { claimNameOf, type PodObject } from '@caisson/client'
import type { EmptyDirVolumeSource, Volume } from 'kubernetes-types/core/v1.d.ts'
import type { PodPlace } from '../containers/downward-api.ts'
import type { PodDirectories } from '../pod-directories.ts'
import type { IssuedToken, PodSources } from '../pod-sources.ts'
import { specOf } from '../pods/observed-pod.ts'
import { WorkGoesOn } from '../pods/pod-work.ts'
import { createFilesBudget, type FilesBudget } from './files-budget.ts'
import type { HeldVolumes } from './held-volumes.ts'
import { bindHostPath, checkHostPath } from './host-path.ts'
import { mountImageFile, mountPointsBelow, mountTmpfs } from './mounts.ts'
import { own } from './own.ts'
import { giveToGroup } from './ownership.ts'
import { persistentVolumePath } from './persistent-volume.ts'
import { projectedFiles } from './projected-files.ts'
import { writeProjection } from './projection.ts'
import { isFull, type SecretsMemory } from './secrets-memory.ts'
import { VolumeError } from './volume-error.ts'

/** A volume that is there. */
export interface PreparedVolume {
  /** On this machine. */
  path: string
  /** Whatever the mount says. */
  readOnly: boolean
}

export interface PreparedVolumes {
  volumes: Map<string, PreparedVolume>
  /** When they have to be prepared again although nothing changed, ms since the epoch. */
  refreshAt: number | undefined
}

export interface PrepareOptions {
  directories: PodDirectories
  sources: PodSources
  place: PodPlace
  now: number
  /** What was issued for the Pod so far. It is added to. */
  tokens: Map<string, IssuedToken & { issuedAt: number }>
  /** Directories of which hostPath volumes may be; undefined: any. */
  hostPaths?: readonly string[] | undefined
  secretsMemory: SecretsMemory
  heldVolumes: Pick<HeldVolumes, 'hold'>
  /** Looked at before each volume. */
  signal?: AbortSignal
  /** Has what may take long done beside: resolves once it was, and throws a WorkGoesOn before. */
  aside(name: string, work: (signal: AbortSignal) => Promise<void>): Promise<void>
}

/** Idempotent. Throws a VolumeError with the words of the event that tells of it. */
export async function prepareVolumes(pod: PodObject, options: PrepareOptions): Promise<PreparedVolumes> {
  const volumes = new Map<string, PreparedVolume>()
  let refreshAt: number | undefined
  const budgets = { budget: createFilesBudget(), secrets: { bytes: 0 } }
  for (const volume of specOf(pod).volumes ?? []) {
    options.signal?.throwIfAborted()
    try {
      const prepared = await prepareVolume(pod, volume, { ...options, ...budgets })
      volumes.set(volume.name, prepared)
      if (prepared.refreshAt !== undefined)
        refreshAt = Math.min(refreshAt ?? Number.POSITIVE_INFINITY, prepared.refreshAt)
    } catch (error) {
      if (error instanceof WorkGoesOn) throw error
      throw new VolumeError(
        `MountVolume.SetUp failed for volume ${JSON.stringify(volume.name)} : ${(error as Error).message}`,
        { cause: error },
      )
    }
  }
  return { volumes, refreshAt }
}

async function prepareVolume(
  pod: PodObject,
  volume: Volume,
  options: PrepareOptions & Budgets,
): Promise<PreparedVolume & { refreshAt?: number | undefined }> {
  const { directories, sources } = options
  const { fsGroup, fsGroupChangePolicy } = specOf(pod).securityContext ?? {}
  const path = directories.volume(pod.metadata.uid ?? '', volume.name)
  if (volume.emptyDir) {
    await prepareEmptyDir(path, {
      source: volume.emptyDir,
      group: fsGroup,
      sizeBytes: memoryBytes(pod, volume.emptyDir),
    })
    return { path, readOnly: false }
  }
  if (volume.hostPath) {
    if (options.hostPaths) {
      await bindHostPath(volume.hostPath, { allowed: options.hostPaths, target: path })
      return { path, readOnly: false }
    }
    await checkHostPath(volume.hostPath)
    return { path: volume.hostPath.path, readOnly: false }
  }
  const claim = claimNameOf(pod, volume)
  if (claim !== undefined) {
    const found = await persistentVolumePath(pod, claim, { sources, ownedByPod: volume.ephemeral !== undefined })
    await options.heldVolumes.hold(pod.metadata.uid ?? '', found.path)
    const readOnly = found.readOnly || volume.persistentVolumeClaim?.readOnly === true
    if (!(await lstat(found.path).catch(() => undefined))?.isDirectory()) {
      throw new VolumeError(`path ${JSON.stringify(found.path)} does not exist`)
    }
    if (found.imageFile !== undefined) await prepareImageFile(found.imageFile, path)
    const claimed = found.imageFile === undefined ? found.path : path
    if (fsGroup !== undefined && found.takesGroup && !readOnly) {
      const onlyOnMismatch = fsGroupChangePolicy === 'OnRootMismatch'
      await options.aside(`the group of ${volume.name}`, (signal) =>
        giveToGroup(claimed, { group: fsGroup, readOnly, onlyOnMismatch, signal }),
      )
    }
    return { path: claimed, readOnly }
  }
  return await prepareProjection(pod, volume, options)
}

async function prepareProjection(
  pod: PodObject,
  volume: Volume,
  options: PrepareOptions & Budgets,
): Promise<PreparedVolume & { refreshAt: number | undefined }> {
  const { directories, secretsMemory, budget, secrets } = options
  const group = specOf(pod).securityContext?.fsGroup
  const uid = pod.metadata.uid ?? ''
  const before = budget.spent
  const projected = await projectedFiles(pod, volume, options)
  if (!projected) throw new VolumeError('this node does not know this kind of volume')
  const { files, refreshAt } = projected
  if (volume.configMap) {
    const path = directories.volume(uid, volume.name)
    await writeProjection(path, { files, group })
    return { path, readOnly: true, refreshAt }
  }
  const path = await secretsMemory.directory(uid, volume.name)
  const isInMemory = path === directories.secretVolume(uid, volume.name)
  secrets.bytes += budget.spent - before
  try {
    await writeProjection(path, {
      files,
      group,
      ...(isInMemory && { admit: () => secretsMemory.admit(secrets.bytes) }),
    })
  } catch (error) {
    throw isInMemory && isFull(error) ? new VolumeError(SECRETS_FULL, { cause: error }) : error
  }
  return { path, readOnly: true, refreshAt }
}

const SECRETS_FULL = "the node's memory for files of Secrets and tokens is full"

interface Budgets {
  /** Of all files that are made from objects. */
  budget: FilesBudget
  /** Of those that are to be in memory. */
  secrets: { bytes: number }
}

/** As open as the directory of any other claim, and as empty at first. */
async function prepareImageFile(file: string, path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  await mountImageFile(file, path)
  const recovered = join(path, 'lost+found')
  if (!(await lstat(recovered).catch(() => undefined))?.isDirectory()) return
  await chmod(path, 0o777)
  // What a container has put into one of its own stays.
  await rmdir(recovered).catch(() => undefined)
}

async function prepareEmptyDir(
  path: string,
  { source, group, sizeBytes }: { source: EmptyDirVolumeSource; group: number | undefined; sizeBytes: number },
): Promise<void> {
  const mode = group === undefined ? 0o777 : 0o2777
  await mkdir(path, { recursive: true, mode: 0o700 })
  if (source.medium === 'Memory') {
    if ((await mountPointsBelow(path)).includes(path)) return
    await mountTmpfs(path, { sizeBytes, mode })
  } else if (source.medium) {
    throw new VolumeError(`unknown storage medium ${JSON.stringify(source.medium)}`)
  } else if (((await lstat(path)).mode & 0o7777) !== 0o700) {
    // Open to containers already: what they changed about it stays.
    return
  }
  await own(path, { group, mode })
}

/** Of a volume in memory, as the kubelet counts it: no more than the Pod may have at all, where that is bounded. */
function memoryBytes(pod: PodObject, { sizeLimit }: EmptyDirVolumeSource): number {
  const half = Math.floor(totalmem() / 2)
  const asked = sizeLimit === undefined ? undefined : parseQuantity(sizeLimit)
  const ofPod = podResource(specOf(pod), 'limits', 'memory')
  return Math.min(...[asked, ofPod].map((bytes) => (bytes ? Math.ceil(bytes) : half)), half)
}
