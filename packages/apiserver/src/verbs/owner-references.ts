import type { KubeObject, OwnerReference } from '@caisson/api'
import { deepEqual } from '../storage/freeze.ts'

/** Drops owner references that occur twice, with the warning that kube-apiserver gives. */
export function dedupOwnerReferences(object: KubeObject, warnings: string[], afterAdmission: boolean): void {
  const references = object.metadata.ownerReferences
  if (!references || references.length < 2) return
  const kept: OwnerReference[] = []
  const duplicates: string[] = []
  for (const reference of references) {
    if (kept.some((each) => each.uid === reference.uid && deepEqual(each, reference))) duplicates.push(reference.uid)
    else kept.push(reference)
  }
  if (duplicates.length === 0) return
  object.metadata.ownerReferences = kept
  const when = afterAdmission ? ' after mutating admission happens' : ''
  warnings.push(
    `.metadata.ownerReferences contains duplicate entries${when}; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: ${duplicates.join(', ')}`,
  )
}
