/** Pods whose Job has gone, or has ended, count for nobody: they do not have to wait for being counted. */
import { controllerOf } from '@caisson/api'
import {
  type Client,
  createWorkqueue,
  type Informer,
  isConflict,
  isNotFound,
  keyOf,
  type PodObject,
  resources,
} from '@caisson/client'
import { isFinished } from './job-conditions.ts'
import { isTracked, type JobObject } from './job-pods.ts'
import { TRACKING } from './job-tracking.ts'

export interface ReleaseOrphansOptions {
  client: Client
  pods: Informer<PodObject>
  jobs: Informer<JobObject>
  onError(error: unknown, where: string): void
}

/** Works until disposed. */
export function releaseOrphans({ client, pods, jobs, onError }: ReleaseOrphansOptions): AsyncDisposable {
  const stack = new AsyncDisposableStack()
  const isOrphan = (pod: PodObject): boolean => {
    if (!isTracked(pod)) return false
    const owner = controllerOf(pod)
    if (owner?.kind !== 'Job') return owner === undefined
    const job = jobs.get(`${pod.metadata.namespace}/${owner.name}`)
    return job?.metadata.uid !== owner.uid || isFinished(job)
  }
  const queue = stack.use(
    createWorkqueue({
      concurrency: 5,
      onError: (error, key) => onError(error, `job-controller, orphaned Pod ${key}`),
      async process(key, signal) {
        const pod = pods.get(key)
        if (!pod || !isOrphan(pod)) return
        const { namespace, name = '', uid = '', resourceVersion = '', finalizers = [] } = pod.metadata
        const rest = finalizers.filter((finalizer) => finalizer !== TRACKING)
        try {
          const body = { metadata: { uid, resourceVersion, finalizers: rest } }
          await client.patch(resources.pods, name, body, { namespace, signal })
        } catch (error) {
          // A change is on its way here, and is looked at again.
          if (!isConflict(error) && !isNotFound(error)) throw error
        }
      },
    }),
  )
  const look = (pod: PodObject): void => {
    if (isTracked(pod)) queue.add(keyOf(pod))
  }
  const lookAtAll = ({ metadata }: JobObject): void => {
    for (const pod of pods.list()) if (pod.metadata.namespace === metadata.namespace) look(pod)
  }
  stack.use(pods.handle({ added: look, updated: (_old, pod) => look(pod) }))
  stack.use(
    jobs.handle({
      updated: (old, job) => {
        if (isFinished(job) && !isFinished(old)) lookAtAll(job)
      },
      deleted: lookAtAll,
    }),
  )
  return stack.move()
}
