/** IP addresses and networks in CEL, which reads them as Go's `netip` does: strictly, without zones or mapped addresses. */
import { isIPv6 } from 'node:net'
import { goQuote } from '../../registry/field-error.ts'
import { ipBytes, ipText, isMapped, maskedBytes, sameBytes } from '../../registry/ip-bytes.ts'
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
    return other instanceof IpAddress && sameBytes(this.bytes, other.bytes)
  }
  override toString(): string {
    return ipText(this.bytes)
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
    return new Network(new IpAddress(maskedBytes(this.address.bytes, this.bits)), this.bits)
  }
  contains({ bytes }: IpAddress): boolean {
    return (
      bytes.length === this.address.bytes.length &&
      sameBytes(maskedBytes(bytes, this.bits), maskedBytes(this.address.bytes, this.bits))
    )
  }
}

/** Throws what CEL says of text that is no address. */
export function parseIp(text: string): IpAddress {
  if (text.includes('%') && isIPv6(text)) {
    throw new EvaluationError(`IP address ${goQuote(text)} with zone value is not allowed`)
  }
  const bytes = ipBytes(text)
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
  const bytes = ipBytes(found?.[1] ?? '')
  if (!found || !bytes || Number(found[2]) > bytes.length * 8) {
    const said = `netip.ParsePrefix(${goQuote(text)}): no '/'`
    const detail = text.includes('/') ? `netip.ParsePrefix(${goQuote(text)}): bad prefix` : said
    throw new EvaluationError(`${during}: ${during}: ${detail}`)
  }
  if (isMapped(bytes)) throw new EvaluationError(`${during}: IPv4-mapped IPv6 address ${goQuote(text)} is not allowed`)
  return new Network(new IpAddress(bytes), Number(found[2]))
}
