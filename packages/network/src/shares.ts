/** Of something that there is only so much of, as much as each may hold. */
export interface Shares {
  /**
   * One more for `who`. Gives what gives it back, to be called once; undefined, and nothing is held, where `who` or its
   * group holds as many as it may.
   */
  take(who: string): (() => void) | undefined
}

export interface SharesOptions {
  all: number
  /** Of one of those who take. */
  each: number
  /** Whom one answers for together with others: a namespace for its Pods. Asked when something is taken. */
  groupOf(who: string): string
}

/**
 * A group takes one more only while it holds less than what is free. So one alone has half of all, several that want
 * everything come to hold the same, and however many there are there is always some for the next: a dynamic threshold, as
 * switches have it for the queues that share their memory (Choudhury and Hahne 1998).
 */
export function createShares({ all, each, groupOf }: SharesOptions): Shares {
  const own = new Map<string, number>()
  const ofGroups = new Map<string, number>()
  let free = all
  return {
    take(who) {
      const group = groupOf(who)
      if ((own.get(who) ?? 0) >= each || (ofGroups.get(group) ?? 0) >= free) return undefined
      free--
      add(own, who, 1)
      add(ofGroups, group, 1)
      return () => {
        free++
        add(own, who, -1)
        add(ofGroups, group, -1)
      }
    },
  }
}

/** Who holds nothing takes no memory. */
function add(counts: Map<string, number>, key: string, by: 1 | -1): void {
  const count = (counts.get(key) ?? 0) + by
  if (count > 0) counts.set(key, count)
  else counts.delete(key)
}
