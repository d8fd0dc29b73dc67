/** What a Pod may use of its node, all containers together: the bounds of its control group. */
import type { PodObject } from '@caisson/client'
import type { ResourceLimits, Runtime } from '@caisson/runtime'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { parseQuantity } from '../quantity.ts'
import { initContainers, isSidecar, specOf } from './observed-pod.ts'

type Kind = 'limits' | 'requests'
type Resource = 'cpu' | 'memory' | 'ephemeral-storage'

/** Tasks that a Pod may have; Kubernetes leaves it to the node. Enough for a browser, not for a fork bomb. */
const POD_TASKS = 4_096

/** @param bounded what the node can hold a Pod to: its own default is left out where it cannot, what the Pod asks for is not */
export function podLimits(pod: PodObject, bounded: Runtime['bounded']): ResourceLimits {
  const memory = podAmount(pod, 'limits', 'memory')
  const cpu = podAmount(pod, 'limits', 'cpu')
  const request = podAmount(pod, 'requests', 'cpu') ?? 0
  return {
    ...(memory !== undefined && { memoryBytes: Math.ceil(memory) }),
    ...(cpu !== undefined && { cpuMillicores: Math.ceil(cpu * 1000) }),
    cpuRequestMillicores: Math.ceil(request * 1000),
    ...(bounded.has('pids') && { pids: POD_TASKS }),
  }
}

export function containerLimits(container: Container): ResourceLimits {
  const memory = amountOf(container, 'limits', 'memory')
  const cpu = amountOf(container, 'limits', 'cpu')
  return {
    ...(memory !== undefined && { memoryBytes: Math.ceil(memory) }),
    ...(cpu !== undefined && { cpuMillicores: Math.ceil(cpu * 1000) }),
    cpuRequestMillicores: Math.ceil((amountOf(container, 'requests', 'cpu') ?? 0) * 1000),
    pids: POD_TASKS,
  }
}

/**
 * Kubernetes' sum: what runs side by side is added up, an init container counts where it alone needs more, and the
 * overhead comes on top. A limit is undefined where a container has none: then the Pod has none either.
 */
export function podAmount(pod: PodObject, kind: Kind, resource: Resource): number | undefined {
  const spec = specOf(pod) as ReturnType<typeof specOf> & { resources?: Container['resources'] }
  const overhead = parseQuantity(spec.overhead?.[resource] ?? '0') ?? 0
  const ofPod = spec.resources?.[kind]?.[resource]
  if (ofPod !== undefined) return (parseQuantity(ofPod) ?? 0) + overhead
  const amount = (container: Container): number => amountOf(container, kind, resource) ?? 0
  const inits = initContainers(pod)
  const all = [...inits, ...spec.containers]
  if (kind === 'limits' && all.some((container) => amountOf(container, kind, resource) === undefined)) return undefined
  let sidecars = 0
  let most = 0
  for (const container of inits) {
    if (isSidecar(container)) sidecars += amount(container)
    most = Math.max(most, sidecars + (isSidecar(container) ? 0 : amount(container)))
  }
  const together = spec.containers.reduce((sum, container) => sum + amount(container), sidecars)
  return Math.max(together, most) + overhead
}

/** A request that is not stated is the limit. Zero is no limit. */
function amountOf({ resources }: Container, kind: Kind, resource: Resource): number | undefined {
  const limit = parseQuantity(resources?.limits?.[resource] ?? '0') || undefined
  if (kind === 'limits') return limit
  const request = resources?.requests?.[resource]
  return request === undefined ? limit : parseQuantity(request)
}
