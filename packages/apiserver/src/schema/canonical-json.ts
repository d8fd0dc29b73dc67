import { isObject } from '../patch/json-value.ts'
import { setOwn } from './own-property.ts'

/** JSON with sorted keys: equal text for equal values, and no other. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(typeof value === 'object' ? sortedKeys(value) : value) ?? 'null'
}

/** A copy whose objects have their keys in order. */
export function sortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedKeys)
  if (!isObject(value)) return value
  const sorted: Record<string, unknown> = {}
  for (const key of Object.keys(value).sort()) setOwn(sorted, key, sortedKeys(value[key]))
  return sorted
}
