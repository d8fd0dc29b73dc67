import type { KubeObject } from '@caisson/api'
import { expect, test } from 'vitest'
import { pointWarnings, validatePoints } from './balancer-status.ts'

const balanced = (...ingress: object[]): KubeObject & { status: object } => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: {},
  status: { loadBalancer: { ingress } },
})

const saidOf = (next: object[], current: object[] = []): string[] =>
  validatePoints(balanced(...next), balanced(...current), { modes: true }).map(
    ({ field, message }) => `${field}: ${message}`,
  )

const AT = 'status.loadBalancer.ingress'

test('an address needs a mode, which nothing else may have', () => {
  expect(saidOf([{ ip: '192.0.2.1', ipMode: 'VIP' }, { hostname: 'a.example' }])).toEqual([])
  expect(
    saidOf([{ ip: '192.0.2.1' }, { hostname: 'a.example', ipMode: 'VIP' }, { ip: '::1', ipMode: 'Bogus' }]),
  ).toEqual([
    `${AT}[0].ipMode: Required value: must be specified when \`ip\` is set`,
    `${AT}[1].ipMode: Forbidden: may not be specified when \`ip\` is not set`,
    `${AT}[2].ipMode: Unsupported value: "Bogus": supported values: "Proxy", "VIP"`,
  ])
})

test('an address that was wrong before may stay, and no name is an address', () => {
  const wrong = { ip: 'wrong', ipMode: 'VIP' }
  expect(saidOf([wrong], [wrong])).toEqual([])
  expect(saidOf([wrong, { hostname: '192.0.2.1' }])).toEqual([
    `${AT}[0].ip: Invalid value: "wrong": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`,
    `${AT}[1].hostname: Invalid value: "192.0.2.1": must be a DNS name, not an IP address`,
  ])
})

test('an address that is hardly written as it should be is warned of', () => {
  expect(pointWarnings(balanced({ ip: '192.0.2.1' }, {}, { ip: 'FD00::1' }))).toEqual([
    `${AT}[2]: IPv6 address "FD00::1" should be in RFC 5952 canonical format ("fd00::1")`,
  ])
})
