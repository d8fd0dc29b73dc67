/** Between how little and how much: costs, and the sizes that they follow from. */

export interface Range {
  min: number
  max: number
}

/** Where Go's 64 bits end; sums and products stop there. */
export const UNBOUNDED = 2 ** 64

export const fixed = (size: number): Range => ({ min: size, max: size })
export const UNKNOWN: Range = { min: 0, max: UNBOUNDED }
export const ZERO = fixed(0)
export const ONE = fixed(1)

export function add(a: Range, b: Range): Range {
  return { min: Math.min(UNBOUNDED, a.min + b.min), max: Math.min(UNBOUNDED, a.max + b.max) }
}

export function multiply(a: Range, b: Range): Range {
  return { min: product(a.min, b.min), max: product(a.max, b.max) }
}

export function product(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : Math.min(UNBOUNDED, a * b)
}

export function scale(range: Range, factor: number): Range {
  return {
    min: Math.min(UNBOUNDED, Math.ceil(range.min * factor)),
    max: Math.min(UNBOUNDED, Math.ceil(range.max * factor)),
  }
}

export function union(a: Range, b: Range): Range {
  return { min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) }
}

/** How long a text can be after each `a` in it has become a `b`. */
export function replaced(text: Range, a: Range, b: Range): Range {
  let times: Range = { min: 0, max: 0 }
  let kept: Range = { min: 0, max: 0 }
  if (a.min === 0) {
    times = { ...times, max: Math.min(UNBOUNDED, text.max + 1) }
    kept = { ...kept, max: text.max }
  } else if (b.max <= a.min) kept = { ...kept, max: text.max }
  else times = { ...times, max: Math.ceil(text.max / a.min) }
  if (a.max === 0) {
    times = { ...times, min: text.min + 1 }
    kept = { ...kept, min: text.min }
  } else if (a.max <= b.min) kept = { ...kept, min: text.min }
  else times = { ...times, min: Math.ceil(text.min / a.max) }
  return add(multiply(times, b), kept)
}

export function networkCost(id: string, other: Range): Range {
  const size = { min: 4, max: 16 }
  let cost = scale(add(size, size), 0.1)
  if (id.startsWith('cidr_contains_cidr')) cost = add(add(cost, scale(size, 0.1)), ONE)
  return id.endsWith('_string') ? add(cost, scale(other, 0.1)) : cost
}
