/** Numbers that may not be negative, and those that may be percentages. */
import { type IntOrPercent, percentOf } from '@caisson/api'
import type { FieldError } from '../../status-error.ts'
import { invalidValue } from '../field-error.ts'

export function validateNonNegative(value: number | undefined, path: string, errors: FieldError[]): void {
  if (value !== undefined && value < 0) {
    errors.push(invalidValue(path, value, 'must be greater than or equal to 0'))
  }
}

const NOT_A_PERCENTAGE =
  "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"

export function validateIntOrPercent(value: IntOrPercent, path: string, errors: FieldError[]): void {
  if (typeof value === 'number') validateNonNegative(value, path, errors)
  else if (percentOf(value) === undefined) errors.push(invalidValue(path, value, NOT_A_PERCENTAGE))
}

export function validateAtMostAll(value: IntOrPercent, path: string, errors: FieldError[]): void {
  if ((percentOf(value) ?? 0) > 100) errors.push(invalidValue(path, value, 'must not be greater than 100%'))
}

/** Whether it is no number and no share at all: 0, `0%`, or text that means nothing. */
export function isZero(value: IntOrPercent): boolean {
  if (typeof value === 'number') return value === 0
  // Go reads the number that a text is, where it is one.
  return (percentOf(value) ?? (/^[+-]?[0-9]+$/.test(value) ? Number(value) : 0)) === 0
}

/** `conditionCount`s that tell two names apart must never go back. */
export function validateNotDecremented(
  next: number | undefined,
  current: number | undefined,
  path: string,
  errors: FieldError[],
): void {
  if (current !== undefined && (next ?? -1) < current) {
    errors.push(invalidValue(path, next ?? 0, 'cannot be decremented'))
  }
}
