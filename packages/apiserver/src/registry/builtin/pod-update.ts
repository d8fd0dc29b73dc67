/** What may change in a Pod that exists: very little. */
import type { Container, ContainerStatus, Pod, PodIP, PodSpec } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { forbidden, internalError, invalidValue, notSupported, required } from '../field-error.ts'
import { ipFamily, validateIp } from '../ip-address.ts'
import { dns1123Subdomain, inRange } from '../names.ts'
import { deepEqual } from './deep-equal.ts'
import { differences } from './differences.ts'
import { immutable } from './immutable.ts'
import { validateAnnotationUpdate } from './pod-annotations.ts'
import { validatePod } from './pod-spec.ts'
import { type Toleration, validateTolerations } from './tolerations.ts'

const MAX_SECONDS = 2 ** 31 - 1

const UPDATABLE =
  '`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)'

export function validatePodUpdate(next: Pod, current: Pod): FieldError[] {
  const errors = validatePod(next)
  validateAnnotationUpdate(next, current, errors)
  const spec = next.spec as PodSpec
  const old = current.spec as PodSpec
  if (!validateContainerList(spec.containers, old.containers, 'spec.containers', errors)) return errors
  if (!validateContainerList(spec.initContainers, old.initContainers, 'spec.initContainers', errors)) return errors
  if (!validateDeadline(spec.activeDeadlineSeconds, old.activeDeadlineSeconds, errors)) return errors
  validateOnlyAddedTolerations(spec, old, errors)
  validateOnlyRemovedGates(spec, old, errors)
  if (deepEqual(spec, old)) return errors
  const munged = withUpdatableFieldsOf(spec, old, errors)
  if (!deepEqual(munged, old)) {
    const said = `pod updates may not change fields other than ${UPDATABLE}\n${differences(old, munged)}`
    errors.push(forbidden('spec', said))
  }
  return errors
}

function validateContainerList(
  given: readonly Container[] | null | undefined,
  before: readonly Container[] | undefined,
  path: string,
  errors: FieldError[],
): boolean {
  // Go says null where there are none, of what has to be there.
  const [next, current] = [given ?? [], before ?? []]
  if (next.length !== current.length) {
    errors.push(forbidden(path, 'pod updates may not add or remove containers'))
    return false
  }
  next.forEach(({ image = '' }, index) => {
    if (!image) errors.push(required(`${path}[${index}].image`))
    if (image.trim() !== image) {
      errors.push(invalidValue(`${path}[${index}].image`, image, 'must not have leading or trailing whitespace'))
    }
  })
  return true
}

function validateDeadline(next: number | undefined, current: number | undefined, errors: FieldError[]): boolean {
  const path = 'spec.activeDeadlineSeconds'
  if (next === undefined) {
    if (current !== undefined) {
      errors.push(invalidValue(path, null, 'must not update from a positive integer to nil value'))
    }
    return true
  }
  const said =
    inRange(next, 0, MAX_SECONDS)[0] ??
    (current !== undefined && current < next ? 'must be less than or equal to previous value' : undefined)
  if (said === undefined) return true
  errors.push(invalidValue(path, next, said))
  return false
}

function validateOnlyAddedTolerations(next: PodSpec, current: PodSpec, errors: FieldError[]): void {
  const added = (next.tolerations ?? []) as Toleration[]
  const keys = new Set(added.map(tolerationKey))
  if (current.tolerations?.some((old) => !keys.has(tolerationKey(old)))) {
    errors.push(forbidden('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds'))
    return
  }
  validateTolerations(added, 'spec.tolerations', errors)
}

/** Everything that may not change in a toleration. */
function tolerationKey({ key, operator, value, effect }: Toleration): string {
  return JSON.stringify([key ?? '', operator ?? '', value ?? '', effect ?? ''])
}

function validateOnlyRemovedGates(next: PodSpec, current: PodSpec, errors: FieldError[]): void {
  const known = new Set(current.schedulingGates?.map(({ name }) => name))
  next.schedulingGates?.forEach(({ name }, index) => {
    if (known.has(name)) return
    const said = `only deletion is allowed, but found new scheduling gate '${name}'`
    errors.push(forbidden(`spec.schedulingGates[${index}].name`, said))
  })
}

/** The new spec with everything that may change put back, so that what still differs is what may not. */
function withUpdatableFieldsOf(next: PodSpec, current: PodSpec, errors: FieldError[]): PodSpec {
  const munged: PodSpec = {
    ...next,
    containers: next.containers.map((container, index) => withImageOf(container, current.containers[index])),
  }
  if (next.initContainers) {
    munged.initContainers = next.initContainers.map((container, index) =>
      withImageOf(container, current.initContainers?.[index]),
    )
  }
  putBack(munged, current, 'activeDeadlineSeconds')
  putBack(munged, current, 'schedulingGates')
  putBack(munged, current, 'tolerations')
  if ((current.terminationGracePeriodSeconds ?? 0) < 0 && next.terminationGracePeriodSeconds === 1) {
    putBack(munged, current, 'terminationGracePeriodSeconds')
  }
  if (current.schedulingGates?.length) {
    // A Pod that waits at a gate may still be told where it is to go, more narrowly than before.
    for (const [key, value] of Object.entries(current.nodeSelector ?? {})) {
      if (next.nodeSelector?.[key] === value) continue
      const said = 'only additions to spec.nodeSelector are allowed (no mutations or deletions)'
      errors.push(invalidValue(`spec.nodeSelector`, next.nodeSelector ?? null, said))
      break
    }
    putBack(munged, current, 'nodeSelector')
    if (munged.affinity || current.affinity) {
      const { nodeAffinity: _narrowed, ...others } = munged.affinity ?? {}
      const nodeAffinity = current.affinity?.nodeAffinity
      const affinity = { ...others, ...(nodeAffinity && { nodeAffinity }) }
      if (Object.keys(affinity).length || current.affinity) munged.affinity = affinity
      else delete munged.affinity
    }
  }
  return munged
}

function withImageOf(container: Container, current: Container | undefined): Container {
  return current?.image === undefined ? container : { ...container, image: current.image }
}

function putBack(munged: PodSpec, current: PodSpec, field: keyof PodSpec): void {
  if (current[field] === undefined) delete munged[field]
  else Object.assign(munged, { [field]: current[field] })
}

/** What a new list of ephemeral containers may not do to the ones that run. */
export function validateEphemeralContainersUpdate(next: Pod, current: Pod): FieldError[] {
  const errors = validatePod(next)
  const path = 'spec.ephemeralContainers'
  const byName = new Map(next.spec?.ephemeralContainers?.map((container) => [container.name, container]))
  for (const old of current.spec?.ephemeralContainers ?? []) {
    const container = byName.get(old.name)
    if (!container) errors.push(forbidden(path, `existing ephemeral containers "${old.name}" may not be removed\n`))
    else if (!deepEqual(container, old)) {
      const said = `existing ephemeral containers "${old.name}" may not be changed\n${differences(old, container)}`
      errors.push(forbidden(path, said))
    }
  }
  return errors
}

/** What a node agent may not do to the status of a Pod. */
export function validatePodStatusUpdate(next: Pod, current: Pod): FieldError[] {
  const errors: FieldError[] = []
  const { status = {}, spec } = next
  validateAnnotationUpdate(next, current, errors)
  validateConditionNames(status.conditions ?? [], errors)
  const nominated = status.nominatedNodeName
  if (nominated && nominated !== current.status?.nominatedNodeName) {
    for (const said of dns1123Subdomain(nominated)) {
      errors.push(invalidValue('status.nominatedNodeName', nominated, said))
    }
    if (current.spec?.nodeName) {
      errors.push(forbidden('status.nominatedNodeName', 'may not be set on pods that are already bound to a node'))
    }
  }
  immutable(status.qosClass ?? '', current.status?.qosClass ?? '', 'status.qosClass', errors)
  const regular = { next: status.containerStatuses, current: current.status?.containerStatuses }
  validateStateTransitions(regular, spec as PodSpec, 'status.containerStatuses', errors)
  validateIps(status.podIPs ?? [], current.status?.podIPs ?? [], 'status.podIPs', errors)
  const hostIps: readonly PodIP[] = status.hostIPs ?? []
  const [first] = hostIps
  if (first && (status.hostIP ?? '') !== first.ip) {
    errors.push(invalidValue('status.hostIPs[0].ip', first.ip ?? '', 'must be equal to `hostIP`'))
  }
  validateIps(hostIps, current.status?.hostIPs ?? [], 'status.hostIPs', errors)
  return errors
}

function validateConditionNames(
  conditions: ReadonlyArray<{ type: string; status: string }>,
  errors: FieldError[],
): void {
  const system = ['PodScheduled', 'Ready', 'Initialized']
  conditions.forEach(({ type, status }, index) => {
    if (!system.includes(type)) return
    if (['True', 'False', 'Unknown'].includes(status)) return
    errors.push(notSupported(`status.conditions[${index}].status`, status, ['False', 'True', 'Unknown']))
  })
}

/** A container that ended stays ended, where the Pod's restart policy says so. */
function validateStateTransitions(
  statuses: { next: readonly ContainerStatus[] | undefined; current: readonly ContainerStatus[] | undefined },
  spec: PodSpec,
  path: string,
  errors: FieldError[],
): void {
  if (spec.restartPolicy === 'Always') return
  const byName = new Map(statuses.next?.map((status) => [status.name, status]))
  statuses.current?.forEach((old, index) => {
    const { terminated } = old.state ?? {}
    if (!terminated || (terminated.exitCode !== 0 && spec.restartPolicy === 'OnFailure')) return
    const status = byName.get(old.name)
    if (status && !status.state?.terminated) {
      errors.push(forbidden(`${path}[${index}].state`, 'may not be transitioned to non-terminated state'))
    }
  })
}

/** At most one of each family; what was there once may stay. */
function validateIps(addresses: readonly PodIP[], before: readonly PodIP[], path: string, errors: FieldError[]): void {
  const known = new Set(before.map(({ ip }) => ip))
  addresses.forEach(({ ip = '' }, index) => {
    if (!known.has(ip)) validateIp(ip, `${path}[${index}]`, errors)
  })
  if (addresses.length < 2) return
  const families = addresses.map(({ ip = '' }) => ipFamily(ip))
  const unknown = families.indexOf(undefined)
  if (unknown >= 0) {
    const said = `failed to check for dual stack with error:invalid IP[${unknown}]: ${addresses[unknown]?.ip ?? ''}`
    errors.push(internalError(path, said))
  }
  if (unknown >= 0 || addresses.length > 2 || families[0] === families[1]) {
    errors.push(invalidValue(path, addresses, 'may specify no more than one IP for each IP family'))
  }
}
