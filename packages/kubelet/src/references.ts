/** Which ConfigMaps and Secrets a Pod is made from, so that it is looked at again when they change. */
import type { PodObject } from '@caisson/client'
import { specOf } from './pods/observed-pod.ts'

export interface Reference {
  kind: 'configmap' | 'secret'
  namespace: string
  name: string
}

/** Each once. */
export function referencesOf(pod: PodObject): Reference[] {
  const found = new Map<string, Reference>()
  const namespace = pod.metadata.namespace ?? ''
  function add(kind: Reference['kind'], name: string | undefined): void {
    if (!name) return
    const reference = { kind, namespace, name }
    found.set(referenceKey(reference), reference)
  }
  const { volumes = [], containers, initContainers = [], ephemeralContainers = [], imagePullSecrets = [] } = specOf(pod)
  for (const { name } of imagePullSecrets) add('secret', name)
  for (const { configMap, secret, projected } of volumes) {
    add('configmap', configMap?.name)
    add('secret', secret?.secretName)
    for (const source of projected?.sources ?? []) {
      add('configmap', source.configMap?.name)
      add('secret', source.secret?.name)
    }
  }
  for (const { env = [], envFrom = [] } of [...containers, ...initContainers, ...ephemeralContainers]) {
    for (const { configMapRef, secretRef } of envFrom) {
      add('configmap', configMapRef?.name)
      add('secret', secretRef?.name)
    }
    for (const { valueFrom } of env) {
      add('configmap', valueFrom?.configMapKeyRef?.name)
      add('secret', valueFrom?.secretKeyRef?.name)
    }
  }
  return [...found.values()]
}

/** For an index of the Pods by what they refer to. */
export function referenceKeysOf(pod: PodObject): string[] {
  return referencesOf(pod).map(referenceKey)
}

export function referenceKey({ kind, namespace, name }: Reference): string {
  return `${kind} ${namespace}/${name}`
}
