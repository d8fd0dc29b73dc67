/** Affinity: which nodes a Pod may, should, or should not share, and with whom. */
import type {
  Affinity,
  NodeSelector,
  NodeSelectorTerm,
  PodAffinity,
  PodAffinityTerm,
} from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { forbidden, invalidValue, required } from '../field-error.ts'
import { dns1123Label, dns1123Subdomain, labelValueErrors } from '../names.ts'
import { type LabelSelector, validateLabelName, validateLabelSelector } from '../object-meta.ts'

export function validateAffinity(affinity: Affinity, path: string, errors: FieldError[]): void {
  const { nodeAffinity, podAffinity, podAntiAffinity } = affinity
  if (nodeAffinity) {
    const at = `${path}.nodeAffinity`
    const needed = nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution
    if (needed) validateNodeSelector(needed, `${at}.requiredDuringSchedulingIgnoredDuringExecution`, errors)
    nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution?.forEach(({ weight, preference }, index) => {
      const term = `${at}.preferredDuringSchedulingIgnoredDuringExecution[${index}]`
      validateWeight(weight, term, errors)
      // Values of a preference are not checked: one that matches nothing only prefers nothing.
      validateNodeSelectorTerm(preference, `${term}.preference`, errors, true)
    })
  }
  if (podAffinity) validatePodAffinity(podAffinity, `${path}.podAffinity`, errors)
  if (podAntiAffinity) validatePodAffinity(podAntiAffinity, `${path}.podAntiAffinity`, errors)
}

export function validateNodeSelector(selector: NodeSelector, path: string, errors: FieldError[]): void {
  const at = `${path}.nodeSelectorTerms`
  if (!selector.nodeSelectorTerms?.length) errors.push(required(at, 'must have at least one node selector term'))
  selector.nodeSelectorTerms?.forEach((term, index) => {
    validateNodeSelectorTerm(term, `${at}[${index}]`, errors)
  })
}

function validateNodeSelectorTerm(term: NodeSelectorTerm, path: string, errors: FieldError[], anyValue = false): void {
  term.matchExpressions?.forEach((expression, index) => {
    const at = `${path}.matchExpressions[${index}]`
    validateOperator(expression.operator, expression.values ?? [], at, errors)
    validateLabelName(expression.key, `${at}.key`, errors)
    if (anyValue) return
    expression.values?.forEach((value, position) => {
      for (const said of labelValueErrors(value)) errors.push(invalidValue(`${at}.values[${position}]`, value, said))
    })
  })
  term.matchFields?.forEach((expression, index) => {
    const at = `${path}.matchFields[${index}]`
    if (expression.operator !== 'In' && expression.operator !== 'NotIn') {
      errors.push(invalidValue(`${at}.operator`, expression.operator, 'not a valid selector operator'))
    } else if (expression.values?.length !== 1) {
      const said = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
      errors.push(required(`${at}.values`, said))
    }
    if (expression.key !== 'metadata.name') {
      errors.push(invalidValue(`${at}.key`, expression.key, 'not a valid field selector key'))
      return
    }
    expression.values?.forEach((value, position) => {
      for (const said of dns1123Subdomain(value)) errors.push(invalidValue(`${at}.values[${position}]`, value, said))
    })
  })
}

function validateOperator(operator: string, values: readonly string[], path: string, errors: FieldError[]): void {
  switch (operator) {
    case 'In':
    case 'NotIn':
      if (!values.length) {
        errors.push(required(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"))
      }
      return
    case 'Exists':
    case 'DoesNotExist':
      if (values.length) {
        errors.push(forbidden(`${path}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
      }
      return
    case 'Gt':
    case 'Lt':
      if (values.length !== 1) {
        errors.push(required(`${path}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"))
      }
      return
    default:
      errors.push(invalidValue(`${path}.operator`, operator, 'not a valid selector operator'))
  }
}

function validateWeight(weight: number, path: string, errors: FieldError[]): void {
  if (weight <= 0 || weight > 100) errors.push(invalidValue(`${path}.weight`, weight, 'must be in the range 1-100'))
}

function validatePodAffinity(affinity: PodAffinity, path: string, errors: FieldError[]): void {
  affinity.requiredDuringSchedulingIgnoredDuringExecution?.forEach((term, index) => {
    validatePodAffinityTerm(term, `${path}.requiredDuringSchedulingIgnoredDuringExecution[${index}]`, errors)
  })
  affinity.preferredDuringSchedulingIgnoredDuringExecution?.forEach(({ weight, podAffinityTerm }, index) => {
    const at = `${path}.preferredDuringSchedulingIgnoredDuringExecution[${index}]`
    validateWeight(weight, at, errors)
    validatePodAffinityTerm(podAffinityTerm, `${at}.podAffinityTerm`, errors)
  })
}

function validatePodAffinityTerm(term: PodAffinityTerm, path: string, errors: FieldError[]): void {
  validateLabelSelector(term.labelSelector as LabelSelector | undefined, `${path}.labelSelector`, errors)
  validateLabelSelector(term.namespaceSelector as LabelSelector | undefined, `${path}.namespaceSelector`, errors)
  for (const name of term.namespaces ?? []) {
    for (const said of dns1123Label(name)) errors.push(invalidValue(`${path}.namespace`, name, said))
  }
  validateMatchLabelKeys(term, path, errors)
  if (!term.topologyKey) errors.push(required(`${path}.topologyKey`, 'can not be empty'))
  validateLabelName(term.topologyKey ?? '', `${path}.topologyKey`, errors)
}

function validateMatchLabelKeys(term: PodAffinityTerm, path: string, errors: FieldError[]): void {
  const { matchLabelKeys = [], mismatchLabelKeys = [] } = term
  for (const [field, keys] of Object.entries({ matchLabelKeys, mismatchLabelKeys })) {
    if (keys.length && !term.labelSelector) {
      errors.push(forbidden(`${path}.${field}`, 'must not be specified when labelSelector is not set'))
      return
    }
    keys.forEach((key, index) => validateLabelName(key, `${path}.${field}[${index}]`, errors))
  }
  const mismatched = new Set(mismatchLabelKeys)
  matchLabelKeys.forEach((key, index) => {
    if (mismatched.has(key)) {
      errors.push(
        invalidValue(`${path}.matchLabelKeys[${index}]`, key, 'exists in both matchLabelKeys and mismatchLabelKeys'),
      )
    }
  })
}
