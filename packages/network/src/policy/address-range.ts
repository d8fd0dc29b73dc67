/** Ranges of IPv4 addresses, and of ports: numbers, both ends included. */
export interface NumberRange {
  from: number
  to: number
}

const CIDR = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?$/

/** Undefined for what is not IPv4. An address alone is a range of one. */
export function ipv4Range(text: string): NumberRange | undefined {
  const match = CIDR.exec(text)
  const prefix = Number(match?.[5] ?? 32)
  const octets = match?.slice(1, 5).map(Number)
  if (!octets || octets.some((octet) => octet > 255) || prefix > 32) return undefined
  const address = octets.reduce((sum, octet) => sum * 256 + octet, 0)
  const size = 2 ** (32 - prefix)
  const from = address - (address % size)
  return { from, to: from + size - 1 }
}

export function formatIpv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.')
}

export function contains(ranges: readonly NumberRange[], value: number): boolean {
  return ranges.some(({ from, to }) => value >= from && value <= to)
}

/** The same numbers in ranges that neither meet nor touch, in order. */
export function mergeRanges(ranges: readonly NumberRange[]): NumberRange[] {
  const merged: NumberRange[] = []
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1)
    if (last && from <= last.to + 1) last.to = Math.max(last.to, to)
    else merged.push({ from, to })
  }
  return merged
}

/** What of `range` is in none of `holes`. */
export function subtractRanges(range: NumberRange, holes: readonly NumberRange[]): NumberRange[] {
  const left: NumberRange[] = []
  let { from } = range
  for (const hole of mergeRanges(holes)) {
    if (hole.to < from || hole.from > range.to) continue
    if (hole.from > from) left.push({ from, to: hole.from - 1 })
    from = hole.to + 1
  }
  if (from <= range.to) left.push({ from, to: range.to })
  return left
}
