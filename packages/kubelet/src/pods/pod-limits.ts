/** What a Pod and its containers may use of the node: the bounds of control groups. */
import { containerResource, podResource } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { ResourceLimits, Runtime } from '@caisson/runtime'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { specOf } from './observed-pod.ts'

/** Tasks that a Pod may have; Kubernetes leaves it to the node. Enough for a browser, not for a fork bomb. */
const POD_TASKS = 4_096

export interface PodLimits {
  limits: ResourceLimits
  /** Why those that the Pod asks for are left out. */
  problem: string | undefined
}

/**
 * The node's own default is left out where the node cannot hold a Pod to it. What the Pod asks for is left out only where
 * no Pod of this node could have it.
 */
export function podLimits(
  pod: PodObject,
  { bounded, limitsProblem }: Pick<Runtime, 'bounded' | 'limitsProblem'>,
): PodLimits {
  const spec = specOf(pod)
  const limits = inUnitsOfGroups((kind, resource) => podResource(spec, kind, resource))
  if (limitsProblem !== undefined) {
    const asked = limits.memoryBytes !== undefined || limits.cpuMillicores !== undefined
    return { limits: {}, problem: asked ? limitsProblem : undefined }
  }
  return { limits: { ...limits, ...(bounded.has('pids') && { pids: POD_TASKS }) }, problem: undefined }
}

export function containerLimits(container: Container): ResourceLimits {
  return inUnitsOfGroups((kind, resource) => containerResource(container, kind, resource))
}

function inUnitsOfGroups(
  amount: (kind: 'limits' | 'requests', resource: 'cpu' | 'memory') => number | undefined,
): ResourceLimits {
  const memory = amount('limits', 'memory')
  const cpu = amount('limits', 'cpu')
  return {
    ...(memory !== undefined && { memoryBytes: Math.ceil(memory) }),
    ...(cpu !== undefined && { cpuMillicores: Math.ceil(cpu * 1000) }),
    cpuRequestMillicores: Math.ceil((amount('requests', 'cpu') ?? 0) * 1000),
  }
}
