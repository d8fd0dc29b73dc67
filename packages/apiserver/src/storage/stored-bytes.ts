/** How many bytes objects take, in all and by namespace: a sum that is kept up with each change. */
export interface StoredBytes {
  /** Of one namespace where given; of what belongs to none: the empty one. */
  of(namespace: string | undefined): number
  add(namespace: string, bytes: number): void
}

export function createStoredBytes(): StoredBytes {
  const byNamespace = new Map<string, number>()
  let total = 0
  return {
    of: (namespace) => (namespace === undefined ? total : (byNamespace.get(namespace) ?? 0)),
    add(namespace, bytes) {
      total += bytes
      const left = (byNamespace.get(namespace) ?? 0) + bytes
      if (left === 0) byNamespace.delete(namespace)
      else byNamespace.set(namespace, left)
    },
  }
}
