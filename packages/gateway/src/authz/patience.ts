/** How often somebody may ask in vain: what is asked with success costs nothing, so that honest clients never come to an end of it. */
export interface Patience {
  /** Whether one may ask once more. Call `forgive` where it was not in vain. */
  spend(client: string): boolean
  forgive(client: string): void
}

export interface PatienceOptions {
  /** At once. */
  burst: number
  /** From then on, a second. */
  rate: number
  /** ms since some moment. */
  now(): number
}

/** So many are remembered: whoever has asked longest ago is forgotten, and may ask `burst` times again. */
const REMEMBERED = 4096

export function createPatience({ burst, rate, now }: PatienceOptions): Patience {
  const spent = new Map<string, { amount: number; at: number }>()

  function amountOf(client: string): number {
    const known = spent.get(client)
    return known ? Math.max(0, known.amount - ((now() - known.at) / 1000) * rate) : 0
  }

  function set(client: string, amount: number): void {
    spent.delete(client)
    if (amount <= 0) return
    spent.set(client, { amount, at: now() })
    const oldest = spent.size > REMEMBERED ? spent.keys().next().value : undefined
    if (oldest !== undefined) spent.delete(oldest)
  }

  return {
    spend(client) {
      const amount = amountOf(client)
      if (amount + 1 > burst) return false
      set(client, amount + 1)
      return true
    },
    forgive(client) {
      set(client, amountOf(client) - 1)
    },
  }
}
