import { readFileSync } from 'node:fs'
import type { StructuralSchema } from './structural-schema.ts'

export interface GeneratedSchema {
  spec: StructuralSchema
  status: StructuralSchema
}

const read = new Map<'sandbox' | 'snapshot', GeneratedSchema>()

/**
 * The structural schemas of a kind's spec and status, with core types as references to their names. Written by
 * scripts/generate-crds.ts from the kind's zod schema, read on first use.
 */
export function generatedSchema(kind: 'sandbox' | 'snapshot'): GeneratedSchema {
  const known = read.get(kind)
  if (known) return known
  const file =
    kind === 'sandbox'
      ? new URL('../generated/sandbox-schema.json', import.meta.url)
      : new URL('../generated/snapshot-schema.json', import.meta.url)
  const schema = JSON.parse(readFileSync(file, 'utf8')) as GeneratedSchema
  read.set(kind, schema)
  return schema
}
