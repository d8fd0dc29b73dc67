/** Counts what each of many holds, up to a limit. */
export interface CountEach {
  /** False, and nothing is counted, where `who` holds as many as it may. */
  take(who: string): boolean
  giveBack(who: string): void
}

export function createCountEach(limit: number): CountEach {
  const held = new Map<string, number>()
  return {
    take(who) {
      const count = held.get(who) ?? 0
      if (count >= limit) return false
      held.set(who, count + 1)
      return true
    },
    giveBack(who) {
      const left = (held.get(who) ?? 1) - 1
      if (left > 0) held.set(who, left)
      else held.delete(who)
    },
  }
}
