/** The namespaces that every cluster has. */
import { randomUUID } from 'node:crypto'
import type { KubeObject } from '@caisson/api'
import type { Store } from '../storage/store.ts'
import { timestamp } from '../verbs/metadata.ts'

const SYSTEM_NAMESPACES = ['default', 'kube-node-lease', 'kube-public', 'kube-system'] as const

/** Writes what is missing of them: on each start. */
export async function ensureSystemNamespaces(store: Store, { now }: { now: () => number }): Promise<void> {
  if (SYSTEM_NAMESPACES.every((name) => store.get('namespaces', undefined, name))) return
  await store.write((transaction) => {
    for (const name of SYSTEM_NAMESPACES) {
      if (transaction.get('namespaces', undefined, name)) continue
      const made: KubeObject = {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: {
          name,
          uid: randomUUID(),
          creationTimestamp: timestamp(now()),
          labels: { 'kubernetes.io/metadata.name': name },
        },
        spec: { finalizers: ['kubernetes'] },
        status: { phase: 'Active' },
      }
      transaction.put('namespaces', made)
    }
  })
}
