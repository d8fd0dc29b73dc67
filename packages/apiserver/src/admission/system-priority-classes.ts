/** The two PriorityClasses that every cluster has. */
import { randomUUID } from 'node:crypto'
import type { KubeObject } from '@caisson/api'
import type { Store } from '../storage/store.ts'
import { timestamp } from '../verbs/metadata.ts'

const PRIORITY_CLASSES = 'priorityclasses.scheduling.k8s.io'

const SYSTEM_CLASSES = [
  {
    name: 'system-node-critical',
    value: 2_000_001_000,
    description: 'For Pods that a node cannot do without.',
  },
  {
    name: 'system-cluster-critical',
    value: 2_000_000_000,
    description: 'For Pods that the cluster cannot do without, on whichever node.',
  },
] as const

/** Writes what is missing of them: on each start. */
export async function ensureSystemPriorityClasses(store: Store, { now }: { now: () => number }): Promise<void> {
  if (SYSTEM_CLASSES.every(({ name }) => store.get(PRIORITY_CLASSES, undefined, name))) return
  await store.write((transaction) => {
    for (const { name, value, description } of SYSTEM_CLASSES) {
      if (transaction.get(PRIORITY_CLASSES, undefined, name)) continue
      const metadata = { name, uid: randomUUID(), generation: 1, creationTimestamp: timestamp(now()) }
      const made: KubeObject = {
        apiVersion: 'scheduling.k8s.io/v1',
        kind: 'PriorityClass',
        metadata,
        value,
        description,
        preemptionPolicy: 'PreemptLowerPriority',
      }
      transaction.put(PRIORITY_CLASSES, made)
    }
  })
}
