/** What an update through each door may change, and what is asked of the result: the object itself, `status`, and others. */
import type { KubeObject } from '@caisson/api'
import type { Resource, StrategyContext } from '../registry/resource.ts'
import { validate, validateStatus } from '../schema/validate.ts'
import type { FieldError } from '../status-error.ts'
import { deepEqual } from '../storage/freeze.ts'

export interface UpdateRules {
  /** Puts back in `next` (which is private) what this door does not change. Metadata's own rules come on top. */
  prepare(next: KubeObject, current: KubeObject, context: StrategyContext): void
  validate(next: KubeObject, current: KubeObject): FieldError[]
  warnings(next: KubeObject, current: KubeObject): readonly string[]
  raisesGeneration: boolean
  /** Whether `validate` looks at the whole object. */
  validatesAll: boolean
}

const NONE: readonly string[] = []

/** PUT, PATCH and apply of the object itself. */
export function objectRules(resource: Resource): UpdateRules {
  const { strategy } = resource
  return {
    prepare(next, current, context) {
      if (resource.status) setOrDelete(next, 'status', current.status)
      strategy.prepareForUpdate?.(next, current, context)
    },
    validate: (next, current) => [
      ...(resource.decode ? [] : validate(resource.schema, next, '', current)),
      ...(strategy.validateUpdate?.(next, current) ?? []),
    ],
    warnings: (next, current) => strategy.warnings?.(next, current) ?? NONE,
    raisesGeneration: strategy.generation === undefined,
    validatesAll: true,
  }
}

export function statusRules(resource: Resource): UpdateRules {
  const { strategy } = resource
  return {
    prepare(next, current, context) {
      if (strategy.prepareForStatusUpdate) strategy.prepareForStatusUpdate(next, current, context)
      else keepAllBut(next, current, ['status'])
      if (resource.custom) keepMetadata(next, current)
    },
    validate: (next, current) => [
      ...(resource.decode ? [] : validateStatus(resource.schema, next, current)),
      ...(strategy.validateStatusUpdate?.(next, current) ?? []),
    ],
    warnings: (next) => strategy.statusWarnings?.(next) ?? NONE,
    raisesGeneration: false,
    validatesAll: false,
  }
}

/** Everything but metadata and the fields named stays as it is. */
export function keepAllBut(next: KubeObject, current: KubeObject, fields: readonly string[]): void {
  const all = new Set([...Object.keys(next), ...Object.keys(current)])
  for (const field of all) if (field !== 'metadata' && !fields.includes(field)) setOrDelete(next, field, current[field])
}

/** Only who wrote it last is noted anew. */
export function keepMetadata(next: KubeObject, current: KubeObject): void {
  const { managedFields } = next.metadata
  next.metadata = { ...current.metadata }
  setOrDelete(next.metadata, 'managedFields', managedFields)
}

/** Anything but metadata; status counts where it is no subresource. */
export function contentChanged(next: KubeObject, current: KubeObject, resource: Resource): boolean {
  const fields = new Set([...Object.keys(next), ...Object.keys(current)])
  for (const field of fields) {
    if (field === 'metadata' || field === 'kind' || field === 'apiVersion') continue
    if (field === 'status' && resource.status) continue
    if (!deepEqual(next[field], current[field])) return true
  }
  return false
}

export function setOrDelete<T extends object, K extends keyof T>(target: T, key: K, value: T[K] | undefined): void {
  if (value === undefined) delete target[key]
  else target[key] = value
}
