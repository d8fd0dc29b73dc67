/**
 * The values of `format` that Kubernetes checks in custom resources (those of go-openapi's strfmt; `int32`, `int64` and
 * everything unknown is ignored, as there). Each accepts what Go's parser of the same thing accepts.
 */
import { isIPv4, isIPv6 } from 'node:net'
import { compilePattern } from './pattern.ts'

type Check = (text: string) => boolean

const CHECKS: ReadonlyMap<string, Check> = new Map<string, Check>([
  ['bsonobjectid', (text) => /^[0-9a-fA-F]{24}$/.test(text)],
  ['uri', isRequestUri],
  ['email', isEmail],
  ['hostname', isHostname],
  ['ipv4', (text) => isIPv4Sloppy(text) || (text.includes('.') && isIPv6Text(text))],
  ['ipv6', isIPv6Text],
  ['cidr', isCidr],
  ['mac', isMac],
  ['uuid', (text) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i.test(text)],
  ['uuid3', (text) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i.test(text)],
  ['uuid4', (text) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i.test(text)],
  ['uuid5', (text) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$/i.test(text)],
  ['isbn', (text) => isIsbn10(text) || isIsbn13(text)],
  ['isbn10', isIsbn10],
  ['isbn13', isIsbn13],
  ['creditcard', isCreditCard],
  ['ssn', (text) => text.length === 11 && /^\d{3}[- ]?\d{2}[- ]?\d{4}$/.test(text)],
  ['hexcolor', (text) => /^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/.test(text)],
  ['rgbcolor', isRgbColor],
  ['byte', isBase64],
  ['password', () => true],
  ['date', isDate],
  ['duration', isDuration],
  ['datetime', isDateTime],
  ['k8sshortname', (text) => text.length <= 63 && SHORT_NAME.test(text)],
  ['k8slongname', (text) => text.length <= 253 && LONG_NAME.test(text)],
])

const SHORT_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const LONG_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

/** The check of a format, by its name with or without dashes; undefined where Kubernetes ignores it. */
export function formatCheck(format: string | undefined): Check | undefined {
  return format ? CHECKS.get(format.replaceAll('-', '')) : undefined
}

export function isDate(text: string): boolean {
  const found = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text)
  if (!found) return false
  const [, year, month, day] = found.map(Number) as [number, number, number, number]
  return month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month)
}

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

function isDateTime(text: string): boolean {
  const [date, time] = text.toLowerCase().split('t', 2)
  if (date === undefined || time === undefined || !isDate(date)) return false
  const found = /^([0-9]{2}):([0-9]{2}):([0-9]{2})([^\n][0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$/.exec(time)
  return found !== null && Number(found[1]) <= 23 && Number(found[2]) <= 59 && Number(found[3]) <= 59
}

const GO_DURATION =
  /^[-+]?(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*)$/
const WORDS = [
  ['ns', 'nano'],
  ['us', 'µs', 'micro'],
  ['ms', 'milli'],
  ['s', 'sec'],
  ['m', 'min'],
  ['h', 'hr', 'hour'],
  ['d', 'day'],
  ['w', 'wk', 'week'],
] as const

/** Go's `1h30m`, or Scala's `22 nanoseconds`: whatever holds at least one number with a unit. */
function isDuration(text: string): boolean {
  if (text.length > 10_000) return false
  if (GO_DURATION.test(text)) return true
  for (const [, digits, word] of text.matchAll(/(\d+)\s*([A-Za-zµ]+)/g)) {
    if (BigInt(digits as string) > 0x7fff_ffff_ffff_ffffn) return false
    const unit = (word as string).toLowerCase()
    if (WORDS.some((names) => names.some((name) => name === unit) || unit.startsWith(names.at(-1) as string)))
      return true
  }
  return false
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/

function isBase64(text: string): boolean {
  return text.length > 0 && text.length % 4 === 0 && BASE64.test(text)
}

function isRequestUri(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- a URI holds none of them, which is what is tested
  if (text === '' || /[\u0000-\u001f\u007f]/.test(text)) return false
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):/.exec(text)
  if (!scheme && !text.startsWith('/') && text !== '*') return false
  const rest = scheme ? text.slice(scheme[0].length) : text
  const path = rest.split('?', 1)[0] as string
  if (!path.startsWith('/')) return scheme !== null || text === '*'
  const authority = path.startsWith('//') && scheme ? /^\/\/([^/]*)(.*)$/s.exec(path) : undefined
  const escaped = authority ? (authority[2] as string) : path
  if (/%(?![0-9a-fA-F]{2})/.test(escaped)) return false
  return !authority || isAuthority(authority[1] as string)
}

function isAuthority(authority: string): boolean {
  const at = authority.lastIndexOf('@')
  const user = authority.slice(0, Math.max(at, 0))
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(user) || /%(?![0-9a-fA-F]{2})/.test(user)) return false
  const host = authority.slice(at + 1)
  if (host.startsWith('[')) return /^\[[^\]]*\](:\d*)?$/.test(host)
  const port = /:([^:]*)$/.exec(host)
  if (port && !/^\d*$/.test(port[1] as string)) return false
  const name = port ? host.slice(0, port.index) : host
  if (/%(?![0-9a-fA-F]{2})/.test(name) || /%[0-7]/.test(name)) return false
  return !/[ #?\\^`{|}]/.test(name)
}

const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\u0080-\\uffff-]+"
const ADDRESS = new RegExp(
  `^(${ATOM}(\\.${ATOM})*|"([^"\\\\\\r\\n]|\\\\.)*")@(${ATOM}(\\.${ATOM})*|\\[[0-9A-Fa-f:.]+\\])$`,
  'u',
)

/** A bare address, or one in angle brackets behind a display name. */
function isEmail(text: string): boolean {
  if (text.length > 10_000) return false
  const trimmed = text.trim()
  const named = /^([^<>]*)<([^<>]*)>$/.exec(trimmed)
  if (!named) return ADDRESS.test(trimmed)
  const name = (named[1] as string).trim()
  return ADDRESS.test(named[2] as string) && (name === '' || /^("([^"\\]|\\.)*"|[^"(),:;<>@[\\\]]*)$/.test(name))
}

const HOSTNAME =
  '^([a-zA-Z0-9\\p{S}\\p{L}]((-?[a-zA-Z0-9\\p{S}\\p{L}]{0,62})?)|([a-zA-Z0-9\\p{S}\\p{L}](([a-zA-Z0-9-\\p{S}\\p{L}]{0,61}[a-zA-Z0-9\\p{S}\\p{L}])?)(\\.)){1,}([a-zA-Z\\p{L}]){2,63})$'

function isHostname(text: string): boolean {
  if (Buffer.byteLength(text) > 255) return false
  return text.split('.').every((label) => Buffer.byteLength(label) <= 63) && compilePattern(HOSTNAME).test(text)
}

/** Go's old rule, which Kubernetes keeps for stored objects: leading zeros are decimal. */
function isIPv4Sloppy(text: string): boolean {
  const parts = text.split('.')
  return parts.length === 4 && parts.every((part) => /^\d+$/.test(part) && Number(part) <= 255)
}

function isIPv6Text(text: string): boolean {
  return isIPv6(text) && !text.includes('%')
}

function isCidr(text: string): boolean {
  const [address, length, more] = text.split('/')
  if (address === undefined || length === undefined || more !== undefined || !/^\d+$/.test(length)) return false
  if (isIPv4(address) || isIPv4Sloppy(address)) return Number(length) <= 32
  return isIPv6Text(address) && Number(length) <= 128
}

function isMac(text: string): boolean {
  return /^[0-9a-f]{2}([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2})+$/i.test(text)
    ? [6, 8, 20].includes((text.length + 1) / 3)
    : /^[0-9a-f]{4}(?:\.[0-9a-f]{4})+$/i.test(text) && [6, 8, 20].includes(((text.length + 1) / 5) * 2)
}

function isIsbn10(text: string): boolean {
  const digits = text.replace(/[\s-]+/g, '')
  if (!/^(?:[0-9]{9}X|[0-9]{10})$/.test(digits)) return false
  let sum = 0
  for (let index = 0; index < 10; index++) sum += (index + 1) * (digits[index] === 'X' ? 10 : Number(digits[index]))
  return sum % 11 === 0
}

function isIsbn13(text: string): boolean {
  const digits = text.replace(/[\s-]+/g, '')
  if (!/^[0-9]{13}$/.test(digits)) return false
  let sum = 0
  for (let index = 0; index < 12; index++) sum += (index % 2 ? 3 : 1) * Number(digits[index])
  return Number(digits[12]) === (10 - (sum % 10)) % 10
}

const CARD =
  /^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})$/

function isCreditCard(text: string): boolean {
  const digits = text.replace(/[^0-9]+/g, '')
  if (!CARD.test(digits)) return false
  let sum = 0
  for (let index = digits.length - 1, double = false; index >= 0; index--, double = !double) {
    const digit = Number(digits[index]) * (double ? 2 : 1)
    sum += digit > 9 ? digit - 9 : digit
  }
  return sum % 10 === 0
}

const RGB_PART = '\\s*(0|[1-9]\\d?|1\\d\\d?|2[0-4]\\d|25[0-5])\\s*'
const RGB = new RegExp(`^rgb\\(${RGB_PART},${RGB_PART},${RGB_PART}\\)$`)

function isRgbColor(text: string): boolean {
  return text.length <= 1_000 && RGB.test(text)
}
