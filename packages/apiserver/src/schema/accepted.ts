/**
 * Which objects have passed validation, and by which schema. What the next state shares with such a one is not looked at
 * again: nothing is wrong with it. Where something was, and forgiven for being as it was before, the object is none of
 * these: whether it is forgiven again depends on what stands around it.
 */
import type { Schema } from './schema.ts'

const acceptedBy = new WeakMap<object, Schema>()
const forgiven = new WeakMap<object, readonly string[]>()

/**
 * Something is wrong with the object, or with its status, and was forgiven.
 *
 * @param warnings what the client is to hear of it
 */
export function noteForgiven(object: unknown, warnings: readonly string[] = []): void {
  if (typeof object === 'object' && object !== null)
    forgiven.set(object, [...(forgiven.get(object) ?? []), ...warnings])
}

/** What was forgiven of the object and is to be told. */
export function forgivenWarnings(object: object): readonly string[] {
  return forgiven.get(object) ?? []
}

/**
 * What is stored of `object`, which has passed `validate`, or `validateStatus` in the place of one that had. Nothing
 * is remembered where that took forgiveness.
 */
export function rememberAccepted(schema: Schema, object: object, stored: object): void {
  if (!forgiven.has(object)) acceptedBy.set(stored, schema)
}

export function isAccepted(schema: Schema, object: unknown): boolean {
  return typeof object === 'object' && object !== null && acceptedBy.get(object) === schema
}
