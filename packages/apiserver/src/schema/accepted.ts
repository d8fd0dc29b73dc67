/**
 * Which objects have passed validation, and by which schema. What the next state shares with such a one is not looked at
 * again: nothing is wrong with it, or it was forgiven, and would be again for the same reason.
 */
import type { Schema } from './schema.ts'

const acceptedBy = new WeakMap<object, Schema>()

/** The object, which is stored, has passed `validate`, or `validateStatus` in the place of one that had. */
export function rememberAccepted(schema: Schema, object: object): void {
  acceptedBy.set(object, schema)
}

export function isAccepted(schema: Schema, object: unknown): boolean {
  return typeof object === 'object' && object !== null && acceptedBy.get(object) === schema
}
