/** Kernel parameters that a Pod asks for: which it may have, and what becomes of them under a handler. */
import type { PodObject } from '@caisson/client'
import type { Eviction } from '../pods/observed-pod.ts'
import { specOf } from '../pods/observed-pod.ts'
import type { Handler } from '../pods/runtime-handler.ts'

/** Kubernetes' safe ones (pkg/kubelet/sysctl of 1.34): they belong to namespaces of the Pod's own and concern nobody else. */
const SAFE: ReadonlySet<string> = new Set([
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
])

/** Why a Pod with an unsafe one is not begun, in kubelet's words. This node allows no others. */
export function forbiddenSysctl(pod: PodObject): Eviction | undefined {
  const unsafe = Object.keys(sysctlsOf(pod)).find((name) => !SAFE.has(name))
  if (unsafe === undefined) return undefined
  return { reason: 'SysctlForbidden', message: `forbidden sysctl: ${JSON.stringify(unsafe)} not allowlisted` }
}

/** By name, with dots; of one that is written in both ways the latter counts. */
export function sysctlsOf(pod: PodObject): Record<string, string> {
  const asked = specOf(pod).securityContext?.sysctls ?? []
  return Object.fromEntries(asked.map(({ name, value }) => [withDots(name), value]))
}

/** Why a handler leaves out what the Pod asks for; undefined where it does not. */
export function sysctlsProblem(pod: PodObject, handler: Handler): string | undefined {
  const names = Object.keys(sysctlsOf(pod))
  if (handler !== 'runsc' || names.length === 0) return undefined
  return `not applied: ${names.join(', ')}. A sandbox under gVisor has a kernel and a network of its own, whose parameters stay as they are: use the RuntimeClass runc where the Pod depends on them`
}

/** Those that begin with `a/` have the two signs exchanged: `net/ipv4/conf/eth0.1` is an interface with a dot in its name. */
function withDots(name: string): string {
  if (!/^[^./]*\//.test(name)) return name
  return name.replaceAll(/[./]/g, (sign) => (sign === '/' ? '.' : '/'))
}
