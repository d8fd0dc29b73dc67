import { readFileSync } from 'node:fs'
import type { StructuralSchema } from './structural-schema.ts'

export interface GeneratedSchema {
  spec: StructuralSchema
  /** SandboxTemplates have none. */
  status?: StructuralSchema
}

// Each written out, so that a bundler finds them.
const FILES = {
  sandbox: new URL('../generated/sandbox-schema.json', import.meta.url),
  snapshot: new URL('../generated/snapshot-schema.json', import.meta.url),
  template: new URL('../generated/template-schema.json', import.meta.url),
  claim: new URL('../generated/claim-schema.json', import.meta.url),
  pool: new URL('../generated/pool-schema.json', import.meta.url),
  'flat-template': new URL('../generated/flat-template-schema.json', import.meta.url),
  'flat-claim': new URL('../generated/flat-claim-schema.json', import.meta.url),
  'flat-pool': new URL('../generated/flat-pool-schema.json', import.meta.url),
} as const

const read = new Map<keyof typeof FILES, GeneratedSchema>()

/**
 * The structural schemas of a kind's spec and status, with core types as references to their names. Written by
 * scripts/generate-crds.ts from the kind's zod schema, read on first use.
 */
export function generatedSchema(kind: keyof typeof FILES): Required<GeneratedSchema> {
  let schema = read.get(kind)
  if (!schema) {
    schema = JSON.parse(readFileSync(FILES[kind], 'utf8')) as GeneratedSchema
    read.set(kind, schema)
  }
  return { status: { type: 'object' }, ...schema }
}
