/** Informers of one resource in several namespaces, as one. */
import type { Informer, InformerHealth } from './informer.ts'
import { type AnyObject, type Resource, splitKey } from './resource.ts'

/** By their namespaces. Disposing it disposes them. What is not of these namespaces is nowhere. */
export function mergeInformers<T extends AnyObject>(
  resource: Resource<T>,
  parts: ReadonlyMap<string, Informer<T>>,
): Informer<T> {
  const all = [...parts.values()]
  return {
    resource,
    get health() {
      return mergedHealth(all.map(({ health }) => health))
    },
    get size() {
      return all.reduce((sum, { size }) => sum + size, 0)
    },
    get: (key) => parts.get(splitKey(key).namespace ?? '')?.get(key),
    list: () => all.flatMap((part) => part.list()),
    byIndex: (index, value) => all.flatMap((part) => part.byIndex(index, value)),
    addIndex(name, values) {
      for (const part of all) part.addIndex(name, values)
    },
    handle(handlers) {
      const handled = all.map((part) => part.handle(handlers))
      return {
        [Symbol.dispose]() {
          for (const each of handled) each[Symbol.dispose]()
        },
      }
    },
    async synced(signal) {
      await Promise.all(all.map((part) => part.synced(signal)))
    },
    observe(object) {
      parts.get(object.metadata.namespace ?? '')?.observe(object)
    },
    observeDeletion(object) {
      parts.get(object.metadata.namespace ?? '')?.observeDeletion(object)
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(all.map((part) => part[Symbol.asyncDispose]()))
    },
  }
}

/** As well as the one that is least well. */
function mergedHealth(all: readonly InformerHealth[]): InformerHealth {
  return {
    synced: all.every(({ synced }) => synced),
    connected: all.every(({ connected }) => connected),
    lastError: all.find(({ lastError }) => lastError)?.lastError,
    since: Math.max(...all.map(({ since }) => since)),
  }
}
