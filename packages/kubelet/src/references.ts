/** Which ConfigMaps and Secrets a Pod is made from, so that it is looked at again when they change. */
import type { PodObject } from '@caisson/client'
import { allContainers, initContainers, specOf } from './pods/observed-pod.ts'

export interface Reference {
  kind: 'configmap' | 'secret'
  namespace: string
  name: string
}

/** As many as a Pod may make: each is read with each start, and each object that one names costs a watch. */
export const MOST_REFERENCES = 1_000

/** What its variables, volumes and pulls take from elsewhere; what is named again counts again. */
export function countReferences(pod: PodObject): number {
  const { volumes = [], containers, imagePullSecrets = [] } = specOf(pod)
  let count = imagePullSecrets.length
  for (const { configMap, secret, projected } of volumes) {
    count += configMap || secret ? 1 : (projected?.sources?.length ?? 0)
  }
  for (const { env = [], envFrom = [] } of [...containers, ...initContainers(pod)]) {
    count += envFrom.length
    for (const { valueFrom } of env) if (valueFrom) count++
  }
  return count
}

/**
 * Those that are watched: not all of a Pod that is not begun because it has too many, nor of ephemeral containers, which
 * come too late to be refused. Others are read without.
 */
export function watchedReferencesOf(pod: PodObject): Reference[] {
  return referencesOf(pod).slice(0, MOST_REFERENCES)
}

/** Each once, those of ephemeral containers last. */
function referencesOf(pod: PodObject): Reference[] {
  const found = new Map<string, Reference>()
  const namespace = pod.metadata.namespace ?? ''
  function add(kind: Reference['kind'], name: string | undefined): void {
    if (!name) return
    const reference = { kind, namespace, name }
    found.set(referenceKey(reference), reference)
  }
  const { volumes = [], imagePullSecrets = [] } = specOf(pod)
  for (const { name } of imagePullSecrets) add('secret', name)
  for (const { configMap, secret, projected } of volumes) {
    add('configmap', configMap?.name)
    add('secret', secret?.secretName)
    for (const source of projected?.sources ?? []) {
      add('configmap', source.configMap?.name)
      add('secret', source.secret?.name)
    }
  }
  for (const { env = [], envFrom = [] } of allContainers(pod)) {
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

export function referenceKey({ kind, namespace, name }: Reference): string {
  return `${kind} ${namespace}/${name}`
}
