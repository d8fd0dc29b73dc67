/**
 * What the writes of a batch have changed and the disk does not hold yet: operations of the batch see it laid over what
 * is committed, nobody else does.
 */
import type { KubeObject } from '@caisson/api'
import { type Collection, compareObjects } from './collection.ts'
import type { ResourceKey, StoreEvent } from './store.ts'

/** One change, with what it takes to write it down, to tell of it and to take it back. */
export interface Step {
  resource: ResourceKey
  namespace: string
  name: string
  event: StoreEvent
}

export interface PendingChanges {
  readonly size: number
  get(resource: ResourceKey, namespace: string, name: string): KubeObject | undefined
  /** Of one namespace where given, ordered by namespace and name. */
  list(resource: ResourceKey, namespace: string | undefined): Iterable<KubeObject>
  add(step: Step): void
  /** Forgets all but the first so many changes. */
  truncate(size: number): void
  /** Every change, in order; nothing is pending afterwards. */
  take(): Step[]
}

/** @param collectionOf what is committed */
export function createPendingChanges(collectionOf: (resource: ResourceKey) => Collection): PendingChanges {
  let steps: Step[] = []
  /** By resource, then by namespace and name; undefined is a deletion. */
  let latest = new Map<ResourceKey, Map<string, KubeObject | undefined>>()

  function note({ resource, namespace, name, event }: Step): void {
    let changed = latest.get(resource)
    if (!changed) {
      changed = new Map()
      latest.set(resource, changed)
    }
    changed.set(`${namespace}/${name}`, event.type === 'DELETED' ? undefined : event.object)
  }

  return {
    get size() {
      return steps.length
    },
    get(resource, namespace, name) {
      const changed = latest.get(resource)
      const key = `${namespace}/${name}`
      return changed?.has(key) ? changed.get(key) : collectionOf(resource).get(namespace, name)
    },
    list(resource, namespace) {
      const committed = collectionOf(resource).list(namespace)
      const changed = latest.get(resource)
      if (!changed) return committed
      const objects = committed.filter(({ metadata }) => !changed.has(`${metadata.namespace ?? ''}/${metadata.name}`))
      for (const object of changed.values())
        if (object && (namespace === undefined || (object.metadata.namespace ?? '') === namespace)) objects.push(object)
      return objects.sort(compareObjects)
    },
    add(step) {
      steps.push(step)
      note(step)
    },
    truncate(size) {
      if (steps.length === size) return
      steps.length = size
      latest = new Map()
      for (const step of steps) note(step)
    },
    take() {
      const taken = steps
      steps = []
      latest = new Map()
      return taken
    },
  }
}
