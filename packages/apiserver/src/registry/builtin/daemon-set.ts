/** DaemonSet: a Pod on each node that fits. */
import type { IntOrPercent, KubeObject } from '@caisson/api'
import type { DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy } from 'kubernetes-types/apps/v1.js'
import type { FieldError } from '../../status-error.ts'
import { invalidValue, notSupported, required } from '../field-error.ts'
import { type LabelSelector, validateLabelSelector } from '../object-meta.ts'
import type { Strategy } from '../resource.ts'
import {
  isZero,
  validateAtMostAll,
  validateIntOrPercent,
  validateNonNegative,
  validateNotDecremented,
} from './amounts.ts'
import { deepEqual } from './deep-equal.ts'
import {
  applyTemplateDefaults,
  dropDisabledTemplateFields,
  isEmptySelector,
  isUsable,
  printedSelector,
  validatePodTemplate,
  validateRunsForEver,
  validateSelectorMatches,
  validateSelectorUnchanged,
} from './pod-template.ts'
import { keepSpec, warningsOf } from './replica-set.ts'

const REVISION_HISTORY_LIMIT = 10
/** Where apps/v1 keeps what was a field of the kind once. */
const TEMPLATE_GENERATION = 'deprecated.daemonset.template.generation'

export const daemonSetStrategy: Strategy = {
  defaults(object) {
    const spec = specOf(object)
    const strategy = (spec.updateStrategy ??= {})
    strategy.type ||= 'RollingUpdate'
    if (strategy.type === 'RollingUpdate') {
      strategy.rollingUpdate = { maxUnavailable: 1, maxSurge: 0, ...strategy.rollingUpdate }
    } else if (strategy.rollingUpdate) {
      strategy.rollingUpdate = { maxUnavailable: 0, maxSurge: 0, ...strategy.rollingUpdate }
    }
    spec.revisionHistoryLimit ??= REVISION_HISTORY_LIMIT
    applyTemplateDefaults(spec.template)
    // Whoever writes one owns the annotation, though it is the server that counts.
    setTemplateGeneration(object, templateGeneration(object))
  },
  prepareForCreate(object) {
    object.status = { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 }
    setTemplateGeneration(object, Math.max(1, templateGeneration(object)))
    dropDisabledTemplateFields(specOf(object).template)
  },
  prepareForUpdate(next, current) {
    next.status = structuredClone(current.status)
    dropDisabledTemplateFields(specOf(next).template)
    const changed = !deepEqual(specOf(next).template, specOf(current).template)
    setTemplateGeneration(next, templateGeneration(current) + (changed ? 1 : 0))
  },
  prepareForStatusUpdate: keepSpec,
  validate: (object) => validateDaemonSet(specOf(object)),
  validateUpdate(next, current) {
    const errors: FieldError[] = []
    validateSelectorUnchanged(specOf(next).selector, specOf(current).selector, errors)
    return errors.concat(validateDaemonSet(specOf(next)))
  },
  validateStatusUpdate(next, current) {
    const errors: FieldError[] = []
    const [status, before] = [next as unknown as DaemonSet, current as unknown as DaemonSet].map((set) => set.status)
    for (const [field, value] of Object.entries(status ?? {})) {
      if (typeof value === 'number') validateNonNegative(value, `status.${field}`, errors)
    }
    validateNotDecremented(status?.collisionCount, before?.collisionCount, 'status.collisionCount', errors)
    return errors
  },
  warnings: (object, current) =>
    current && deepEqual(specOf(object).template, specOf(current).template)
      ? []
      : warningsOf(object, undefined, () => []),
}

function specOf(object: KubeObject): DaemonSetSpec {
  return object['spec'] as DaemonSetSpec
}

function templateGeneration({ metadata }: KubeObject): number {
  const value = Number(metadata.annotations?.[TEMPLATE_GENERATION] ?? '')
  return Number.isSafeInteger(value) ? value : 0
}

function setTemplateGeneration({ metadata }: KubeObject, value: number): void {
  metadata.annotations = { ...metadata.annotations, [TEMPLATE_GENERATION]: String(value) }
}

function validateDaemonSet(spec: DaemonSetSpec): FieldError[] {
  const errors: FieldError[] = []
  const selector = spec.selector as LabelSelector | undefined
  const path = 'spec.template'
  const { template } = spec
  validateLabelSelector(selector, 'spec.selector', errors)
  if (isUsable(selector)) validateSelectorMatches(selector, template.metadata?.labels, path, errors)
  if (selector && isEmptySelector(selector)) {
    errors.push(invalidValue('spec.selector', printedSelector(selector), 'empty selector is invalid for daemonset'))
  }
  validatePodTemplate(template, path, errors)
  validateRunsForEver(template, { path, kind: 'DaemonSet' }, errors)
  validateNonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors)
  validateUpdateStrategy(spec.updateStrategy ?? {}, errors)
  validateNonNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit', errors)
  return errors
}

function validateUpdateStrategy({ type, rollingUpdate }: DaemonSetUpdateStrategy, errors: FieldError[]): void {
  const path = 'spec.updateStrategy'
  if (type === 'OnDelete') return
  const maxUnavailable = (rollingUpdate?.maxUnavailable ?? 0) as IntOrPercent
  const maxSurge = ((rollingUpdate as { maxSurge?: IntOrPercent } | undefined)?.maxSurge ?? 0) as IntOrPercent
  if (type !== 'RollingUpdate') {
    const printed = {
      Type: type,
      RollingUpdate: rollingUpdate ? { MaxUnavailable: maxUnavailable, MaxSurge: maxSurge } : null,
    }
    errors.push(notSupported(path, printed, ['RollingUpdate', 'OnDelete']))
    return
  }
  const at = `${path}.rollingUpdate`
  for (const [value, field] of [
    [maxUnavailable, `${at}.maxUnavailable`],
    [maxSurge, `${at}.maxSurge`],
  ] as const) {
    validateIntOrPercent(value, field, errors)
    validateAtMostAll(value, field, errors)
  }
  if (!isZero(maxUnavailable) && !isZero(maxSurge)) {
    errors.push(invalidValue(`${at}.maxSurge`, maxSurge, 'may not be set when maxUnavailable is non-zero'))
  } else if (isZero(maxUnavailable) && isZero(maxSurge)) {
    errors.push(required(`${at}.maxUnavailable`, 'cannot be 0 when maxSurge is 0'))
  }
}
