/**
 * `spec.resources`: what a Pod may have as a whole, beside what its containers say. Source of the rules: Kubernetes 1.34,
 * `defaultPodRequests` of pkg/apis/core/v1 and `validatePodResources` of pkg/apis/core/validation.
 */
import type { PodSpec } from 'kubernetes-types/core/v1.js'
import { containerAmounts } from '../../quota/pod-resources.ts'
import { amountsOf, toResourceList } from '../../quota/resource-amounts.ts'
import type { FieldError } from '../../status-error.ts'
import { forbidden, invalidValue, notSupported } from '../field-error.ts'
import { compareQuantities } from '../quantity.ts'
import {
  isHugePage,
  isOvercommitAllowed,
  isPodLevelResource,
  type ResourceList,
  type ResourceRequirements,
  validateResourceName,
  validateResourceRequirements,
} from './resource-requirements.ts'

const SUPPORTED = ['cpu', 'hugepages-', 'memory']

/** The type that we have of a PodSpec is from before it could say this. */
function podLevelResources(spec: PodSpec): ResourceRequirements | undefined {
  return (spec as PodSpec & { resources?: ResourceRequirements }).resources
}

/**
 * Fills in what a Pod that says something as a whole leaves out: huge pages as its containers are limited to them, and
 * requests as its containers ask for together, else as it is limited itself. In place; containers have their own already.
 */
export function applyPodLevelDefaults(spec: PodSpec): void {
  const resources = podLevelResources(spec)
  if (!resources) return
  const { limits = {}, requests = {} } = resources
  if (Object.keys(limits).length + Object.keys(requests).length === 0) return
  const pages = among(toResourceList(containerAmounts(spec, 'limits')), (name) => {
    return isHugePage(name) && !Object.hasOwn(requests, name)
  })
  const limited = { ...pages, ...limits }
  if (Object.keys(limited).length === 0) return
  const asked = among(toResourceList(containerAmounts(spec, 'requests')), (name) => {
    return isPodLevelResource(name) && isOvercommitAllowed(name)
  })
  const requested = { ...among(limited, isPodLevelResource), ...asked, ...requests }
  resources.limits = limited
  if (Object.keys(requested).length > 0) resources.requests = requested
}

function among(list: ResourceList, takes: (name: string) => boolean): ResourceList {
  return Object.fromEntries(Object.entries(list).filter(([name]) => takes(name)))
}

/** Whether the Pod as a whole has room for what its containers ask for, and none of them may have more than it. */
export function validatePodLevelResources(spec: PodSpec, claimNames: ReadonlySet<string>, errors: FieldError[]): void {
  const resources = podLevelResources(spec)
  if (!resources) return
  const path = 'spec.resources'
  if ((spec as PodSpec & { os?: { name?: string } }).os?.name === 'windows') {
    errors.push(forbidden(path, 'may not be set for a windows pod'))
    return
  }
  if (resources.claims) errors.push(forbidden(`${path}.claims`, 'claims may not be set for Resources at pod-level'))
  validateResourceRequirements(resources, path, errors, { claimNames, validateName: validatePodLevelName })
  validateConsistency(spec, resources, path, errors)
}

function validatePodLevelName(name: string, path: string, errors: FieldError[]): void {
  const before = errors.length
  validateResourceName(name, path, errors)
  if (errors.length === before && !isPodLevelResource(name)) errors.push(notSupported(path, name, SUPPORTED))
}

function validateConsistency(
  spec: PodSpec,
  { limits = {}, requests = {} }: ResourceRequirements,
  path: string,
  errors: FieldError[],
): void {
  const tooLittle = (side: 'requests' | 'limits', stated: ResourceList, counts: (name: string) => boolean): void => {
    const sums = containerAmounts(spec, side)
    for (const [name, own] of amountsOf(stated)) {
      const sum = sums.get(name)
      if (!sum || !counts(name) || sum.nano <= own.nano) continue
      const said = `must be greater than or equal to aggregate container ${side} of ${toResourceList(sums)[name]}`
      errors.push(invalidValue(`${path}.${side}[${name}]`, stated[name], said))
    }
  }
  tooLittle('requests', requests, () => true)
  tooLittle('limits', limits, isHugePage)
  spec.containers?.forEach((container, index) => {
    for (const [name, own] of Object.entries((container.resources?.limits ?? {}) as ResourceList)) {
      const most = limits[name]
      if (most === undefined || compareQuantities(own, most) <= 0) continue
      const at = `${path}.containers[${index}][${name}].limits`
      errors.push(invalidValue(at, own, `must be less than or equal to pod limits of ${most}`))
    }
  })
}
