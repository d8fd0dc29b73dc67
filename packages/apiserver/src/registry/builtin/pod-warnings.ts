/** What kube-apiserver warns about when a Pod is made: it works, but hardly as meant. */
import type { Container, Pod, PodSpec } from 'kubernetes-types/core/v1.js'
import { nanoOf } from '../quantity.ts'

const ONE = 1_000_000_000n

const DEPRECATED_NODE_LABELS: Readonly<Record<string, string>> = {
  'beta.kubernetes.io/arch': 'use "kubernetes.io/arch" instead',
  'beta.kubernetes.io/os': 'use "kubernetes.io/os" instead',
  'failure-domain.beta.kubernetes.io/region': 'use "topology.kubernetes.io/region" instead',
  'failure-domain.beta.kubernetes.io/zone': 'use "topology.kubernetes.io/zone" instead',
  'beta.kubernetes.io/instance-type': 'use "node.kubernetes.io/instance-type" instead',
}

export function podWarnings(pod: Pod): string[] {
  const spec = pod.spec as PodSpec
  const warnings: string[] = []
  for (const key of Object.keys(spec.nodeSelector ?? {})) {
    if (!Object.hasOwn(DEPRECATED_NODE_LABELS, key)) continue
    warnings.push(`spec.nodeSelector[${key}]: deprecated since v1.14; ${DEPRECATED_NODE_LABELS[key]}`)
  }
  const hostAliases = new Set<string>()
  spec.hostAliases?.forEach(({ ip = '' }, index) => {
    if (hostAliases.has(ip)) warnings.push(`spec.hostAliases[${index}].ip: duplicate ip "${ip}"`)
    hostAliases.add(ip)
  })
  const secrets = new Set<string>()
  spec.imagePullSecrets?.forEach(({ name = '' }, index) => {
    if (secrets.has(name)) warnings.push(`spec.imagePullSecrets[${index}].name: duplicate name "${name}"`)
    secrets.add(name)
  })
  spec.imagePullSecrets?.forEach(({ name }, index) => {
    if (!name) warnings.push(`spec.imagePullSecrets[${index}].name: invalid empty name ""`)
  })
  annotationWarnings(pod, warnings)
  const initContainers = spec.initContainers ?? []
  initContainers.forEach((container, index) => containerWarnings(container, `spec.initContainers[${index}]`, warnings))
  spec.containers?.forEach((container, index) => containerWarnings(container, `spec.containers[${index}]`, warnings))
  portWarnings([...initContainers, ...(spec.containers ?? [])], initContainers.length, warnings)
  return warnings
}

const SECCOMP_POD = 'seccomp.security.alpha.kubernetes.io/pod'
const SECCOMP_CONTAINER = 'container.seccomp.security.alpha.kubernetes.io/'
const APPARMOR = 'container.apparmor.security.beta.kubernetes.io/'

/** Of profiles that only an annotation names, which nothing has read since 1.27. */
function annotationWarnings({ metadata, spec }: Pod, warnings: string[]): void {
  const annotations = metadata?.annotations ?? {}
  const warn = (key: string): void => {
    if (!Object.hasOwn(annotations, key)) return
    warnings.push(`metadata.annotations[${key}]: non-functional in v1.27+; use the "seccompProfile" field instead`)
  }
  if (!spec?.securityContext?.seccompProfile) warn(SECCOMP_POD)
  for (const container of [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])]) {
    if (!container.securityContext?.seccompProfile) warn(`${SECCOMP_CONTAINER}${container.name}`)
    const key = `${APPARMOR}${container.name}`
    const hasField = (container.securityContext as { appArmorProfile?: object } | undefined)?.appArmorProfile
    if (Object.hasOwn(annotations, key) && !hasField)
      warnings.push(`metadata.annotations[${key}]: deprecated since v1.30; use the "appArmorProfile" field instead`)
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

interface SeenPort {
  path: string
  hostIP: string
  hostPort: number
}

function portWarnings(containers: readonly Container[], initContainers: number, warnings: string[]): void {
  const byPort = new Map<string, SeenPort[]>()
  const byName = new Map<string, string>()
  containers.forEach((container, index) => {
    const path = index < initContainers ? `spec.initContainers[${index}]` : `spec.containers[${index - initContainers}]`
    container.ports?.forEach((port, position) => {
      const seen: SeenPort = {
        path: `${path}.ports[${position}]`,
        hostIP: port.hostIP ?? '',
        hostPort: port.hostPort ?? 0,
      }
      const key = `${port.containerPort}/${port.protocol}`
      const others = byPort.get(key) ?? []
      for (const other of others) {
        const said = portConflict(seen, other)
        if (said) warnings.push(`${seen.path}: ${said} with ${other.path}`)
      }
      byPort.set(key, [...others, seen])
      if (!port.name) return
      const first = byName.get(port.name)
      if (first === undefined) byName.set(port.name, seen.path)
      else {
        warnings.push(
          `${seen.path}: duplicate port name "${port.name}" with ${first}, services and probes that select ports by name will use ${first}`,
        )
      }
    })
  })
}

function portConflict(a: SeenPort, b: SeenPort): string | undefined {
  if (a.hostIP === b.hostIP && a.hostPort === b.hostPort) return 'duplicate port definition'
  if (a.hostPort === 0 || b.hostPort === 0) return 'overlapping port definition'
  const oneIsAny = (a.hostIP === '') !== (b.hostIP === '')
  return a.hostPort === b.hostPort && oneIsAny ? 'dangerously ambiguous port definition' : undefined
}
