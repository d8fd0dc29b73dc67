/** Which limits what runs of a Pod is not yet held to: pure. */
import type { PodObject } from '@caisson/client'
import type { ResourceLimits } from '@caisson/runtime'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import {
  type ContainerRun,
  initContainers,
  isRunning,
  isSidecar,
  type LimitsDue,
  type ObservedSandbox,
  specOf,
} from './observed-pod.ts'
import { containerLimits } from './pod-limits.ts'

/** Undefined where nothing is due. `wanted` is what the sandbox as a whole is to be held to. */
export function limitsDue(
  pod: PodObject,
  { sandbox, runs }: { sandbox: Pick<ObservedSandbox, 'alive' | 'limits'> | undefined; runs: readonly ContainerRun[] },
  wanted: ResourceLimits,
): LimitsDue | undefined {
  if (!sandbox?.alive || sandbox.limits === undefined) return undefined
  const containers = new Map<string, ResourceLimits>()
  const restarts: ContainerRun[] = []
  for (const container of [...initContainers(pod).filter(isSidecar), ...specOf(pod).containers]) {
    const run = runs.find(({ name }) => name === container.name)
    if (!isRunning(run) || run.past || run.id === undefined || run.limits === undefined) continue
    const due = containerLimits(container)
    const changed = changes(run.limits, due)
    if (changed.some((resource) => needsRestart(container, resource))) restarts.push(run)
    else if (changed.length > 0) containers.set(run.id, due)
  }
  if (containers.size + restarts.length === 0 && changes(sandbox.limits, wanted).length === 0) return undefined
  return { limits: wanted, containers, restarts }
}

type Resource = 'cpu' | 'memory'

function changes(before: ResourceLimits, after: ResourceLimits): Resource[] {
  const changed: Resource[] = []
  const [old, next] = [before, after].map(({ cpuRequestMillicores = 0, ...limits }) => ({
    ...limits,
    cpuRequestMillicores,
  }))
  if (old?.cpuMillicores !== next?.cpuMillicores || old?.cpuRequestMillicores !== next?.cpuRequestMillicores)
    changed.push('cpu')
  if (old?.memoryBytes !== next?.memoryBytes) changed.push('memory')
  return changed
}

function needsRestart(container: Container, resource: Resource): boolean {
  return (
    container.resizePolicy?.some((policy) => {
      return policy.resourceName === resource && policy.restartPolicy === 'RestartContainer'
    }) ?? false
  )
}
