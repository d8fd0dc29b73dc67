/** The checks of the baseline level: nothing that is a known way out of a container. In the order of their ids. */
import { goQuote } from '../../registry/field-error.ts'
import {
  allContainers,
  type Container,
  list,
  type PodView,
  podSecurityContextOf,
  securityContextOf,
} from '../pod-shape.ts'
import { type Check, containersNamed, plural, quoted, setters, sorted, textOf, type Violation } from './violation.ts'

export const BASELINE_CHECKS: readonly Check[] = [
  { id: 'appArmorProfile', since: 0, find: findAppArmor },
  { id: 'capabilities_baseline', since: 0, find: findCapabilities },
  { id: 'hostNamespaces', since: 0, find: findHostNamespaces },
  { id: 'hostPathVolumes', since: 0, find: findHostPaths },
  { id: 'hostPorts', since: 0, find: findHostPorts },
  { id: 'hostProbesAndHostLifecycle', since: 34, find: findProbeHosts },
  { id: 'privileged', since: 0, find: findPrivileged },
  { id: 'procMount', since: 0, find: findProcMount },
  { id: 'seLinuxOptions', since: 0, find: findSeLinux },
  { id: 'seccompProfile_baseline', since: 0, find: findSeccomp },
  { id: 'sysctls', since: 0, find: findSysctls },
  { id: 'windowsHostProcess', since: 0, find: findHostProcess },
]

const APP_ARMOR_ANNOTATION = 'container.apparmor.security.beta.kubernetes.io/'

function findAppArmor({ annotations, spec }: PodView): Violation | undefined {
  const typeOf = (context: { appArmorProfile?: { type?: string } | null }) => context.appArmorProfile?.type ?? ''
  const bad = (context: { appArmorProfile?: { type?: string } | null }) =>
    Boolean(context.appArmorProfile) && !['RuntimeDefault', 'Localhost'].includes(typeOf(context))
  const pod = podSecurityContextOf(spec) as { appArmorProfile?: { type?: string } | null }
  const contextOf = (container: Container) => securityContextOf(container) as typeof pod
  const containers = allContainers(spec).filter((container) => bad(contextOf(container)))
  const values = sorted([...(bad(pod) ? [typeOf(pod)] : []), ...containers.map((one) => typeOf(contextOf(one)))])
  const forbidden = Object.entries(annotations)
    .filter(([key, value]) => key.startsWith(APP_ARMOR_ANNOTATION) && !/^($|runtime\/default$|localhost\/)/.test(value))
    .map(([key, value]) => `${key}=${goQuote(value)}`)
    .sort()
  const who = [setters(bad(pod), containers), forbidden.length > 0 ? plural('annotation', forbidden.length) : '']
  const said = who.filter((text) => text !== '')
  if (said.length === 0) return undefined
  const all = [...values, ...forbidden]
  return {
    reason: plural('forbidden AppArmor profile', all.length),
    detail: `${said.join(' and ')} must not set AppArmor profile type to ${quoted(all)}`,
  }
}

const DEFAULT_CAPABILITIES: ReadonlySet<string> = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
])

function findCapabilities({ spec }: PodView): Violation | undefined {
  const extra = (container: Container) =>
    list<string>(securityContextOf(container).capabilities?.add).filter((one) => !DEFAULT_CAPABILITIES.has(one))
  const bad = allContainers(spec).filter((container) => extra(container).length > 0)
  if (bad.length === 0) return undefined
  const names = quoted(sorted(bad.flatMap(extra)))
  return {
    reason: 'non-default capabilities',
    detail: `${containersNamed(bad)} must not include ${names} in securityContext.capabilities.add`,
  }
}

function findHostNamespaces({ spec }: PodView): Violation | undefined {
  const set = (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((field) => spec[field])
  if (set.length === 0) return undefined
  return { reason: 'host namespaces', detail: set.map((field) => `${field}=true`).join(', ') }
}

function findHostPaths({ spec }: PodView): Violation | undefined {
  const bad = list(spec.volumes).filter(({ hostPath }) => hostPath)
  if (bad.length === 0) return undefined
  const names = quoted(bad.map(({ name }) => name))
  return { reason: 'hostPath volumes', detail: `${plural('volume', bad.length)} ${names}` }
}

function findHostPorts({ spec }: PodView): Violation | undefined {
  const portsOf = (container: Container) =>
    list(container.ports).flatMap(({ hostPort }) => (hostPort ? [textOf(hostPort)] : []))
  const bad = allContainers(spec).filter((container) => portsOf(container).length > 0)
  if (bad.length === 0) return undefined
  const ports = sorted(bad.flatMap(portsOf))
  const use = bad.length === 1 ? 'uses' : 'use'
  return {
    reason: 'hostPort',
    detail: `${containersNamed(bad)} ${use} ${plural('hostPort', ports.length)} ${ports.join(', ')}`,
  }
}

type Handler = { httpGet?: { host?: string } | null; tcpSocket?: { host?: string } | null } | null | undefined

function findProbeHosts({ spec }: PodView): Violation | undefined {
  const hostsOf = ({ livenessProbe, readinessProbe, startupProbe, lifecycle }: Container): string[] => {
    const handlers: Handler[] = [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop]
    return handlers
      .flatMap((one) => [one?.httpGet?.host, one?.tcpSocket?.host])
      .filter((host): host is string => Boolean(host))
  }
  const bad = allContainers(spec).filter((container) => hostsOf(container).length > 0)
  if (bad.length === 0) return undefined
  const names = sorted(bad.map(({ name }) => name ?? ''))
  const hosts = sorted(bad.flatMap(hostsOf))
  const use = names.length === 1 ? 'uses' : 'use'
  const what = plural('probe or lifecycle host', hosts.length)
  return {
    reason: 'probe or lifecycle host',
    detail: `${plural('container', names.length)} ${quoted(names)} ${use} ${what} ${quoted(hosts)}`,
  }
}

function findPrivileged({ spec }: PodView): Violation | undefined {
  const bad = allContainers(spec).filter((container) => securityContextOf(container).privileged)
  if (bad.length === 0) return undefined
  return { reason: 'privileged', detail: `${containersNamed(bad)} must not set securityContext.privileged=true` }
}

function findProcMount({ spec }: PodView): Violation | undefined {
  const mountOf = (container: Container) => securityContextOf(container).procMount ?? 'Default'
  const bad = allContainers(spec).filter((container) => mountOf(container) !== 'Default')
  if (bad.length === 0) return undefined
  const values = quoted(sorted(bad.map(mountOf)))
  return { reason: 'procMount', detail: `${containersNamed(bad)} must not set securityContext.procMount to ${values}` }
}

const SE_LINUX_TYPES = ['', 'container_t', 'container_init_t', 'container_kvm_t']

function findSeLinux({ spec }: PodView, minor: number): Violation | undefined {
  const types = minor >= 31 ? [...SE_LINUX_TYPES, 'container_engine_t'] : SE_LINUX_TYPES
  const optionsOf = (context: { seLinuxOptions?: object | null }) =>
    (context.seLinuxOptions ?? {}) as { type?: string; user?: string; role?: string }
  const bad = ({ type = '', user, role }: ReturnType<typeof optionsOf>) =>
    !types.includes(type) || Boolean(user || role)
  const pod = optionsOf(podSecurityContextOf(spec))
  const containers = allContainers(spec).filter((one) => bad(optionsOf(securityContextOf(one))))
  const who = setters(bad(pod), containers)
  if (who === '') return undefined
  const all = [pod, ...containers.map((one) => optionsOf(securityContextOf(one)))]
  const badTypes = sorted(all.flatMap(({ type = '' }) => (types.includes(type) ? [] : [type])))
  const said = [
    ...(badTypes.length > 0 ? [`${plural('type', badTypes.length)} ${quoted(badTypes)}`] : []),
    ...(all.some(({ user }) => user) ? ['user may not be set'] : []),
    ...(all.some(({ role }) => role) ? ['role may not be set'] : []),
  ]
  return {
    reason: 'seLinuxOptions',
    detail: `${who} set forbidden securityContext.seLinuxOptions: ${said.join('; ')}`,
  }
}

const SECCOMP_POD = 'seccomp.security.alpha.kubernetes.io/pod'
const SECCOMP_CONTAINER = 'container.seccomp.security.alpha.kubernetes.io/'

const SECURITY_ANNOTATIONS = [APP_ARMOR_ANNOTATION, SECCOMP_POD, SECCOMP_CONTAINER]

/** Whether a Pod's annotations can matter to a check, beside its spec. */
export function hasSecurityAnnotations({ annotations }: PodView): boolean {
  return Object.keys(annotations).some((key) => SECURITY_ANNOTATIONS.some((prefix) => key.startsWith(prefix)))
}

function findSeccomp(pod: PodView, minor: number): Violation | undefined {
  return minor < 19 ? findSeccompAnnotations(pod) : findBadSeccomp(pod)
}

function findSeccompAnnotations({ annotations, spec }: PodView): Violation | undefined {
  const keys = [SECCOMP_POD, ...allContainers(spec).map(({ name }) => SECCOMP_CONTAINER + (name ?? ''))]
  const bad = keys.flatMap((key) => {
    const value = Object.hasOwn(annotations, key) ? annotations[key] : undefined
    if (value === undefined || /^(runtime\/default$|docker\/default$|localhost\/)/.test(value)) return []
    return [`${key}=${goQuote(value)}`]
  })
  if (bad.length === 0) return undefined
  const all = sorted(bad)
  return { reason: 'seccompProfile', detail: `forbidden ${plural('annotation', all.length)} ${all.join(', ')}` }
}

type SeccompContext = { seccompProfile?: { type?: string } | null }

/** Whether a security context names a profile that confines nothing. */
function hasBadSeccomp({ seccompProfile }: SeccompContext): boolean {
  return Boolean(seccompProfile) && !['RuntimeDefault', 'Localhost'].includes(seccompProfile?.type ?? '')
}

/** Profiles that the Pod or its containers set explicitly to a value that is not allowed. */
export function findBadSeccomp({ spec }: PodView): Violation | undefined {
  const pod = podSecurityContextOf(spec)
  const containers = allContainers(spec).filter((one) => hasBadSeccomp(securityContextOf(one)))
  const who = setters(hasBadSeccomp(pod), containers)
  if (who === '') return undefined
  const contexts: SeccompContext[] = [...(hasBadSeccomp(pod) ? [pod] : []), ...containers.map(securityContextOf)]
  const values = quoted(sorted(contexts.map(({ seccompProfile }) => seccompProfile?.type ?? '')))
  return { reason: 'seccompProfile', detail: `${who} must not set securityContext.seccompProfile.type to ${values}` }
}

/** Sysctls that concern the Pod alone, by the version that first allows them. */
const SYSCTLS: readonly [since: number, names: readonly string[]][] = [
  [
    0,
    [
      'kernel.shm_rmid_forced',
      'net.ipv4.ip_local_port_range',
      'net.ipv4.tcp_syncookies',
      'net.ipv4.ping_group_range',
      'net.ipv4.ip_unprivileged_port_start',
    ],
  ],
  [27, ['net.ipv4.ip_local_reserved_ports']],
  [
    29,
    [
      'net.ipv4.tcp_keepalive_time',
      'net.ipv4.tcp_fin_timeout',
      'net.ipv4.tcp_keepalive_intvl',
      'net.ipv4.tcp_keepalive_probes',
    ],
  ],
  [32, ['net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem']],
]

function findSysctls({ spec }: PodView, minor: number): Violation | undefined {
  const allowed = SYSCTLS.flatMap(([since, names]) => (since <= minor ? names : []))
  const bad = list(podSecurityContextOf(spec).sysctls).flatMap(({ name }) =>
    allowed.includes(name) ? [] : [textOf(name)],
  )
  return bad.length === 0 ? undefined : { reason: 'forbidden sysctls', detail: bad.join(', ') }
}

function findHostProcess({ spec }: PodView): Violation | undefined {
  const containers = allContainers(spec).filter((one) => securityContextOf(one).windowsOptions?.hostProcess)
  const who = setters(Boolean(podSecurityContextOf(spec).windowsOptions?.hostProcess), containers)
  if (who === '') return undefined
  return { reason: 'hostProcess', detail: `${who} must not set securityContext.windowsOptions.hostProcess=true` }
}
