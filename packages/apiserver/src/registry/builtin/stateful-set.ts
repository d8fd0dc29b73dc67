/** StatefulSet, and the ControllerRevisions in which it and the DaemonSet remember what they were. */
import type { KubeObject } from '@caisson/api'
import type { ReplicaSetStatus, StatefulSet, StatefulSetSpec } from 'kubernetes-types/apps/v1.js'
import type { PersistentVolumeClaim, PodSpec, PodTemplateSpec } from 'kubernetes-types/core/v1.js'
import type { FieldError } from '../../status-error.ts'
import { forbidden, invalidValue, notSupported, required } from '../field-error.ts'
import { dns1123Label, nameIsLabel } from '../names.ts'
import { type LabelSelector, validateLabels } from '../object-meta.ts'
import type { Strategy } from '../resource.ts'
import { validateNonNegative, validateNotDecremented } from './amounts.ts'
import { deepEqual } from './deep-equal.ts'
import { immutable } from './immutable.ts'
import { validateClaimSpec } from './persistent-volume-claim.ts'
import {
  applyTemplateDefaults,
  dropDisabledTemplateFields,
  isUsable,
  printedSelector,
  validateOwnSelector,
  validatePodTemplate,
  validateRunsForEver,
  validateSelectorMatches,
} from './pod-template.ts'
import { keepSpec, validateReplicaCounts, warningsOf } from './replica-set.ts'

const REVISION_HISTORY_LIMIT = 10

export const statefulSetStrategy: Strategy = {
  nameRule: nameIsLabel,
  defaults(object) {
    const spec = specOf(object)
    spec.podManagementPolicy ||= 'OrderedReady'
    const strategy = (spec.updateStrategy ??= {})
    if (!strategy.type) {
      strategy.type = 'RollingUpdate'
      strategy.rollingUpdate ??= {}
    }
    if (strategy.type === 'RollingUpdate' && strategy.rollingUpdate) strategy.rollingUpdate.partition ??= 0
    const retention = (spec.persistentVolumeClaimRetentionPolicy ??= {})
    retention.whenDeleted ||= 'Retain'
    retention.whenScaled ||= 'Retain'
    spec.replicas ??= 1
    spec.revisionHistoryLimit ??= REVISION_HISTORY_LIMIT
    applyTemplateDefaults(spec.template)
    for (const claim of spec.volumeClaimTemplates ?? []) applyClaimDefaults(claim)
  },
  prepareForCreate(object) {
    object.status = { replicas: 0, availableReplicas: 0 }
    dropDisabledFields(specOf(object), undefined)
  },
  prepareForUpdate(next, current) {
    next.status = structuredClone(current.status)
    dropDisabledFields(specOf(next), specOf(current))
  },
  prepareForStatusUpdate: keepSpec,
  validate: (object) => validateStatefulSet(specOf(object), {}),
  validateUpdate: (next, current) => validateStatefulSetUpdate(specOf(next), specOf(current)),
  validateStatusUpdate(next, current) {
    const errors: FieldError[] = []
    const [status, before] = [next, current].map((set) => (set as unknown as StatefulSet).status)
    validateReplicaCounts(status as unknown as ReplicaSetStatus | undefined, 'status.readyReplicas', errors)
    validateNotDecremented(status?.collisionCount, before?.collisionCount, 'status.collisionCount', errors)
    return errors
  },
  warnings(object, current) {
    const warnings = warningsOf(object, current, () => [])
    if ((specOf(object).revisionHistoryLimit ?? 0) < 0) {
      warnings.push(
        'spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended',
      )
    }
    return warnings
  },
}

interface Spec extends StatefulSetSpec {
  ordinals?: { start?: number }
  persistentVolumeClaimRetentionPolicy?: { whenDeleted?: string; whenScaled?: string }
  minReadySeconds?: number
}

function specOf(object: KubeObject): Spec {
  return object['spec'] as Spec
}

function applyClaimDefaults(claim: PersistentVolumeClaim): void {
  Object.assign(claim, { kind: 'PersistentVolumeClaim', apiVersion: 'v1' })
  if (claim.spec) claim.spec.volumeMode ??= 'Filesystem'
  Object.assign(claim, { status: { ...claim.status, phase: claim.status?.phase || 'Pending' } })
}

/** `maxUnavailable` is behind a feature gate that is off in 1.34. */
function dropDisabledFields(spec: Spec, current: Spec | undefined): void {
  dropDisabledTemplateFields(spec.template)
  const rolling = spec.updateStrategy?.rollingUpdate as { maxUnavailable?: unknown } | undefined
  const before = current?.updateStrategy?.rollingUpdate as { maxUnavailable?: unknown } | undefined
  if (before?.maxUnavailable === undefined) delete rolling?.maxUnavailable
}

interface Lenience {
  serviceName?: boolean
  claims?: boolean
  template?: boolean
}

function validateStatefulSet(spec: Spec, lenient: Lenience): FieldError[] {
  const errors: FieldError[] = []
  const { podManagementPolicy = '', persistentVolumeClaimRetentionPolicy: retention } = spec
  if (!podManagementPolicy) errors.push(required('spec.podManagementPolicy'))
  else if (podManagementPolicy !== 'OrderedReady' && podManagementPolicy !== 'Parallel') {
    const said = "must be 'OrderedReady' or 'Parallel'"
    errors.push(invalidValue('spec.podManagementPolicy', podManagementPolicy, said))
  }
  validateUpdateStrategy(spec.updateStrategy ?? {}, errors)
  for (const field of ['whenDeleted', 'whenScaled'] as const) {
    const policy = retention?.[field] ?? ''
    if (!retention || policy === 'Retain' || policy === 'Delete') continue
    errors.push(notSupported(`spec.persistentVolumeClaimRetentionPolicy.${field}`, policy, ['Retain', 'Delete']))
  }
  if (!lenient.claims) {
    spec.volumeClaimTemplates?.forEach((claim, index) => {
      validateClaimSpec(claim.spec ?? {}, `spec.volumeClaimTemplates[${index}].spec`, errors)
    })
  }
  validateNonNegative(spec.replicas, 'spec.replicas', errors)
  validateNonNegative(spec.minReadySeconds, 'spec.minReadySeconds', errors)
  validateNonNegative(spec.ordinals?.start, 'spec.ordinals.start', errors)
  if (!lenient.serviceName && spec.serviceName) {
    for (const said of dns1123Label(spec.serviceName)) {
      errors.push(invalidValue('spec.serviceName', spec.serviceName, said))
    }
  }
  validateTemplate(spec, lenient, errors)
  return errors
}

function validateUpdateStrategy(
  { type = '', rollingUpdate }: NonNullable<Spec['updateStrategy']>,
  errors: FieldError[],
): void {
  const path = 'spec.updateStrategy'
  const printed = rollingUpdate && { Partition: rollingUpdate.partition ?? 0, MaxUnavailable: null }
  if (!type) errors.push(required(path))
  else if (type === 'OnDelete') {
    if (printed) {
      errors.push(invalidValue(`${path}.rollingUpdate`, printed, "only allowed for updateStrategy 'RollingUpdate'"))
    }
  } else if (type === 'RollingUpdate') {
    validateNonNegative(rollingUpdate?.partition, `${path}.rollingUpdate.partition`, errors)
  } else {
    const value = { Type: type, RollingUpdate: printed ?? null }
    errors.push(invalidValue(path, value, "must be 'RollingUpdate' or 'OnDelete'"))
  }
}

function validateTemplate(spec: Spec, lenient: Lenience, errors: FieldError[]): void {
  const selector = spec.selector as LabelSelector | undefined
  const path = 'spec.template'
  const { template } = spec
  validateOwnSelector(selector, 'statefulset', errors)
  if (selector && !isUsable(selector)) errors.push(invalidValue('spec.selector', printedSelector(selector), ''))
  else {
    validateSelectorMatches(selector, template.metadata?.labels, path, errors)
    // What the template says twice in Kubernetes is found once here.
    if (!lenient.template) validatePodTemplate(asPodsAre(template, spec), path, errors)
    else validateLabels(template.metadata?.labels, `${path}.labels`, errors)
  }
  validateRunsForEver(template, { path, kind: 'StatefulSet' }, errors)
}

/** Hostname and subdomain are the controller's; claims become volumes of their templates' names. */
function asPodsAre(template: PodTemplateSpec, { volumeClaimTemplates = [] }: Spec): PodTemplateSpec {
  const { hostname: _hostname, subdomain: _subdomain, ...spec } = template.spec as PodSpec
  if (volumeClaimTemplates.length === 0) return { ...template, spec }
  const names = new Set(volumeClaimTemplates.map((claim) => claim.metadata?.name ?? ''))
  const volumes = [
    ...[...names].map((name) => ({ name, persistentVolumeClaim: { claimName: name } })),
    ...(spec.volumes ?? []).filter(({ name }) => !names.has(name)),
  ]
  return { ...template, spec: { ...spec, volumes } }
}

const CHANGEABLE = [
  'replicas',
  'template',
  'updateStrategy',
  'minReadySeconds',
  'ordinals',
  'revisionHistoryLimit',
  'persistentVolumeClaimRetentionPolicy',
] as const
const FIXED =
  "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"

function validateStatefulSetUpdate(next: Spec, current: Spec): FieldError[] {
  const lenient = { serviceName: true, claims: true }
  const template = validateStatefulSet(current, lenient).length > 0
  const errors = validateStatefulSet(next, { ...lenient, template })
  const [left, right] = [{ ...next }, { ...current }]
  for (const field of CHANGEABLE) {
    delete left[field]
    delete right[field]
  }
  if (!deepEqual(left, right)) errors.push(forbidden('spec', FIXED))
  return errors
}

interface ControllerRevision extends KubeObject {
  data?: unknown
  revision?: number
}

export const controllerRevisionStrategy: Strategy = {
  generation: false,
  validate(object) {
    const { data, revision } = object as ControllerRevision
    const errors: FieldError[] = []
    validateNonNegative(revision, 'revision', errors)
    if (data === undefined || data === null) errors.push(required('data', 'data is mandatory'))
    else if (typeof data !== 'object' || Array.isArray(data)) {
      errors.push(required('data', 'data must be a valid JSON object'))
    }
    return errors
  },
  validateUpdate(next, current) {
    const errors: FieldError[] = []
    validateNonNegative((next as ControllerRevision).revision, 'revision', errors)
    immutable((next as ControllerRevision).data, (current as ControllerRevision).data, 'data', errors)
    return errors
  },
}
