/** The bytes of an IP address, 4 or 16 of them: from text, to text, and what may be asked of them. */
import { isIPv4, isIPv6 } from 'node:net'

/**
 * From text as Go's `netip` takes it: no leading zeros in IPv4, no zone. Undefined where it is no address. An IPv4-mapped
 * address of IPv6 has 16 bytes.
 */
export function ipBytes(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number)
  return isIPv6(text) && !text.includes('%') ? bytesOfIPv6(text) : undefined
}

function bytesOfIPv6(text: string): Uint8Array {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text)
  let groups = text
  if (dotted) {
    const [a, b, c, d] = (dotted[2] as string).split('.').map(Number) as [number, number, number, number]
    groups = `${dotted[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  }
  const [head, tail] = groups.split('::') as [string, string | undefined]
  const split = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
  const before = split(head)
  const after = tail === undefined ? [] : split(tail)
  const words = [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after]
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]))
}

/** Canonical: of IPv6 lower case, the longest run of zeros (of two groups at least) left out, the first of several. */
export function ipText(bytes: Uint8Array): string {
  return bytes.length === 4 ? bytes.join('.') : textOfIPv6(bytes)
}

function textOfIPv6(bytes: Uint8Array): string {
  const words = Array.from(
    { length: 8 },
    (_, index) => ((bytes[index * 2] as number) << 8) | (bytes[index * 2 + 1] as number),
  )
  let start = -1
  let length = 1
  for (let at = 0; at < 8; at++) {
    let run = 0
    while (at + run < 8 && words[at + run] === 0) run++
    if (run > length) {
      start = at
      length = run
    }
  }
  const hex = (part: number[]): string => part.map((word) => word.toString(16)).join(':')
  return start < 0 ? hex(words) : `${hex(words.slice(0, start))}::${hex(words.slice(start + length))}`
}

/** The first `bits` of them; what comes after is zero. */
export function maskedBytes(bytes: Uint8Array, bits: number): Uint8Array {
  return bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - index * 8))))
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** An address of IPv4 that is written as one of IPv6: `::ffff:10.0.0.1`. */
export function isMapped(bytes: Uint8Array): boolean {
  return (
    bytes.length === 16 && bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
  )
}

export function isLoopback(bytes: Uint8Array): boolean {
  return bytes.length === 4 ? bytes[0] === 127 : bytes.every((byte, index) => byte === (index === 15 ? 1 : 0))
}

export function isUnspecified(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0)
}

function isMulticast(bytes: Uint8Array): boolean {
  return bytes.length === 4 ? ((bytes[0] as number) & 0xf0) === 0xe0 : bytes[0] === 0xff
}

export function isLinkLocalMulticast(bytes: Uint8Array): boolean {
  if (bytes.length === 4) return bytes[0] === 224 && bytes[1] === 0 && bytes[2] === 0
  return bytes[0] === 0xff && ((bytes[1] as number) & 0x0f) === 0x02
}

export function isLinkLocalUnicast(bytes: Uint8Array): boolean {
  if (bytes.length === 4) return bytes[0] === 169 && bytes[1] === 254
  return bytes[0] === 0xfe && ((bytes[1] as number) & 0xc0) === 0x80
}

export function isGlobalUnicast(bytes: Uint8Array): boolean {
  const broadcast = bytes.length === 4 && bytes.every((byte) => byte === 255)
  return !broadcast && !isUnspecified(bytes) && !isLoopback(bytes) && !isMulticast(bytes) && !isLinkLocalUnicast(bytes)
}
