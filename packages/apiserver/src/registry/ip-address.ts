/** IP addresses and CIDRs as the older fields of the API accept them: Go's `net.ParseIP` and `net.ParseCIDR`, sloppily. */
import { BlockList, isIPv4, isIPv6 } from 'node:net'
import type { FieldError } from '../status-error.ts'
import { invalidValue } from './field-error.ts'

/** 4 or 6; undefined where it is no address. Leading zeros in IPv4 are tolerated, as they have always been. */
export function ipFamily(value: string): 4 | 6 | undefined {
  if (isIPv4(value) || isIPv4(withoutLeadingZeros(value))) return 4
  return isIPv6(value) && !value.includes('%') ? 6 : undefined
}

function withoutLeadingZeros(value: string): string {
  return value.replace(/(^|\.)0+(?=\d)/g, '$1')
}

/** As it is written in one way only; undefined where it is no address. */
export function canonicalIp(value: string): string | undefined {
  const family = ipFamily(value)
  if (family === undefined) return undefined
  return family === 4 ? withoutLeadingZeros(value) : new URL(`http://[${value}]`).hostname.slice(1, -1)
}

/** Of an address that is taken as it is, although it is hardly written as it should be. */
export function ipWarnings(value: string, path: string): string[] {
  const canonical = canonicalIp(value)
  if (canonical === undefined || canonical === value) return []
  const isOtherForm = canonical.includes('.')
  return [
    isOtherForm
      ? `${path}: non-standard IP address "${value}" will be considered invalid in a future Kubernetes release: use "${canonical}"`
      : `${path}: IPv6 address "${value}" should be in RFC 5952 canonical format ("${canonical}")`,
  ]
}

export function validateIp(value: string, path: string, errors: FieldError[]): void {
  if (ipFamily(value) !== undefined) return
  errors.push(invalidValue(path, value, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'))
}

export interface Cidr {
  address: string
  prefix: number
  family: 4 | 6
}

export function parseCidr(value: string): Cidr | undefined {
  const [, address = '', digits = ''] = /^([^/]+)\/(\d{1,3})$/.exec(value) ?? []
  const family = ipFamily(address)
  const prefix = Number(digits)
  if (family === undefined || digits === '' || prefix > (family === 4 ? 32 : 128)) return undefined
  return { address: family === 4 ? withoutLeadingZeros(address) : address, prefix, family }
}

export function validateCidr(value: string, path: string, errors: FieldError[]): Cidr | undefined {
  const cidr = parseCidr(value)
  if (!cidr) errors.push(invalidValue(path, value, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'))
  return cidr
}

/** Of a range of IPv4 that is written as an address within it. */
export function cidrWarnings(value: string, path: string): string[] {
  const cidr = parseCidr(value)
  if (cidr?.family !== 4) return []
  const { address, prefix } = cidr
  const size = 2 ** (32 - prefix)
  const start = numberToIpv4(ipv4ToNumber(address) - (ipv4ToNumber(address) % size))
  if (start === address) return []
  return [
    `${path}: CIDR value "${value}" is ambiguous in this context (should be "${start}/${prefix}" or "${address}/32"?)`,
  ]
}

export function cidrContains(cidr: Cidr, address: string): boolean {
  const list = new BlockList()
  list.addSubnet(cidr.address, cidr.prefix, cidr.family === 4 ? 'ipv4' : 'ipv6')
  return ipFamily(address) === cidr.family && list.check(address, cidr.family === 4 ? 'ipv4' : 'ipv6')
}

/** What may not be an endpoint: addresses that mean "this host" or "this link" wherever they are used. */
export function validateNonSpecialIp(address: string, path: string, errors: FieldError[]): void {
  if (ipFamily(address) === undefined) {
    errors.push(invalidValue(path, address, 'must be a valid IP address'))
    return
  }
  const inside = (range: string): boolean => cidrContains(parseCidr(range) as Cidr, address)
  if (address === '0.0.0.0' || inside('::/128')) {
    errors.push(invalidValue(path, address, `may not be unspecified (${address === '0.0.0.0' ? '0.0.0.0' : address})`))
  }
  if (inside('127.0.0.0/8') || inside('::1/128')) {
    errors.push(invalidValue(path, address, 'may not be in the loopback range (127.0.0.0/8, ::1/128)'))
  }
  if (inside('169.254.0.0/16') || inside('fe80::/10')) {
    errors.push(invalidValue(path, address, 'may not be in the link-local range (169.254.0.0/16, fe80::/10)'))
  }
  if (inside('224.0.0.0/24') || inside('ff02::/10')) {
    errors.push(invalidValue(path, address, 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)'))
  }
}

/** An IPv4 address as a number, so that ranges can be counted through. */
export function ipv4ToNumber(address: string): number {
  return address.split('.').reduce((number, part) => number * 256 + Number(part), 0)
}

export function numberToIpv4(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.')
}
