/** Carries a plan's actions out. What fails is remembered, so that the next plan waits for it; nothing is thrown for it. */
import { mkdir } from 'node:fs/promises'
import type { PodObject } from '@caisson/client'
import type { OwnedPodSources, PodSources } from '../pod-sources.ts'
import { createBeginnings } from '../snapshots/beginnings.ts'
import type { FindSnapshot } from '../snapshots/find-snapshot.ts'
import type { HeldVolumes } from '../volumes/held-volumes.ts'
import { prepareVolumes } from '../volumes/prepare-volumes.ts'
import { removeTree } from '../volumes/remove-tree.ts'
import type { SecretsMemory } from '../volumes/secrets-memory.ts'
import { type ContainerActionsOptions, createContainerActions } from './container-actions.ts'
import { failureMessage } from './failure-message.ts'
import type { ObservedPod } from './observed-pod.ts'
import { resizeCompleted } from './plan-resize.ts'
import type { PodAction } from './pod-action.ts'
import type { PodMemory } from './pod-memory.ts'
import { type PodWork, WorkGoesOn } from './pod-work.ts'
import { retryDelay } from './restart-back-off.ts'
import { createSandboxActions, type SandboxActionsOptions } from './sandbox-actions.ts'
import { noteSetback } from './setbacks.ts'

/** kubelet's for volumes: 500 ms doubling to 2 min 2 s. */
const VOLUME_RETRY = { first: 500, most: 122_000 }
/** What keeps a limit from being lowered is memory in use. */
const RESIZE_RETRY = { first: 2_000, most: 60_000 }

export interface PodActionsOptions
  extends Omit<ContainerActionsOptions, 'beginnings'>,
    Omit<SandboxActionsOptions, 'beginnings'> {
  findSnapshot: FindSnapshot
  /** Directories of which hostPath volumes may be; undefined: any. */
  hostPaths?: readonly string[] | undefined
  secretsMemory: SecretsMemory
  heldVolumes: HeldVolumes
  work: PodWork
  sources: PodSources & Pick<OwnedPodSources, 'references'>
}

export interface PodActions {
  /** What begins something is given up when the signal is aborted, which is then no failure of the Pod's. */
  perform(action: PodAction, observed: ObservedPod, options: { memory: PodMemory; signal: AbortSignal }): Promise<void>
}

export function createPodActions(options: PodActionsOptions): PodActions {
  const { images, sources, directories, events, place, now } = options
  const beginnings = createBeginnings(options)
  const sandboxes = createSandboxActions({ ...options, beginnings })
  const containers = createContainerActions({ ...options, beginnings })

  async function perform(
    action: PodAction,
    observed: ObservedPod,
    { memory, signal }: { memory: PodMemory; signal: AbortSignal },
  ): Promise<void> {
    const { pod } = observed
    switch (action.kind) {
      case 'prepare':
        return await prepare(pod, memory, signal)
      case 'create-sandbox':
        return await sandboxes.create(pod, {
          memory,
          attempt: action.attempt,
          shared: action.shared,
          runs: observed.runs,
          signal,
        })
      case 'start-container':
        // It may have come later than the others, as ephemeral ones do.
        sources.references.follow(pod)
        return await containers.start(action, observed, { memory, signal })
      case 'stop-container':
        return containers.stop(action, observed, memory)
      case 'resize':
        return await resize(action, observed, memory)
      case 'remove-container':
        return await containers.remove(action.id, memory)
      case 'remove-sandbox':
        images.cancel(memory.images)
        return await sandboxes.remove(action.id, observed, memory)
      case 'remove-volumes':
        images.cancel(memory.images)
        sources.references.leave(pod.metadata.uid ?? '')
        await options.work.cancel(memory.work)
        await sandboxes.removeHalfMade(pod, memory.nextAttempt)
        // The latter last: it is what the next agent knows the Pod by.
        await removeTree(directories.podSecrets(pod.metadata.uid ?? ''))
        await removeTree(directories.pod(pod.metadata.uid ?? ''))
        memory.volumes = undefined
        memory.hasDirectory = false
        options.heldVolumes.leave(pod.metadata.uid ?? '')
    }
  }

  async function resize(
    { id, limits, containers }: Extract<PodAction, { kind: 'resize' }>,
    observed: ObservedPod,
    memory: PodMemory,
  ): Promise<void> {
    try {
      await options.runtime.resizeSandbox(id, { limits, containers })
      memory.resizeFailure = undefined
      events.about(observed.pod, { type: 'Normal', reason: 'ResizeCompleted', message: resizeCompleted(observed) })
    } catch (error) {
      const count = (memory.resizeFailure?.count ?? 0) + 1
      const message = failureMessage(error, directories)
      memory.resizeFailure = { message, count, retryAt: now() + retryDelay(count, RESIZE_RETRY) }
    }
  }

  async function prepare(pod: PodObject, memory: PodMemory, signal: AbortSignal): Promise<void> {
    // Whoever finds meanwhile that they are to be others takes this away, and they are prepared once more.
    const preparing: PodMemory['volumes'] = new Map()
    memory.volumes = preparing
    try {
      memory.hasDirectory = true
      sources.references.follow(pod)
      await mkdir(directories.pod(pod.metadata.uid ?? ''), { recursive: true, mode: 0o700 })
      const prepared = await prepareVolumes(pod, {
        directories,
        sources,
        place: { ...place, podIp: pod.status?.podIP },
        now: now(),
        tokens: memory.tokens,
        hostPaths: options.hostPaths,
        secretsMemory: options.secretsMemory,
        heldVolumes: options.heldVolumes,
        aside: (name, work) => options.work.require({ pod, states: memory.work, name, work }),
        signal,
      })
      if (memory.volumes === preparing) memory.volumes = prepared.volumes
      memory.refreshAt = prepared.refreshAt
      memory.setback = undefined
    } catch (error) {
      memory.volumes = undefined
      if (signal.aborted || error instanceof WorkGoesOn) return
      noteSetback(memory, { retry: VOLUME_RETRY, now: now() })
      events.about(pod, { type: 'Warning', reason: 'FailedMount', message: failureMessage(error, directories) })
    }
  }

  return { perform }
}
