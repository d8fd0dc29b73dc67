import type { CrdSchema } from './crd.ts'

/** Calls `visit` for a schema and every schema inside of it. */
export function visitSchemas(schema: CrdSchema | undefined, visit: (schema: CrdSchema) => void): void {
  if (!schema) return
  visit(schema)
  const { items, additionalProperties, not } = schema
  if (items) for (const one of Array.isArray(items) ? items : [items]) visitSchemas(one, visit)
  if (typeof additionalProperties === 'object') visitSchemas(additionalProperties, visit)
  visitSchemas(not, visit)
  for (const branch of [...(schema.allOf ?? []), ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]) {
    visitSchemas(branch, visit)
  }
  for (const property of Object.values(schema.properties ?? {})) visitSchemas(property, visit)
}
