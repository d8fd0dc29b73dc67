import { keyOf, resources, type Workqueue } from '@caisson/client'
import { reconcileNamespace } from '../namespaces.ts'
import type { PartWiring } from '../part-wiring.ts'
import { collect } from './collect.ts'
import { type ObjectWatcher, watchObjects } from './object-watcher.ts'
import { createOwnershipGraph } from './ownership-graph.ts'

const OBJECTS_AT_A_TIME = 4

/**
 * Has what nobody owns any more collected and namespaces that are being deleted emptied, over every kind there is. Resolves
 * when all of them have been seen.
 */
export async function startCollection({ client, informers, now, signal, stack, queue, on }: PartWiring): Promise<void> {
  const namespaces = informers.of(resources.namespaces)
  let known: ObjectWatcher | undefined
  const graph = createOwnershipGraph((owner) => known?.scopeOf(owner))
  const early: string[] = []
  let objectQueue: Workqueue | undefined
  let namespaceQueue: Workqueue | undefined
  const decideAgain = (uids: readonly string[]): void => {
    if (objectQueue) for (const uid of uids) objectQueue.add(uid)
    else early.push(...uids)
  }
  const emptied = (name: string): void => {
    if (namespaces.get(name)?.metadata.deletionTimestamp) namespaceQueue?.add(name)
  }
  const watcher = stack.use(
    await watchObjects({
      client,
      informers,
      signal,
      changed(resource, object) {
        decideAgain(graph.observe(resource, object))
      },
      gone(resource, object) {
        decideAgain(graph.forget(object.metadata.uid ?? ''))
        if (object.metadata.namespace && resource !== 'namespaces') emptied(object.metadata.namespace)
      },
    }),
  )
  known = watcher
  // Nothing is judged an orphan before all kinds have been seen.
  await watcher.synced(signal)
  objectQueue = queue('collecting', (uid) => collect(uid, { client, watcher, graph, signal }), OBJECTS_AT_A_TIME)
  decideAgain(early)
  namespaceQueue = queue('emptying namespace', (name) =>
    reconcileNamespace(namespaces.get(name), { client, watcher, graph, now, signal }),
  )
  on(namespaces, (namespace) => emptied(keyOf(namespace)))
}
