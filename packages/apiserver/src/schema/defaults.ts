/** Structural defaulting: the defaults of a schema fill what an object leaves out. */
import { isObject, type JsonObject } from '../patch/json-value.ts'
import { nodeOf, type SchemaNode } from './node.ts'
import { setOwn } from './own-property.ts'
import type { Schema } from './schema.ts'

/**
 * Fills defaults into `value`, in place. A null where none is allowed counts as left out: it gives way to the default,
 * and is removed where there is none (from lists nothing is removed). Frozen parts are left alone: they are taken over
 * from a stored object that was defaulted by the same schema.
 */
export function applyDefaults(schema: Schema, value: unknown, { keepNulls = false }: DefaultOptions = {}): void {
  fill(nodeOf(schema), value, keepNulls)
}

export interface DefaultOptions {
  /** Leaves the nulls that have no default, which validation then refuses: what an apply states is taken by its word. */
  keepNulls?: boolean
}

function fill(node: SchemaNode, value: unknown, keepNulls: boolean): void {
  if (Array.isArray(value)) fillArray(node, value, keepNulls)
  else if (isObject(value)) fillObject(node, value, keepNulls)
}

function fillObject(node: SchemaNode, value: JsonObject, keepNulls: boolean): void {
  for (const key of node.defaulted) {
    if (!Object.hasOwn(value, key)) setOwn(value, key, node.property(key)?.defaultValue())
  }
  for (const key of Object.keys(value)) {
    const member = value[key]
    if (typeof member !== 'object' || (member !== null && Object.isFrozen(member))) continue
    const child = node.member(key)
    if (child === undefined) continue
    if (member !== null || child.schema.nullable) fill(child, member, keepNulls)
    else {
      const fallback = child.defaultValue()
      if (fallback === undefined) {
        if (!keepNulls) delete value[key]
      } else {
        setOwn(value, key, fallback)
        fill(child, fallback, keepNulls)
      }
    }
  }
}

function fillArray(node: SchemaNode, value: unknown[], keepNulls: boolean): void {
  const child = node.items
  if (child === undefined) return
  for (let index = 0; index < value.length; index++) {
    if (value[index] === null && !child.schema.nullable) value[index] = child.defaultValue() ?? null
    fill(child, value[index], keepNulls)
  }
}
