import { describe, expect, test } from 'vitest'
import type { FieldError } from '../status-error.ts'
import {
  canonicalIpErrors,
  cidrContains,
  cidrWarnings,
  ipFamily,
  ipWarnings,
  parseCidr,
  validateNonSpecialIp,
} from './ip-address.ts'

test.each([
  ['10.0.0.1', 4],
  ['010.0.0.001', 4],
  ['::ffff:10.0.0.1', 4],
  ['::ffff:010.0.0.1', 4],
  ['fd00::1', 6],
  ['FD00:0:0::00001', 6],
  ['fe80::1%eth0', undefined],
  ['10.0.0', undefined],
  ['256.0.0.1', undefined],
  ['', undefined],
  [`${'0'.repeat(1_000_000)}x`, undefined],
] as const)('%.20s is an address of family %s', (value, family) => {
  expect(ipFamily(value)).toBe(family)
})

describe('warnings of addresses', () => {
  test.each(['10.0.0.1', '::1', 'fd00::a', 'no address'])('none of %s', (value) => {
    expect(ipWarnings(value, 'at')).toEqual([])
  })

  const discouraged = (value: string, canonical: string): string =>
    `at: non-standard IP address "${value}" will be considered invalid in a future Kubernetes release: use "${canonical}"`

  test.each([
    ['010.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['00001::', '1::'],
  ])('%s has one meaning here and another one elsewhere', (value, canonical) => {
    expect(ipWarnings(value, 'at')).toEqual([discouraged(value, canonical)])
  })

  test('IPv6 that is not as RFC 5952 has it', () => {
    expect(ipWarnings('FD00:0:0::0001', 'at')).toEqual([
      'at: IPv6 address "FD00:0:0::0001" should be in RFC 5952 canonical format ("fd00::1")',
    ])
  })
})

describe('warnings of ranges', () => {
  test.each(['10.0.0.0/8', 'fd00::/8', '::/0', 'no range', ' 10.0.0.0/8'])('none of %s', (value) => {
    expect(cidrWarnings(value, 'at')).toEqual([])
  })

  const ambiguous = (value: string, range: string, alone: string): string =>
    `at: CIDR value "${value}" is ambiguous in this context (should be "${range}" or "${alone}"?)`
  const discouraged = (value: string, canonical: string): string =>
    `at: non-standard CIDR value "${value}" will be considered invalid in a future Kubernetes release: use "${canonical}"`

  test.each([
    ['10.0.0.1/8', [ambiguous('10.0.0.1/8', '10.0.0.0/8', '10.0.0.1/32')]],
    ['fd00::1/8', [ambiguous('fd00::1/8', 'fd00::/8', 'fd00::1/128')]],
    ['010.0.0.0/8', [discouraged('010.0.0.0/8', '10.0.0.0/8')]],
    ['10.0.0.0/08', [discouraged('10.0.0.0/08', '10.0.0.0/8')]],
    ['::ffff:10.0.0.0/104', [discouraged('::ffff:10.0.0.0/104', '10.0.0.0/8')]],
    [
      '::ffff:10.0.0.0/80',
      [ambiguous('::ffff:10.0.0.0/80', '::/80', '10.0.0.0/128'), discouraged('::ffff:10.0.0.0/80', '::/80')],
    ],
    ['FD00::/8', ['at: IPv6 CIDR value "FD00::/8" should be in RFC 5952 canonical format ("fd00::/8")']],
  ])('%s', (value, expected) => {
    expect(cidrWarnings(value, 'at')).toEqual(expected)
  })
})

test.each([
  ['10.0.0.0/8', '10.1.2.3', true],
  ['10.0.0.9/8', '::ffff:10.1.2.3', true],
  ['::ffff:10.0.0.0/104', '10.1.2.3', true],
  ['10.0.0.0/8', '11.0.0.0', false],
  ['0.0.0.0/0', '::1', false],
  ['fd00::/8', 'fdff::1', true],
  ['fd00::/128', 'fd00::1', false],
])('%s has %s in it: %s', (range, address, expected) => {
  expect(cidrContains(parseCidr(range) as NonNullable<ReturnType<typeof parseCidr>>, address)).toBe(expected)
})

test.each(['10.0.0.0/33', 'fd00::/129', '10.0.0.0', '10.0.0.0/', '10.0.0.0/-1', '/8', '10.0.0.0/8/8'])(
  '%s is no range',
  (value) => {
    expect(parseCidr(value)).toBeUndefined()
  },
)

test.each([
  ['10.0.0.1', []],
  ['010.0.0.1', ['must not have leading 0s']],
  ['::ffff:10.0.0.1', ['must not be an IPv4-mapped IPv6 address']],
  ['FD00::1', ['must be in canonical form ("fd00::1")']],
  ['x', ['must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)']],
])('what is wrong with %s where one spelling is allowed', (value, expected) => {
  expect(canonicalIpErrors(value)).toEqual(expected)
})

test.each([
  ['10.0.0.1', []],
  ['0.0.0.0', ['may not be unspecified (0.0.0.0)']],
  ['0:0::0', ['may not be unspecified (0:0::0)']],
  ['127.1.2.3', ['may not be in the loopback range (127.0.0.0/8, ::1/128)']],
  ['::ffff:127.0.0.1', ['may not be in the loopback range (127.0.0.0/8, ::1/128)']],
  ['fe80::1', ['may not be in the link-local range (169.254.0.0/16, fe80::/10)']],
  ['ff12::1', ['may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)']],
  ['ff1f::1', []],
])('%s as an endpoint', (value, expected) => {
  const errors: FieldError[] = []
  validateNonSpecialIp(value, 'at', errors)
  expect(errors.map(({ message }) => message)).toEqual(
    expected.map((said) => `Invalid value: ${JSON.stringify(value)}: ${said}`),
  )
})
