import type { PodObject } from '@caisson/client'

/** Stands for a Pod of which the API has nothing to say. */
export function unknownPod({
  uid,
  name = '',
  namespace = '',
}: {
  uid: string
  name?: string
  namespace?: string
}): PodObject {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { uid, name, namespace }, spec: { containers: [] } }
}
