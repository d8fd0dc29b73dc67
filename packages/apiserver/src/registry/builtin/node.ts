import type { KubeObject } from '@caisson/api'
import type { Node } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { duplicate, forbidden, internalError, invalidValue } from '../field-error.ts'
import { cidrWarnings, parseCidr, validateCidr } from '../ip-address.ts'
import type { Strategy } from '../resource.ts'
import { isExtended, validateAmount } from './resource-requirements.ts'
import { type Taint, validateTaints } from './tolerations.ts'

export const nodeStrategy: Strategy = {
  generation: false,
  defaults(object) {
    const { spec, status } = asNode(object)
    if (spec) alignPodCidrs(spec)
    if (status?.capacity) status.allocatable ??= { ...status.capacity }
  },
  prepareForCreate(object) {
    dropDisabledFields(object)
    const { status } = asNode(object)
    if (status) delete status.config
  },
  prepareForUpdate(next, current) {
    next.status = structuredClone(current.status)
    dropDisabledFields(next)
  },
  validate: (object) => validateNode(asNode(object)),
  warnings: (object) => nodeWarnings(asNode(object)),
  validateUpdate: (next, current) => [
    ...validateNode(asNode(next)),
    ...validateNodeUpdate(asNode(next), asNode(current)),
  ],
  validateStatusUpdate: (next, current) => validateNodeUpdate(asNode(next), asNode(current)),
}

function nodeWarnings({ spec = {} }: Node): string[] {
  return [
    ...(spec.externalID ? ['spec.externalID: this field is deprecated, and is unused by Kubernetes'] : []),
    ...(spec.podCIDRs ?? []).flatMap((range, index) => cidrWarnings(range, `spec.podCIDRs[${index}]`)),
  ]
}

/** Configuration of kubelets by the API is no more. */
function dropDisabledFields(object: KubeObject): void {
  const { spec } = asNode(object)
  if (spec) delete spec.configSource
}

/** `podCIDR` is the first of `podCIDRs`; where they differ, the older field wins. */
function alignPodCidrs(spec: NonNullable<Node['spec']>): void {
  if (spec.podCIDR && spec.podCIDRs?.[0] !== spec.podCIDR) spec.podCIDRs = [spec.podCIDR]
  const [first] = spec.podCIDRs ?? []
  if (first !== undefined) spec.podCIDR = first
}

function asNode(object: KubeObject): Node {
  return object as unknown as Node
}

function validateNode(node: Node): FieldError[] {
  const errors: FieldError[] = []
  if (node.spec?.taints) validateTaints(node.spec.taints as Taint[], 'metadata.taints', errors)
  validateResources(node, errors)
  const ranges = node.spec?.podCIDRs ?? []
  ranges.forEach((range, index) => validateCidr(range, `spec.podCIDRs[${index}]`, errors))
  if (ranges.length > 1) {
    const families = ranges.map((range) => parseCidr(range)?.family)
    const wrong = families.indexOf(undefined)
    if (wrong >= 0) {
      const said = `invalid CIDR[${wrong}]: <nil> (invalid CIDR address: ${ranges[wrong]})`
      errors.push(
        internalError('spec.podCIDRs', `invalid PodCIDRs. failed to check with dual stack with error:${said}`),
      )
    }
    if (wrong >= 0 || ranges.length > 2 || new Set(families).size < 2) {
      errors.push(invalidValue('spec.podCIDRs', ranges, 'may specify no more than one CIDR for each IP family'))
    }
  }
  return errors
}

function validateResources({ status }: Node, errors: FieldError[]): void {
  for (const list of ['capacity', 'allocatable'] as const) {
    for (const [name, amount] of Object.entries(status?.[list] ?? {})) {
      // Whatever hardware a node offers must come in whole pieces.
      if (name === 'pods' || isExtended(name) || amount.startsWith('-')) {
        validateAmount(name, amount, `status.${list}.${name}`, errors)
      }
    }
  }
}

function validateNodeUpdate(next: Node, current: Node): FieldError[] {
  const errors: FieldError[] = []
  validateResources(next, errors)
  const seen = new Set<string>()
  next.status?.addresses?.forEach((address, index) => {
    const key = `${address.type}/${address.address}`
    if (seen.has(key)) {
      errors.push(duplicate(`status.addresses[${index}]`, { Type: address.type, Address: address.address }))
    }
    seen.add(key)
  })
  const [ranges, before] = [next.spec?.podCIDRs ?? [], current.spec?.podCIDRs ?? []]
  if (before.length && (ranges.length !== before.length || before.some((range, index) => range !== ranges[index]))) {
    errors.push(forbidden('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid'))
  }
  const provider = current.spec?.providerID
  if (provider && provider !== next.spec?.providerID) {
    errors.push(forbidden('spec.providerID', 'node updates may not change providerID except from "" to valid'))
  }
  if (next.spec?.taints) validateTaints(next.spec.taints as Taint[], 'metadata.taints', errors)
  if ((next.spec?.externalID ?? '') !== (current.spec?.externalID ?? ''))
    errors.push(forbidden('spec.externalID', 'may not be updated'))
  return errors
}
