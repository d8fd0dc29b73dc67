import { isObject, memberOf } from '../patch/json-value.ts'
import { below } from '../shown-path.ts'
import { resolve } from './builtin.ts'
import type { Schema } from './schema.ts'

interface Place {
  path: string
  /** What was found in order at this place: where it is found again, it is not looked at. */
  accepted: unknown
}

/**
 * Shows each list and object of a value with its schema, a value before what is inside of it. What is the very same at its
 * place of `accepted` is left out, with all that it holds.
 */
export function visitParts(
  schema: Schema,
  value: unknown,
  { path, accepted }: Place,
  look: (schema: Schema, part: object, path: string) => void,
): void {
  if (value === accepted) return
  if (Array.isArray(value)) {
    look(schema, value, path)
    if (!schema.items) return
    const items = resolve(schema.items)
    for (let index = 0; index < value.length; index++) {
      if (typeof value[index] !== 'object') continue
      visitParts(
        items,
        value[index],
        { path: below(path, `[${index}]`, ''), accepted: memberOf(accepted, index) },
        look,
      )
    }
  } else if (isObject(value)) {
    look(schema, value, path)
    const { properties, additionalProperties } = schema
    for (const key of Object.keys(value)) {
      const child = value[key]
      if (typeof child !== 'object' || child === null) continue
      const isProperty = properties !== undefined && Object.hasOwn(properties, key)
      const inside = isProperty ? properties[key] : additionalProperties
      if (typeof inside !== 'object') continue
      const at = isProperty ? below(path, key) : below(path, `[${key}]`, '')
      visitParts(resolve(inside), child, { path: at, accepted: memberOf(accepted, key) }, look)
    }
  }
}
