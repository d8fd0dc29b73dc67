import type { Client } from './client.ts'
import { createInformer, type Informer, type InformerOptions } from './informer.ts'
import { mergeInformers } from './merge-informers.ts'
import type { Scope } from './reflector.ts'
import type { AnyObject, Resource } from './resource.ts'

/** One informer for each resource and scope, however many ask for it. */
export interface Informers extends AsyncDisposable {
  /**
   * The shared informer, started by whoever asks first. Only that first one's `transform` counts: consumers that need
   * different ones need informers of their own. Indexers of later ones are added.
   */
  of<T extends AnyObject>(resource: Resource<T>, options?: InformerOptions<T>): Informer<T>
  /** Resolves when all that were asked for until now have synced. */
  synced(signal?: AbortSignal): Promise<void>
  /** Those that are not synced or not connected, for a readiness check. */
  unhealthy(): readonly Informer<AnyObject>[]
}

/** Which part of a cluster informers follow where they are not asked for a namespace of their own. */
export interface InformersScope {
  /** These alone, each with a watch of its own, so that nothing has to be allowed beyond them. */
  namespaces?: readonly string[]
  /** Of those that are watched, those whose objects are kept. */
  wantsNamespace?: (namespace: string) => boolean
}

export function createInformers(client: Client, { namespaces, wantsNamespace }: InformersScope = {}): Informers {
  const informers = new Map<string, Informer<AnyObject>>()

  function start<T extends AnyObject>(resource: Resource<T>, options: InformerOptions<T>): Informer<T> {
    if (!namespaces || !resource.namespaced || options.namespace !== undefined)
      return createInformer(client, resource, options)
    const parts = namespaces.map((namespace): [string, Informer<T>] => [
      namespace,
      createInformer(client, resource, { ...options, namespace }),
    ])
    return mergeInformers(resource, new Map(parts))
  }

  return {
    of<T extends AnyObject>(resource: Resource<T>, options: InformerOptions<T> = {}): Informer<T> {
      const key = keyOfScope(resource, options)
      const known = informers.get(key) as Informer<T> | undefined
      if (known) {
        for (const [name, values] of Object.entries(options.indexers ?? {})) known.addIndex(name, values)
        return known
      }
      const informer = start(resource, wantsNamespace ? { ...options, wantsNamespace } : options)
      informers.set(key, informer as unknown as Informer<AnyObject>)
      return informer
    },
    async synced(signal) {
      await Promise.all([...informers.values()].map((informer) => informer.synced(signal)))
    },
    unhealthy() {
      return [...informers.values()].filter(({ health }) => !health.synced || !health.connected)
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...informers.values()].map((informer) => informer[Symbol.asyncDispose]()))
      informers.clear()
    },
  }
}

function keyOfScope(resource: Resource, { namespace, labelSelector, fieldSelector }: Scope): string {
  return JSON.stringify([
    resource.apiVersion,
    resource.plural,
    namespace ?? null,
    labelSelector ?? '',
    fieldSelector ?? '',
  ])
}
