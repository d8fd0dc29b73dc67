/**
 * What the writes of a batch have changed and the disk does not hold yet: operations of the batch see it laid over what
 * is committed, nobody else does.
 */
import type { KubeObject } from '@caisson/api'
import { createSums } from '../sums.ts'
import { type Collection, compareObjects } from './collection.ts'
import type { ResourceKey, StoreEvent } from './store.ts'

/** One change, with what it takes to write it down, to tell of it and to take it back. */
export interface Step {
  resource: ResourceKey
  namespace: string
  name: string
  event: StoreEvent
  /** The JSON of the object; undefined for DELETED. */
  text: string | undefined
  /** Of the text, in bytes; 0 for DELETED. */
  bytes: number
  /** Of the state before, in bytes. */
  bytesBefore: number
}

export interface PendingChanges {
  readonly size: number
  get(resource: ResourceKey, namespace: string, name: string): KubeObject | undefined
  /** Of one namespace where given, ordered by namespace and name. */
  list(resource: ResourceKey, namespace: string | undefined): Iterable<KubeObject>
  /** Bytes of JSON of the newest state. */
  sizeOf(resource: ResourceKey, namespace: string, name: string): number
  /** By how much the changes let the objects grow, in bytes; those of one namespace where given. */
  growth(namespace: string | undefined): number
  add(step: Step): void
  /** Forgets all but the first so many changes. */
  truncate(size: number): void
  /** Every change, in order; nothing is pending afterwards. */
  take(): Step[]
}

/** @param collectionOf what is committed */
export function createPendingChanges(collectionOf: (resource: ResourceKey) => Collection): PendingChanges {
  let steps: Step[] = []
  /** By resource, then by namespace and name. */
  let latest = new Map<ResourceKey, Map<string, Step>>()
  let grown = createSums()

  function note(step: Step): void {
    const { resource, namespace, name } = step
    grown.add(namespace, step.bytes - step.bytesBefore)
    let changed = latest.get(resource)
    if (!changed) {
      changed = new Map()
      latest.set(resource, changed)
    }
    changed.set(`${namespace}/${name}`, step)
  }

  return {
    get size() {
      return steps.length
    },
    get(resource, namespace, name) {
      const step = latest.get(resource)?.get(`${namespace}/${name}`)
      return step ? stateAfter(step) : collectionOf(resource).get(namespace, name)
    },
    sizeOf(resource, namespace, name) {
      const step = latest.get(resource)?.get(`${namespace}/${name}`)
      return step ? step.bytes : collectionOf(resource).sizeOf(namespace, name)
    },
    growth: (namespace) => grown.of(namespace),
    list(resource, namespace) {
      const committed = collectionOf(resource).list(namespace)
      const changed = latest.get(resource)
      if (!changed) return committed
      const objects = committed.filter(({ metadata }) => !changed.has(`${metadata.namespace ?? ''}/${metadata.name}`))
      for (const object of changed.values().map(stateAfter))
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
      grown = createSums()
      for (const step of steps) note(step)
    },
    take() {
      const taken = steps
      steps = []
      latest = new Map()
      grown = createSums()
      return taken
    },
  }
}

function stateAfter({ event }: Step): KubeObject | undefined {
  return event.type === 'DELETED' ? undefined : event.object
}
