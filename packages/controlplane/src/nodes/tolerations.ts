/** Which Pods bear which taints of nodes, as Kubernetes defines it. */
import type { PodObject } from '@caisson/client'
import type { Taint, Toleration } from 'kubernetes-types/core/v1.d.ts'

export function tolerates(pod: PodObject, taint: Taint): boolean {
  return tolerationOf(pod, taint) !== undefined
}

/** How long a Pod may stay on a node with these taints, in ms: 0 where it does not bear one of them, or for ever. */
export function toleratedMs(pod: PodObject, taints: readonly Taint[]): number {
  let least = Number.POSITIVE_INFINITY
  for (const taint of taints) {
    const toleration = tolerationOf(pod, taint)
    if (!toleration) return 0
    const seconds = toleration.tolerationSeconds
    if (seconds !== undefined && seconds !== null) least = Math.min(least, Math.max(0, seconds * 1000))
  }
  return least
}

/** The first that fits counts. */
function tolerationOf(pod: PodObject, taint: Taint): Toleration | undefined {
  return pod.spec?.tolerations?.find(({ key, operator, value, effect }) => {
    if (effect && effect !== taint.effect) return false
    if (!key) return operator === 'Exists'
    return key === taint.key && (operator === 'Exists' || (value ?? '') === (taint.value ?? ''))
  })
}
