import { kubernetesTime } from '@caisson/api'
import { type Client, isConflict, isNotFound, type PodObject, resources } from '@caisson/client'

/** Why a Pod goes that has done nothing for it, as its condition DisruptionTarget says it. */
export interface Disruption {
  reason: string
  message: string
}

export interface DisruptPodOptions {
  client: Client
  /** Undefined where there is nothing to say of it. */
  disruption: Disruption | undefined
  /** No node will report its end: it has failed, and goes at once. */
  isLost?: boolean
  /** ms since the epoch. */
  now(): number
  signal: AbortSignal
}

/** Says why it goes and deletes it. Resolves with false where it was gone, or is another one of its name by now. */
export async function disruptPod(pod: PodObject, options: DisruptPodOptions): Promise<boolean> {
  const { client, disruption, isLost = false, now, signal } = options
  const { name = '', namespace, uid = '' } = pod.metadata
  try {
    if (disruption) {
      const lastTransitionTime = kubernetesTime(now())
      const condition = { type: DISRUPTION_TARGET, status: 'True', ...disruption, lastTransitionTime }
      const status = { ...(isLost && { phase: 'Failed' }), conditions: [condition] }
      const body = { metadata: { uid }, status }
      await client.patchStatus(resources.pods, name, body, { namespace, signal, type: 'strategic' })
    }
    const preconditions = { uid }
    const grace = isLost && { gracePeriodSeconds: 0 }
    await client.delete(resources.pods, name, { namespace, signal, preconditions, ...grace })
    return true
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error
    return false
  }
}

const DISRUPTION_TARGET = 'DisruptionTarget'

/** Whether it is being deleted for that reason. */
export function isDisruptedFor({ metadata, status }: PodObject, { reason }: Disruption): boolean {
  const isSaid = status?.conditions?.some(
    (condition) => condition.type === DISRUPTION_TARGET && condition.reason === reason,
  )
  return metadata.deletionTimestamp !== undefined && isSaid === true
}
