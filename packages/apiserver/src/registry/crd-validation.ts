/** Validation of CustomResourceDefinitions, in the words of kube-apiserver. */
import type { KubeObject } from '@caisson/api'
import { deepEqual } from '../patch/json-value.ts'
import type { FieldError } from '../status-error.ts'
import { type CrdNames, type CrdSpec, type CrdVersion, isEstablished, specOf, statusOf } from './crd.ts'
import { validateConversion } from './crd-conversion-validation.ts'
import { validateCrdSchema } from './crd-schema-validation.ts'
import { visitSchemas } from './crd-schemas.ts'
import { validateColumns, validateSelectableFields, validateSubresources } from './crd-version-validation.ts'
import { goJson, goQuote, invalidValue, notSupported, required } from './field-error.ts'
import { dns1035Label, dns1123Subdomain } from './names.ts'
import { isShippedSchema } from './shipped-schemas.ts'

const APPROVAL = 'api-approved.kubernetes.io'

export function validateCrd(crd: KubeObject): FieldError[] {
  const spec = specOf(crd)
  const errors: FieldError[] = []
  if (crd.metadata.name && crd.metadata.name !== `${spec.names?.plural ?? ''}.${spec.group ?? ''}`) {
    const said = 'must be spec.names.plural+"."+spec.group'
    errors.push(invalidValue('metadata.name', crd.metadata.name ?? '', said))
  }
  errors.push(...validateSpec(spec, undefined), ...validateStoredVersions(crd), ...validateApproval(crd, undefined))
  return errors
}

export function validateCrdUpdate(next: KubeObject, current: KubeObject): FieldError[] {
  const [spec, before] = [specOf(next), specOf(current)]
  const errors = validateSpec(spec, before)
  const immutable = (field: string, value: unknown, was: unknown): void => {
    if (value !== was) errors.push(invalidValue(`spec.${field}`, value, 'field is immutable'))
  }
  if (isEstablished(current)) {
    immutable('scope', spec.scope, before.scope)
    immutable('names.kind', spec.names.kind, before.names.kind)
  }
  immutable('group', spec.group, before.group)
  immutable('names.plural', spec.names.plural, before.names.plural)
  errors.push(...validateStoredVersions(next), ...validateApproval(next, current))
  return errors
}

export function validateCrdStatus(next: KubeObject): FieldError[] {
  return validateNames(statusOf(next).acceptedNames ?? { plural: '', kind: '' }, 'status.acceptedNames')
}

/** @param before the spec of the definition that is updated: schemas that stay are not checked again, and those that are shipped not at all */
function validateSpec(spec: CrdSpec, before: CrdSpec | undefined): FieldError[] {
  const errors: FieldError[] = []
  if (!spec.group) errors.push(required('spec.group'))
  else if (dns1123Subdomain(spec.group).length > 0) {
    errors.push(invalidValue('spec.group', spec.group, dns1123Subdomain(spec.group).join(',')))
  } else if (!spec.group.includes('.')) {
    errors.push(invalidValue('spec.group', spec.group, 'should be a domain with at least one dot'))
  }
  if (!spec.scope) errors.push(required('spec.scope'))
  else if (spec.scope !== 'Cluster' && spec.scope !== 'Namespaced') {
    errors.push(notSupported('spec.scope', spec.scope, ['Cluster', 'Namespaced']))
  }
  errors.push(...validateVersions(spec, before))
  for (const field of ['plural', 'singular', 'kind', 'listKind'] as const) {
    if (!spec.names?.[field]) errors.push(required(`spec.names.${field}`))
  }
  if (spec.names) errors.push(...validateNames(spec.names, 'spec.names'))
  errors.push(...validateConversion(spec, before))
  if (spec.preserveUnknownFields) {
    if (spec.conversion?.strategy === 'Webhook') {
      const said = 'must be None if spec.preserveUnknownFields is true'
      errors.push(invalidValue('spec.conversion.strategy', 'Webhook', said))
    }
    if ((spec.versions ?? []).some((version) => hasDefaults(version))) {
      const said = 'must be false in order to use defaults in the schema'
      errors.push(invalidValue('spec.preserveUnknownFields', true, said))
    }
    const said =
      'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead'
    errors.push(invalidValue('spec.preserveUnknownFields', true, said))
  }
  return errors
}

function hasDefaults({ schema }: CrdVersion): boolean {
  let found = false
  visitSchemas(schema?.openAPIV3Schema, (each) => {
    if (each.default !== undefined) found = true
  })
  return found
}

function validateVersions(spec: CrdSpec, before: CrdSpec | undefined): FieldError[] {
  const versions = spec.versions ?? []
  const errors: FieldError[] = []
  // Kubernetes validates the form in which what all versions have in common stands once, above them.
  const shared = {
    schema: common(versions, (version) => version.schema),
    subresources: common(versions, (version) => version.subresources),
    columns: common(versions, (version) => version.additionalPrinterColumns),
    fields: common(versions, (version) => version.selectableFields),
  }
  versions.forEach((version, index) => {
    const path = `spec.versions[${index}]`
    const wrong = dns1035Label(version.name ?? '')
    if (wrong.length > 0) errors.push(invalidValue(`${path}.name`, version.name ?? '', wrong.join(',')))
    errors.push(...validateDeprecation(version, path))
    if (version.schema?.openAPIV3Schema === undefined) errors.push(required(`${path}.schema.openAPIV3Schema`))
    const first = index === 0
    if (first || !shared.schema) {
      const was = before?.versions.find((one) => one.name === version.name)
      const schemaPath = shared.schema ? 'spec.validation' : `${path}.schema`
      const anyStatus = shared.schema ? versions.some(hasStatus) : hasStatus(version)
      const isChecked = was && hasStatus(was) === hasStatus(version) && deepEqual(was.schema, version.schema)
      if (!isChecked && !isShippedSchema(spec, version)) {
        errors.push(...validateCrdSchema(version.schema?.openAPIV3Schema, schemaPath, anyStatus))
      }
    }
    if (first || !shared.subresources) {
      errors.push(...validateSubresources(version, shared.subresources ? 'spec.subresources' : `${path}.subresources`))
    }
    if (first || !shared.columns) {
      const columnsPath = shared.columns ? 'spec.additionalPrinterColumns' : `${path}.additionalPrinterColumns`
      errors.push(...validateColumns(version, columnsPath))
    }
    if (first || !shared.fields) {
      const fieldsPath = shared.fields ? 'spec.selectableFields' : `${path}.selectableFields`
      errors.push(...validateSelectableFields(version, fieldsPath, shared.fields === shared.schema))
    }
  })
  if (new Set(versions.map((version) => version.name)).size < versions.length) {
    errors.push(invalidValue('spec.versions', versions.map(printedVersion), 'must contain unique version names'))
  }
  if (versions.filter((version) => version.storage).length !== 1) {
    const said = 'must have exactly one version marked as storage version'
    errors.push(invalidValue('spec.versions', versions.map(printedVersion), said))
  }
  // The first version's name stands above them all too, in the form that Kubernetes validates.
  const wrong = dns1035Label(versions[0]?.name ?? '')
  if (versions[0]?.name && wrong.length > 0)
    errors.push(invalidValue('spec.version', versions[0].name, wrong.join(',')))
  return errors
}

/** As Go prints the struct. The whole versions, schemas and all, would bury the message: what they share is not in them. */
function printedVersion({ name, served, storage, deprecated, deprecationWarning }: CrdVersion): object {
  return {
    Name: name,
    Served: served,
    Storage: storage,
    Deprecated: deprecated ?? false,
    DeprecationWarning: deprecationWarning ?? null,
    Schema: null,
    Subresources: null,
    AdditionalPrinterColumns: null,
    SelectableFields: null,
  }
}

function common(versions: readonly CrdVersion[], part: (version: CrdVersion) => unknown): boolean {
  return versions.every((version) => deepEqual(part(version), part(versions[0] as CrdVersion)))
}

function hasStatus(version: CrdVersion): boolean {
  return version.subresources?.status !== undefined
}

function validateDeprecation(version: CrdVersion, path: string): FieldError[] {
  const warning = version.deprecationWarning
  if (warning === undefined) return []
  const fail = (said: string): FieldError => ({
    type: 'FieldValueInvalid',
    field: `${path}.deprecationWarning`,
    message: `Invalid value: ${goJson(warning)}: ${said}`,
  })
  if (!version.deprecated) return [fail('can only be set for deprecated versions')]
  const errors: FieldError[] = []
  if (Buffer.byteLength(warning) > 256) errors.push(fail('must be <= 256 characters long'))
  if (warning === '') errors.push(fail('must not be an empty string'))
  const bad = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.exec(warning)
  if (bad) {
    const index = Buffer.byteLength(warning.slice(0, bad.index))
    const said = `must only contain printable UTF-8 characters; non-printable character found at index ${index}`
    errors.push(fail(said))
  }
  return errors
}

function validateNames(names: CrdNames, path: string): FieldError[] {
  const errors: FieldError[] = []
  const label = (field: string, value: string | undefined): void => {
    const wrong = value === undefined ? [] : dns1035Label(value)
    if (wrong.length > 0) errors.push(invalidValue(`${path}.${field}`, value, wrong.join(',')))
  }
  const mixedCase = (field: string, value: string | undefined): void => {
    const wrong = value ? dns1035Label(value.toLowerCase()) : []
    if (wrong.length === 0) return
    const said = `may have mixed case, but should otherwise match: ${wrong.join(',')}`
    errors.push(invalidValue(`${path}.${field}`, value, said))
  }
  label('plural', names.plural || undefined)
  label('singular', names.singular || undefined)
  mixedCase('kind', names.kind)
  mixedCase('listKind', names.listKind)
  names.shortNames?.forEach((name, index) => label(`shortNames[${index}]`, name))
  if (names.kind && names.kind === names.listKind) {
    errors.push(invalidValue(`${path}.listKind`, names.listKind, 'kind and listKind may not be the same'))
  }
  names.categories?.forEach((name, index) => label(`categories[${index}]`, name))
  return errors
}

/** A version in which objects may be stored still has to be there to read them. */
function validateStoredVersions(crd: KubeObject): FieldError[] {
  const stored = statusOf(crd).storedVersions ?? []
  const path = 'status.storedVersions'
  if (stored.length === 0) return [invalidValue(path, null, 'must have at least one stored version')]
  const versions = specOf(crd).versions ?? []
  const errors: FieldError[] = []
  for (const version of versions) {
    if (version.storage && !stored.includes(version.name)) {
      errors.push(invalidValue(path, stored, `must have the storage version ${version.name}`))
    }
  }
  for (const [index, name] of stored.entries()) {
    if (versions.some((version) => version.name === name)) continue
    const said = `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`
    errors.push(invalidValue(`${path}[${index}]`, name, said))
  }
  return errors
}

/** Groups of the Kubernetes community need its consent, or the admission that there is none. */
function validateApproval(crd: KubeObject, current: KubeObject | undefined): FieldError[] {
  if (!/(^|\.)(k8s|kubernetes)\.io$/.test(specOf(crd).group ?? '')) return []
  const state = approval(crd)
  if (state === 'approved' || (current && approval(current) === state)) return []
  const path = `metadata.annotations[${APPROVAL}]`
  const see = 'see https://github.com/kubernetes/enhancements/pull/1111'
  const needed = `protected groups must have approval annotation ${goQuote(APPROVAL)}`
  if (state === 'missing') return [required(path, `${needed}, ${see}`)]
  const said = `${needed} with either a URL or a reason starting with "unapproved", ${see}`
  return [invalidValue(path, crd.metadata.annotations?.[APPROVAL], said)]
}

function approval(crd: KubeObject): 'approved' | 'missing' | 'invalid' {
  const given = crd.metadata.annotations?.[APPROVAL]
  if (!given) return 'missing'
  return given.startsWith('unapproved') || /^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/[^/]+/.test(given) ? 'approved' : 'invalid'
}
