/** Kernel parameters that a Pod asks for: which it may have, and what becomes of them under a handler. */
import type { PodObject } from '@caisson/client'
import { SENTRY_PARAMETERS } from '@caisson/runtime'
import type { Eviction } from '../pods/observed-pod.ts'
import { specOf } from '../pods/observed-pod.ts'

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

/** Others of which the kernel keeps a value for each of such namespaces: what an administrator may allow. */
const OF_NAMESPACES = /^(?:net\.|fs\.mqueue\.|kernel\.(?:sem|shm(?:all|max|mni|_rmid_forced)?|msg(?:max|mnb|mni)?)$)/
const SEGMENT = '[a-z0-9](?:[-_a-z0-9]*[a-z0-9])?'
const PATTERN = new RegExp(`^(?:${SEGMENT}[./])*(?:${SEGMENT}|[a-z0-9][-_a-z0-9]*\\*|\\*)$`)
const LONGEST = 253

/**
 * Why an administrator cannot allow what `pattern` names, by the rules of the kubelet's `--allowed-unsafe-sysctls`;
 * undefined where that can be allowed. A `*` at the end stands for anything.
 */
export function sysctlPatternProblem(pattern: string): string | undefined {
  if (pattern.length > LONGEST || !PATTERN.test(pattern)) {
    return 'is no name of a kernel parameter such as net.core.somaxconn, nor one that ends with * such as kernel.msg*'
  }
  if (OF_NAMESPACES.test(withDots(pattern).replace(/\*$/, ''))) return undefined
  return 'is not known to have a value of its own in each Pod: it would be changed for all of the machine'
}

/**
 * Why a Pod with one that is not safe is not begun, in kubelet's words.
 * @param allowed what the administrator of this node allows besides, as `sysctlPatternProblem` knows it
 */
export function forbiddenSysctl(pod: PodObject, allowed: readonly string[] = []): Eviction | undefined {
  const isAllowed = (name: string): boolean =>
    allowed.map(withDots).some((each) => (each.endsWith('*') ? name.startsWith(each.slice(0, -1)) : name === each))
  const unsafe = Object.keys(sysctlsOf(pod)).find((name) => !SAFE.has(name) && !isAllowed(name))
  if (unsafe === undefined) return undefined
  return { reason: 'SysctlForbidden', message: `forbidden sysctl: ${JSON.stringify(unsafe)} not allowlisted` }
}

/** By name, with dots; of one that is written in both ways the latter counts. */
export function sysctlsOf(pod: PodObject): Record<string, string> {
  const asked = specOf(pod).securityContext?.sysctls ?? []
  return Object.fromEntries(asked.map(({ name, value }) => [withDots(name), value]))
}

/** Those that a sandbox under gVisor can have: in one of several containers, whose first process is there before theirs. */
export function sentrySysctls(pod: PodObject): Record<string, string> {
  return Object.fromEntries(Object.entries(sysctlsOf(pod)).filter(([name]) => SENTRY_PARAMETERS.includes(name)))
}

/** What the Pod asks for and its sandbox, which is given `applied`, goes without; undefined where that is nothing. */
export function sysctlsProblem(pod: PodObject, applied: Readonly<Record<string, string>>): string | undefined {
  const names = Object.keys(sysctlsOf(pod)).filter((name) => !Object.hasOwn(applied, name))
  if (names.length === 0) return undefined
  return `not applied: ${names.join(', ')}. A sandbox under gVisor has a kernel and a network of its own, whose parameters stay as they are but for ${SENTRY_PARAMETERS.join(', ')}: use the RuntimeClass runc where the Pod depends on them`
}

/** Those that begin with `a/` have the two signs exchanged: `net/ipv4/conf/eth0.1` is an interface with a dot in its name. */
function withDots(name: string): string {
  if (!/^[^./]*\//.test(name)) return name
  return name.replaceAll(/[./]/g, (sign) => (sign === '/' ? '.' : '/'))
}
