/** DELETE of one object: at once, after a grace period, or once its finalizers are gone. */
import type { KubeObject, ObjectMeta, Status } from '@caisson/api'
import { storageKey } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import { deepEqual } from '../storage/freeze.ts'
import type { Transaction } from '../storage/store.ts'
import type { Answer, Call } from './call.ts'
import { expectedNamespace } from './create.ts'
import { type DeleteOptions, deleteOptions } from './delete-options.ts'
import type { Environment } from './environment.ts'
import { conflict, notFound } from './errors.ts'
import { timestamp } from './metadata.ts'
import { toldOptions } from './options.ts'
import { fromStorage, viewed } from './versions.ts'

const FOREGROUND = 'foregroundDeletion'
const ORPHAN = 'orphan'

export async function deleteObject(call: Call, resource: Resource, environment: Environment): Promise<Answer> {
  const options = deleteOptions(await call.readBody(), call.query)
  const { name } = call.info
  const outcome = await environment.store.write(
    (transaction) => deleteIn(transaction, { call, resource, environment, options, name }),
    call.share,
  )
  const status = !outcome.gone && options.orphanDependents === false ? 202 : 200
  if (!outcome.gone || resource.strategy.returnsDeleted === true)
    return { status, body: await viewed(resource, outcome.object), resource }
  return { status, body: success(resource, outcome.object) }
}

export interface DeleteContext {
  call: Call
  resource: Resource
  environment: Environment
  options: DeleteOptions
  name: string
  /** Of a collection over all namespaces; else that of the request. */
  namespace?: string | undefined
}

export interface Outcome {
  object: KubeObject
  /** False where the object stays for now. */
  gone: boolean
}

export function deleteIn(transaction: Transaction, context: DeleteContext): Outcome {
  const { call, resource, environment, options, name } = context
  const key = storageKey(resource)
  const namespace = context.namespace ?? (expectedNamespace(resource, call) || undefined)
  const stored = transaction.get(key, namespace, name)
  if (!stored) throw notFound(resource, name)
  checkPreconditions(stored, resource, options)
  environment.admit({
    operation: 'DELETE',
    resource,
    subresource: '',
    namespace: namespace ?? '',
    name,
    object: undefined,
    oldObject: fromStorage(resource, stored),
    user: call.user,
    dryRun: options.dryRun,
    options: toldOptions('DeleteOptions', call.query),
    transaction,
    warn: (message) => call.warnings.push(message),
  })
  const now = environment.now()
  const grace = gracefully(stored, resource, options, now)
  if (grace === 'pending') return { object: stored, gone: false }
  const marked = markForDeletion(stored, { resource, options, grace, now })
  const held =
    marked.metadata.finalizers !== undefined ||
    resource.strategy.mayVanish?.(marked) === false ||
    (marked.metadata.deletionGracePeriodSeconds ?? 0) > 0
  if (!held) {
    // What is deleted gracefully is marked first, if only for the last moment; watchers and the caller see the marks.
    const last = grace ? marked : stored
    return { object: options.dryRun ? last : transaction.delete(key, last), gone: true }
  }
  if (deepEqual(marked, stored)) return { object: stored, gone: false }
  return { object: options.dryRun ? marked : transaction.put(key, marked), gone: false }
}

interface Marking {
  resource: Resource
  options: DeleteOptions
  grace: Grace | undefined
  now: number
}

/** The object as it is while something still holds it. */
function markForDeletion(stored: KubeObject, { resource, options, grace, now }: Marking): KubeObject {
  const metadata: ObjectMeta = { ...stored.metadata, ...grace }
  const running = stored.metadata.deletionTimestamp
  // Kinds that change by being deleted have a way of their own in Kubernetes, which leaves out these two: the first time,
  // and Namespaces until they may vanish.
  const { prepareForDeletion, mayVanish } = resource.strategy
  const ownWay = prepareForDeletion !== undefined && (running === undefined || mayVanish?.(stored) === false)
  if (running === undefined && stored.metadata.generation && !ownWay)
    metadata.generation = stored.metadata.generation + 1
  setFinalizers(metadata, finalizersAfter(stored, resource, options))
  if (!grace) {
    if (running === undefined || Date.parse(running) > now) metadata.deletionTimestamp = timestamp(now)
    if (!ownWay) metadata.deletionGracePeriodSeconds = 0
  }
  const marked = { ...stored, metadata }
  if (running === undefined) prepareForDeletion?.(marked)
  return marked
}

/** Throws where the object is not the one, or not in the state, that is to be deleted. */
export function checkPreconditions(stored: KubeObject, resource: Resource, { preconditions }: DeleteOptions): void {
  const { uid, resourceVersion } = preconditions
  const { metadata } = stored
  const about = { group: resource.group, plural: resource.kind }
  const name = metadata.name as string
  if (uid !== undefined && uid !== metadata.uid)
    throw conflict(
      about,
      name,
      `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid}). The object might have been deleted and then recreated`,
    )
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion)
    throw conflict(
      about,
      name,
      `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion}). The object might have been modified`,
    )
}

type Grace = { deletionTimestamp: string; deletionGracePeriodSeconds: number }

/** For kinds that are deleted gracefully: until when. 'pending' where an earlier deletion goes on unchanged. */
function gracefully(
  stored: KubeObject,
  resource: Resource,
  options: DeleteOptions,
  now: number,
): Grace | 'pending' | undefined {
  const { strategy } = resource
  if (!strategy.gracePeriodSeconds) return undefined
  const { deletionTimestamp, deletionGracePeriodSeconds: running } = stored.metadata
  const asked = options.gracePeriodSeconds
  if (deletionTimestamp === undefined) {
    const seconds = strategy.gracePeriodSeconds(stored, asked)
    if (seconds === undefined) return undefined
    return { deletionTimestamp: timestamp(now + seconds * 1000), deletionGracePeriodSeconds: seconds }
  }
  if (!running) return undefined
  // A deletion that has begun can only be made shorter.
  if (asked === undefined || asked >= running) return 'pending'
  const moved = Date.parse(deletionTimestamp) + (asked - running) * 1000
  // In the past it would look overdue: the node still has to be told, so at least a second remains.
  if (moved < now) return { deletionTimestamp: timestamp(now), deletionGracePeriodSeconds: asked === 0 ? 0 : 1 }
  return { deletionTimestamp: timestamp(moved), deletionGracePeriodSeconds: asked }
}

/** The finalizers that the garbage collector acts on follow the policy that was asked for. */
function finalizersAfter({ metadata }: KubeObject, resource: Resource, options: DeleteOptions): string[] {
  const present = metadata.finalizers ?? []
  const others = present.filter((finalizer) => finalizer !== FOREGROUND && finalizer !== ORPHAN)
  if (resource.strategy.garbageCollected === false) return [...present]
  const policy =
    policyOf(options) ??
    (present.includes(ORPHAN)
      ? 'Orphan'
      : present.includes(FOREGROUND)
        ? 'Foreground'
        : resource.strategy.defaultPropagation)
  if (policy === 'Orphan') return sameOrder(present, [...others, ORPHAN])
  if (policy === 'Foreground') return sameOrder(present, [...others, FOREGROUND])
  return others
}

function policyOf({ orphanDependents, propagationPolicy }: DeleteOptions) {
  if (orphanDependents !== undefined) return orphanDependents ? 'Orphan' : 'Background'
  return propagationPolicy
}

function sameOrder(present: readonly string[], wanted: string[]): string[] {
  const same = present.length === wanted.length && wanted.every((each) => present.includes(each))
  return same ? [...present] : wanted
}

function setFinalizers(metadata: ObjectMeta, finalizers: string[]): void {
  if (finalizers.length > 0) metadata.finalizers = finalizers
  else delete metadata.finalizers
}

function success(resource: Resource, { metadata }: KubeObject): Status {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: {
      name: metadata.name as string,
      ...(resource.group && { group: resource.group }),
      kind: resource.plural,
      ...(metadata.uid && { uid: metadata.uid }),
    },
  }
}
