/**
 * The schemas of Kubernetes' built-in kinds, from schema/generated/ (made by scripts/generate-schemas.ts).
 *
 * Each API group's file is read and parsed when one of its definitions is first asked for: parsing all of them at start
 * would be paid by every `caisson run`.
 */
import { readFileSync } from 'node:fs'
import type { Schema } from './schema.ts'

/** A generated schema also says how Go holds a field: its type as decoding errors name it, then `omitempty` or `omitzero`. */
export interface NativeSchema extends Schema {
  'x-go'?: string
}

const files = new Map<string, ReadonlyMap<string, Schema>>()
const resolved = new WeakMap<Schema, Schema>()

/**
 * The definition of that name, such as `io.k8s.api.core.v1.Pod`. Its parts still refer to others: read them through
 * `resolve`. Always the same object for the same name.
 */
export function builtinSchema(name: string): Schema {
  const at = name.lastIndexOf('.')
  const definition = readDefinitions(name.slice(0, at)).get(name.slice(at + 1))
  if (!definition) throw new Error(`no built-in definition ${name}: add it to scripts/generate-schemas.ts`)
  return definition
}

/** Follows `$ref`; what stands beside the reference (default, patch strategy …) stays. */
export function resolve(schema: Schema): Schema {
  if (schema.$ref === undefined) return schema
  let merged = resolved.get(schema)
  if (!merged) {
    const { $ref, ...beside } = schema
    merged = { ...builtinSchema($ref), ...beside }
    resolved.set(schema, merged)
  }
  return merged
}

/** Names of all definitions in the file of `prefix`, such as `io.k8s.api.core.v1`. */
function readDefinitions(prefix: string): ReadonlyMap<string, Schema> {
  let definitions = files.get(prefix)
  if (!definitions) {
    if (!/^io\.k8s\.[\w.-]+$/.test(prefix)) throw new Error(`not a built-in definition: ${prefix}`)
    const text = readFileSync(new URL(`./generated/${prefix}.json`, import.meta.url), 'utf8')
    definitions = new Map(Object.entries(JSON.parse(text) as Record<string, Schema>))
    files.set(prefix, definitions)
  }
  return definitions
}
