/**
 * The workload controllers from the first object on that they have to do with. Loading them takes about 30 ms, which a
 * cluster that only runs sandboxes need not spend at its start. Their informers are the garbage collector's anyway.
 */
import { type Resource, resources } from '@caisson/client'
import { TRACKING } from './job-tracking.ts'
import type { WorkloadOptions } from './wiring.ts'

const KINDS: readonly Resource[] = [
  resources.replicaSets,
  resources.replicationControllers,
  resources.deployments,
  resources.statefulSets,
  resources.daemonSets,
  resources.jobs,
  resources.cronJobs,
  resources.podDisruptionBudgets,
  resources.horizontalPodAutoscalers,
]

/**
 * Disposing stops what has been started.
 *
 * @param after they begin no earlier than when it resolves, which it must
 */
export function startWorkloadsWhenNeeded(options: WorkloadOptions, after?: Promise<void>): AsyncDisposable {
  const { informers, signal, onError } = options
  const stack = new AsyncDisposableStack()
  let started: Promise<AsyncDisposable | undefined> | undefined

  async function start(): Promise<AsyncDisposable | undefined> {
    try {
      await after
      signal.throwIfAborted()
      const { startWorkloads } = await import('./start-workloads.ts')
      signal.throwIfAborted()
      return await startWorkloads(options)
    } catch (error) {
      if (!signal.aborted) onError(error, 'starting the workload controllers')
      // The next object asks for them again.
      started = undefined
      return undefined
    }
  }
  const needed = (): void => {
    if (!signal.aborted) started ??= start()
  }
  stack.defer(async () => {
    const running = await started
    await running?.[Symbol.asyncDispose]()
  })
  for (const resource of KINDS) stack.use(informers.of(resource).handle({ added: needed }))
  // Pods of a Job that has gone wait for somebody to let them go.
  stack.use(
    informers.of(resources.pods).handle({
      added: ({ metadata }) => {
        if (metadata.finalizers?.includes(TRACKING)) needed()
      },
    }),
  )
  return stack
}
