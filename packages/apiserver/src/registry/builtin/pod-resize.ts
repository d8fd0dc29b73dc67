/** What the door `resize` of a Pod lets through: processors and memory of its containers, in kube-apiserver's words. */
import { RESIZABLE_RESOURCES } from '@caisson/api'
import type { Container, Pod, PodSpec } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { forbidden, invalidValue } from '../field-error.ts'
import { deepEqual } from './deep-equal.ts'
import { podQosClass } from './pod-qos.ts'
import { validatePod } from './pod-spec.ts'

type Amounts = Readonly<Record<string, string>>
type Lists = { limits?: Amounts; requests?: Amounts }

/** Go's path of a field without a name. */
const WHOLE = '[]'
const MIRROR = 'kubernetes.io/config.mirror'

/** The spec that a request asks for; where it does not have the same containers, all of it, so that this is refused. */
export function resizedSpec(next: PodSpec, current: PodSpec): PodSpec {
  const [containers, before] = [containersOf(next), containersOf(current)]
  const [nextInits, initsBefore] = [initContainersOf(next), initContainersOf(current)]
  if (containers.length !== before.length || nextInits.length !== initsBefore.length) return next
  const inits = resizedContainers(nextInits, initsBefore)
  return {
    ...current,
    containers: resizedContainers(containers, before),
    ...(inits.length > 0 && { initContainers: inits }),
  }
}

/** A merge patch can leave null. */
function containersOf({ containers }: PodSpec): Container[] {
  return (containers as Container[] | null) ?? []
}

function initContainersOf({ initContainers }: PodSpec): Container[] {
  return initContainers ?? []
}

function resizedContainers(next: Container[], current: readonly Container[]): Container[] {
  if (next.some(({ name }, index) => name !== current[index]?.name)) return next
  return current.map((container, index) => {
    const { resources: _, resizePolicy: __, ...kept } = container
    const { resources, resizePolicy } = next[index] as Container
    return { ...kept, ...(resources && { resources }), ...(resizePolicy && { resizePolicy }) }
  })
}

export function validatePodResize(next: Pod, current: Pod): FieldError[] {
  const errors = validatePod(next)
  const [spec, old] = [next.spec as PodSpec, current.spec as PodSpec]
  if (hasPodLevelResources(old) || hasPodLevelResources(spec)) {
    return [forbidden(WHOLE, 'pods with pod-level resources cannot be resized')]
  }
  if (current.metadata?.annotations?.[MIRROR] !== undefined) {
    return [forbidden(WHOLE, 'static pods cannot be resized')]
  }
  if ((old as { os?: { name: string } }).os?.name === 'windows') {
    return [forbidden(WHOLE, 'windows pods cannot be resized')]
  }
  const qosClass = current.status?.qosClass || podQosClass(current)
  if (qosClass !== podQosClass(next)) {
    errors.push(
      invalidValue('spec', next.status?.qosClass ?? '', 'Pod QOS Class may not change as a result of resizing'),
    )
  }
  if (!nodeKnowsResources(current)) errors.push(forbidden('spec', 'Pod running on node without support for resize'))
  const misordered = [
    ...differentContainers(containersOf(spec), containersOf(old), 'containers'),
    ...differentContainers(initContainersOf(spec), initContainersOf(old), 'initContainers'),
  ]
  if (misordered.length > 0) return [...errors, ...misordered]
  errors.push(...removals(spec, old), ...otherChanges(spec, old))
  return errors
}

function hasPodLevelResources(spec: PodSpec): boolean {
  const { requests = {}, limits = {} } = ((spec as { resources?: Lists }).resources ?? {}) as Lists
  return Object.keys(requests).length + Object.keys(limits).length > 0
}

/** A node agent that says nothing of the resources of what runs cannot change them either. */
function nodeKnowsResources({ status }: Pod): boolean {
  const running = status?.containerStatuses?.find(({ state }) => state?.running)
  return running === undefined || (running as { resources?: unknown }).resources !== undefined
}

function differentContainers(
  next: readonly Container[],
  current: readonly Container[],
  field: 'containers' | 'initContainers',
): FieldError[] {
  const path = `spec.${field}`
  if (next.length !== current.length) return [forbidden(path, `${field} may not be added or removed on resize`)]
  return current.flatMap(({ name }, index) =>
    next[index]?.name === name
      ? []
      : [forbidden(`${path}[${index}].name`, `${field} may not be renamed or reordered on resize`)],
  )
}

function removals(next: PodSpec, current: PodSpec): FieldError[] {
  const errors: FieldError[] = []
  for (const field of ['initContainers', 'containers'] as const) {
    ;(current[field] ?? []).forEach((old, index) => {
      if (field === 'initContainers' && old.restartPolicy !== 'Always') return
      const [before, after] = [listsOf(old), listsOf(next[field]?.[index])]
      for (const kind of ['requests', 'limits'] as const) {
        if (Object.keys(before[kind] ?? {}).every((name) => Object.hasOwn(after[kind] ?? {}, name))) continue
        errors.push(forbidden(`spec.${field}[${index}].resources.${kind}`, `resource ${kind} cannot be removed`))
      }
    })
  }
  return errors
}

function otherChanges(next: PodSpec, current: PodSpec): FieldError[] {
  const errors: FieldError[] = []
  next.containers.forEach((container, index) => {
    const old = current.containers[index] as Container
    if (!isOnlyResized(container, old)) errors.push(forbidden('spec', 'only cpu and memory resources are mutable'))
  })
  next.initContainers?.forEach((container, index) => {
    const old = current.initContainers?.[index] as Container
    if (container.restartPolicy !== 'Always') {
      if (!deepEqual(container, old))
        errors.push(forbidden('spec', 'resources for non-sidecar init containers are immutable'))
    } else if (!isOnlyResized(container, old)) {
      errors.push(forbidden('spec', 'only cpu and memory resources for sidecar containers are mutable'))
    }
  })
  return errors
}

function isOnlyResized(container: Container, old: Container): boolean {
  const [{ resources: _, ...rest }, { resources: __, ...oldRest }] = [container, old]
  const [after, before] = [listsOf(container), listsOf(old)]
  return (
    deepEqual(rest, oldRest) &&
    deepEqual(container.resources?.['claims' as 'limits'], old.resources?.['claims' as 'limits']) &&
    (['limits', 'requests'] as const).every((kind) => deepEqual(others(after[kind]), others(before[kind])))
  )
}

function others(amounts: Amounts = {}): Amounts {
  return Object.fromEntries(Object.entries(amounts).filter(([name]) => !RESIZABLE_RESOURCES.includes(name)))
}

function listsOf(container: Container | undefined): Lists {
  return (container?.resources ?? {}) as Lists
}
