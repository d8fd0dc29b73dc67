import type { KubeObject, OwnerReference } from './object.ts'

/** The reference to the object's controller, if it has one. */
export function controllerOf(object: Pick<KubeObject, 'metadata'>): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller)
}

/** A controller reference to `owner`, which must have come from a server (it has a name and a UID). */
export function controllerReference(owner: KubeObject): OwnerReference {
  const { name, uid } = owner.metadata
  if (!name || !uid)
    throw new TypeError(`an owner needs a name and a uid, got ${name ?? 'no name'} and ${uid ?? 'no uid'}`)
  return { apiVersion: owner.apiVersion, kind: owner.kind, name, uid, controller: true, blockOwnerDeletion: true }
}

/** The API group of a reference: empty for the core group. */
export function referenceGroup(reference: Pick<OwnerReference, 'apiVersion'>): string {
  const slash = reference.apiVersion.indexOf('/')
  return slash < 0 ? '' : reference.apiVersion.slice(0, slash)
}

/** How an object stands to an owner: controlled by it, by nothing, or by something else. */
export type Ownership = 'owned' | 'unowned' | 'foreign'

/** Decides by UID, never by name: a name can be taken again by another object. */
export function ownershipOf(object: Pick<KubeObject, 'metadata'>, owner: Pick<KubeObject, 'metadata'>): Ownership {
  const controller = controllerOf(object)
  if (!controller) return 'unowned'
  return controller.uid === owner.metadata.uid ? 'owned' : 'foreign'
}
