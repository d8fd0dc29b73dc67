/** Runs of containers that only the API remembers: from before this agent, whose runtime knows nothing of them any more. */
import type { PodObject } from '@caisson/client'
import type { ContainerState, ExitReason } from '@caisson/runtime'
import type { ContainerStateTerminated, ContainerStatus } from 'kubernetes-types/core/v1.d.ts'
import { CONTAINER_ID_SCHEME } from './container-status.ts'
import { type ContainerRun, statusesOf } from './observed-pod.ts'
import { backOffOfRestart } from './restart-back-off.ts'

/** How a container ended that ran when the API last heard of it, and what it said. */
export interface KnownEnd {
  state: Extract<ContainerState, { phase: 'exited' }>
  terminationMessage: string | undefined
}

/**
 * The newest first for each name; none for containers that never ran.
 *
 * @param ends by runtime id, of containers that were stopped with their node
 */
export function pastRuns(pod: PodObject, ends: ReadonlyMap<string, KnownEnd>): ContainerRun[] {
  return statusesOf(pod).flatMap((status) => {
    const { state, lastState, restartCount } = status
    const previous = (count: number) => (lastState?.terminated ? [runOf(status, lastState.terminated, count)] : [])
    if (state?.terminated) return [runOf(status, state.terminated, restartCount), ...previous(restartCount - 1)]
    if (state?.running) {
      const latest = endedRun(status, ends.get(idOf(status.containerID) ?? '') ?? lostEnd(status))
      return [latest, ...previous(restartCount - 1)]
    }
    return previous(restartCount)
  })
}

function runOf(status: ContainerStatus, ended: ContainerStateTerminated, restartCount: number): ContainerRun {
  return {
    ...common(status, restartCount),
    id: idOf(ended.containerID),
    state: {
      phase: 'exited',
      exitCode: ended.exitCode,
      startedAt: time(ended.startedAt),
      finishedAt: time(ended.finishedAt),
      reason: reasonOf(ended),
    },
    terminationMessage: ended.message,
  }
}

function endedRun(status: ContainerStatus, end: KnownEnd): ContainerRun {
  return {
    ...common(status, status.restartCount),
    id: idOf(status.containerID),
    ...end,
    // Through no fault of its own.
    backOffMs: 0,
  }
}

/** It ran when somebody last looked, and now nobody knows what became of it, nor when. */
function lostEnd({ state }: ContainerStatus): KnownEnd {
  return {
    state: {
      phase: 'exited',
      exitCode: 137,
      startedAt: time(state?.running?.startedAt),
      finishedAt: 0,
      reason: 'monitor-died',
    },
    terminationMessage: 'The container could not be located when the pod was terminated',
  }
}

function common({ name, image, imageID }: ContainerStatus, restartCount: number) {
  return {
    name,
    past: true,
    restartCount,
    image,
    imageId: imageID,
    user: undefined,
    backOffMs: backOffOfRestart(restartCount),
  }
}

const REASONS: ReadonlyMap<string, ExitReason> = new Map([
  ['OOMKilled', 'oom-killed'],
  ['StartError', 'start-failed'],
  ['ContainerStatusUnknown', 'monitor-died'],
])

function reasonOf({ reason, exitCode }: ContainerStateTerminated): ExitReason {
  return REASONS.get(reason ?? '') ?? (exitCode === 0 ? 'completed' : 'error')
}

function idOf(containerId: string | undefined): string | undefined {
  return containerId?.startsWith(CONTAINER_ID_SCHEME) ? containerId.slice(CONTAINER_ID_SCHEME.length) : undefined
}

function time(text: string | undefined): number {
  const at = Date.parse(text ?? '')
  return Number.isNaN(at) ? 0 : at
}
