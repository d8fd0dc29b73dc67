/** Follows the stored CustomResourceDefinitions: serves what they define, and empties what is being deleted. */
import type { KubeObject } from '@caisson/api'
import { createPersist } from '../persist.ts'
import { deepEqual } from '../storage/freeze.ts'
import type { ResourceKey, Store, StoreEvent } from '../storage/store.ts'
import { CLEANUP_FINALIZER, reconsiderNames, withEmptyingBegun } from './crd-strategy.ts'
import { customResources } from './custom-resources.ts'
import { type Registry, resourceKey } from './registry.ts'
import type { Conversion, Resource } from './resource.ts'

const DEFINITIONS: ResourceKey = 'customresourcedefinitions.apiextensions.k8s.io'

export interface DefinitionsOptions {
  store: Store
  registry: Registry
  now(): number
  /** How objects of a definition become those of another version; undefined where the versions differ in name alone. */
  conversionOf(definition: KubeObject): Conversion | undefined
  /** Requests the deletion of every object of the kind, as the API does it: finalizers hold what they hold. */
  deleteAll(resource: Resource): Promise<void>
  report(error: unknown): void
}

/** From the call on, the registry has what the store's definitions define at any moment. */
export function followDefinitions(options: DefinitionsOptions): Disposable {
  const { store, registry, conversionOf, report } = options
  const waiting = new Map<string, Disposable>()
  const persist = createPersist({ store, report })

  function serve(definition: KubeObject): void {
    const name = definition.metadata.name as string
    const terminating = isTerminating(definition)
    // Of a status that somebody else has written too.
    const resources = customResources(definition, conversionOf(definition)).filter(
      (each) => !registry.builtin.some((one) => resourceKey(one) === resourceKey(each)),
    )
    registry.set(name, terminating ? resources.map((each) => ({ ...each, terminating })) : resources)
    if (!terminating || waiting.has(name)) return
    const [resource] = resources.map(asStored)
    if (!resource) return persist.do(name, () => release(store, name))
    const key = resourceKey(resource)
    const subscription = store.subscribe(key, store.revision, ({ type }) => {
      if (type === 'DELETED' && isEmpty(key)) persist.do(name, () => release(store, name))
    })
    if (subscription) waiting.set(name, subscription)
    persist.do(name, () => empty(name, resource))
  }

  function isEmpty(key: ResourceKey): boolean {
    return store.list(key)[Symbol.iterator]().next().done === true
  }

  /** Deletes all objects of a definition, and lets the definition go where none is held. */
  async function empty(name: string, resource: Resource): Promise<void> {
    await Promise.all([sayEmptying(options, name), options.deleteAll(resource)])
    if (isEmpty(resourceKey(resource))) await release(store, name)
  }

  function onEvent({ type, object, previous }: StoreEvent): void {
    const name = object.metadata.name as string
    if (type === 'DELETED') {
      registry.set(name, [])
      waiting.get(name)?.[Symbol.dispose]()
      waiting.delete(name)
    } else if (!previous || !sameDefinition(object, previous)) serve(object)
    if (previous) persist.do('names', () => reconsider(options))
  }

  for (const definition of store.list(DEFINITIONS)) serve(definition)
  const subscription = store.subscribe(DEFINITIONS, store.revision, onEvent)
  return {
    [Symbol.dispose]() {
      persist[Symbol.dispose]()
      subscription?.[Symbol.dispose]()
      for (const each of waiting.values()) each[Symbol.dispose]()
    },
  }
}

/** The kind in its storage version: what is only to be deleted need not be converted, whether or not a webhook answers. */
function asStored(served: Resource): Resource {
  const { conversion: _, ...resource } = served
  return { ...resource, version: resource.storageVersion, schema: resource.storageSchema ?? resource.schema }
}

/** Conditions come and go without changing what is served. */
function sameDefinition(next: KubeObject, previous: KubeObject): boolean {
  return (
    isTerminating(next) === isTerminating(previous) &&
    deepEqual(next.spec, previous.spec) &&
    deepEqual(next.status, previous.status)
  )
}

function isTerminating({ metadata }: KubeObject): boolean {
  return metadata.deletionTimestamp !== undefined && (metadata.finalizers ?? []).includes(CLEANUP_FINALIZER)
}

function sayEmptying({ store, now }: DefinitionsOptions, name: string): Promise<void> {
  return store.write((transaction) => {
    const definition = transaction.get(DEFINITIONS, undefined, name)
    if (definition && isTerminating(definition)) transaction.put(DEFINITIONS, withEmptyingBegun(definition, now()))
  })
}

function release(store: Store, name: string): Promise<void> {
  return store.write((transaction) => {
    const definition = transaction.get(DEFINITIONS, undefined, name)
    if (!definition || !isTerminating(definition)) return
    const finalizers = (definition.metadata.finalizers ?? []).filter((each) => each !== CLEANUP_FINALIZER)
    if (finalizers.length === 0) transaction.delete(DEFINITIONS, definition)
    else transaction.put(DEFINITIONS, { ...definition, metadata: { ...definition.metadata, finalizers } })
  })
}

/** A name that is given up may be what another definition has been waiting for. */
async function reconsider({ store, registry, now }: DefinitionsOptions): Promise<void> {
  const again = (definition: KubeObject, definitions: Iterable<KubeObject>): object | undefined =>
    reconsiderNames(definition, { definitions, builtin: registry.builtin }, now())
  const pending = [...store.list(DEFINITIONS)].some((each) => again(each, store.list(DEFINITIONS)))
  if (!pending) return
  await store.write((transaction) => {
    for (const definition of transaction.list(DEFINITIONS)) {
      const status = again(definition, transaction.list(DEFINITIONS))
      if (status) transaction.put(DEFINITIONS, { ...definition, metadata: { ...definition.metadata }, status })
    }
  })
}
