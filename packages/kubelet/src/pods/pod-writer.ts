/** What this node writes about its Pods to the API. */
import { type Client, type Informer, isConflict, isNotFound, type PodObject, resources } from '@caisson/client'
import type { PodStatus } from 'kubernetes-types/core/v1.d.ts'
import { formatPod, statusesOf } from './observed-pod.ts'
import type { PodEvents } from './pod-events.ts'
import { statusPatch } from './status-patch.ts'

interface PodWriterOptions {
  client: Client
  /** Is told what was answered. */
  informer: Informer<PodObject>
  /** As the cache has the Pod of a uid. */
  cached(uid: string): PodObject | undefined
  events: PodEvents
}

export interface PodWriter {
  /** Resolves with whether the Pod is another one now. A Pod that is gone needs no status. */
  writeStatus(pod: PodObject, status: PodStatus): Promise<boolean>
  /** Takes a Pod away whose containers have ended. */
  remove(pod: PodObject): Promise<void>
  /** Whether a change in the cache is just what was written here: who wrote it plans on that anyway. */
  isWriting(uid: string): boolean
}

export function createPodWriter({ client, informer, cached, events }: PodWriterOptions): PodWriter {
  /** The Pod whose own status is being put into the cache. */
  let quiet: string | undefined

  async function writeStatus(pod: PodObject, status: PodStatus): Promise<boolean> {
    const { uid = '', name = '', namespace } = pod.metadata
    const current = cached(uid)
    const patch = current && statusPatch(current.status, status)
    if (!patch) return false
    try {
      const body = { metadata: { uid }, status: patch }
      const answer = await client.patchStatus(resources.pods, name, body, { namespace, type: 'strategic' })
      quietly(uid, () => informer.observe(answer))
      announceBackOff(current, status)
      return answer.metadata.resourceVersion !== current.metadata.resourceVersion
    } catch (error) {
      // Gone, or another one of the same name: the cache will say so.
      if (isNotFound(error) || isConflict(error)) return false
      throw error
    }
  }

  /** Once for each time that a container comes to wait. */
  function announceBackOff(before: PodObject, status: PodStatus): void {
    for (const { name, state } of [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])]) {
      if (state?.waiting?.reason !== 'CrashLoopBackOff') continue
      const known = statusesOf(before).find((each) => each.name === name)
      if (known?.state?.waiting?.reason === 'CrashLoopBackOff') continue
      const message = `Back-off restarting failed container ${name} in pod ${formatPod(before)}`
      events.aboutContainer(before, name, { type: 'Warning', reason: 'BackOff', message })
    }
  }

  function quietly(uid: string, change: () => void): void {
    quiet = uid
    try {
      change()
    } finally {
      quiet = undefined
    }
  }

  async function remove(pod: PodObject): Promise<void> {
    const { uid = '', name = '', namespace } = pod.metadata
    try {
      const answer = await client.delete(resources.pods, name, {
        namespace,
        gracePeriodSeconds: 0,
        preconditions: { uid },
      })
      if (isGone(answer)) informer.observeDeletion(pod)
      else informer.observe(answer as PodObject)
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error
    }
  }

  return { writeStatus, remove, isWriting: (uid) => uid === quiet }
}

function isGone(answer: object): boolean {
  return 'kind' in answer && answer.kind === 'Status'
    ? true
    : !('metadata' in answer) || !(answer as PodObject).metadata.finalizers?.length
}
