/** PodDisruptionBudget: how many of the selected Pods an eviction must leave alone. */
import type { IntOrPercent, KubeObject } from '@caisson/api'
import type { PodDisruptionBudget, PodDisruptionBudgetSpec } from 'kubernetes-types/policy/v1.js'
import type { FieldError } from '../../status-error.ts'
import { invalidValue, notSupported } from '../field-error.ts'
import { nameIsPathSegment } from '../names.ts'
import { type LabelSelector, validateLabelSelector } from '../object-meta.ts'
import type { Strategy } from '../resource.ts'
import { validateAtMostAll, validateIntOrPercent, validateNonNegative } from './amounts.ts'
import { printedSelector } from './pod-template.ts'
import { keepSpec } from './replica-set.ts'

export const podDisruptionBudgetStrategy: Strategy = {
  // Kubernetes forgot to look at its name.
  nameRule: nameIsPathSegment,
  unconditionalUpdate: false,
  prepareForCreate(object) {
    object.status = { disruptionsAllowed: 0, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 }
  },
  prepareForUpdate(next, current) {
    next.status = structuredClone(current.status)
  },
  prepareForStatusUpdate: keepSpec,
  validate: (object) => validateBudget(specOf(object)),
  validateUpdate: (next) => validateBudget(specOf(next)),
  validateStatusUpdate(next) {
    const errors: FieldError[] = []
    const status = (next as unknown as PodDisruptionBudget).status
    for (const field of ['disruptionsAllowed', 'currentHealthy', 'desiredHealthy', 'expectedPods'] as const) {
      validateNonNegative(status?.[field], `status.${field}`, errors)
    }
    return errors
  },
}

interface Spec extends PodDisruptionBudgetSpec {
  unhealthyPodEvictionPolicy?: string
}

function specOf(object: KubeObject): Spec {
  return (object as unknown as PodDisruptionBudget).spec as Spec
}

const UNHEALTHY = ['AlwaysAllow', 'IfHealthyBudget']

function validateBudget(spec: Spec): FieldError[] {
  const errors: FieldError[] = []
  const { minAvailable, maxUnavailable, unhealthyPodEvictionPolicy: unhealthy } = spec
  const selector = spec.selector as LabelSelector | undefined
  if (minAvailable !== undefined && maxUnavailable !== undefined) {
    const printed = {
      MinAvailable: minAvailable,
      Selector: selector ? printedSelector(selector) : null,
      MaxUnavailable: maxUnavailable,
      UnhealthyPodEvictionPolicy: unhealthy ?? null,
    }
    errors.push(invalidValue('spec', printed, 'minAvailable and maxUnavailable cannot be both set'))
  }
  for (const field of ['minAvailable', 'maxUnavailable'] as const) {
    const value = spec[field] as IntOrPercent | undefined
    if (value === undefined) continue
    validateIntOrPercent(value, `spec.${field}`, errors)
    validateAtMostAll(value, `spec.${field}`, errors)
  }
  validateLabelSelector(selector, 'spec.selector', errors)
  if (unhealthy !== undefined && !UNHEALTHY.includes(unhealthy)) {
    errors.push(notSupported('spec.unhealthyPodEvictionPolicy', unhealthy, UNHEALTHY))
  }
  return errors
}
