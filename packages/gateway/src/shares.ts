/** How much of something all clients together, and each of them, may have at a time: one that takes all it can leaves the others theirs. */
export interface Shares {
  /** Whether there was so much, which is the client's until it is given back. A client that is not known has all there is. */
  take(client: string | undefined, amount: number): boolean
  give(client: string | undefined, amount: number): void
}

/** @param each at most so much of `total` is one client's */
export function createShares(total: number, each: number): Shares {
  let taken = 0
  const taking = new Map<string, number>()
  return {
    take(client, amount) {
      const own = client === undefined ? 0 : (taking.get(client) ?? 0)
      if (taken + amount > total || (client !== undefined && own + amount > each)) return false
      taken += amount
      if (client !== undefined) taking.set(client, own + amount)
      return true
    },
    give(client, amount) {
      taken -= amount
      if (client === undefined) return
      const left = (taking.get(client) ?? 0) - amount
      if (left > 0) taking.set(client, left)
      else taking.delete(client)
    },
  }
}
