import { ANNOTATIONS, controllerOf, LABELS, nameHash, ownershipOf, type Sandbox } from '@caisson/api'
import type { Resource } from '@caisson/client'
import { type PatchWrite, writeId } from '../engine/plan.ts'
import { describeOwner, identityOf, type Stored, sandboxReference } from './objects.ts'

export type Adoption = { kind: 'owned' } | { kind: 'adoptable' } | { kind: 'refused'; message: string }

/**
 * Whether a Sandbox may use an object that has the name of one of its own. What another controller owns, never; what
 * nobody controls only where somebody allowed it, by the adoptable label or by the Sandbox's own name hash.
 *
 * @param called the kind in error messages: `pod`, `service`, `PVC`
 */
export function judgeAdoption(sandbox: Sandbox, object: Stored, called: string): Adoption {
  const name = object.metadata.name ?? ''
  const ownership = ownershipOf(object, sandbox)
  if (ownership === 'owned') return { kind: 'owned' }
  const owner = controllerOf(object)
  if (owner) {
    return {
      kind: 'refused',
      message: `${called} "${name}" is owned by ${describeOwner(owner)}, not by sandbox "${sandbox.metadata.name ?? ''}"`,
    }
  }
  const labels = object.metadata.labels ?? {}
  const allowed =
    labels[LABELS.adoptable] === 'true' || labels[LABELS.sandboxNameHash] === nameHash(sandbox.metadata.name ?? '')
  if (allowed) return { kind: 'adoptable' }
  return {
    kind: 'refused',
    message: `cannot adopt unowned ${called} "${name}": missing required pool authorization label ("${LABELS.adoptable}") or sandbox tracking label ("${LABELS.sandboxNameHash}")`,
  }
}

/** Takes an object over. Fails if anything happened to it meanwhile: somebody else may have taken it. */
export function adoptionPatch(
  sandbox: Sandbox,
  object: Stored,
  resource: Resource,
  more: { metadata?: object; spec?: object } = {},
): PatchWrite {
  const { name, namespace, uid, resourceVersion } = identityOf(object)
  const ownerReferences = [...(object.metadata.ownerReferences ?? []), sandboxReference(sandbox)]
  return {
    verb: 'patch',
    id: writeId('patch', resource, name),
    resource,
    target: { namespace, name },
    patch: {
      ...(more.spec && { spec: more.spec }),
      metadata: { ...more.metadata, uid, resourceVersion, ownerReferences },
    },
  }
}

/** The name of the Sandbox's Pod: its own, unless an older controller recorded another. */
export function podNameOf(sandbox: Sandbox): string {
  return sandbox.metadata.annotations?.[ANNOTATIONS.podName] || (sandbox.metadata.name ?? '')
}
