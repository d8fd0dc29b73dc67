import type { FieldError } from '../status-error.ts'
import { invalidValue } from './field-error.ts'

/** Of a field manager's name. */
export const FIELD_MANAGER_LIMIT = 128

const PRINTABLE_ASCII = /^[\x20-\x7e]*$/

/** An error for each character of a field manager's name that cannot be printed. */
export function unprintableIn(manager: string, field: string): FieldError[] {
  if (PRINTABLE_ASCII.test(manager)) return []
  const errors: FieldError[] = []
  let position = 0
  // What is beyond is too long already; saying so of each of its characters would say the whole of it each time.
  for (const character of manager.slice(0, FIELD_MANAGER_LIMIT)) {
    if (!/^[ \p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(character)) {
      const code = (character.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0')
      errors.push(invalidValue(field, manager, `invalid character U+${code} (at position ${position})`))
    }
    position += Buffer.byteLength(character)
  }
  return errors
}
