/**
 * ConfigMaps and Secrets that Pods of this node refer to, each watched for as long as one of them does. A node may read
 * these one by one and no others.
 */
import { type AnyObject, type Client, createInformer, type Informer, isNotFound, type Resource } from '@caisson/client'

export interface ReferencedObjects<T extends AnyObject> extends AsyncDisposable {
  /** It is watched from when it is first read: until as many calls of `release` nothing changes unnoticed then. */
  retain(object: ObjectName): void
  release(object: ObjectName): void
  /** From the watch where that has seen it, else from the server. Undefined where there is none. */
  read(object: ObjectName): Promise<T | undefined>
}

export interface ObjectName {
  namespace: string
  name: string
}

interface Watched<T extends AnyObject> {
  references: number
  /** Undefined where nobody has read it. */
  informer: Informer<T> | undefined
  /** What `read` answered last, by its resourceVersion: empty for nothing. Undefined where nobody has asked. */
  told: string | undefined
}

export interface ReferencedObjectsOptions<T extends AnyObject> {
  client: Client
  resource: Resource<T>
  /** What was read is not how it is any more. */
  onChanged(object: ObjectName): void
}

export function createReferencedObjects<T extends AnyObject>({
  client,
  resource,
  onChanged,
}: ReferencedObjectsOptions<T>): ReferencedObjects<T> {
  const watched = new Map<string, Watched<T>>()
  /** Informers that are ending. */
  const ending = new Set<Promise<void>>()

  function watch(object: ObjectName, entry: Watched<T>): Informer<T> {
    const { namespace, name } = object
    const informer = createInformer(client, resource, { namespace, fieldSelector: `metadata.name=${name}` })
    const compare = (now: T | undefined): void => {
      const version = versionOf(now)
      if (entry.told === undefined || entry.told === version) return
      entry.told = version
      onChanged(object)
    }
    informer.handle({ added: compare, updated: (_old, now) => compare(now), deleted: () => compare(undefined) })
    return informer
  }

  async function readFromServer({ namespace, name }: ObjectName): Promise<T | undefined> {
    try {
      return await client.get(resource, name, { namespace })
    } catch (error) {
      if (isNotFound(error)) return undefined
      throw error
    }
  }

  function end({ informer }: Watched<T>): void {
    if (!informer) return
    const ended = Promise.resolve(informer[Symbol.asyncDispose]()).finally(() => ending.delete(ended))
    ending.add(ended)
  }

  return {
    retain(object) {
      const key = keyOf(object)
      const entry = watched.get(key) ?? { references: 0, informer: undefined, told: undefined }
      watched.set(key, entry)
      entry.references++
    },
    release(object) {
      const key = keyOf(object)
      const entry = watched.get(key)
      if (!entry || --entry.references > 0) return
      watched.delete(key)
      end(entry)
    },
    async read(object) {
      const entry = watched.get(keyOf(object))
      if (entry) entry.informer ??= watch(object, entry)
      // A Pod may be newer than what the watch has heard of.
      const found = entry?.informer?.get(keyOf(object)) ?? (await readFromServer(object))
      if (entry) entry.told = versionOf(found)
      return found
    },
    async [Symbol.asyncDispose]() {
      for (const entry of watched.values()) end(entry)
      watched.clear()
      await Promise.all(ending)
    },
  }
}

function keyOf({ namespace, name }: ObjectName): string {
  return `${namespace}/${name}`
}

function versionOf(object: AnyObject | undefined): string {
  return object?.metadata.resourceVersion ?? ''
}
