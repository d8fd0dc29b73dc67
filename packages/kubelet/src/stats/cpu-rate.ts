/**
 * How fast something uses the processor, from a counter that only grows. Read when somebody asks, not on a timer: the rate
 * is that since the last sample that is old enough, or since the beginning.
 */
export interface CpuSample {
  /** ms since the epoch. */
  at: number
  nanoseconds: number
}

export interface CpuRates {
  /** ns of processor time a second, over which time (ms). */
  rate(key: string, sample: CpuSample, startedAt: number): { nanocores: number; windowMs: number }
  /** Forgets all but these. */
  keep(keys: ReadonlySet<string>): void
}

/** Shorter, and one scheduling turn would look like a full processor. The kubelet's own window is 10 to 15 s. */
const WINDOW_MS = 10_000

export function createCpuRates(): CpuRates {
  /** The base that rates are told from, and the newest sample, which becomes the base when it is old enough. */
  const known = new Map<string, { base: CpuSample; newest: CpuSample }>()

  return {
    rate(key, sample, startedAt) {
      const before = known.get(key) ?? {
        base: { at: startedAt, nanoseconds: 0 },
        newest: { at: startedAt, nanoseconds: 0 },
      }
      if (sample.at < before.newest.at) {
        // The clock was set back: how much time has passed is not known, and the rate is told from here on.
        known.set(key, { base: sample, newest: sample })
        return { nanocores: 0, windowMs: 1 }
      }
      const base = sample.at - before.newest.at >= WINDOW_MS ? before.newest : before.base
      known.set(key, { base, newest: base === before.newest ? sample : before.newest })
      const windowMs = Math.max(sample.at - base.at, 1)
      const used = Math.max(sample.nanoseconds - base.nanoseconds, 0)
      return { nanocores: Math.round((used * 1000) / windowMs), windowMs }
    },
    keep(keys) {
      for (const key of known.keys()) if (!keys.has(key)) known.delete(key)
    },
  }
}
