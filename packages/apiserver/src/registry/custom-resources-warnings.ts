/** Finalizers without a domain collide; Kubernetes warns whoever adds one to a custom resource. */
import type { KubeObject } from '@caisson/api'
import { goQuote } from './field-error.ts'
import { qualifiedName } from './names.ts'

const STANDARD = new Set(['orphan', 'foregroundDeletion', 'kubernetes'])

/** @param current the object before an update: only what is new is warned about */
export function finalizerWarnings(object: KubeObject, current?: KubeObject): string[] {
  const known = new Set(current?.metadata.finalizers)
  const added = [...new Set(object.metadata.finalizers)].filter((finalizer) => !known.has(finalizer)).sort()
  return added.flatMap((finalizer) => {
    const warnings = qualifiedName(finalizer).map((said) => `metadata.finalizers: ${goQuote(finalizer)}: ${said}`)
    if (!finalizer.includes('/') && !STANDARD.has(finalizer)) {
      const path = finalizer.includes('.') ? ' including a path (/)' : ''
      warnings.push(
        `metadata.finalizers: ${goQuote(finalizer)}: prefer a domain-qualified finalizer name${path} to avoid accidental conflicts with other finalizer writers`,
      )
    }
    return warnings
  })
}
