/** Things by their keys, in groups. */
export interface Groups<T> {
  of(group: string): ReadonlyMap<string, T>
  set(group: string, key: string, thing: T): void
  remove(group: string, key: string): void
}

/** Groups that hold nothing take no memory. */
export function createGroups<T>(): Groups<T> {
  const groups = new Map<string, Map<string, T>>()
  const none: ReadonlyMap<string, T> = new Map()
  return {
    of: (group) => groups.get(group) ?? none,
    set(group, key, thing) {
      const own = groups.get(group) ?? new Map<string, T>()
      groups.set(group, own.set(key, thing))
    },
    remove(group, key) {
      const own = groups.get(group)
      own?.delete(key)
      if (own?.size === 0) groups.delete(group)
    },
  }
}
