/**
 * All objects of one resource in memory, by namespace and name. Listing a namespace touches that namespace alone; order
 * is worked out when somebody asks for it and kept up from then on.
 */
import type { KubeObject } from '@caisson/api'

interface Bucket {
  objects: Map<string, KubeObject>
  /** Of the JSON of each, in bytes. */
  sizes: Map<string, number>
  /** Sorted names; undefined until the first listing. */
  names: string[] | undefined
}

export interface Collection {
  readonly size: number
  get(namespace: string, name: string): KubeObject | undefined
  /** Bytes of its JSON; 0 for what is not there. */
  sizeOf(namespace: string, name: string): number
  /** @param bytes of its JSON */
  set(namespace: string, name: string, object: KubeObject, bytes: number): void
  delete(namespace: string, name: string): void
  /** A fresh array in the order of etcd's keys; of one namespace where given. */
  list(namespace?: string): KubeObject[]
}

export function createCollection(): Collection {
  const buckets = new Map<string, Bucket>()
  let namespaces: string[] | undefined
  let size = 0

  function append(bucket: Bucket, to: KubeObject[]): void {
    bucket.names ??= [...bucket.objects.keys()].sort(compare)
    for (const name of bucket.names) to.push(bucket.objects.get(name) as KubeObject)
  }

  return {
    get size() {
      return size
    },
    get(namespace, name) {
      return buckets.get(namespace)?.objects.get(name)
    },
    sizeOf(namespace, name) {
      return buckets.get(namespace)?.sizes.get(name) ?? 0
    },
    set(namespace, name, object, bytes) {
      let bucket = buckets.get(namespace)
      if (!bucket) {
        bucket = { objects: new Map(), sizes: new Map(), names: undefined }
        buckets.set(namespace, bucket)
        namespaces = undefined
      }
      const before = bucket.objects.size
      bucket.objects.set(name, object)
      bucket.sizes.set(name, bytes)
      if (bucket.objects.size === before) return
      size++
      if (bucket.names) bucket.names.splice(position(bucket.names, name), 0, name)
    },
    delete(namespace, name) {
      const bucket = buckets.get(namespace)
      if (!bucket?.objects.delete(name)) return
      bucket.sizes.delete(name)
      size--
      if (bucket.names) bucket.names.splice(position(bucket.names, name), 1)
      if (bucket.objects.size > 0) return
      buckets.delete(namespace)
      namespaces = undefined
    },
    list(namespace) {
      const objects: KubeObject[] = []
      if (namespace !== undefined) {
        const bucket = buckets.get(namespace)
        if (bucket) append(bucket, objects)
        return objects
      }
      namespaces ??= [...buckets.keys()].sort(compareNamespaces)
      for (const each of namespaces) append(buckets.get(each) as Bucket, objects)
      return objects
    },
  }
}

/** By UTF-16 code unit, which for the ASCII of names is etcd's byte order. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** In etcd a slash follows the namespace, and `-` and `.` sort before it: `team-a` comes before `team`. */
export function compareNamespaces(a: string, b: string): number {
  return compare(`${a}/`, `${b}/`)
}

/** In the order of etcd's keys. */
export function compareObjects(a: KubeObject, b: KubeObject): number {
  return (
    compareNamespaces(a.metadata.namespace ?? '', b.metadata.namespace ?? '') ||
    compare(a.metadata.name ?? '', b.metadata.name ?? '')
  )
}

function position(names: readonly string[], name: string): number {
  let low = 0
  let high = names.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((names[middle] as string) < name) low = middle + 1
    else high = middle
  }
  return low
}
