/** Fields of the Pod and resources of its containers, as text: for variables and for files. */
import { parseQuantity } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { Container, ObjectFieldSelector, ResourceFieldSelector } from 'kubernetes-types/core/v1.d.ts'
import { initContainers, specOf } from '../pods/observed-pod.ts'
import { ConfigError } from './config-error.ts'

/** What the node gave the Pod, which its object may not say yet. */
export interface PodPlace {
  podIp: string | undefined
  hostIp: string
  nodeName: string
  /** What a container without a limit may use; quantities. */
  allocatable: Readonly<Record<string, string>>
}

/** Throws a ConfigError for a path that has no value for containers. */
export function fieldValue(pod: PodObject, { fieldPath }: ObjectFieldSelector, place: PodPlace): string {
  const subscript = /^metadata\.(labels|annotations)\['(.*)'\]$/s.exec(fieldPath)
  if (subscript) {
    const values = (subscript[1] === 'labels' ? pod.metadata.labels : pod.metadata.annotations) ?? {}
    const key = subscript[2] ?? ''
    return Object.hasOwn(values, key) ? (values[key] ?? '') : ''
  }
  switch (fieldPath) {
    case 'metadata.name':
      return pod.metadata.name ?? ''
    case 'metadata.namespace':
      return pod.metadata.namespace ?? ''
    case 'metadata.uid':
      return pod.metadata.uid ?? ''
    case 'metadata.labels':
      return formatMap(pod.metadata.labels ?? {})
    case 'metadata.annotations':
      return formatMap(pod.metadata.annotations ?? {})
    case 'spec.nodeName':
      return place.nodeName
    case 'spec.serviceAccountName':
      return specOf(pod).serviceAccountName ?? ''
    case 'status.hostIP':
    case 'status.hostIPs':
      return place.hostIp
    case 'status.podIP':
    case 'status.podIPs':
      return place.podIp ?? ''
    default:
      throw new ConfigError(`unsupported fieldPath: ${fieldPath}`)
  }
}

/** One `key="value"` a line, sorted by key. */
function formatMap(values: Readonly<Record<string, string>>): string {
  return Object.keys(values)
    .sort()
    .map((key) => `${key}=${quote(values[key] ?? '')}`)
    .join('\n')
}

/** As Go quotes: JSON's escapes, but for the control characters that have other ones. */
function quote(text: string): string {
  return JSON.stringify(text).replaceAll(/\\u00([01][0-9a-f])/g, (_escape, code: string) =>
    code === '07' ? '\\a' : code === '0b' ? '\\v' : `\\x${code}`,
  )
}

/** The value of a container's request or limit, rounded up to whole divisors. Throws a ConfigError where there is none such. */
export function resourceValue(
  pod: PodObject,
  selector: ResourceFieldSelector,
  { container: own, place }: { container?: Container; place: PodPlace },
): string {
  const { containerName, resource, divisor } = selector
  const container = containerName ? findContainer(pod, containerName) : own
  if (!container) throw new ConfigError(`container ${containerName ?? ''} not found`)
  const [, kind, name] = /^(limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-.+)$/.exec(resource) ?? []
  if (!kind || !name) throw new ConfigError(`unsupported container resource : ${resource}`)
  const stated = amount(container.resources?.[kind as 'limits' | 'requests']?.[name])
  // A container without a limit may use all that the node has to give.
  const value = kind === 'limits' && !stated ? amount(place.allocatable[name]) : stated
  return String(Math.ceil(value / (amount(divisor) || 1)))
}

function findContainer(pod: PodObject, name: string): Container | undefined {
  return [...specOf(pod).containers, ...initContainers(pod)].find((container) => container.name === name)
}

function amount(quantity: string | undefined): number {
  return quantity === undefined ? 0 : (parseQuantity(quantity) ?? 0)
}
