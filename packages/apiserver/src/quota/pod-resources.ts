/** What a Pod asks for as a whole: the sum of its containers, or its greediest init container, or what it says itself. */
import { type Container, list, type PodSpec } from '../admission/pod-shape.ts'
import { isPodLevelResource, type ResourceList } from '../registry/builtin/resource-requirements.ts'
import type { Quantity } from '../registry/quantity.ts'
import { addAmounts, amountsOf, raiseAmounts } from './resource-amounts.ts'

export type Side = 'requests' | 'limits'

interface WithResources {
  resources?: { requests?: ResourceList; limits?: ResourceList } | null
}

export function resourcesOf(container: Container, side: Side): ResourceList {
  return (container as WithResources).resources?.[side] ?? {}
}

/** What the containers come to: those that run side by side added up, an init container where it alone needs more. */
export function containerAmounts(spec: PodSpec, side: Side): Map<string, Quantity> {
  const sum = new Map<string, Quantity>()
  for (const container of list(spec.containers)) addAmounts(sum, amountsOf(resourcesOf(container, side)))
  const restartable = new Map<string, Quantity>()
  const initial = new Map<string, Quantity>()
  for (const container of list(spec.initContainers)) {
    const own = amountsOf(resourcesOf(container, side))
    if (container.restartPolicy === 'Always') {
      addAmounts(sum, own)
      addAmounts(restartable, own)
      raiseAmounts(initial, restartable)
    } else {
      addAmounts(own, restartable)
      raiseAmounts(initial, own)
    }
  }
  raiseAmounts(sum, initial)
  return sum
}

/** @param withOverhead what the RuntimeClass adds: counted by quotas, not by LimitRanges. */
export function podAmounts(spec: PodSpec, side: Side, withOverhead: boolean): Map<string, Quantity> {
  const sum = containerAmounts(spec, side)
  for (const [name, amount] of amountsOf((spec as WithResources).resources?.[side]))
    if (isPodLevelResource(name)) sum.set(name, amount)
  if (withOverhead && spec.overhead) {
    const overhead = amountsOf(spec.overhead as ResourceList)
    // A limit is only made greater where there is one.
    for (const name of overhead.keys()) if (side === 'limits' && !sum.has(name)) overhead.delete(name)
    addAmounts(sum, overhead)
  }
  return sum
}

/** Whether the Pod itself says what it asks for, beside its containers. */
export function hasPodLevelResources(spec: PodSpec): boolean {
  const { requests = {}, limits = {} } = (spec as WithResources).resources ?? {}
  return [...Object.keys(requests), ...Object.keys(limits)].some(isPodLevelResource)
}
