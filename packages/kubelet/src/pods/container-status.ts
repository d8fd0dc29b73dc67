/** A container's entry in the Pod's status: from its runs, what keeps it from running, and what is wanted of it. */
import { kubernetesTime } from '@caisson/api'
import type { ExitReason } from '@caisson/runtime'
import type { Container, ContainerState, ContainerStatus, EphemeralContainer } from 'kubernetes-types/core/v1.d.ts'
import { whatItWaitsFor } from './ephemeral-containers.ts'
import {
  type ContainerRun,
  formatPod,
  hasExited,
  healthOf,
  initContainers,
  isRunning,
  isSidecar,
  type ObservedPod,
  restarts,
  statusesOf,
} from './observed-pod.ts'
import { delayAfter, formatSeconds, restartAt } from './restart-back-off.ts'

export const CONTAINER_ID_SCHEME = 'caisson://'

/** Kubernetes lets all containers of a Pod say this much at their end, together. */
const TERMINATION_MESSAGES_BYTES = 12 * 1024

export interface StatusOptions {
  /** ms since the epoch. */
  now: number
  /** Nothing of the Pod is started again: what has ended is over. */
  ending: boolean
}

export function containerStatus(observed: ObservedPod, container: Container, options: StatusOptions): ContainerStatus {
  const { pod } = observed
  const runs = observed.runs.filter((run) => run.name === container.name)
  const [latest, previous] = runs
  const state = currentState(observed, container, { ...options, latest })
  const isInit = initContainers(pod).includes(container)
  const health = isRunning(latest) ? healthOf(observed, container, latest) : { started: false, ready: false }
  const last = state.waiting ? latest : previous
  const lastState = hasExited(last) ? { terminated: terminated(observed, last) } : {}
  return {
    name: container.name,
    state,
    lastState,
    ready: isInit && !isSidecar(container) ? state.terminated?.exitCode === 0 : health.ready,
    restartCount: latest?.restartCount ?? 0,
    image: latest?.image || (container.image ?? ''),
    imageID: latest?.imageId ?? '',
    ...(latest?.id !== undefined && { containerID: `${CONTAINER_ID_SCHEME}${latest.id}` }),
    started: health.started,
    ...((container.resources?.limits || container.resources?.requests) && {
      allocatedResources: container.resources.requests ?? {},
      resources: resourcesInForce(observed, container, latest),
    }),
    ...(container.volumeMounts?.length && {
      volumeMounts: container.volumeMounts.map(({ name, mountPath, readOnly }) => ({
        name,
        mountPath,
        ...(readOnly && { readOnly, recursiveReadOnly: 'Disabled' }),
      })),
    }),
    ...(latest?.user && { user: { linux: userStatus(latest.user) } }),
  } as ContainerStatus
}

/** What it is held to now: as long as what was granted is not in force, what was said before. */
function resourcesInForce(
  { pod, limitsDue }: ObservedPod,
  { name, resources = {} }: Container,
  run: ContainerRun | undefined,
): object {
  const isBehind = run?.id !== undefined && (limitsDue?.containers.has(run.id) || limitsDue?.restarts.includes(run))
  const before = isBehind ? statusesOf(pod).find((status) => status.name === name) : undefined
  const { limits, requests } = (before as { resources?: Container['resources'] } | undefined)?.resources ?? resources
  return { ...(limits && { limits }), ...(requests && { requests }) }
}

/** Nobody asks how it is: it is never ready, and says nothing of having started. */
export function ephemeralStatus(
  observed: ObservedPod,
  container: EphemeralContainer,
  options: StatusOptions,
): ContainerStatus {
  const { started: _, ...status } = containerStatus(observed, container, options)
  const waits = status.state?.waiting && !options.ending && !observed.failures.has(container.name)
  const because = waits ? whatItWaitsFor(observed, container) : undefined
  return { ...status, ready: false, ...(because && { state: { waiting: because } }) }
}

function userStatus({ uid, gid, supplementalGroups }: NonNullable<ContainerRun['user']>) {
  return { uid, gid, ...(supplementalGroups.length > 0 && { supplementalGroups }) }
}

function currentState(
  observed: ObservedPod,
  container: Container,
  { now, ending, latest }: StatusOptions & { latest: ContainerRun | undefined },
): ContainerState {
  const { pod } = observed
  if (isRunning(latest)) return { running: { startedAt: kubernetesTime(latest.state.startedAt) } }
  const failure = observed.failures.get(container.name)
  const failed = failure && { waiting: { reason: failure.reason, message: failure.message } }
  if (!hasExited(latest)) {
    // A node that is told of a Pod's end before it began reports what it would have waited for.
    if (failed && !ending) return failed
    if (observed.setback?.waiting && !ending) return { waiting: observed.setback.waiting }
    return { waiting: { reason: initContainers(pod).length > 0 ? 'PodInitializing' : 'ContainerCreating' } }
  }
  if (ending || !restarts(pod, container, latest)) return { terminated: terminated(observed, latest) }
  if (failed) return failed
  if (now < restartAt(latest)) return { waiting: crashLoopBackOff(observed, container, latest) }
  if (latest.begunAgain) return { waiting: { reason: 'ContainerCreating' } }
  return { terminated: terminated(observed, latest) }
}

/** In kubelet's words. */
function crashLoopBackOff(
  observed: ObservedPod,
  container: Container,
  run: ContainerRun & { state: { phase: 'exited' } },
): { reason: string; message: string } {
  return {
    reason: 'CrashLoopBackOff',
    message: `back-off ${formatSeconds(delayAfter(run))} restarting failed container=${container.name} pod=${formatPod(observed.pod)}`,
  }
}

function terminated(
  { pod }: ObservedPod,
  run: ContainerRun & { state: { phase: 'exited' } },
): NonNullable<ContainerState['terminated']> {
  const { exitCode, startedAt, finishedAt, message, reason } = run.state
  const said = run.terminationMessage ?? message
  const containers = (pod.spec?.containers?.length ?? 1) + initContainers(pod).length
  return {
    exitCode,
    reason: exitCode !== 0 && reason === 'completed' ? 'Error' : TERMINATION_REASONS[reason],
    ...(said && { message: truncate(said, Math.floor(TERMINATION_MESSAGES_BYTES / containers)) }),
    startedAt: kubernetesTime(startedAt),
    // Of one that was lost nobody knows when it ended.
    ...((finishedAt > 0 || reason !== 'monitor-died') && { finishedAt: kubernetesTime(finishedAt) }),
    ...(run.id !== undefined && { containerID: `${CONTAINER_ID_SCHEME}${run.id}` }),
  }
}

export const TERMINATION_REASONS: Readonly<Record<ExitReason, string>> = {
  completed: 'Completed',
  error: 'Error',
  'oom-killed': 'OOMKilled',
  'sentry-died': 'Error',
  'monitor-died': 'ContainerStatusUnknown',
  'start-failed': 'StartError',
  checkpointed: 'Suspended',
}

/** To at most `bytes` of UTF-8, never in the middle of a character. */
function truncate(text: string, bytes: number): string {
  const encoded = Buffer.from(text)
  if (encoded.length <= bytes) return text
  let end = bytes
  while (end > 0 && ((encoded[end] ?? 0) & 0xc0) === 0x80) end--
  return encoded.toString('utf8', 0, end)
}
