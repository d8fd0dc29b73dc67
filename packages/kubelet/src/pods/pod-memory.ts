/** What an agent remembers of a Pod between passes. Losing it costs a repeated step, never a container. */
import type { PodObject } from '@caisson/client'
import type { ImageState } from '../images/container-images.ts'
import type { IssuedToken } from '../pod-sources.ts'
import type { PreparedVolume } from '../volumes/prepare-volumes.ts'
import type { Grants } from './granted-resources.ts'
import type { ContainerRun, Eviction, PendingResize, PodSetback, StartFailure } from './observed-pod.ts'
import type { KnownEnd } from './past-runs.ts'
import type { WorkStates } from './pod-work.ts'

export interface PodMemory {
  /** As it was last seen. */
  pod: PodObject
  sandboxId: string | undefined
  nextAttempt: number
  hasDirectory: boolean
  /** Undefined while the volumes are not set up, or no longer as the API has them. */
  volumes: ReadonlyMap<string, PreparedVolume> | undefined
  refreshAt: number | undefined
  tokens: Map<string, IssuedToken & { issuedAt: number }>
  /** Runs that the runtime has no record of: starts that failed, and what ran in earlier sandboxes. */
  runs: ContainerRun[]
  /** Of containers that were stopped with the node, by runtime id: asked once, when `runs` is recalled. */
  ends: Map<string, KnownEnd>
  /** Whether `runs` has what the API knew of the Pod when this agent first saw it. */
  recalled: boolean
  /** By container name; how often it failed in a row, and whether it is its image that is missing. */
  failures: Map<string, StartFailure & { count: number; ofImage?: boolean }>
  setback: (PodSetback & { count: number }) | undefined
  /** By container name: images that are being pulled, or were, or could not be. */
  images: Map<string, ImageState>
  /** Names of images have changed since the last pass began. */
  imagesChanged: boolean
  /** What is done beside its passes. */
  work: WorkStates
  /** By runtime id. */
  stopping: Map<string, number>
  /** By runtime id: of those, the ones that are to begin again. */
  restarting: Set<string>
  /** By runtime id of containers that ended. */
  lastWords: Map<string, string | undefined>
  /** By container name: the runtime id of the run whose start the runtime was asked for and has not finished. */
  starting: Map<string, string>
  /** Runtime ids of the containers that this agent started. */
  begun: Set<string>
  /** As of the last pass, for requests that want to know now. */
  seen: readonly ContainerRun[]
  /** Whether the node takes it, once that was asked: `taken`, or why not. */
  admission: 'taken' | Eviction | undefined
  /** What its containers may have; undefined where that was not asked yet. */
  grants: Grants | undefined
  /** Why they may not have what the API asks for. */
  pendingResize: PendingResize | undefined
  resizeFailure: { message: string; retryAt: number; count: number } | undefined
  /** The status that is being written ahead of the end of a pass. */
  interim: Promise<void> | undefined
}

export function newPodMemory(
  pod: PodObject,
  fields: { sandboxId?: string; nextAttempt: number; hasDirectory: boolean },
): PodMemory {
  return {
    pod,
    sandboxId: fields.sandboxId,
    nextAttempt: fields.nextAttempt,
    hasDirectory: fields.hasDirectory,
    volumes: undefined,
    refreshAt: undefined,
    tokens: new Map(),
    runs: [],
    ends: new Map(),
    recalled: false,
    failures: new Map(),
    setback: undefined,
    images: new Map(),
    imagesChanged: false,
    work: new Map(),
    stopping: new Map(),
    restarting: new Set(),
    lastWords: new Map(),
    starting: new Map(),
    begun: new Set(),
    seen: [],
    admission: undefined,
    grants: undefined,
    pendingResize: undefined,
    resizeFailure: undefined,
    interim: undefined,
  }
}
