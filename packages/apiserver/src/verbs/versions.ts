/**
 * One stored object, several versions that it can be seen in. With conversion None versions differ in apiVersion alone,
 * but each has its own schema: what is read is pruned and defaulted by the schema of the version that is asked for,
 * which may be newer than what is stored.
 */
import type { KubeObject } from '@caisson/api'
import { groupVersion } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import { applyDefaults } from '../schema/defaults.ts'
import { prune } from '../schema/prune.ts'
import type { Schema } from '../schema/schema.ts'
import { deepCopy, deepEqual, deepFreeze } from '../storage/freeze.ts'

// One view for one stored state, so that its text is encoded once and all informers share what they hold.
const views = new WeakMap<KubeObject, WeakMap<Resource, KubeObject>>()
/** The schema by which a stored object was pruned and defaulted when it was written. */
const settledBy = new WeakMap<KubeObject, Schema>()

/** The stored object as clients of `resource`'s version see it: frozen. */
export function fromStorage(resource: Resource, stored: KubeObject): KubeObject {
  const wanted = groupVersion(resource)
  const isSame = stored.apiVersion === wanted && (!resource.custom || settledBy.get(stored) === resource.schema)
  if (isSame) return stored
  let seen = views.get(stored)
  const known = seen?.get(resource)
  if (known) return known
  const view = makeView(resource, stored, wanted)
  if (!seen) {
    seen = new WeakMap()
    views.set(stored, seen)
  }
  seen.set(resource, view)
  return view
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

/** The object as it is stored. Its parts are shared with what was given, which was pruned and defaulted. */
export function toStorage(resource: Resource, object: KubeObject): KubeObject {
  if (resource.stored) return resource.stored.toStored(object)
  const stored = groupVersion({ group: resource.group, version: resource.storageVersion })
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
