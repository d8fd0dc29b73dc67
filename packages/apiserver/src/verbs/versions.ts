/**
 * One stored object, several versions that it can be seen in. With conversion None versions differ in apiVersion alone,
 * but each has its own schema: what is read is pruned and defaulted by the schema of the version that is asked for,
 * which may be newer than what is stored. Where a webhook converts, it is asked once for each stored state and version;
 * whoever wants a view that is not there yet throws an OpenQuestion, or waits with `prepareViews`.
 */
import { setImmediate } from 'node:timers/promises'
import type { KubeObject } from '@caisson/api'
import { TURN_MS } from '../fair-queue.ts'
import { groupVersion } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import { applyDefaults } from '../schema/defaults.ts'
import { prune } from '../schema/prune.ts'
import type { Schema } from '../schema/schema.ts'
import { deepCopy, deepEqual, deepFreeze } from '../storage/freeze.ts'
import { OpenQuestion } from './open-question.ts'

// One view for one stored state, so that its text is encoded once and all informers share what they hold.
const views = new WeakMap<KubeObject, WeakMap<Resource, KubeObject>>()
/** The schema by which a stored object was pruned and defaulted when it was written. */
const settledBy = new WeakMap<KubeObject, Schema>()

/** The stored object as clients of `resource`'s version see it: frozen. Throws OpenQuestion where a webhook is to be asked. */
export function fromStorage(resource: Resource, stored: KubeObject): KubeObject {
  const wanted = groupVersion(resource)
  const isSame = stored.apiVersion === wanted && (!resource.custom || settledBy.get(stored) === resource.schema)
  if (isSame) return stored
  const known = views.get(stored)?.get(resource)
  if (known) return known
  if (isConverted(resource, stored)) throw new OpenQuestion(() => prepareViews(resource, [stored]))
  return remember(resource, stored, makeView(resource, stored, wanted))
}

/**
 * What `fromStorage` gives of each, no more of them in a turn of the event loop than fit: one that is pruned and defaulted
 * anew takes a tenth of a second where it is large.
 */
export async function viewsOf(resource: Resource, objects: readonly KubeObject[]): Promise<KubeObject[]> {
  const found: KubeObject[] = []
  let begun = performance.now()
  for (const each of objects) {
    found.push(fromStorage(resource, each))
    if (performance.now() - begun < TURN_MS) continue
    await setImmediate()
    begun = performance.now()
  }
  return found
}

function remember(resource: Resource, stored: KubeObject, view: KubeObject): KubeObject {
  let seen = views.get(stored)
  if (!seen) {
    seen = new WeakMap()
    views.set(stored, seen)
  }
  seen.set(resource, view)
  return view
}

function isConverted(resource: Resource, { apiVersion }: KubeObject): boolean {
  return resource.conversion !== undefined && apiVersion !== groupVersion(resource)
}

const asked = new WeakMap<KubeObject, WeakMap<Resource, Promise<void>>>()

/** The same as `fromStorage`, for who can wait. Throws a StatusError where the webhook fails. */
export async function viewed(resource: Resource, stored: KubeObject): Promise<KubeObject> {
  if (resource.conversion) await prepareViews(resource, [stored])
  return fromStorage(resource, stored)
}

/**
 * Settles when `fromStorage` has a view of each of the stored objects. Whoever else waits for the same ones waits for the
 * same answer. Throws a StatusError where the webhook fails.
 */
export async function prepareViews(resource: Resource, objects: readonly KubeObject[]): Promise<void> {
  const wanted = objects.filter((each) => isConverted(resource, each) && !views.get(each)?.has(resource))
  const open = wanted.filter((each) => !asked.get(each)?.has(resource))
  const mine = open.length > 0 ? askFor(resource, open) : undefined
  const others = wanted.flatMap((each) => asked.get(each)?.get(resource) ?? [])
  await Promise.all([mine, ...new Set(others)])
}

function askFor(resource: Resource, stored: readonly KubeObject[]): Promise<void> {
  const answer = convertAll(resource, stored).finally(() => {
    for (const each of stored) asked.get(each)?.delete(resource)
  })
  for (const each of stored) {
    const waiting = asked.get(each) ?? new WeakMap<Resource, Promise<void>>()
    asked.set(each, waiting.set(resource, answer))
  }
  return answer
}

async function convertAll(resource: Resource, stored: readonly KubeObject[]): Promise<void> {
  const wanted = groupVersion(resource)
  const converted = await resource.conversion?.convert(stored, wanted)
  converted?.forEach((object, index) => {
    prune(resource.schema, object)
    applyDefaults(resource.schema, object)
    remember(resource, stored[index] as KubeObject, deepFreeze(object))
  })
}

/** An object of a request in another version of its kind. Throws OpenQuestion where a webhook is to be asked. */
export function inVersion(wanted: Resource, given: Resource, object: KubeObject): KubeObject {
  if (wanted === given) return object
  if (!isConverted(wanted, object)) return fromStorage(wanted, toStorage(given, { ...object }))
  const converted = convertedNow(wanted, object, groupVersion(wanted))
  prune(wanted.schema, converted)
  applyDefaults(wanted.schema, converted)
  return deepFreeze(converted)
}

function convertedNow({ conversion }: Resource, object: KubeObject, apiVersion: string): KubeObject {
  const kept = conversion?.kept(object, apiVersion)
  if (!kept) throw new OpenQuestion(async () => await conversion?.keep(object, apiVersion))
  return deepCopy(kept)
}

function makeView(resource: Resource, stored: KubeObject, apiVersion: string): KubeObject {
  if (resource.stored) return deepFreeze(resource.stored.fromStored(stored))
  const view = stored.apiVersion === apiVersion ? stored : Object.freeze({ ...stored, apiVersion })
  if (!resource.custom) return view
  const settled = deepCopy(view)
  prune(resource.schema, settled)
  applyDefaults(resource.schema, settled)
  if (!deepEqual(settled, view)) return deepFreeze(settled)
  if (view === stored) settledBy.set(stored, resource.schema)
  return view
}

/**
 * The object as it is stored. Its parts are shared with what was given, which was pruned and defaulted. Throws OpenQuestion
 * where a webhook is to be asked.
 */
export function toStorage(resource: Resource, object: KubeObject): KubeObject {
  if (resource.stored) return resource.stored.toStored(object)
  const stored = groupVersion({ group: resource.group, version: resource.storageVersion })
  if (resource.conversion && object.apiVersion !== stored) {
    const converted = convertedNow(resource, object, stored)
    prune(resource.storageSchema ?? resource.schema, converted)
    return converted
  }
  const result = object.apiVersion === stored ? object : { ...object, apiVersion: stored }
  if (resource.storageSchema) {
    // What the stored version has no field for is lost, as the same request would lose it on any cluster.
    const pruned = deepCopy(result)
    prune(resource.storageSchema, pruned)
    return pruned
  }
  if (resource.custom) settledBy.set(result, resource.schema)
  return result
}
