/** Has work of many share one thread with all else that it does. */
export interface Turns {
  /**
   * Does it at once where nobody waits and this turn of the event loop has room for it, otherwise in one of the next:
   * those who wait come one after the other, whatever each has brought, and what one has brought in its order.
   *
   * @param who waits; what they bring is counted together
   * @param size of the work, in the unit of what a turn has room for; what is larger has a turn to itself
   */
  take(who: string, size: number, work: () => void): void
}

interface Waiting {
  size: number
  work: () => void
}

/** @param room of one turn of the event loop */
export function createTurns(room: number): Turns {
  const waiting = new Map<string, Waiting[]>()
  let left = room
  let next: NodeJS.Immediate | undefined

  function spend({ size, work }: Waiting): void {
    left -= size
    next ??= setImmediate(begin)
    work()
  }

  function begin(): void {
    next = undefined
    left = room
    // Whoever has brought more goes to the end, where this comes by again.
    for (const [who, theirs] of waiting) {
      const [first, ...others] = theirs
      if (!first || (first.size > left && left < room)) break
      waiting.delete(who)
      if (others.length > 0) waiting.set(who, others)
      spend(first)
    }
  }

  return {
    take(who, size, work) {
      if (waiting.size === 0 && (size <= left || left === room)) return spend({ size, work })
      const theirs = waiting.get(who)
      if (theirs) theirs.push({ size, work })
      else waiting.set(who, [{ size, work }])
    },
  }
}
