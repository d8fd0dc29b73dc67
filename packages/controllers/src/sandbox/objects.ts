/** The kinds that the Sandbox controller reads and writes. */
import {
  controllerOf,
  controllerReference,
  EXTENSIONS_GROUP,
  type ObjectMeta,
  type OwnerReference,
  referenceGroup,
  type Sandbox,
} from '@caisson/api'
import { type Resource, resources, sandboxes, type Typed } from '@caisson/client'
import type * as core from 'kubernetes-types/core/v1.d.ts'
import { type DeleteWrite, writeId } from '../engine/plan.ts'

export type Pod = Typed<core.Pod>
export type Service = Typed<core.Service>
export type PersistentVolumeClaim = Typed<core.PersistentVolumeClaim>

export const SANDBOXES = sandboxes
export const PODS = resources.pods
export const SERVICES = resources.services
export const CLAIMS = resources.persistentVolumeClaims

/** What every object that a server gave us has. */
export interface Stored {
  kind: string
  metadata: ObjectMeta
}

export interface Identity {
  name: string
  namespace: string
  uid: string
  resourceVersion: string
}

/** Throws a TypeError for an object that no server has stored. */
export function identityOf(object: Stored): Identity {
  const { name, namespace, uid, resourceVersion } = object.metadata
  if (!name || !namespace || !uid || !resourceVersion) {
    const named = `${object.kind} ${namespace ?? ''}/${name ?? ''}`
    throw new TypeError(`${named} is not as a server stores it: name, namespace, uid and resourceVersion are needed`)
  }
  return { name, namespace, uid, resourceVersion }
}

/** Deletes this very object, never another that has its name. */
export function deletionOf(resource: Resource, object: Stored): DeleteWrite {
  return deletionAt(resource, identityOf(object))
}

/** The same, only where it is as it was seen: its end may have been put off, or it may have been given to somebody. */
export function deletionAsSeen(resource: Resource, object: Stored): DeleteWrite {
  return { ...deletionOf(resource, object), resourceVersion: identityOf(object).resourceVersion }
}

/** Deletes the object with that UID, where no more is known of it. */
export function deletionAt(
  resource: Resource,
  { name, namespace, uid }: Pick<Identity, 'name' | 'namespace' | 'uid'>,
): DeleteWrite {
  return { verb: 'delete', id: writeId('delete', resource, name), resource, target: { namespace, name }, uid }
}

/** The controller reference that a Sandbox's children carry: in the version that it was read in, since that one is served. */
export function sandboxReference(sandbox: Sandbox): OwnerReference {
  return controllerReference({ ...sandbox, kind: SANDBOXES.kind })
}

/** Whether a warm pool has it, and no claim yet. */
export function isPoolMember(sandbox: { metadata: ObjectMeta }): boolean {
  const owner = controllerOf(sandbox)
  return owner?.kind === 'SandboxWarmPool' && referenceGroup(owner) === EXTENSIONS_GROUP
}

/** `Sandbox/x (UID: y)`, as error messages name the controller of somebody else's object. */
export function describeOwner(owner: OwnerReference): string {
  return `${owner.kind}/${owner.name} (UID: ${owner.uid})`
}
