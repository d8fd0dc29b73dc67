/** `intstr.IntOrString` where it stands for a number or for a share of one. */
export type IntOrPercent = number | string

/** The percentage of a text such as `25%`; undefined for anything else. */
export function percentOf(value: IntOrPercent): number | undefined {
  return typeof value === 'string' && /^[0-9]+%$/.test(value) ? Number(value.slice(0, -1)) : undefined
}

/** The number itself, or that share of `total`, rounded up or down. Text that is no percentage counts as 0. */
export function scaledValue(value: IntOrPercent, total: number, rounding: 'up' | 'down'): number {
  if (typeof value === 'number') return value
  const share = ((percentOf(value) ?? 0) * total) / 100
  return rounding === 'up' ? Math.ceil(share) : Math.floor(share)
}
