/** Starts the controllers of StatefulSets and DaemonSets. */
import { keyOf, type Typed } from '@caisson/client'
import type { Node } from 'kubernetes-types/core/v1.d.ts'
import { createFailedDaemons } from './failed-daemons.ts'
import { planDaemonSet } from './plan-daemon-set.ts'
import { planStatefulSet } from './plan-stateful-set.ts'
import type { ClaimObject } from './stateful-pod.ts'
import { BY_NAMESPACE, candidates, controlledBy, type Wiring } from './wiring.ts'

export function startStatefulSets({ kinds, stack, start, follow }: Wiring): void {
  const { pods, statefulSets, revisions, claims } = kinds
  const statefulSetEngine = start({
    name: 'statefulset-controller',
    informer: statefulSets,
    others: [pods, revisions, claims],
    observe: (set, failures) => ({
      set,
      pods: candidates(pods, set),
      revisions: revisions.byIndex(BY_NAMESPACE, set.metadata.namespace ?? ''),
      claims: new Map(
        claims.byIndex(BY_NAMESPACE, set.metadata.namespace ?? '').map((one) => [one.metadata.name ?? '', one]),
      ),
      failures,
    }),
    plan: planStatefulSet,
  })
  follow(pods, statefulSets, statefulSetEngine, ({ spec }) => spec?.selector)
  follow(revisions, statefulSets, statefulSetEngine)
  // A Pod waits until the claim has gone that went with the one before it, or no longer does.
  const claimChanged = ({ metadata: { namespace = '' } }: ClaimObject): void => {
    for (const set of statefulSets.byIndex(BY_NAMESPACE, namespace))
      if (set.spec?.volumeClaimTemplates?.length) statefulSetEngine.enqueue(keyOf(set))
  }
  stack.use(
    claims.handle({
      updated(old, claim) {
        if (old.metadata.ownerReferences?.length !== claim.metadata.ownerReferences?.length) claimChanged(claim)
      },
      deleted: claimChanged,
    }),
  )
}

export function startDaemonSets({ kinds, options, stack, start, follow }: Wiring): void {
  const { pods, daemonSets, revisions, nodes } = kinds
  const failed = createFailedDaemons()
  const daemonSetEngine = start({
    name: 'daemonset-controller',
    informer: daemonSets,
    others: [pods, revisions],
    observe: (set, failures) => ({
      set,
      pods: candidates(pods, set),
      nodes: nodes.list(),
      replaceableAt: failed.replaceableAt(set, controlledBy(pods, set.metadata), options.now()),
      revisions: revisions.byIndex(BY_NAMESPACE, set.metadata.namespace ?? ''),
      failures,
    }),
    plan: planDaemonSet,
  })
  follow(pods, daemonSets, daemonSetEngine, ({ spec }) => spec?.selector)
  follow(revisions, daemonSets, daemonSetEngine)
  stack.use(daemonSets.handle({ deleted: failed.forget }))
  const nodesChanged = (): void => {
    for (const set of daemonSets.list()) daemonSetEngine.enqueue(keyOf(set))
  }
  stack.use(
    nodes.handle({
      added: nodesChanged,
      updated: (old, node) => {
        if (placement(old) !== placement(node)) nodesChanged()
      },
      deleted: nodesChanged,
    }),
  )
}

/** What of a node decides whether a daemon belongs on it. */
function placement({ metadata, spec }: Typed<Node>): string {
  return JSON.stringify([metadata.labels, spec?.taints, spec?.unschedulable])
}
