/** ReplicaSet, and ReplicationController, which it came from. */
import type { KubeObject } from '@caisson/api'
import type { ReplicaSet, ReplicaSetSpec, ReplicaSetStatus } from 'kubernetes-types/apps/v1.js'
import type { PodTemplateSpec, ReplicationController, ReplicationControllerSpec } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { invalidValue, notSupported, required } from '../field-error.ts'
import type { LabelSelector } from '../object-meta.ts'
import type { Strategy } from '../resource.ts'
import { validateNonNegative } from './amounts.ts'
import { deepEqual } from './deep-equal.ts'
import {
  applyTemplateDefaults,
  dropDisabledTemplateFields,
  isUsable,
  podNameWarnings,
  printedSelector,
  sortedKeys,
  templateWarnings,
  validateOwnSelector,
  validatePodTemplate,
  validateRunsForEver,
  validateSelectorMatches,
  validateSelectorUnchanged,
} from './pod-template.ts'

export const replicaSetStrategy: Strategy = {
  defaults(object) {
    const spec = specOf(object)
    spec.replicas ??= 1
    applyTemplateDefaults(spec.template)
  },
  prepareForCreate(object) {
    object.status = { replicas: 0 }
    dropDisabledTemplateFields(specOf(object).template)
  },
  prepareForUpdate(next, current) {
    next.status = structuredClone(current.status)
    dropDisabledTemplateFields(specOf(next).template)
  },
  prepareForStatusUpdate: keepSpec,
  validate: (object) => validateReplicaSet(specOf(object)),
  validateUpdate(next, current) {
    const errors = validateReplicaSet(specOf(next))
    validateSelectorUnchanged(specOf(next).selector, specOf(current).selector, errors)
    return errors
  },
  validateStatusUpdate(next) {
    const errors: FieldError[] = []
    validateReplicaCounts((next as unknown as ReplicaSet).status, 'readyReplicas', errors)
    return errors
  },
  warnings: (object, current) => warningsOf(object, current, podNameWarnings),
}

/** A status is written without its spec being looked at. */
export function keepSpec(next: KubeObject, current: KubeObject): void {
  next['spec'] = structuredClone(current['spec'])
  delete (next.status as { terminatingReplicas?: number } | undefined)?.terminatingReplicas
}

/** Names are warned about when an object is made, templates when they are new or anything about the object has changed. */
export function warningsOf(
  object: KubeObject,
  current: KubeObject | undefined,
  ofName: (name: string) => string[],
): string[] {
  if (current && object.metadata.generation === current.metadata.generation && deepEqual(object.spec, current.spec)) {
    return []
  }
  const { template } = object['spec'] as { template?: PodTemplateSpec }
  return [...(current ? [] : ofName(object.metadata.name ?? '')), ...templateWarnings(template, 'spec.template')]
}

function specOf(object: KubeObject): ReplicaSetSpec {
  return object['spec'] as ReplicaSetSpec
}

function validateReplicaSet(spec: ReplicaSetSpec): FieldError[] {
  const errors: FieldError[] = []
  validateNonNegative(spec.replicas, 'spec.replicas', errors)
  validateNonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors)
  validateSelectorAndTemplate(spec, errors)
  return errors
}

/** What ReplicaSets and Deployments ask alike. */
export function validateSelectorAndTemplate(
  { selector, template }: { selector: object; template?: PodTemplateSpec },
  errors: FieldError[],
): void {
  const own = selector as LabelSelector | undefined
  validateOwnSelector(own, 'deployment', errors)
  if (!isUsable(own)) {
    errors.push(invalidValue('spec.selector', printedSelector(own as LabelSelector), 'invalid label selector'))
    return
  }
  const path = 'spec.template'
  validateSelectorMatches(own, template?.metadata?.labels, path, errors)
  validatePodTemplate(template ?? {}, path, errors)
  validateRunsForEver(template ?? {}, { path, kind: 'ReplicaSet' }, errors)
}

const NEVER_MORE = 'cannot be greater than status.replicas'

/** @param ready how the message about what is available names what is ready */
export function validateReplicaCounts(
  status: Partial<ReplicaSetStatus> | undefined,
  ready: 'readyReplicas' | 'status.readyReplicas',
  errors: FieldError[],
): void {
  if (!status) return
  const { replicas = 0, readyReplicas = 0, availableReplicas = 0 } = status
  for (const field of Object.keys(status)) {
    const value = status[field as 'replicas'] as unknown
    if (typeof value === 'number') validateNonNegative(value, `status.${field}`, errors)
  }
  for (const field of [
    'fullyLabeledReplicas',
    'readyReplicas',
    'currentReplicas',
    'updatedReplicas',
    'availableReplicas',
  ] as const) {
    const value = (status as unknown as Record<string, number | undefined>)[field] ?? 0
    if (value > replicas) errors.push(invalidValue(`status.${field}`, value, NEVER_MORE))
  }
  if (availableReplicas > readyReplicas) {
    errors.push(invalidValue('status.availableReplicas', availableReplicas, `cannot be greater than ${ready}`))
  }
}

export const replicationControllerStrategy: Strategy = {
  defaults(object) {
    const controller = asController(object)
    const spec = controller.spec as ReplicationControllerSpec
    const labels = spec.template?.metadata?.labels
    if (labels) {
      if (Object.keys(spec.selector ?? {}).length === 0) spec.selector = { ...labels }
      if (Object.keys(object.metadata.labels ?? {}).length === 0) object.metadata.labels = { ...labels }
    }
    spec.replicas ??= 1
    applyTemplateDefaults(spec.template)
  },
  prepareForCreate(object) {
    object.status = { replicas: 0 }
    dropDisabledTemplateFields(asController(object).spec?.template)
  },
  prepareForUpdate(next, current) {
    next.status = structuredClone(current.status)
    dropDisabledTemplateFields(asController(next).spec?.template)
  },
  prepareForStatusUpdate: keepSpec,
  validate: (object) => validateController(asController(object).spec ?? {}),
  validateUpdate: (next) => validateController(asController(next).spec ?? {}),
  validateStatusUpdate(next) {
    const errors: FieldError[] = []
    validateReplicaCounts(asController(next).status as ReplicaSetStatus, 'readyReplicas', errors)
    return errors
  },
  warnings: (object, current) => warningsOf(object, current, podNameWarnings),
}

function asController(object: KubeObject): ReplicationController {
  return object as unknown as ReplicationController
}

function validateController(spec: ReplicationControllerSpec): FieldError[] {
  const errors: FieldError[] = []
  const { template, selector = {} } = spec
  validateNonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors)
  if (Object.keys(selector).length === 0) errors.push(required('spec.selector'))
  validateNonNegative(spec.replicas, 'spec.replicas', errors)
  if (!template) {
    errors.push(required('spec.template'))
    return errors
  }
  const labels = template.metadata?.labels ?? {}
  if (Object.entries(selector).some(([key, value]) => labels[key] !== value)) {
    const said = '`selector` does not match template `labels`'
    errors.push(
      invalidValue('spec.template.metadata.labels', template.metadata?.labels ? sortedKeys(labels) : null, said),
    )
  }
  validatePodTemplate(template, 'spec.template', errors)
  const policy = template.spec?.restartPolicy ?? ''
  if (policy !== 'Always') errors.push(notSupported('spec.template.spec.restartPolicy', policy, ['Always']))
  if (template.spec?.activeDeadlineSeconds !== undefined) {
    validateRunsForEver(
      { ...template, spec: { ...template.spec, restartPolicy: 'Always' } },
      { path: 'spec.template', kind: 'ReplicationController' },
      errors,
    )
  }
  return errors
}
