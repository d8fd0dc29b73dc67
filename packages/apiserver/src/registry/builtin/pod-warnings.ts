/** What kube-apiserver warns about when a Pod is made: it works, but hardly as meant. */
import type { Container, Pod } from 'kubernetes-types/core/v1.js'
import { ipWarnings } from '../ip-address.ts'
import { nanoOf } from '../quantity.ts'
import { nodeWarnings, podAffinityWarnings } from './placement-warnings.ts'
import { portWarnings } from './pod-port-warnings.ts'
import { podVolumeWarnings } from './storage-warnings.ts'

const ONE = 1_000_000_000n

/** @param at before the names of its parts: `spec.template.` where it is a template; nothing where it is a Pod */
export function podWarnings(pod: Pick<Pod, 'metadata' | 'spec'>, at = ''): string[] {
  const { spec = { containers: [] } } = pod
  const path = `${at}spec`
  const warnings = [...nodeWarnings(spec, path), ...podVolumeWarnings(spec.volumes ?? [], `${path}.volumes`)]
  const hostAliases = new Set<string>()
  spec.hostAliases?.forEach(({ ip = '' }, index) => {
    if (hostAliases.has(ip)) warnings.push(`${path}.hostAliases[${index}].ip: duplicate ip "${ip}"`)
    hostAliases.add(ip)
  })
  const secrets = new Set<string>()
  spec.imagePullSecrets?.forEach(({ name = '' }, index) => {
    if (secrets.has(name)) warnings.push(`${path}.imagePullSecrets[${index}].name: duplicate name "${name}"`)
    secrets.add(name)
  })
  spec.imagePullSecrets?.forEach(({ name }, index) => {
    if (!name) warnings.push(`${path}.imagePullSecrets[${index}].name: invalid empty name ""`)
  })
  annotationWarnings(pod, at, warnings)
  const initContainers = spec.initContainers ?? []
  const containers = [
    ...initContainers.map((container, index) => [`${path}.initContainers[${index}]`, container] as const),
    ...(spec.containers ?? []).map((container, index) => [`${path}.containers[${index}]`, container] as const),
  ]
  for (const [where, container] of containers) containerWarnings(container, where, warnings)
  warnings.push(...portWarnings(containers))
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) {
    const said = 'must be >= 0; negative values are invalid and will be treated as 1'
    warnings.push(`${path}.terminationGracePeriodSeconds: ${said}`)
  }
  const addresses = [
    ...(spec.dnsConfig?.nameservers ?? []).map((ip, index) => [ip, `${path}.dnsConfig.nameservers[${index}]`] as const),
    ...(spec.hostAliases ?? []).map(({ ip = '' }, index) => [ip, `${path}.hostAliases[${index}].ip`] as const),
  ]
  return [...warnings, ...podAffinityWarnings(spec, path), ...addresses.flatMap(([ip, where]) => ipWarnings(ip, where))]
}

export function podStatusWarnings({ status = {} }: Pod): string[] {
  return (['podIPs', 'hostIPs'] as const).flatMap((list) =>
    (status[list] ?? []).flatMap(({ ip = '' }, index) => ipWarnings(ip, `status.${list}[${index}].ip`)),
  )
}

const SECCOMP_POD = 'seccomp.security.alpha.kubernetes.io/pod'
const SECCOMP_CONTAINER = 'container.seccomp.security.alpha.kubernetes.io/'
const APPARMOR = 'container.apparmor.security.beta.kubernetes.io/'

/** Of profiles that only an annotation names, which nothing has read since 1.27. */
function annotationWarnings({ metadata, spec }: Pick<Pod, 'metadata' | 'spec'>, at: string, warnings: string[]): void {
  const annotations = metadata?.annotations ?? {}
  const warn = (key: string): void => {
    if (!Object.hasOwn(annotations, key)) return
    warnings.push(`${at}metadata.annotations[${key}]: non-functional in v1.27+; use the "seccompProfile" field instead`)
  }
  if (!spec?.securityContext?.seccompProfile) warn(SECCOMP_POD)
  for (const container of [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])]) {
    if (!container.securityContext?.seccompProfile) warn(`${SECCOMP_CONTAINER}${container.name}`)
    const key = `${APPARMOR}${container.name}`
    const hasField = (container.securityContext as { appArmorProfile?: object } | undefined)?.appArmorProfile
    if (Object.hasOwn(annotations, key) && !hasField)
      warnings.push(
        `${at}metadata.annotations[${key}]: deprecated since v1.30; use the "appArmorProfile" field instead`,
      )
  }
}

function containerWarnings(container: Container, path: string, warnings: string[]): void {
  for (const list of ['limits', 'requests'] as const) {
    for (const name of ['memory', 'ephemeral-storage']) {
      const amount = container.resources?.[list]?.[name] as string | undefined
      if (amount === undefined || nanoOf(amount) % ONE === 0n) continue
      const said = `fractional byte value "${amount}" is invalid, must be an integer`
      warnings.push(`${path}.resources.${list}[${name}]: ${said}`)
    }
  }
  const seen = new Set<string>()
  container.env?.forEach(({ name, value = '', valueFrom }, index) => {
    const reference = `$(${name})`
    if (seen.has(name) && (valueFrom || value === reference || !value.includes(reference))) {
      warnings.push(
        `${path}.env[${index}]: hides previous definition of "${name}", which may be dropped when using apply`,
      )
    }
    seen.add(name)
  })
}
