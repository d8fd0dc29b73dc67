/** POST: a new object. */
import type { KubeObject } from '@caisson/api'
import { refuse } from '../admission/refuse.ts'
import { trackUpdate } from '../patch/managed-fields.ts'
import { validateObjectMeta } from '../registry/object-meta.ts'
import { resourceKey, storageKey, storedKind } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import { ABSENT } from '../schema/absent.ts'
import { rememberAccepted } from '../schema/accepted.ts'
import { validate } from '../schema/validate.ts'
import { invalid, StatusError } from '../status-error.ts'
import { deepCopy } from '../storage/freeze.ts'
import type { Transaction } from '../storage/store.ts'
import type { AdmissionRequest, Answer, Call } from './call.ts'
import { decodeObject } from './decode-object.ts'
import type { Environment } from './environment.ts'
import { alreadyExists, pathNotServed } from './errors.ts'
import { fillSystemFields, generateName, matchNamespace, wipeSystemFields } from './metadata.ts'
import { refuseTooLarge } from './object-size.ts'
import { toldOptions, type WriteOptions, writeOptions } from './options.ts'
import { dedupOwnerReferences } from './owner-references.ts'
import { refuseWhereFull } from './refuse-full.ts'
import { toStorage, viewed } from './versions.ts'
import { writeContext } from './write-context.ts'

// With five random letters the eighth name in a row that is taken has other reasons than bad luck.
const GENERATE_ATTEMPTS = 8

export async function create(call: Call, resource: Resource, environment: Environment): Promise<Answer> {
  const options = writeOptions('CreateOptions', call.query, call.userAgent)
  const object = decodeObject(resource, await call.readBody(), {
    registry: environment.registry,
    fieldValidation: options.fieldValidation,
    warnings: call.warnings,
  })
  wipeSystemFields(object.metadata)
  matchNamespace(object.metadata, expectedNamespace(resource, call))
  dedupOwnerReferences(object, call.warnings, false)
  trackUpdate(undefined, object, writeContext(resource, '', options, environment))
  const stored = await environment.store.write(
    (transaction) =>
      createIn(transaction, environment.rehearses ? deepCopy(object) : object, {
        call,
        resource,
        environment,
        options,
      }),
    call.share,
  )
  return { status: 201, body: await viewed(resource, stored), resource }
}

export interface CreateContext {
  call: Call
  resource: Resource
  environment: Environment
  options: WriteOptions
  /** The last change before an object is stored, in place. */
  beforeStorage?: ((object: KubeObject) => void) | undefined
}

/** Admission, validation and storage of an object that is decoded, defaulted and tracked. Returns what is stored. */
export function createIn(transaction: Transaction, object: KubeObject, context: CreateContext): KubeObject {
  const { call, resource, environment, options } = context
  const { metadata } = object
  if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== '0' && !options.dryRun)
    throw new StatusError('Unknown', 'resourceVersion should not be set on objects to be created')
  const key = storageKey(resource)
  const { namespace } = metadata
  const now = environment.now()
  const admission: AdmissionRequest = {
    operation: 'CREATE',
    resource,
    subresource: '',
    namespace: resource.group === '' && resource.plural === 'namespaces' ? (metadata.name ?? '') : (namespace ?? ''),
    name: metadata.name ?? '',
    object,
    oldObject: undefined,
    user: call.user,
    dryRun: options.dryRun,
    options: toldOptions('CreateOptions', call.query),
    transaction,
    warn: (message) => call.warnings.push(message),
  }
  refuseWhereTerminating(admission, environment)
  environment.admit(admission)
  environment.confirmGrants(admission)
  dedupOwnerReferences(object, call.warnings, true)
  fillSystemFields(metadata, now, environment.rehearses?.uid)
  const generated = Boolean(metadata.generateName && !metadata.name)
  if (generated) {
    const isFree = (name: string): boolean => !transaction.get(key, namespace, name)
    const before = environment.rehearses?.name
    metadata.name = before !== undefined && isFree(before) ? before : freeName(metadata.generateName as string, isFree)
    if (environment.rehearses) environment.rehearses.name = metadata.name
  }
  const { strategy } = resource
  strategy.prepareForCreate?.(object, {
    user: call.user,
    now,
    list: transaction.list,
    builtin: environment.registry.builtin,
  })
  // Kinds without a generation of their own keep what a client wrote.
  if (strategy.generation !== false) metadata.generation = 1
  validateNew(object, resource)
  call.warnings.push(...(strategy.warnings?.(object) ?? []))
  environment.admitValidated({ ...admission, name: metadata.name as string })
  const existing = transaction.get(key, namespace, metadata.name as string)
  if (existing) throw taken(resource, metadata.name as string, existing, generated)
  strategy.complete?.(object)
  context.beforeStorage?.(object)
  const stored = toStorage(resource, object)
  refuseTooLarge(stored)
  refuseWhereFull(transaction, { call, resource, limits: environment.storage, object: stored })
  if (!context.beforeStorage) rememberAccepted(resource.schema, object, stored)
  return options.dryRun ? stored : transaction.put(key, stored)
}

/** The definition may have been deleted since the request came: what holds is what is served when the object is stored. */
function refuseWhereTerminating(request: AdmissionRequest, { registry }: Environment): void {
  const { group, version, plural, custom } = request.resource
  if (!custom) return
  const served = registry.find(group, version, plural)
  if (!served) throw pathNotServed()
  if (served.terminating) throw refuse(request, 'create not allowed while custom resource definition is terminating')
}

function freeName(prefix: string, isFree: (name: string) => boolean): string {
  for (let attempt = 1; ; attempt++) {
    const name = generateName(prefix)
    if (isFree(name) || attempt === GENERATE_ATTEMPTS) return name
  }
}

function validateNew(object: KubeObject, resource: Resource): void {
  const { namespaced, strategy } = resource
  const metadataErrors = validateObjectMeta(object.metadata, { namespaced, name: strategy.nameRule })
  const errors = [
    ...metadataErrors,
    ...(resource.decode ? [] : validate(resource.schema, object, '', ABSENT, metadataErrors)),
    ...(strategy.validate?.(object) ?? []),
  ]
  if (errors.length > 0) throw invalid(storedKind(resource), object.metadata.name ?? '', errors)
}

function taken(resource: Resource, name: string, existing: KubeObject, generated: boolean): StatusError {
  const error = generated
    ? new StatusError(
        'AlreadyExists',
        `${resourceKey(resource)} "${name}" already exists, the server was not able to generate a unique name for the object`,
        {
          details: {
            name,
            ...(resource.group && { group: resource.group }),
            kind: resource.plural,
            retryAfterSeconds: 1,
          },
        },
      )
    : alreadyExists(resource, name)
  if (existing.metadata.deletionTimestamp === undefined) return error
  return new StatusError('AlreadyExists', `object is being deleted: ${error.message}`, { details: error.details })
}

export function expectedNamespace(resource: Resource, call: Call): string {
  return resource.namespaced ? call.info.namespace : ''
}
