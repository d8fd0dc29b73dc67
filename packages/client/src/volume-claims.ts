/** Which claims the volumes of a Pod have. */
import { controllerOf } from '@caisson/api'
import type { Volume } from 'kubernetes-types/core/v1.d.ts'
import type { PodObject } from './core-resources.ts'
import type { AnyObject } from './resource.ts'

/** The claim that is named, or the volume's own, which is called after the Pod and it; undefined where it has none. */
export function claimNameOf(pod: PodObject, { name, persistentVolumeClaim, ephemeral }: Volume): string | undefined {
  return persistentVolumeClaim?.claimName ?? (ephemeral && `${pod.metadata.name}-${name}`)
}

/**
 * In Kubernetes' words, why a claim is not the one that was made for the Pod's `ephemeral` volume; undefined where it is.
 * Anybody in the namespace may have made one of its name.
 */
export function notMadeFor({ metadata: { namespace, name, uid } }: PodObject, claim: AnyObject): string | undefined {
  if (uid !== undefined && controllerOf(claim)?.uid === uid) return undefined
  return `PVC ${namespace}/${claim.metadata.name} was not created for pod ${namespace}/${name} (pod is not owner)`
}
