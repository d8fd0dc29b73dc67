/**
 * IP addresses and CIDRs as the older fields of the API accept them, sloppily: with leading zeros, and addresses of IPv4
 * that are written as ones of IPv6, which then are of IPv4. Newer fields take one spelling.
 */
import type { FieldError } from '../status-error.ts'
import { goQuote, invalidValue } from './field-error.ts'
import {
  ipBytes,
  ipText,
  isLinkLocalMulticast,
  isLinkLocalUnicast,
  isLoopback,
  isMapped,
  isUnspecified,
  maskedBytes,
  sameBytes,
} from './ip-bytes.ts'

interface SloppyAddress {
  /** As it is written: 16 where one of IPv4 is written as one of IPv6. */
  written: Uint8Array
  leadingZeros: boolean
}

function parseSloppily(value: string): SloppyAddress | undefined {
  const strict = ipBytes(value)
  if (strict) return { written: strict, leadingZeros: false }
  const plain = ipBytes(value.replace(/(^|[.:])0+(?=[\da-f])/gi, '$1'))
  return plain && { written: plain, leadingZeros: true }
}

/** One of IPv4 has 4 bytes, however it is written. */
function unmapped(bytes: Uint8Array): Uint8Array {
  return isMapped(bytes) ? bytes.subarray(12) : bytes
}

function addressBytes(value: string): Uint8Array | undefined {
  const address = parseSloppily(value)
  return address && unmapped(address.written)
}

/** 4 or 6; undefined where it is no address. */
export function ipFamily(value: string): 4 | 6 | undefined {
  const bytes = addressBytes(value)
  return bytes && (bytes.length === 4 ? 4 : 6)
}

/** As it is written in one way only; undefined where it is no address. */
export function canonicalIp(value: string): string | undefined {
  const bytes = addressBytes(value)
  return bytes && ipText(bytes)
}

const NO_ADDRESS = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'

/** What is wrong with an address that may be written in one way only. */
export function canonicalIpErrors(value: string): string[] {
  const address = parseSloppily(value)
  if (!address) return [NO_ADDRESS]
  if (address.leadingZeros) return ['must not have leading 0s']
  if (isMapped(address.written)) return ['must not be an IPv4-mapped IPv6 address']
  const canonical = ipText(address.written)
  return canonical === value ? [] : [`must be in canonical form (${goQuote(canonical)})`]
}

/** Of an address that is taken as it is, although it is hardly written as it should be; none of what is no address. */
export function ipWarnings(value: string, path: string): string[] {
  const address = parseSloppily(value)
  if (!address) return []
  const canonical = ipText(unmapped(address.written))
  if (address.leadingZeros || isMapped(address.written)) return [discouraged(path, 'IP address', value, canonical)]
  if (canonical === value) return []
  return [`${path}: IPv6 address ${goQuote(value)} should be in RFC 5952 canonical format (${goQuote(canonical)})`]
}

function discouraged(path: string, what: string, value: string, canonical: string): string {
  return `${path}: non-standard ${what} ${goQuote(value)} will be considered invalid in a future Kubernetes release: use ${goQuote(canonical)}`
}

export function validateIp(value: string, path: string, errors: FieldError[]): void {
  if (ipFamily(value) === undefined) errors.push(invalidValue(path, value, NO_ADDRESS))
}

export interface Cidr {
  /** Whose length is 4 or 16 as its addresses' is; what is beyond the prefix is zero. */
  network: Uint8Array
  /** Of the network. */
  bits: number
  family: 4 | 6
  /** As it is written, which differs from `bits` where IPv4 is written as IPv6. */
  prefix: number
}

export function parseCidr(value: string): Cidr | undefined {
  return parseWritten(value)?.cidr
}

interface WrittenCidr {
  cidr: Cidr
  address: Uint8Array
  /** Of an address as it is written. */
  size: number
  /** Leading zeros, or IPv4 written as IPv6. */
  nonStandard: boolean
}

function parseWritten(value: string): WrittenCidr | undefined {
  const [, text = '', digits = ''] = /^([^/]+)\/(\d+)$/.exec(value) ?? []
  const address = digits === '' ? undefined : parseSloppily(text)
  if (!address) return undefined
  const { written, leadingZeros } = address
  const [prefix, size] = [Number(digits), written.length * 8]
  if (prefix > size) return undefined
  const masked = maskedBytes(written, prefix)
  const network = unmapped(masked)
  return {
    cidr: {
      network,
      bits: prefix - (masked.length - network.length) * 8,
      family: network.length === 4 ? 4 : 6,
      prefix,
    },
    address: unmapped(written),
    size,
    nonStandard: leadingZeros || isMapped(written) || String(prefix) !== digits,
  }
}

export function validateCidr(value: string, path: string, errors: FieldError[]): Cidr | undefined {
  const cidr = parseCidr(value)
  if (!cidr) errors.push(invalidValue(path, value, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'))
  return cidr
}

/** Of a range that is taken as it is, although it is hardly written as it should be; none of what is no range. */
export function cidrWarnings(value: string, path: string): string[] {
  const written = parseWritten(value)
  if (!written) return []
  const { cidr, address, size, nonStandard } = written
  const canonical = `${ipText(cidr.network)}/${cidr.bits}`
  const warnings: string[] = []
  if (!sameBytes(address, cidr.network)) {
    const alone = `${ipText(address)}/${size}`
    warnings.push(
      `${path}: CIDR value ${goQuote(value)} is ambiguous in this context (should be ${goQuote(canonical)} or ${goQuote(alone)}?)`,
    )
  }
  if (nonStandard) warnings.push(discouraged(path, 'CIDR value', value, canonical))
  if (warnings.length > 0 || canonical === value) return warnings
  return [`${path}: IPv6 CIDR value ${goQuote(value)} should be in RFC 5952 canonical format (${goQuote(canonical)})`]
}

/** Whether an address, or the network that a range begins with, is in a range. */
export function cidrContains(cidr: Cidr, address: string | Uint8Array): boolean {
  const bytes = typeof address === 'string' ? addressBytes(address) : address
  return bytes?.length === cidr.network.length && sameBytes(maskedBytes(bytes, cidr.bits), cidr.network)
}

/** What may not be an endpoint: addresses that mean "this host" or "this link" wherever they are used. */
export function validateNonSpecialIp(address: string, path: string, errors: FieldError[]): void {
  const bytes = addressBytes(address)
  const refuse = (said: string): void => void errors.push(invalidValue(path, address, said))
  if (!bytes) {
    refuse('must be a valid IP address')
    return
  }
  if (isUnspecified(bytes)) refuse(`may not be unspecified (${address})`)
  if (isLoopback(bytes)) refuse('may not be in the loopback range (127.0.0.0/8, ::1/128)')
  if (isLinkLocalUnicast(bytes)) refuse('may not be in the link-local range (169.254.0.0/16, fe80::/10)')
  if (isLinkLocalMulticast(bytes)) {
    refuse('may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)')
  }
}

/** The bytes of an IPv4 address as one number, so that ranges can be counted through. */
export function ipv4ToNumber(bytes: Uint8Array): number {
  return bytes.reduce((number, byte) => number * 256 + byte, 0)
}

export function numberToIpv4(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.')
}
