/** Paths that a tenant names and a node follows: none may lead out of where it starts. */
import type { FieldError } from '../../status-error.ts'
import { invalidValue } from '../field-error.ts'

export function validateNoBacksteps(path: string, field: string, errors: FieldError[]): boolean {
  if (!path.split('/').includes('..')) return true
  errors.push(invalidValue(field, path, "must not contain '..'"))
  return false
}

/** Relative, without a way up. */
export function validateLocalDescendingPath(path: string, field: string, errors: FieldError[]): void {
  if (path.startsWith('/')) errors.push(invalidValue(field, path, 'must be a relative path'))
  validateNoBacksteps(path, field, errors)
}

/** Also not one of the names that volumes keep for themselves (`..data`). */
export function validateLocalNonReservedPath(path: string, field: string, errors: FieldError[]): void {
  validateLocalDescendingPath(path, field, errors)
  if (path.startsWith('..') && !path.startsWith('../')) {
    errors.push(invalidValue(field, path, "must not start with '..'"))
  }
}
