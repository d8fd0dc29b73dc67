/** Binds Pods to nodes. */
import { kubernetesTime } from '@caisson/api'
import {
  claimNameOf,
  type Informers,
  isConflict,
  isNamespaceTerminating,
  isNotFound,
  joinKey,
  notMadeFor,
  type PodObject,
  resources,
} from '@caisson/client'
import { classOf } from '../volumes/match-volume.ts'
import { priorityOf } from './choose-preemption.ts'
import { failedSchedulingMessage, type NodeLoad, unfit } from './fit.ts'
import { createNeighbours, MOST_TERMS, type Neighbours, termsOf } from './neighbours.ts'
import { isFinished, requestOf, together } from './node-loads.ts'
import { preempt } from './preempt.ts'
import type { SchedulerContext } from './scheduler-context.ts'

const SCHEDULER_NAME = 'default-scheduler'

export type Outcome = 'bound' | 'unschedulable' | 'not-ours'

/** Whether this scheduler is to find a node for it. */
export function isPending(pod: PodObject): boolean {
  return (
    !pod.spec?.nodeName &&
    !pod.metadata.deletionTimestamp &&
    (pod.spec?.schedulerName ?? SCHEDULER_NAME) === SCHEDULER_NAME &&
    (pod.spec?.schedulingGates ?? []).length === 0 &&
    !isFinished(pod)
  )
}

/** Finds a node for one Pod, the emptiest that fits, and binds it; or says on the Pod why there is none. */
export async function schedule(pod: PodObject, context: SchedulerContext): Promise<Outcome> {
  if (!isPending(pod)) return 'not-ours'
  const { client, informers, loads, signal } = context
  const name = pod.metadata.name ?? ''
  const namespace = pod.metadata.namespace ?? ''
  const unbound = unboundClaim(pod, informers)
  if (unbound) {
    // A volume that waits for its first consumer is being made for this Pod: it comes back when the claim is bound.
    if (unbound !== 'waits-for-consumer') await sayUnschedulable(pod, unbound, context)
    return 'unschedulable'
  }
  const terms = termsOf(pod)
  if (terms > MOST_TERMS) {
    const said = `pod has ${terms} terms about where other pods are, of which ${MOST_TERMS} can be looked at`
    await sayUnschedulable(pod, said, context)
    return 'unschedulable'
  }
  const request = requestOf(pod)
  const around = surroundingsOf(pod, context)
  const reasons = around.loads.map((load) => unfit(pod, request, load, around.neighbours))
  const podsOf = ({ requested }: NodeLoad): number => requested.get('pods') ?? 0
  const [best] = around.loads.filter((_, index) => reasons[index]?.length === 0).sort((a, b) => podsOf(a) - podsOf(b))
  if (!best) {
    const lacking = lackingClassLabels(
      pod,
      around.loads.map(({ node }) => node.metadata.labels ?? {}),
    )
    const after = await preempt(pod, { ...around, reasons }, context)
    await sayUnschedulable(pod, `${failedSchedulingMessage(reasons)}${after.said}${lacking}`, context, after.node)
    return 'unschedulable'
  }
  const target = best.node.metadata.name ?? ''
  loads.assume(pod, target)
  try {
    await client.createSubresource(
      resources.pods,
      name,
      'binding',
      {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name, namespace, uid: pod.metadata.uid },
        target: { apiVersion: 'v1', kind: 'Node', name: target },
      },
      { namespace, signal },
    )
  } catch (error) {
    loads.forget(pod)
    if (isNotFound(error) || isConflict(error) || isNamespaceTerminating(error)) return 'not-ours'
    throw error
  }
  context.record(pod, {
    type: 'Normal',
    reason: 'Scheduled',
    message: `Successfully assigned ${namespace}/${name} to ${target}`,
  })
  return 'bound'
}

interface Around {
  loads: NodeLoad[]
  neighbours: Neighbours
}

/** The nodes with what they have, and with those who have been promised a place there before this Pod. */
function surroundingsOf(pod: PodObject, { informers, loads }: SchedulerContext): Around {
  const promised = [...loads.nominated()].filter(
    (other) => other.pod.metadata.uid !== pod.metadata.uid && priorityOf(other.pod) >= priorityOf(pod),
  )
  const nodes = informers.of(resources.nodes).list()
  const namespaces = informers.of(resources.namespaces)
  return {
    loads: nodes.map((node) => {
      const name = node.metadata.name ?? ''
      const requested = promised
        .filter((other) => other.node === name)
        .reduce((sum, other) => together(sum, other.request), loads.of(name))
      return { node, requested, ports: loads.portsOf(name) }
    }),
    neighbours: createNeighbours(pod, {
      nodes,
      placed: loads.placed(),
      averse: loads.averse(),
      labelsOfNamespace: (name) => namespaces.get(name)?.metadata.labels,
    }),
  }
}

/** In kube-scheduler's words, why a claim of the Pod keeps it from starting. */
function unboundClaim(pod: PodObject, informers: Informers): string | undefined {
  let waits = false
  for (const volume of pod.spec?.volumes ?? []) {
    const claimName = claimNameOf(pod, volume)
    if (!claimName) continue
    const claim = informers.of(resources.persistentVolumeClaims).get(joinKey(pod.metadata.namespace, claimName))
    const total = informers.of(resources.nodes).size
    if (!claim && volume.ephemeral)
      return `waiting for ephemeral volume controller to create the persistentvolumeclaim "${claimName}"`
    if (!claim) return `persistentvolumeclaim "${claimName}" not found`
    if (claim.metadata.deletionTimestamp) return `persistentvolumeclaim "${claimName}" is being deleted`
    const foreign = volume.ephemeral && notMadeFor(pod, claim)
    if (foreign !== undefined) return foreign
    if (claim.status?.phase === 'Bound') continue
    const storageClass = informers.of(resources.storageClasses).get(classOf(claim))
    if (storageClass?.volumeBindingMode !== 'WaitForFirstConsumer') {
      return `0/${total} nodes are available: pod has unbound immediate PersistentVolumeClaims.`
    }
    waits = true
  }
  return waits ? 'waits-for-consumer' : undefined
}

/** kube-scheduler leaves to the reader what it is that a node with the class's runtime would have. */
function lackingClassLabels({ spec }: PodObject, nodes: readonly Readonly<Record<string, string>>[]): string {
  if (!spec?.runtimeClassName) return ''
  const wanted = Object.entries(spec.nodeSelector ?? {})
  const missing = wanted.filter(([key, value]) => !nodes.some((labels) => labels[key] === value))
  if (missing.length === 0) return ''
  const labels = missing.map(([key, value]) => `${key}=${value}`).join(', ')
  return ` RuntimeClass ${JSON.stringify(spec.runtimeClassName)} cannot run here: no node has the label ${labels}.`
}

async function sayUnschedulable(
  pod: PodObject,
  message: string,
  { client, informers, record, now, signal }: SchedulerContext,
  nominatedNodeName?: string,
): Promise<void> {
  const before = pod.status?.conditions?.find((condition) => condition.type === 'PodScheduled')
  // Saying the same again would wake whoever watches Pods, this scheduler among them.
  if (before?.reason === 'Unschedulable' && before.message === message && !nominatedNodeName) return
  const condition = {
    type: 'PodScheduled',
    status: 'False',
    reason: 'Unschedulable',
    message,
    lastTransitionTime: kubernetesTime(now()),
  }
  const conditions = [...(pod.status?.conditions ?? []).filter((one) => one.type !== 'PodScheduled'), condition]
  try {
    const patched = await client.patchStatus(
      resources.pods,
      pod.metadata.name ?? '',
      { metadata: { uid: pod.metadata.uid }, status: { conditions, ...(nominatedNodeName && { nominatedNodeName }) } },
      { namespace: pod.metadata.namespace, signal },
    )
    informers.of(resources.pods).observe(patched)
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error
    return
  }
  record(pod, { type: 'Warning', reason: 'FailedScheduling', message })
}
