/** A sum that is kept up with each change, in all and by whose part it is. */
export interface Sums {
  /** One part of it where given, else all. */
  of(part: string | undefined): number
  add(part: string, amount: number): void
}

/** Parts that have come to nothing are forgotten. */
export function createSums(): Sums {
  const parts = new Map<string, number>()
  let total = 0
  return {
    of: (part) => (part === undefined ? total : (parts.get(part) ?? 0)),
    add(part, amount) {
      total += amount
      const left = (parts.get(part) ?? 0) + amount
      if (left === 0) parts.delete(part)
      else parts.set(part, left)
    },
  }
}
