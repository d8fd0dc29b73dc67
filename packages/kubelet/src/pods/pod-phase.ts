import type { PodObject } from '@caisson/client'
import type { ContainerStatus } from 'kubernetes-types/core/v1.d.ts'
import { initContainers, isSidecar, restartPolicyOf, specOf } from './observed-pod.ts'

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed'

/**
 * A Pod's phase, from the states of its containers.
 *
 * @param ending nothing is started again, so that containers that have ended decide whatever the restart policy
 */
export function podPhase(pod: PodObject, statuses: readonly ContainerStatus[], ending: boolean): PodPhase {
  const byName = new Map(statuses.map((status) => [status.name, status]))
  const policy = restartPolicyOf(pod)
  const regularInits = initContainers(pod).filter((container) => !isSidecar(container))
  const sidecars = initContainers(pod).filter(isSidecar)
  const containers = specOf(pod).containers.map(({ name }) => byName.get(name))
  const initialized = containers.some((status) => status && (status.state?.running || hasEnded(status)))

  const failedInit = regularInits.some((container) => exitCodeOf(byName.get(container.name)))
  if (failedInit && policy === 'Never') return 'Failed'
  if (regularInits.some((container) => exitCodeOf(byName.get(container.name)) === undefined)) return 'Pending'
  const sidecarStatuses = sidecars.map(({ name }) => byName.get(name))
  if (!initialized && sidecarStatuses.some((status) => !status?.state?.running && !hasEnded(status))) return 'Pending'

  const waiting = [...containers, ...sidecarStatuses].some((status) => status?.state?.waiting && !hasEnded(status))
  if (waiting) return 'Pending'
  if ([...containers, ...sidecarStatuses].some((status) => status?.state?.running)) return 'Running'
  const codes = containers.map(exitCodeOf)
  if (codes.some((code) => code === undefined)) return 'Pending'
  // A container that waits to be started again has not brought the Pod to its end.
  if (!ending && policy === 'Always') return 'Running'
  if (containers.every((status) => status?.state?.terminated?.exitCode === 0)) return 'Succeeded'
  return ending || policy === 'Never' ? 'Failed' : 'Running'
}

function hasEnded(status: ContainerStatus | undefined): boolean {
  return exitCodeOf(status) !== undefined
}

/** Of the run that ended last, where one has and none runs now. */
function exitCodeOf(status: ContainerStatus | undefined): number | undefined {
  if (!status || status.state?.running) return undefined
  return (status.state?.terminated ?? status.lastState?.terminated)?.exitCode
}
