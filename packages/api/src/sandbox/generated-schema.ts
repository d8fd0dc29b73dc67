import { readFileSync } from 'node:fs'
import type { StructuralSchema } from '../schema/structural-schema.ts'

export interface GeneratedSandboxSchema {
  spec: StructuralSchema
  status: StructuralSchema
}

let read: GeneratedSandboxSchema | undefined

/**
 * The structural schemas of a Sandbox's spec and status, with core types as references to their names. Written by
 * scripts/generate-crds.ts from sandbox-schema.ts, read on first use.
 */
export function generatedSandboxSchema(): GeneratedSandboxSchema {
  read ??= JSON.parse(
    readFileSync(new URL('../generated/sandbox-schema.json', import.meta.url), 'utf8'),
  ) as GeneratedSandboxSchema
  return read
}
