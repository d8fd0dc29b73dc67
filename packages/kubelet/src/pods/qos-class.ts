import { parseQuantity } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { initContainers, specOf } from './observed-pod.ts'

const COMPUTE = ['cpu', 'memory'] as const

/** `Guaranteed` where every container is limited to what it requests, `BestEffort` where none asks for anything. */
export function qosClass(pod: PodObject): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const containers = [...initContainers(pod), ...specOf(pod).containers]
  if (
    !containers.some((container) =>
      COMPUTE.some(
        (resource) => amount(container, 'requests', resource) > 0 || amount(container, 'limits', resource) > 0,
      ),
    )
  ) {
    return 'BestEffort'
  }
  const guaranteed = containers.every((container) =>
    COMPUTE.every((resource) => {
      const limit = amount(container, 'limits', resource)
      // A request that is not stated is the limit.
      const request =
        container.resources?.requests?.[resource] === undefined ? limit : amount(container, 'requests', resource)
      return limit > 0 && request === limit
    }),
  )
  return guaranteed ? 'Guaranteed' : 'Burstable'
}

function amount(container: Container, kind: 'limits' | 'requests', resource: 'cpu' | 'memory'): number {
  const quantity = container.resources?.[kind]?.[resource]
  return quantity === undefined ? 0 : (parseQuantity(quantity) ?? 0)
}
