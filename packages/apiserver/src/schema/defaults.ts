/** Structural defaulting: the defaults of a schema fill what an object leaves out. */
import { isObject, type JsonObject } from '../patch/json-value.ts'
import { setOwn } from './own-property.ts'
import { nodeOf, type SchemaNode } from './node.ts'
import type { Schema } from './schema.ts'

/**
 * Fills defaults into `value`, in place. A null where none is allowed counts as left out: it gives way to the default,
 * and is removed where there is none (from lists nothing is removed).
 */
export function applyDefaults(schema: Schema, value: unknown): void {
  fill(nodeOf(schema), value)
}

function fill(node: SchemaNode, value: unknown): void {
  if (Array.isArray(value)) fillArray(node, value)
  else if (isObject(value)) fillObject(node, value)
}

function fillObject(node: SchemaNode, value: JsonObject): void {
  for (const key of node.defaulted) {
    if (!Object.hasOwn(value, key)) setOwn(value, key, node.property(key)?.defaultValue())
  }
  for (const key of Object.keys(value)) {
    const member = value[key]
    if (typeof member !== 'object') continue
    const child = node.member(key)
    if (child === undefined) continue
    if (member !== null || child.schema.nullable) fill(child, member)
    else {
      const fallback = child.defaultValue()
      if (fallback === undefined) delete value[key]
      else {
        setOwn(value, key, fallback)
        fill(child, fallback)
      }
    }
  }
}

function fillArray(node: SchemaNode, value: unknown[]): void {
  const child = node.items
  if (child === undefined) return
  for (let index = 0; index < value.length; index++) {
    if (value[index] === null && !child.schema.nullable) value[index] = child.defaultValue() ?? null
    fill(child, value[index])
  }
}
