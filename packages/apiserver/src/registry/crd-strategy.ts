/** What the API server does with CustomResourceDefinitions beyond their schema. */
import type { KubeObject } from '@caisson/api'
import { deepEqual } from '../patch/json-value.ts'
import { trackUpdate } from '../patch/managed-fields.ts'
import { formatCheck } from '../schema/format.ts'
import type { Schema } from '../schema/schema.ts'
import { type CrdCondition, type CrdNames, type CrdSpec, specOf, statusOf } from './crd.ts'
import { acceptNames, type KnownNames, namesPending, setCondition } from './crd-names.ts'
import { visitSchemas } from './crd-schemas.ts'
import { validateCrd, validateCrdStatus, validateCrdUpdate } from './crd-validation.ts'
import type { Strategy } from './resource.ts'

/** Holds a deleted definition until all of its objects are gone. */
export const CLEANUP_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io'

const KEY = 'customresourcedefinitions.apiextensions.k8s.io'

export const crdStrategy: Strategy = {
  unconditionalUpdate: false,
  defaults: fillDefaults,
  prepareForCreate(crd, { now, list, builtin }) {
    crd['status'] = { storedVersions: storageVersions(crd) }
    crd['status'] = acceptNames(crd, { definitions: list(KEY), builtin }, timestamp(now))
    ownStatus(crd, now)
  },
  prepareForUpdate(next, current, { now, list, builtin }) {
    const status = statusOf(current)
    const stored = status.storedVersions ?? []
    const added = storageVersions(next).filter((version) => !stored.includes(version))
    next['status'] = { ...status, storedVersions: [...stored, ...added] }
    if (namesPending(next)) next['status'] = acceptNames(next, { definitions: list(KEY), builtin }, timestamp(now))
  },
  validate: validateCrd,
  validateUpdate: validateCrdUpdate,
  validateStatusUpdate: validateCrdStatus,
  warnings: unknownFormats,
  prepareForDeletion(crd) {
    const conditions: CrdCondition[] = [...(statusOf(crd).conditions ?? [])]
    setCondition(
      conditions,
      {
        type: 'Terminating',
        status: 'True',
        reason: 'InstanceDeletionPending',
        message: 'CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon',
      },
      crd.metadata.deletionTimestamp ?? timestamp(Date.now()),
    )
    crd['status'] = { ...statusOf(crd), conditions }
    const finalizers = crd.metadata.finalizers ?? []
    if (!finalizers.includes(CLEANUP_FINALIZER)) crd.metadata.finalizers = [...finalizers, CLEANUP_FINALIZER]
  },
}

/** The status is the server's own from the start, as if it had come in a later write of its own. */
function ownStatus(crd: KubeObject, now: number): void {
  const { storedVersions } = statusOf(crd)
  ownChange({ ...crd, status: { acceptedNames: { plural: '', kind: '' }, conditions: null, storedVersions } }, crd, now)
}

/** As the write that a deleted definition gets when the deletion of its objects begins. */
export function withEmptyingBegun(crd: KubeObject, now: number): KubeObject {
  const conditions: CrdCondition[] = [...(statusOf(crd).conditions ?? [])]
  const condition = {
    type: 'Terminating',
    status: 'True',
    reason: 'InstanceDeletionInProgress',
    message: 'CustomResource deletion is in progress',
  } as const
  setCondition(conditions, condition, timestamp(now))
  const next = { ...crd, metadata: { ...crd.metadata }, status: { ...statusOf(crd), conditions } }
  ownChange(crd, next, now)
  return next
}

function ownChange(before: KubeObject, crd: KubeObject, now: number): void {
  trackUpdate(before, crd, {
    manager: 'kube-apiserver',
    apiVersion: 'apiextensions.k8s.io/v1',
    subresource: 'status',
    schema: { $ref: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition' },
    builtin: true,
    statusSubresource: true,
    now,
  })
}

/**
 * The status that `crd` should have now that another definition has gone or changed its names; undefined where nothing
 * changes. To be called for the other definitions of a group when one of them is deleted or renamed.
 */
export function reconsiderNames(crd: KubeObject, known: KnownNames, now: number): object | undefined {
  if (!namesPending(crd)) return undefined
  const status = acceptNames(crd, known, timestamp(now))
  return deepEqual(status, statusOf(crd)) ? undefined : status
}

function fillDefaults(crd: KubeObject): void {
  const spec = crd['spec'] as { names?: Partial<CrdNames>; conversion?: object } | undefined
  if (!spec) return
  const { names } = spec
  if (names?.kind) {
    names.singular ||= names.kind.toLowerCase()
    names.listKind ||= `${names.kind}List`
  }
  spec.conversion ??= { strategy: 'None' }
  const { service } = (spec.conversion as NonNullable<CrdSpec['conversion']>).webhook?.clientConfig ?? {}
  if (service) service.port ??= 443
  const stored = storageVersions(crd)
  if (stored.length > 0 && !statusOf(crd).storedVersions?.length)
    crd['status'] = { ...statusOf(crd), storedVersions: stored }
}

function storageVersions(crd: KubeObject): string[] {
  // Go's decoder takes null for an empty list.
  const storage = (specOf(crd).versions ?? []).find((version) => version.storage)
  return storage ? [storage.name] : []
}

/** Formats of strings that nobody checks: probably misspelt. */
function unknownFormats(crd: KubeObject, current?: KubeObject): string[] {
  const known = new Set(current ? formatsOf(current) : [])
  return formatsOf(crd)
    .filter((format) => !known.has(format))
    .map((format) => `unrecognized format "${format}"`)
}

function formatsOf(crd: KubeObject): string[] {
  const formats: string[] = []
  for (const version of specOf(crd).versions ?? []) {
    visitSchemas(version.schema?.openAPIV3Schema, (schema: Schema) => {
      if (schema.type === 'string' && schema.format && !formatCheck(schema.format)) formats.push(schema.format)
    })
  }
  return formats
}

function timestamp(now: number): string {
  return `${new Date(now).toISOString().slice(0, 19)}Z`
}
