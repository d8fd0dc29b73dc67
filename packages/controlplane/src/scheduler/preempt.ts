/** Makes Pods go for one of higher priority. */
import { type PodObject, resources } from '@caisson/client'
import { disruptPod, isDisruptedFor } from '../disrupt-pod.ts'
import { choosePreemption, priorityOf } from './choose-preemption.ts'
import { failedPreemptionMessage, type NodeLoad, type Unfit } from './fit.ts'
import type { Neighbours } from './neighbours.ts'
import type { SchedulerContext } from './scheduler-context.ts'

export interface Unsuccessful {
  loads: readonly NodeLoad[]
  neighbours: Neighbours
  /** Why each of the nodes does not do. */
  reasons: readonly Unfit[]
}

/** Makes others go where that helps. Returns what is to be said of it behind why the Pod fits nowhere, and the node. */
export async function preempt(
  pod: PodObject,
  { loads: nodes, neighbours, reasons }: Unsuccessful,
  context: SchedulerContext,
): Promise<{ said: string; node?: string }> {
  const { client, informers, loads, record, now, signal } = context
  if (nodes.length === 0) return { said: '' }
  if (pod.spec?.preemptionPolicy === 'Never')
    return { said: ' preemption: not eligible due to preemptionPolicy=Never.' }
  const promised = [...loads.nominated()].find((each) => each.pod.metadata.uid === pod.metadata.uid)?.node
  for (const { pod: other } of promised === undefined ? [] : loads.placed(promised)) {
    if (priorityOf(other) < priorityOf(pod) && isDisruptedFor(other, PREEMPTED))
      return { said: ' preemption: not eligible due to a terminating pod on the nominated node.' }
  }
  const chosen = choosePreemption(pod, {
    loads: nodes,
    reasons,
    neighbours,
    placedOn: (node) => loads.placed(node),
    budgets: informers.of(resources.podDisruptionBudgets).list(),
  })
  if (!chosen) return { said: ` preemption: ${failedPreemptionMessage(reasons)}` }
  // Before anything is waited for: whoever is looked at meanwhile must not take the place.
  loads.nominate(pod, chosen.node)
  for (const victim of chosen.victims) {
    if (!(await disruptPod(victim, { client, disruption: PREEMPTED, now, signal }))) continue
    const message = `Preempted by pod ${pod.metadata.uid} on node ${chosen.node}`
    record(victim, { type: 'Normal', reason: 'Preempted', message })
  }
  return { said: '', node: chosen.node }
}

const PREEMPTED = {
  reason: 'PreemptionByScheduler',
  message: 'default-scheduler: preempting to accommodate a higher priority pod',
}
