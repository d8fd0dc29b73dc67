/** Validation of `metadata`, the same for every kind, in apimachinery's words. */
import type { ManagedFieldsEntry, ObjectMeta, OwnerReference } from '@caisson/api'
import type { FieldError } from '../status-error.ts'
import { forbidden, invalidValue, required, tooLong } from './field-error.ts'
import { FIELD_MANAGER_LIMIT, unprintableIn } from './field-manager.ts'
import { labelValueErrors, type NameRule, nameIsLabel, nameIsSubdomain, qualifiedName } from './names.ts'

const ANNOTATIONS_LIMIT = 256 * 1024
const MAX_WHOLE_LISTS = 10
/** More errors than anyone reads; without a bound, a body of 3 MiB could be answered with a hundred. */
export const MAX_ERRORS = 200

export interface ObjectMetaRules {
  namespaced: boolean
  /** Default: a DNS subdomain. */
  name?: NameRule | undefined
  /** Default: `metadata`. */
  path?: string
  /** Of the state that is replaced: what is the very same there was looked at when it was stored. */
  stored?: ObjectMeta
}

/** What is wrong with the metadata of an object that is to be created. Names are expected to be generated already. */
export function validateObjectMeta(metadata: ObjectMeta, rules: ObjectMetaRules): FieldError[] {
  const path = rules.path ?? 'metadata'
  const nameRule = rules.name ?? nameIsSubdomain
  const errors: FieldError[] = []
  if (metadata.generateName) {
    for (const said of nameRule(metadata.generateName, true)) {
      errors.push(invalidValue(`${path}.generateName`, metadata.generateName, said))
    }
  }
  if (!metadata.name) errors.push(required(`${path}.name`, 'name or generateName is required'))
  else for (const said of nameRule(metadata.name, false)) errors.push(invalidValue(`${path}.name`, metadata.name, said))
  if (!rules.namespaced) {
    if (metadata.namespace) errors.push(forbidden(`${path}.namespace`, 'not allowed on this type'))
  } else if (!metadata.namespace) {
    errors.push(required(`${path}.namespace`))
  } else {
    for (const said of nameIsLabel(metadata.namespace, false)) {
      errors.push(invalidValue(`${path}.namespace`, metadata.namespace, said))
    }
  }
  if (metadata.generation !== undefined && metadata.generation < 0) {
    errors.push(invalidValue(`${path}.generation`, metadata.generation, 'must be greater than or equal to 0'))
  }
  validateShared(metadata, rules.stored, path, errors)
  if (metadata.finalizers !== rules.stored?.finalizers)
    validateFinalizers(metadata.finalizers, `${path}.finalizers`, errors)
  validateManagedFields(metadata.managedFields, rules.stored?.managedFields, `${path}.managedFields`, errors)
  return errors.slice(0, MAX_ERRORS)
}

/** What is wrong with a change of metadata. */
export function validateObjectMetaUpdate(next: ObjectMeta, current: ObjectMeta, path = 'metadata'): FieldError[] {
  const errors: FieldError[] = []
  if (current.deletionTimestamp) {
    const added = [...new Set(next.finalizers).difference(new Set(current.finalizers))].sort()
    if (added.length) {
      errors.push(
        forbidden(
          `${path}.finalizers`,
          `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map((name) => JSON.stringify(name)).join(', ')}}`,
        ),
      )
    }
  }
  if (!next.resourceVersion) {
    errors.push(invalidValue(`${path}.resourceVersion`, next.resourceVersion ?? '', 'must be specified for an update'))
  }
  if ((next.generation ?? 0) < (current.generation ?? 0)) {
    errors.push(invalidValue(`${path}.generation`, next.generation ?? 0, 'must not be decremented'))
  }
  for (const field of ['name', 'namespace', 'uid'] as const) {
    immutable(next[field] ?? '', current[field] ?? '', `${path}.${field}`, errors)
  }
  for (const field of ['creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const) {
    immutable(next[field] ?? null, current[field] ?? null, `${path}.${field}`, errors)
  }
  validateShared(next, current, path, errors)
  validateManagedFields(next.managedFields, current.managedFields, `${path}.managedFields`, errors)
  return errors.slice(0, MAX_ERRORS)
}

function immutable(next: unknown, current: unknown, path: string, errors: FieldError[]): void {
  if (next !== current) errors.push(invalidValue(path, next, 'field is immutable'))
}

function validateShared(
  { labels, annotations, ownerReferences }: ObjectMeta,
  stored: ObjectMeta | undefined,
  path: string,
  errors: FieldError[],
): void {
  if (labels !== stored?.labels) validateLabels(labels, `${path}.labels`, errors)
  if (annotations !== stored?.annotations) validateAnnotations(annotations, `${path}.annotations`, errors)
  if (ownerReferences !== stored?.ownerReferences)
    validateOwnerReferences(ownerReferences, `${path}.ownerReferences`, errors)
}

export function validateLabels(
  labels: Readonly<Record<string, string>> | undefined,
  path: string,
  errors: FieldError[],
): void {
  for (const key in labels) {
    validateLabelName(key, path, errors)
    const value = labels[key] as string
    for (const said of labelValueErrors(value)) errors.push(invalidValue(path, value, said))
  }
}

export function validateLabelName(name: string, path: string, errors: FieldError[]): void {
  for (const said of qualifiedName(name)) errors.push(invalidValue(path, name, said))
}

export function validateAnnotations(
  annotations: Readonly<Record<string, string>> | undefined,
  path: string,
  errors: FieldError[],
): void {
  let bytes = 0
  for (const key in annotations) {
    // The same rule as for labels, but for the case of letters in the prefix.
    for (const said of qualifiedName(key.toLowerCase())) errors.push(invalidValue(path, key, said))
    bytes += Buffer.byteLength(key) + Buffer.byteLength(annotations[key] as string)
  }
  if (bytes > ANNOTATIONS_LIMIT) errors.push(tooLong(path, ANNOTATIONS_LIMIT))
}

function validateOwnerReferences(
  owners: readonly OwnerReference[] | undefined,
  path: string,
  errors: FieldError[],
): void {
  let controller = ''
  let refused = 0
  for (const owner of owners ?? []) {
    const [version, ...rest] = (owner.apiVersion ?? '').split('/').reverse()
    if (!version || rest.length > 1) {
      errors.push(invalidValue(`${path}.apiVersion`, owner.apiVersion ?? '', 'version must not be empty'))
    }
    for (const field of ['kind', 'name', 'uid'] as const) {
      if (!owner[field]) errors.push(invalidValue(`${path}.${field}`, owner[field] ?? '', 'must not be empty'))
    }
    if (owner.apiVersion === 'v1' && owner.kind === 'Event') {
      errors.push(invalidValue(path, inGoOrder(owner), '/v1, Kind=Event is disallowed from being an owner'))
    }
    if (!owner.controller) continue
    const name = `${owner.kind}/${owner.name}`
    // Each of these prints all of them.
    if (controller && refused++ < MAX_WHOLE_LISTS) {
      const said = `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${name}`
      errors.push(invalidValue(path, owners?.map(inGoOrder), said))
    }
    controller ||= name
  }
}

/** As Go prints the struct. */
function inGoOrder({ apiVersion, kind, name, uid, ...rest }: OwnerReference): OwnerReference {
  const { controller, blockOwnerDeletion } = rest
  return {
    apiVersion,
    kind,
    name,
    uid,
    ...(controller !== undefined && { controller }),
    ...(blockOwnerDeletion !== undefined && { blockOwnerDeletion }),
  }
}

function validateFinalizers(finalizers: readonly string[] | undefined, path: string, errors: FieldError[]): void {
  if (!finalizers?.length) return
  for (const name of finalizers) {
    for (const said of qualifiedName(name)) errors.push(invalidValue(path, name, said))
  }
  if (finalizers.includes('orphan') && finalizers.includes('foregroundDeletion')) {
    errors.push(invalidValue(path, finalizers, 'finalizer orphan and foregroundDeletion cannot be both set'))
  }
}

function validateManagedFields(
  entries: readonly ManagedFieldsEntry[] | undefined,
  stored: readonly ManagedFieldsEntry[] | undefined,
  path: string,
  errors: FieldError[],
): void {
  const known = new Set(stored)
  entries?.forEach((entry, index) => {
    if (known.has(entry)) return
    const at = `${path}[${index}]`
    if (entry.operation !== 'Apply' && entry.operation !== 'Update') {
      errors.push(invalidValue(`${at}.operation`, entry.operation ?? '', 'must be `Apply` or `Update`'))
    }
    if (entry.fieldsType && entry.fieldsType !== 'FieldsV1') {
      errors.push(invalidValue(`${at}.fieldsType`, entry.fieldsType, 'must be `FieldsV1`'))
    }
    validateFieldManager(entry.manager ?? '', `${at}.manager`, errors)
    if (Buffer.byteLength(entry.subresource ?? '') > 256) errors.push(tooLong(`${at}.subresource`, 256))
  })
}

/** The `fieldManager` of an entry of managedFields. */
function validateFieldManager(manager: string, path: string, errors: FieldError[]): void {
  if (Buffer.byteLength(manager) > FIELD_MANAGER_LIMIT) errors.push(tooLong(path, FIELD_MANAGER_LIMIT))
  errors.push(...unprintableIn(manager, path))
}

export interface LabelSelector {
  matchLabels?: Record<string, string>
  matchExpressions?: Array<{ key: string; operator: string; values?: string[] }>
}

export function validateLabelSelector(selector: LabelSelector | undefined, path: string, errors: FieldError[]): void {
  if (!selector) return
  validateLabels(selector.matchLabels, `${path}.matchLabels`, errors)
  selector.matchExpressions?.forEach((expression, index) => {
    const at = `${path}.matchExpressions[${index}]`
    const values = expression.values ?? []
    if (expression.operator === 'In' || expression.operator === 'NotIn') {
      if (!values.length) {
        errors.push(required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"))
      }
    } else if (expression.operator === 'Exists' || expression.operator === 'DoesNotExist') {
      if (values.length) {
        errors.push(forbidden(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
      }
    } else {
      errors.push(invalidValue(`${at}.operator`, expression.operator ?? '', 'not a valid selector operator'))
    }
    validateLabelName(expression.key ?? '', `${at}.key`, errors)
    values.forEach((value, at2) => {
      for (const said of labelValueErrors(value)) errors.push(invalidValue(`${at}.values[${at2}]`, value, said))
    })
  })
}
