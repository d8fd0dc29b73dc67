/** `x-kubernetes-list-type`: elements of a set and keys of a map appear once. */
import { isObject, type JsonObject } from '../patch/json-value.ts'
import type { FieldError } from '../status-error.ts'
import { ABSENT } from './absent.ts'
import { resolve } from './builtin.ts'
import { canonicalJson } from './canonical-json.ts'
import { goValue } from './go-value.ts'
import type { Schema } from './schema.ts'
import { visitParts } from './visit-parts.ts'

/**
 * What appears twice in `value`, or in lists inside of it; each such element once.
 *
 * @param accepted a value that nothing is to be said of: parts that are the very same are left out
 */
export function validateListTypes(schema: Schema, value: unknown, path = '', accepted: unknown = ABSENT): FieldError[] {
  const errors: FieldError[] = []
  visitParts(resolve(schema), value, { path, accepted }, (schema, part, at) => {
    if (!Array.isArray(part)) return
    const type = schema['x-kubernetes-list-type']
    if (type === 'set') checkUnique(part, part, at, errors)
    else if (type === 'map') checkMap(schema, part, at, errors)
  })
  return errors
}

function checkMap(schema: Schema, value: readonly unknown[], path: string, errors: FieldError[]): void {
  for (const [index, item] of value.entries()) {
    if (item === null || isObject(item)) continue
    const message = `Invalid value: ${goValue(item)}: must be an object for an array of list-type map`
    errors.push({ type: 'FieldValueInvalid', field: `${path}[${index}]`, message })
    return
  }
  const keys = schema['x-kubernetes-list-map-keys'] ?? []
  checkUnique(
    value.map((item) => keysOf(item, keys)),
    value,
    path,
    errors,
  )
}

/** The members that identify an item. A missing one is not the same as null. */
function keysOf(item: unknown, keys: readonly string[]): JsonObject {
  const found: JsonObject = {}
  for (const key of keys) if (isObject(item) && Object.hasOwn(item, key)) define(found, key, item[key])
  return found
}

function define(object: JsonObject, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
}

function checkUnique(
  identities: readonly unknown[],
  value: readonly unknown[],
  path: string,
  errors: FieldError[],
): void {
  if (value.length < 2) return
  const seen = new Map<string, number>()
  for (const [index, identity] of identities.entries()) {
    const text = canonicalJson(identity)
    const times = seen.get(text) ?? 0
    seen.set(text, times + 1)
    if (times !== 1) continue
    const message = `Duplicate value: ${goValue(identity)}`
    errors.push({ type: 'FieldValueDuplicate', field: `${path}[${index}]`, message })
  }
}
