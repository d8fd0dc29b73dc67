import type { KubeObject } from '@caisson/api'
import type { FieldError } from '../../status-error.ts'
import { invalidValue } from '../field-error.ts'
import { nameIsLabel, qualifiedName } from '../names.ts'
import type { Strategy } from '../resource.ts'

interface Namespace extends KubeObject {
  spec?: { finalizers?: string[] }
  status?: { phase?: string; conditions?: unknown[] }
}

/** The label by which NetworkPolicies and selectors can name a namespace. */
const NAME_LABEL = 'kubernetes.io/metadata.name'

const STANDARD_FINALIZERS = new Set(['kubernetes', 'orphan', 'foregroundDeletion'])

export const namespaceStrategy: Strategy = {
  nameRule: nameIsLabel,
  generation: false,
  returnsDeleted: true,
  defaults(object) {
    const namespace = object as Namespace
    if (namespace.metadata.name) labelWithName(namespace)
    namespace.status = { ...namespace.status, phase: namespace.status?.phase || 'Active' }
  },
  prepareForCreate(object) {
    const namespace = object as Namespace
    // Once more: a generated name was not known when defaults were filled in.
    labelWithName(namespace)
    namespace.status = { phase: 'Active' }
    const finalizers = namespace.spec?.finalizers ?? []
    if (!finalizers.includes('kubernetes')) finalizers.push('kubernetes')
    namespace.spec = { ...namespace.spec, finalizers }
  },
  mayVanish: (object) => ((object as Namespace).spec?.finalizers ?? []).length === 0,
  prepareForDeletion(object) {
    object.status = { ...(object as Namespace).status, phase: 'Terminating' }
  },
  prepareForUpdate(next, current) {
    // Finalizers of the spec go through the `finalize` subresource alone.
    next.spec = structuredClone(current.spec)
    next.status = structuredClone(current.status)
    labelWithName(next as Namespace)
  },
  validate(object) {
    const errors: FieldError[] = []
    for (const name of (object as Namespace).spec?.finalizers ?? []) validateFinalizer(name, 'spec.finalizers', errors)
    return errors
  },
  validateUpdate: (next) => namespaceStrategy.validate?.(next) ?? [],
  validateStatusUpdate(next) {
    const { metadata, status } = next as Namespace
    const phase = status?.phase ?? ''
    if (!metadata.deletionTimestamp) {
      if (phase === 'Active') return []
      return [invalidValue('status.Phase', phase, "may only be 'Active' if `deletionTimestamp` is empty")]
    }
    if (phase === 'Terminating') return []
    return [invalidValue('status.Phase', phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")]
  },
}

/** What is wrong with the finalizers that a request to `namespaces/NAME/finalize` leaves. */
export function validateFinalize(next: KubeObject): FieldError[] {
  const errors: FieldError[] = []
  ;((next as Namespace).spec?.finalizers ?? []).forEach((name, index) => {
    validateFinalizer(name, `spec.finalizers[${index}]`, errors)
  })
  return errors
}

function labelWithName({ metadata }: Namespace): void {
  metadata.labels = { ...metadata.labels, [NAME_LABEL]: metadata.name ?? '' }
}

function validateFinalizer(name: string, path: string, errors: FieldError[]): void {
  for (const said of qualifiedName(name)) errors.push(invalidValue(path, name, said))
  if (!name.includes('/') && !STANDARD_FINALIZERS.has(name)) {
    errors.push(invalidValue(path, name, 'name is neither a standard finalizer name nor is it fully qualified'))
  }
}
