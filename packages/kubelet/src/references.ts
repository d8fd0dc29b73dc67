/** Which ConfigMaps and Secrets a Pod is made from, so that it is looked at again when they change. */
import type { PodObject } from '@caisson/client'
import { specOf } from './pods/observed-pod.ts'

/** `configmap NAMESPACE/NAME`, `secret NAMESPACE/NAME`, each once. */
export function referencesOf(pod: PodObject): string[] {
  const found = new Set<string>()
  const namespace = pod.metadata.namespace ?? ''
  function add(kind: 'configmap' | 'secret', name: string | undefined): void {
    if (name) found.add(referenceKey(kind, { namespace, name }))
  }
  const { volumes = [], containers, initContainers = [], imagePullSecrets = [] } = specOf(pod)
  for (const { name } of imagePullSecrets) add('secret', name)
  for (const { configMap, secret, projected } of volumes) {
    add('configmap', configMap?.name)
    add('secret', secret?.secretName)
    for (const source of projected?.sources ?? []) {
      add('configmap', source.configMap?.name)
      add('secret', source.secret?.name)
    }
  }
  for (const { env = [], envFrom = [] } of [...containers, ...initContainers]) {
    for (const { configMapRef, secretRef } of envFrom) {
      add('configmap', configMapRef?.name)
      add('secret', secretRef?.name)
    }
    for (const { valueFrom } of env) {
      add('configmap', valueFrom?.configMapKeyRef?.name)
      add('secret', valueFrom?.secretKeyRef?.name)
    }
  }
  return [...found]
}

export function referenceKey(
  kind: 'configmap' | 'secret',
  { namespace = '', name = '' }: { namespace?: string; name?: string },
): string {
  return `${kind} ${namespace}/${name}`
}
