/** IP addresses and networks as Go's `netip` reads and writes them: strict, without zones or mapped addresses. */
import { isIPv4, isIPv6 } from 'node:net'
import { goQuote } from '../../registry/field-error.ts'
import { EvaluationError, OpaqueValue } from './values.ts'

export class IpAddress extends OpaqueValue {
  override readonly typeName = 'net.IP'
  /** 4 or 16. */
  readonly bytes: Uint8Array
  constructor(bytes: Uint8Array) {
    super()
    this.bytes = bytes
  }
  override get size(): number {
    return this.bytes.length
  }
  override equals(other: OpaqueValue): boolean {
    return other instanceof IpAddress && Buffer.compare(this.bytes, other.bytes) === 0
  }
  override toString(): string {
    return this.bytes.length === 4 ? this.bytes.join('.') : formatIPv6(this.bytes)
  }
}

export class Network extends OpaqueValue {
  override readonly typeName = 'net.CIDR'
  readonly address: IpAddress
  readonly bits: number
  constructor(address: IpAddress, bits: number) {
    super()
    this.address = address
    this.bits = bits
  }
  override get size(): number {
    return Math.ceil(this.bits / 8)
  }
  override equals(other: OpaqueValue): boolean {
    return other instanceof Network && this.bits === other.bits && this.address.equals(other.address)
  }
  override toString(): string {
    return `${this.address.toString()}/${this.bits}`
  }
  /** The network's own address: what is beyond its prefix is zero. */
  masked(): Network {
    return new Network(new IpAddress(mask(this.address.bytes, this.bits)), this.bits)
  }
  contains(address: IpAddress): boolean {
    const { bytes } = address
    return (
      bytes.length === this.address.bytes.length &&
      Buffer.compare(mask(bytes, this.bits), mask(this.address.bytes, this.bits)) === 0
    )
  }
}

function mask(bytes: Uint8Array, bits: number): Uint8Array {
  return bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - index * 8))))
}

/** Throws what CEL says of text that is no address. */
export function parseIp(text: string): IpAddress {
  if (text.includes('%') && isIPv6(text)) {
    throw new EvaluationError(`IP address ${goQuote(text)} with zone value is not allowed`)
  }
  const bytes = isIPv4(text) ? Uint8Array.from(text.split('.'), Number) : isIPv6(text) ? parseIPv6(text) : undefined
  if (!bytes) {
    const said = `ParseAddr(${goQuote(text)}): unable to parse IP`
    throw new EvaluationError(`IP Address ${goQuote(text)} parse error during conversion from string: ${said}`)
  }
  if (isMapped(bytes)) throw new EvaluationError(`IPv4-mapped IPv6 address ${goQuote(text)} is not allowed`)
  return new IpAddress(bytes)
}

export function parseNetwork(text: string): Network {
  const during = 'network address parse error during conversion from string'
  const found = /^([^/%]*)\/(0|[1-9]\d{0,2})$/.exec(text)
  const address = found?.[1] ?? ''
  const bytes = isIPv4(address)
    ? Uint8Array.from(address.split('.'), Number)
    : isIPv6(address)
      ? parseIPv6(address)
      : undefined
  if (!found || !bytes || Number(found[2]) > bytes.length * 8) {
    const said = `netip.ParsePrefix(${goQuote(text)}): no '/'`
    const detail = text.includes('/') ? `netip.ParsePrefix(${goQuote(text)}): bad prefix` : said
    throw new EvaluationError(`${during}: ${during}: ${detail}`)
  }
  if (isMapped(bytes)) throw new EvaluationError(`${during}: IPv4-mapped IPv6 address ${goQuote(text)} is not allowed`)
  return new Network(new IpAddress(bytes), Number(found[2]))
}

function parseIPv6(text: string): Uint8Array {
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

function isMapped(bytes: Uint8Array): boolean {
  return (
    bytes.length === 16 && bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
  )
}

/** The canonical form: lower case, the longest run of zeros (of two at least) left out, the first of several. */
function formatIPv6(bytes: Uint8Array): string {
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

export function isLoopback({ bytes }: IpAddress): boolean {
  return bytes.length === 4 ? bytes[0] === 127 : bytes.every((byte, index) => byte === (index === 15 ? 1 : 0))
}

export function isUnspecified({ bytes }: IpAddress): boolean {
  return bytes.every((byte) => byte === 0)
}

function isMulticast({ bytes }: IpAddress): boolean {
  return bytes.length === 4 ? ((bytes[0] as number) & 0xf0) === 0xe0 : bytes[0] === 0xff
}

export function isLinkLocalMulticast({ bytes }: IpAddress): boolean {
  if (bytes.length === 4) return bytes[0] === 224 && bytes[1] === 0 && bytes[2] === 0
  return bytes[0] === 0xff && ((bytes[1] as number) & 0x0f) === 0x02
}

export function isLinkLocalUnicast({ bytes }: IpAddress): boolean {
  if (bytes.length === 4) return bytes[0] === 169 && bytes[1] === 254
  return bytes[0] === 0xfe && ((bytes[1] as number) & 0xc0) === 0x80
}

export function isGlobalUnicast(address: IpAddress): boolean {
  const broadcast = address.bytes.length === 4 && address.bytes.every((byte) => byte === 255)
  return (
    !broadcast &&
    !isUnspecified(address) &&
    !isLoopback(address) &&
    !isMulticast(address) &&
    !isLinkLocalUnicast(address)
  )
}
