import type { KubeObject, OwnerReference } from '@caisson/api'
import { canonicalJson } from '../schema/canonical-json.ts'

/** Drops owner references that occur twice, with the warning that kube-apiserver gives. */
export function dedupOwnerReferences(object: KubeObject, warnings: string[], afterAdmission: boolean): void {
  const references = object.metadata.ownerReferences
  if (!references || references.length < 2) return
  const kept: OwnerReference[] = []
  const duplicates: string[] = []
  // By their text: a body has room for tens of thousands, too many to compare each with each.
  const seen = new Set<string>()
  for (const reference of references) {
    const text = canonicalJson(reference)
    if (seen.has(text)) duplicates.push(reference.uid)
    else kept.push(reference)
    seen.add(text)
  }
  if (duplicates.length === 0) return
  object.metadata.ownerReferences = kept
  const when = afterAdmission ? ' after mutating admission happens' : ''
  warnings.push(
    `.metadata.ownerReferences contains duplicate entries${when}; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: ${duplicates.join(', ')}`,
  )
}
