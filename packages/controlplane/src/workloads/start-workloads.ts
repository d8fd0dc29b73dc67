/** Starts the controllers of the kinds that make Pods. */
import { resources } from '@caisson/client'
import { autoscale } from './autoscaling/autoscale.ts'
import { startDisruptionBudgets } from './start-disruption-budgets.ts'
import { startJobs } from './start-jobs.ts'
import { startDeployments, startReplicaSets } from './start-replica-sets.ts'
import { startDaemonSets, startStatefulSets } from './start-revised-sets.ts'
import { createWiring, kindsOf, type WorkloadOptions } from './wiring.ts'

/** Resolves when every kind has been listed once. Disposing stops the controllers and waits for running passes. */
export async function startWorkloads(options: WorkloadOptions): Promise<AsyncDisposable> {
  const { informers, signal } = options
  await using stack = new AsyncDisposableStack()
  const wiring = createWiring(kindsOf(informers), options, stack)
  await informers.synced(signal)
  startReplicaSets(wiring)
  startDeployments(wiring)
  startJobs(wiring)
  startStatefulSets(wiring)
  startDaemonSets(wiring)
  startDisruptionBudgets(wiring)
  stack.use(
    autoscale({
      client: options.client,
      autoscalers: informers.of(resources.horizontalPodAutoscalers),
      record: (object, event) => options.record('horizontal-pod-autoscaler', object, event),
      onError: options.onError,
      now: options.now,
    }),
  )
  return stack.move()
}
