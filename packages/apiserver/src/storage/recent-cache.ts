/** What is made of frozen objects, kept for the most recent ones: for all of them it would double what they take. */
export interface RecentCache<T> {
  get(key: object): T | undefined
  /**
   * @param key must be frozen
   * @param size of the value, in the unit of the bound
   */
  set(key: object, value: T, size: number): void
}

/** @param bound at most twice as much is kept; what has more than a quarter of it is not */
export function createRecentCache<T>(bound: number): RecentCache<T> {
  // Two generations: when the young one is full it becomes the old one, and what nobody asked for since then is dropped.
  let young = new Map<object, { value: T; size: number }>()
  let old: typeof young = new Map()
  let taken = 0

  function keep(key: object, entry: { value: T; size: number }): void {
    if (taken + entry.size > bound) {
      old = young
      young = new Map()
      taken = 0
    }
    young.set(key, entry)
    taken += entry.size
  }

  return {
    get(key) {
      const recent = young.get(key)
      if (recent) return recent.value
      const entry = old.get(key)
      if (entry) keep(key, entry)
      return entry?.value
    },
    set(key, value, size) {
      // It would push out everything that is asked for often.
      if (size <= bound / 4) keep(key, { value, size })
    },
  }
}
