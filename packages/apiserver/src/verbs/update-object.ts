/**
 * The heart of PUT and PATCH: from the current state and a function that makes the next one, through admission and
 * validation, to the store. It all runs inside one transaction, so nothing changes between the look and the write.
 */
import type { KubeObject, ManagedFieldsEntry } from '@caisson/api'
import { validateObjectMeta, validateObjectMetaUpdate } from '../registry/object-meta.ts'
import { storageKey, storedKind } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import { forgivenWarnings, isAccepted, rememberAccepted } from '../schema/accepted.ts'
import { type FieldError, invalid, StatusError } from '../status-error.ts'
import { deepEqual } from '../storage/freeze.ts'
import type { Transaction } from '../storage/store.ts'
import type { AdmissionRequest, Call } from './call.ts'
import { createIn, expectedNamespace } from './create.ts'
import type { Environment } from './environment.ts'
import { badRequest, conflict, notFound, OPTIMISTIC_LOCK, quoted } from './errors.ts'
import { matchNamespace, wipeSystemFields } from './metadata.ts'
import { refuseTooLarge } from './object-size.ts'
import { toldOptions, type WriteOptions } from './options.ts'
import { dedupOwnerReferences } from './owner-references.ts'
import { refuseWhereFull } from './refuse-full.ts'
import { contentChanged, setOrDelete, type UpdateRules } from './update-rules.ts'
import { fromStorage, toStorage } from './versions.ts'

export interface UpdateContext {
  call: Call
  resource: Resource
  environment: Environment
  options: WriteOptions
  rules: UpdateRules
  /** Whether a missing object is created; kinds that always allow it need not be asked for here. */
  allowCreate: boolean
  /** Of a PUT that names one: the object must still be that one. */
  expectedUid?: string | undefined
  /** The last change before an object is stored, in place. */
  beforeStorage?: ((object: KubeObject) => void) | undefined
  /** The next state, private to the caller, from what is there (frozen, in the version of the request). */
  next(current: KubeObject | undefined): KubeObject
}

export interface Updated {
  /** As stored. */
  object: KubeObject
  created: boolean
}

export function updateIn(transaction: Transaction, context: UpdateContext): Updated {
  const { call, resource, environment, options, rules } = context
  const { name, subresource } = call.info
  const key = storageKey(resource)
  const namespace = expectedNamespace(resource, call) || undefined
  const stored = transaction.get(key, namespace, name)
  if (!stored) {
    if (!(context.allowCreate || resource.strategy.createOnUpdate) || subresource !== '') throw notFound(resource, name)
    return createMissing(transaction, context)
  }
  if (context.expectedUid !== undefined && context.expectedUid !== stored.metadata.uid)
    throw conflict(resource, name, uidPrecondition(resource, stored, context.expectedUid, context.options.dryRun))
  const current = fromStorage(resource, stored)
  const next = context.next(current)
  const { metadata } = next
  matchNamespace(metadata, expectedNamespace(resource, call))
  checkName(next, call)
  const admission: AdmissionRequest = {
    operation: 'UPDATE',
    resource,
    subresource,
    namespace: namespace ?? '',
    name,
    object: next,
    oldObject: current,
    user: call.user,
    dryRun: options.dryRun,
    options: toldOptions('UpdateOptions', call.query),
    transaction,
    warn: (message) => call.warnings.push(message),
  }
  environment.admit(admission)
  environment.confirmGrants(admission)
  dedupOwnerReferences(next, call.warnings, true)
  checkResourceVersion(next, current, resource)
  carryOver(next, current, context, transaction)
  validateChange(next, current, context)
  call.warnings.push(...rules.warnings(next, current))
  environment.admitValidated(admission)
  context.beforeStorage?.(next)
  keepTimestamps(next, current)
  const result = toStorage(resource, next)
  if (vanishes(next, current, resource)) {
    if (!options.dryRun) transaction.delete(key, stored)
    return { object: result, created: false }
  }
  if (deepEqual(result, stored)) return { object: stored, created: false }
  refuseTooLarge(result, stored)
  refuseWhereFull(transaction, { call, resource, limits: environment.storage, object: result, previous: stored })
  if (!context.beforeStorage && (rules.validatesAll || isAccepted(resource.schema, current)))
    rememberAccepted(resource.schema, next, result)
  return { object: options.dryRun ? result : transaction.put(key, result), created: false }
}

function createMissing(transaction: Transaction, context: UpdateContext): Updated {
  const { call, resource } = context
  const object = context.next(undefined)
  if (object.metadata.uid !== undefined)
    throw conflict(
      resource,
      call.info.name,
      `uid mismatch: the provided object specified uid ${object.metadata.uid}, and no existing object was found`,
    )
  context.environment.authorizeCreate(call)
  wipeSystemFields(object.metadata)
  matchNamespace(object.metadata, expectedNamespace(resource, call))
  checkName(object, call)
  return { object: createIn(transaction, object, context), created: true }
}

/** In a dry run the key is told without its root. */
export function uidPrecondition(resource: Resource, stored: KubeObject, expected: string, dryRun = false): string {
  const { namespace, name, uid } = stored.metadata
  const path = `${dryRun ? '' : '/registry'}/${registryPath(resource)}/${namespace ? `${namespace}/` : ''}${name}`
  return `StorageError: invalid object, Code: 4, Key: ${path}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${expected}, UID in object meta: ${uid}`
}

/** Where etcd keeps a kind, which its error messages tell. */
const OLD_PATHS: Readonly<Record<string, string>> = {
  endpoints: 'services/endpoints',
  ingresses: 'ingress',
  nodes: 'minions',
  replicationcontrollers: 'controllers',
  services: 'services/specs',
}

function registryPath({ group, plural, custom }: Resource): string {
  if (custom || group === 'apiextensions.k8s.io') return `${group}/${plural}`
  return OLD_PATHS[plural] ?? plural
}

export function checkName({ metadata }: KubeObject, call: Call): void {
  const { name } = call.info
  if (metadata.name === undefined)
    throw badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`)
  if (metadata.name !== name)
    throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`)
}

function checkResourceVersion(next: KubeObject, current: KubeObject, resource: Resource): void {
  const given = next.metadata.resourceVersion
  const name = current.metadata.name as string
  if (given === undefined || given === '' || given === '0') {
    if (resource.strategy.unconditionalUpdate ?? !resource.custom) return
    throw invalid({ group: resource.group, kind: resource.plural }, name, [
      {
        type: 'FieldValueInvalid',
        field: 'metadata.resourceVersion',
        message: 'Invalid value: 0: must be specified for an update',
      },
    ])
  }
  if (!/^\d+$/.test(given))
    throw new StatusError('Unknown', `strconv.ParseUint: parsing ${quoted(given)}: invalid syntax`)
  if (given !== current.metadata.resourceVersion) throw conflict(resource, name, OPTIMISTIC_LOCK)
}

/** What no update changes, what this door does not change, and the generation. */
function carryOver(next: KubeObject, current: KubeObject, context: UpdateContext, { list }: Transaction): void {
  const { resource, rules, call, environment } = context
  const { metadata: before } = current
  next.metadata.resourceVersion = before.resourceVersion as string
  setOrDelete(next.metadata, 'generation', before.generation)
  rules.prepare(next, current, {
    user: call.user,
    now: environment.now(),
    list,
    builtin: environment.registry.builtin,
  })
  const { metadata } = next
  metadata.uid ??= before.uid as string
  if (before.creationTimestamp) metadata.creationTimestamp = before.creationTimestamp
  if (before.deletionTimestamp) metadata.deletionTimestamp = before.deletionTimestamp
  if (before.deletionGracePeriodSeconds !== undefined)
    metadata.deletionGracePeriodSeconds ??= before.deletionGracePeriodSeconds
  if (rules.raisesGeneration && contentChanged(next, current, resource))
    metadata.generation = (before.generation ?? 0) + 1
}

function validateChange(next: KubeObject, current: KubeObject, { call, resource, rules }: UpdateContext): void {
  const metadataErrors = validateObjectMetaUpdate(next.metadata, current.metadata)
  const errors: FieldError[] = [
    ...validateObjectMeta(next.metadata, {
      namespaced: resource.namespaced,
      name: resource.strategy.nameRule,
      stored: current.metadata,
    }),
    // Kubernetes finds these twice, once for all kinds and once in each kind's own validation.
    ...metadataErrors,
    ...metadataErrors,
    ...rules.validate(next, current),
  ]
  call.warnings.push(...forgivenWarnings(next))
  if (errors.length > 0) throw invalid(storedKind(resource), current.metadata.name as string, errors)
}

/** A change of nothing but the times in managedFields is none. */
function keepTimestamps(next: KubeObject, current: KubeObject): void {
  const before = current.metadata.managedFields
  const after = next.metadata.managedFields
  if (!before || !after || before.length !== after.length) return
  if (!after.every((entry, index) => equalButTime(entry, before[index] as ManagedFieldsEntry))) return
  const metadata = { ...next.metadata, managedFields: before }
  if (deepEqual({ ...next, metadata }, current)) next.metadata = metadata
}

function equalButTime(a: ManagedFieldsEntry, b: ManagedFieldsEntry): boolean {
  return deepEqual({ ...a, time: '' }, { ...b, time: '' })
}

/** An object that is being deleted goes when its last finalizer does. */
function vanishes(next: KubeObject, current: KubeObject, resource: Resource): boolean {
  if (current.metadata.deletionTimestamp === undefined) return false
  if ((next.metadata.finalizers ?? []).length > 0) return false
  if ((current.metadata.deletionGracePeriodSeconds ?? 0) !== 0) return false
  return resource.strategy.mayVanish?.(next) ?? true
}
