/** Percentiles of a sample; `p` from 0 to 100, nearest rank. NaN of an empty one. */
export function percentile(sample: readonly number[], p: number): number {
  const sorted = [...sample].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil((p / 100) * sorted.length) - 1))] ?? Number.NaN
}

export function median(sample: readonly number[]): number {
  return percentile(sample, 50)
}

/** To one digit behind the point, or two below ten. */
export function rounded(value: number): number {
  const digits = Math.abs(value) < 10 ? 100 : 10
  return Math.round(value * digits) / digits
}
