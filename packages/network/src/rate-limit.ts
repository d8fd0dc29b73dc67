/** How often each of many may ask. */
export interface RateLimit {
  /** Whether one more is within the limit; then it counts. */
  take(who: string): boolean
  /** Counts what turned out to be as much as so many more, whatever is left: who asks next waits for it. */
  charge(who: string, count: number): void
}

export interface RateLimitOptions {
  /** Sustained. */
  perSecond: number
  /** At once, after a pause. */
  burst: number
  now(): number
}

/** Remembers at most as many as asked within the time that a full burst takes to come back. */
export function createRateLimit({ perSecond, burst, now }: RateLimitOptions): RateLimit {
  const buckets = new Map<string, { tokens: number; at: number }>()
  const recoveryMs = (burst / perSecond) * 1000

  function tokensOf(who: string, time: number): number {
    const known = buckets.get(who)
    return Math.min(burst, (known?.tokens ?? burst) + ((time - (known?.at ?? time)) * perSecond) / 1000)
  }

  function leave(who: string, tokens: number, at: number): void {
    buckets.delete(who)
    buckets.set(who, { tokens, at })
  }

  return {
    take(who) {
      const time = now()
      // The oldest come first, since whoever asks is put at the end.
      for (const [each, { at }] of buckets) {
        if (time - at < recoveryMs) break
        buckets.delete(each)
      }
      const tokens = tokensOf(who, time)
      leave(who, tokens >= 1 ? tokens - 1 : tokens, time)
      return tokens >= 1
    },
    charge(who, count) {
      const time = now()
      leave(who, tokensOf(who, time) - count, time)
    },
  }
}
