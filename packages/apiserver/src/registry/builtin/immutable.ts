import type { FieldError } from '../../status-error.ts'
import { invalidValue } from '../field-error.ts'
import { deepEqual } from './deep-equal.ts'

/** `ValidateImmutableField`: the field may not change at all. */
export function immutable(next: unknown, current: unknown, path: string, errors: FieldError[]): void {
  if (!deepEqual(next, current)) errors.push(invalidValue(path, next ?? null, 'field is immutable'))
}
