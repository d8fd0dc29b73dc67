/** One stored object, several versions that it can be seen in. Conversion None: versions differ in apiVersion alone. */
import type { KubeObject } from '@caisson/api'
import { groupVersion } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import { deepFreeze } from '../storage/freeze.ts'

// One view for one stored state, so that its text is encoded once and informers of both versions share what they hold.
const views = new WeakMap<KubeObject, KubeObject>()

/** The stored object as clients of `resource`'s version see it: frozen. */
export function fromStorage(resource: Resource, stored: KubeObject): KubeObject {
  const wanted = groupVersion(resource)
  if (stored.apiVersion === wanted) return stored
  const known = views.get(stored)
  if (known?.apiVersion === wanted) return known
  const view = resource.stored ? deepFreeze(resource.stored.fromStored(stored)) : inVersion(stored, wanted)
  views.set(stored, view)
  return view
}

/** The object as it is stored. Its parts are shared with what was given. */
export function toStorage(resource: Resource, object: KubeObject): KubeObject {
  if (resource.stored) return resource.stored.toStored(object)
  const stored = groupVersion({ group: resource.group, version: resource.storageVersion })
  if (object.apiVersion === stored) return object
  const { kind, apiVersion: _, ...rest } = object
  return { kind, apiVersion: stored, ...rest } as KubeObject
}

function inVersion({ kind, apiVersion: _, ...rest }: KubeObject, apiVersion: string): KubeObject {
  return Object.freeze({ kind, apiVersion, ...rest })
}
