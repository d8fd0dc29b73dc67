/** What a Pod is promised, by what it asks for. */
import type { Pod, PodSpec } from 'kubernetes-types/core/v1.js'
import { nanoOf } from '../quantity.ts'
import { deepEqual } from './deep-equal.ts'

type Amounts = Readonly<Record<string, string>> | undefined

/** Guaranteed, Burstable or BestEffort, by what the containers (or the Pod as a whole) ask for. */
export function podQosClass(pod: Pod): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const spec = pod.spec as PodSpec & { resources?: { requests?: Amounts; limits?: Amounts } }
  const parts = spec.resources
    ? [spec.resources]
    : [...(spec.containers ?? []), ...(spec.initContainers ?? [])].map((container) => container.resources ?? {})
  const requests: Record<string, bigint> = {}
  const limits: Record<string, bigint> = {}
  let guaranteed = true
  for (const part of parts) {
    addUp(requests, part.requests as Amounts)
    const limited = addUp(limits, part.limits as Amounts)
    if (limited < 2) guaranteed = false
  }
  if (Object.keys(requests).length === 0 && Object.keys(limits).length === 0) return 'BestEffort'
  return guaranteed && deepEqual(requests, limits) ? 'Guaranteed' : 'Burstable'
}

/** Returns how many of cpu and memory the list has, more than nothing of each. */
function addUp(sums: Record<string, bigint>, amounts: Amounts): number {
  let count = 0
  for (const name of ['cpu', 'memory'] as const) {
    const amount = amounts?.[name]
    const nano = amount === undefined ? 0n : nanoOf(amount)
    if (nano <= 0n) continue
    sums[name] = (sums[name] ?? 0n) + nano
    count++
  }
  return count
}
