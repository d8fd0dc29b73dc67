import type { PodObject } from '@caisson/client'
import { expect, test } from 'vitest'
import { aPod } from '../pods/observed-pod-fixtures.ts'
import { forbiddenSysctl, sentrySysctls, sysctlsOf, sysctlsProblem } from './sysctls.ts'

const asking = (...sysctls: Array<[name: string, value: string]>): PodObject =>
  aPod({ spec: { securityContext: { sysctls: sysctls.map(([name, value]) => ({ name, value })) } } })

test.each([
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ping_group_range',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.tcp_wmem',
  'net/ipv4/tcp_syncookies',
])('%s concerns the Pod alone, which may have it', (name) => {
  expect(forbiddenSysctl(asking([name, '1']))).toBeUndefined()
})

test.each([
  ['kernel.msgmax', 'kernel.msgmax'],
  ['net.core.somaxconn', 'net.core.somaxconn'],
  ['net/core/somaxconn', 'net.core.somaxconn'],
  ['net.ipv4/tcp_syncookies', 'net.ipv4/tcp_syncookies'],
  ['net/ipv4.tcp_syncookies', 'net.ipv4/tcp_syncookies'],
  ['vm', 'vm'],
])('%s is refused in kubelet’s words', (name, told) => {
  expect(forbiddenSysctl(asking(['net.ipv4.tcp_syncookies', '1'], [name, '1']))).toEqual({
    reason: 'SysctlForbidden',
    message: `forbidden sysctl: "${told}" not allowlisted`,
  })
})

test('those that the node allows besides are not refused, by their names or by how these begin', () => {
  const allowed = ['kernel.msg*', 'net/core/somaxconn']
  const told = (name: string) => forbiddenSysctl(asking([name, '1']), allowed)?.message
  expect(['kernel.msgmax', 'kernel/msgmni', 'net.core.somaxconn'].map(told)).toEqual([undefined, undefined, undefined])
  expect(['kernel.shmmax', 'net.core.somaxconn2', 'net.core'].map(told)).toEqual(
    ['kernel.shmmax', 'net.core.somaxconn2', 'net.core'].map((name) => `forbidden sysctl: "${name}" not allowlisted`),
  )
})

test('they are told by their names with dots', () => {
  const pod = asking(
    ['net/ipv4/tcp_syncookies', '0'],
    ['kernel.shm_rmid_forced', '1'],
    ['net.ipv4.tcp_syncookies', '2'],
  )
  expect(sysctlsOf(pod)).toEqual({ 'kernel.shm_rmid_forced': '1', 'net.ipv4.tcp_syncookies': '2' })
  expect(sysctlsOf(aPod())).toEqual({})
})

test('a sentry takes those that its network goes by, and of others it is said that it does not', () => {
  const pod = asking(
    ['net.ipv4.tcp_syncookies', '0'],
    ['net/ipv4/tcp_rmem', '4096 65536 65536'],
    ['kernel.shm_rmid_forced', '1'],
  )
  expect(sentrySysctls(pod)).toEqual({ 'net.ipv4.tcp_rmem': '4096 65536 65536' })
  expect(sysctlsProblem(pod, sentrySysctls(pod))).toBe(
    'not applied: net.ipv4.tcp_syncookies, kernel.shm_rmid_forced. A sandbox under gVisor has a kernel and a network of its own, whose parameters stay as they are but for net.ipv4.ip_local_port_range, net.ipv4.tcp_rmem, net.ipv4.tcp_wmem: use the RuntimeClass runc where the Pod depends on them',
  )
  expect(sysctlsProblem(pod, sysctlsOf(pod))).toBeUndefined()
  expect(sysctlsProblem(aPod(), {})).toBeUndefined()
})
