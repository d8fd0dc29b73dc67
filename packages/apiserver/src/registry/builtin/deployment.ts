/** Deployment: which Pods there should be, and how one generation of them gives way to the next. */
import type { IntOrPercent, KubeObject } from '@caisson/api'
import type { Deployment, DeploymentSpec, DeploymentStrategy, ReplicaSetStatus } from 'kubernetes-types/apps/v1.js'
import type { FieldError } from '../../status-error.ts'
import { forbidden, invalidValue, notSupported, required } from '../field-error.ts'
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
  podNameWarnings,
  validateSelectorUnchanged,
} from './pod-template.ts'
import { keepSpec, validateReplicaCounts, validateSelectorAndTemplate, warningsOf } from './replica-set.ts'

const PROGRESS_DEADLINE_SECONDS = 600
const REVISION_HISTORY_LIMIT = 10

export const deploymentStrategy: Strategy = {
  generation: 'first',
  defaults(object) {
    const spec = specOf(object)
    spec.replicas ??= 1
    const strategy = (spec.strategy ??= {})
    strategy.type ||= 'RollingUpdate'
    if (strategy.type === 'RollingUpdate') {
      strategy.rollingUpdate = { maxUnavailable: '25%', maxSurge: '25%', ...strategy.rollingUpdate }
    }
    spec.revisionHistoryLimit ??= REVISION_HISTORY_LIMIT
    spec.progressDeadlineSeconds ??= PROGRESS_DEADLINE_SECONDS
    applyTemplateDefaults(spec.template)
  },
  prepareForCreate(object) {
    object.status = {}
    dropDisabledTemplateFields(specOf(object).template)
  },
  prepareForUpdate(next, current) {
    next.status = structuredClone(current.status)
    dropDisabledTemplateFields(specOf(next).template)
    // Annotations count too: a rollout's controller looks at them.
    if (!deepEqual(next.spec, current.spec) || !deepEqual(annotationsOf(next), annotationsOf(current))) {
      next.metadata.generation = (current.metadata.generation ?? 0) + 1
    }
  },
  prepareForStatusUpdate(next, current) {
    keepSpec(next, current)
    if (current.metadata.labels) next.metadata.labels = { ...current.metadata.labels }
    else delete next.metadata.labels
  },
  validate: (object) => validateDeployment(specOf(object)),
  validateUpdate(next, current) {
    const errors = validateDeployment(specOf(next))
    validateSelectorUnchanged(specOf(next).selector, specOf(current).selector, errors)
    return errors
  },
  validateStatusUpdate(next, current) {
    const errors: FieldError[] = []
    const [status, before] = [statusOf(next), statusOf(current)]
    validateReplicaCounts(status as ReplicaSetStatus | undefined, 'readyReplicas', errors)
    validateNotDecremented(status?.collisionCount, before?.collisionCount, 'status.collisionCount', errors)
    return errors
  },
  warnings: (object, current) => warningsOf(object, current, podNameWarnings),
}

function annotationsOf({ metadata }: KubeObject): object {
  return metadata.annotations ?? {}
}

function specOf(object: KubeObject): DeploymentSpec {
  return object['spec'] as DeploymentSpec
}

function statusOf(object: KubeObject): Deployment['status'] {
  return object['status'] as Deployment['status']
}

function validateDeployment(spec: DeploymentSpec): FieldError[] {
  const errors: FieldError[] = []
  validateNonNegative(spec.replicas, 'spec.replicas', errors)
  validateSelectorAndTemplate(spec, errors)
  validateStrategy(spec.strategy ?? {}, errors)
  validateNonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors)
  validateNonNegative(spec.revisionHistoryLimit, 'spec.revisionHistoryLimit', errors)
  const deadline = spec.progressDeadlineSeconds
  if (deadline !== undefined) {
    validateNonNegative(deadline, 'spec.progressDeadlineSeconds', errors)
    if (deadline <= (spec.minReadySeconds ?? 0)) {
      errors.push(invalidValue('spec.progressDeadlineSeconds', deadline, 'must be greater than minReadySeconds'))
    }
  }
  return errors
}

function validateStrategy({ type, rollingUpdate }: DeploymentStrategy, errors: FieldError[]): void {
  const path = 'spec.strategy'
  if (type === 'Recreate') {
    if (rollingUpdate) {
      errors.push(forbidden(`${path}.rollingUpdate`, "may not be specified when strategy `type` is 'Recreate'"))
    }
  } else if (type !== 'RollingUpdate') {
    const printed = {
      Type: type,
      RollingUpdate: rollingUpdate
        ? { MaxUnavailable: rollingUpdate.maxUnavailable ?? 0, MaxSurge: rollingUpdate.maxSurge ?? 0 }
        : null,
    }
    errors.push(notSupported(path, printed, ['Recreate', 'RollingUpdate']))
  } else if (!rollingUpdate) {
    errors.push(required(`${path}.rollingUpdate`, 'this should be defaulted and never be nil'))
  } else {
    const maxUnavailable = rollingUpdate.maxUnavailable as IntOrPercent
    const maxSurge = rollingUpdate.maxSurge as IntOrPercent
    const at = `${path}.rollingUpdate`
    validateIntOrPercent(maxUnavailable, `${at}.maxUnavailable`, errors)
    validateIntOrPercent(maxSurge, `${at}.maxSurge`, errors)
    if (isZero(maxUnavailable) && isZero(maxSurge)) {
      errors.push(invalidValue(`${at}.maxUnavailable`, maxUnavailable, 'may not be 0 when `maxSurge` is 0'))
    }
    validateAtMostAll(maxUnavailable, `${at}.maxUnavailable`, errors)
  }
}
