/**
 * Containers that are put into a Pod that runs, to look into it. A Pod of one container has a sandbox whose first process
 * is that container's: what comes into it comes beside that container, while it runs. Where it does not run, such as
 * between two crashes, the Pod gets a sandbox that holds itself open.
 */
import type { ContainerSpec } from '@caisson/runtime'
import type { Container, EphemeralContainer } from 'kubernetes-types/core/v1.d.ts'
import { ConfigError } from '../containers/config-error.ts'
import { sentrySysctls } from '../containers/sysctls.ts'
import { snapshotNameOf } from '../snapshots/snapshot-source.ts'
import {
  type ContainerRun,
  ephemeralContainers,
  initContainers,
  isEphemeral,
  isRunning,
  latestRun,
  type ObservedPod,
  specOf,
} from './observed-pod.ts'

/** Nothing takes them out of a Pod again, and each may cost a process: an object has room for thousands. */
const MOST = 100

/** For the status of one that has not begun: why, where it is more than the usual. */
export function whatItWaitsFor(
  observed: ObservedPod,
  container: EphemeralContainer,
): { reason: string; message: string } | undefined {
  if (!isWithinBounds(observed, container)) {
    return { reason: 'TooManyContainers', message: `this node runs at most ${MOST} ephemeral containers of one Pod` }
  }
  if (!observed.sandbox || hasRoom(observed) || !beginsWithSnapshot(observed)) return undefined
  const [main] = specOf(observed.pod).containers
  return {
    reason: 'WaitingForContainer',
    message: `it can only run beside container ${JSON.stringify(main?.name)}, which begins with a snapshot and does not run`,
  }
}

/** Those that have not begun and could. */
export function startableEphemerals(observed: ObservedPod): readonly EphemeralContainer[] {
  return hasRoom(observed) ? pending(observed) : []
}

/**
 * Whether the Pod's next sandbox has to hold several containers, or what is set in it before the first. It takes twice as
 * long to start.
 */
export function wantsSharedSandbox(observed: ObservedPod): boolean {
  const { pod } = observed
  if (specOf(pod).containers.length > 1 || initContainers(pod).length > 0 || waitsForRoom(observed)) return true
  return Object.keys(sentrySysctls(pod)).length > 0
}

/** Whether the sandbox has to give way to one that takes in what waits. Nothing runs in it then. */
export function isTooSmall(observed: ObservedPod): boolean {
  const { sandbox, runs, pulling } = observed
  if (!sandbox || sandbox.shared || hasRoom(observed) || runs.some(isRunning) || pulling.size > 0) return false
  return waitsForRoom(observed)
}

/** Where in the Pod a container goes, and whose processes it sees. Throws a ConfigError where they are not there. */
export function companyOf(
  observed: ObservedPod,
  container: Container & { targetContainerName?: string },
): Pick<ContainerSpec, 'beside' | 'processesOf'> {
  const { pod, sandbox } = observed
  if (!isEphemeral(pod, container)) return {}
  const { targetContainerName: target } = container
  const beside = sandbox?.shared ? undefined : runningMain(observed)?.id
  const seen = target ? latestRun(observed, target) : undefined
  // In kubelet's words.
  if (target && !isPresent(seen)) throw new ConfigError(`unable to find target container ${target}`)
  return {
    ...(beside !== undefined && { beside }),
    ...(seen?.id !== undefined && { processesOf: seen.id }),
  }
}

function pending(observed: ObservedPod): readonly EphemeralContainer[] {
  return ephemeralContainers(observed.pod).filter(
    (container) => latestRun(observed, container.name) === undefined && isWithinBounds(observed, container),
  )
}

function waitsForRoom(observed: ObservedPod): boolean {
  return pending(observed).length > 0 && !beginsWithSnapshot(observed)
}

function isWithinBounds({ pod }: ObservedPod, container: EphemeralContainer): boolean {
  return ephemeralContainers(pod).indexOf(container) < MOST
}

function hasRoom(observed: ObservedPod): boolean {
  return observed.sandbox?.shared === true || runningMain(observed) !== undefined
}

function runningMain(observed: ObservedPod): ContainerRun | undefined {
  const [main] = specOf(observed.pod).containers
  const run = main && latestRun(observed, main.name)
  return isPresent(run) ? run : undefined
}

function isPresent(run: ContainerRun | undefined): run is ContainerRun & { id: string } {
  return isRunning(run) && !run.past && run.id !== undefined
}

/** Only a sandbox of its own can take a snapshot up. */
function beginsWithSnapshot({ pod }: ObservedPod): boolean {
  return snapshotNameOf(pod) !== undefined
}
