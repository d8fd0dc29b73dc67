/**
 * Reading Pods that are not validated yet. Built-in kinds have the types of their schema by the time admission sees
 * them, but any field may be missing or null, and templates inside custom resources may hold anything.
 */
import type { KubeObject } from '@caisson/api'
import type {
  Container as CoreContainer,
  PodSpec as CorePodSpec,
  PodSecurityContext,
  SecurityContext,
} from 'kubernetes-types/core/v1.js'

type Loose<T> = { [K in keyof T]?: T[K] | null }

export type Container = Loose<CoreContainer>

export type PodSpec = Omit<Loose<CorePodSpec>, 'containers' | 'initContainers' | 'ephemeralContainers'> & {
  containers?: Container[] | null
  initContainers?: Container[] | null
  ephemeralContainers?: Container[] | null
}

/** What of a Pod decides about its security: the Pod's own, or the template of one. */
export interface PodView {
  annotations: Readonly<Record<string, string>>
  spec: PodSpec
}

/** An array without its null items; an empty one in place of anything else, whatever the type promised. */
export function list<T>(value: readonly T[] | null | undefined): readonly T[] {
  return Array.isArray(value) ? (value as T[]).filter((one) => one !== null && one !== undefined) : []
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Init containers first, then containers, then ephemeral ones. */
export function allContainers(spec: PodSpec): readonly Container[] {
  return [...list(spec.initContainers), ...list(spec.containers), ...list(spec.ephemeralContainers)]
}

export function securityContextOf(container: Container): Loose<SecurityContext> {
  return container.securityContext ?? {}
}

export function podSecurityContextOf(spec: PodSpec): Loose<PodSecurityContext> {
  return spec.securityContext ?? {}
}

export function specOf(pod: KubeObject): PodSpec {
  return isRecord(pod.spec) ? (pod.spec as PodSpec) : {}
}

/** Where kinds keep the template of the Pods that they make. */
const TEMPLATE_PATHS: readonly (readonly string[])[] = [
  ['spec', 'podTemplate'],
  ['spec', 'jobTemplate', 'spec', 'template'],
  ['spec', 'template', 'podTemplate'],
  ['spec', 'template'],
  ['template'],
]

// One for each stored template, so that what was found out of it can be remembered.
const views = new WeakMap<object, PodView>()

/** The Pod template inside an object of another kind; undefined where it holds none. */
export function podTemplateOf(object: KubeObject): PodView | undefined {
  for (const path of TEMPLATE_PATHS) {
    let found: unknown = object
    for (const field of path) found = isRecord(found) && Object.hasOwn(found, field) ? found[field] : undefined
    if (isRecord(found) && isRecord(found.spec) && Array.isArray(found.spec.containers)) {
      const known = views.get(found)
      if (known) return known
      const metadata = isRecord(found.metadata) ? found.metadata : {}
      const view = { annotations: textsOf(metadata.annotations), spec: found.spec as PodSpec }
      if (Object.isFrozen(found)) views.set(found, view)
      return view
    }
  }
  return undefined
}

function textsOf(value: unknown): Record<string, string> {
  if (!isRecord(value)) return {}
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  )
}
