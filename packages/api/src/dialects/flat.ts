/**
 * The flat kinds: SandboxTemplate, SandboxClaim and SandboxWarmPool in the group of Sandbox itself, `v1alpha1`, as manifests
 * from before the extensions group spell them. They have every field of the canonical kinds and some other words for them.
 */
import type { z } from 'zod'
import { AGENTS_GROUP } from '../keys.ts'
import type { KubeObject } from '../object.ts'
import type * as schema from './flat-schema.ts'

export const FLAT_API_VERSION = `${AGENTS_GROUP}/v1alpha1`

export type FlatTemplateSpec = z.input<typeof schema.flatTemplateSpec>
export type FlatClaimSpec = z.input<typeof schema.flatClaimSpec>
export type FlatPoolSpec = z.input<typeof schema.flatPoolSpec>

/** How a flat object stands to its canonical one: both said the same when they had these generations. */
export interface Agreement {
  uid: string
  generation: number
  fromGeneration: number
}

export interface FlatTemplate extends KubeObject {
  kind: 'SandboxTemplate'
  spec: FlatTemplateSpec
  status?: z.input<typeof schema.flatTemplateStatus>
}

export interface FlatClaim extends KubeObject {
  kind: 'SandboxClaim'
  spec: FlatClaimSpec
  status?: z.input<typeof schema.flatClaimStatus>
}

export interface FlatPool extends KubeObject {
  kind: 'SandboxWarmPool'
  spec: FlatPoolSpec
  status?: z.input<typeof schema.flatPoolStatus>
}

/** The condition of a flat object that is the dialect's own; all others are those of the canonical object. */
export const TRANSLATED = 'caisson.dev/Translated'

export const TRANSLATED_REASONS = {
  translated: 'Translated',
  /** A field says nothing that the canonical kind could say. */
  invalidField: 'InvalidField',
  /** There is a canonical object of the name that was not made from this one. */
  nameTaken: 'NameTaken',
  /** The API server refuses the canonical object for good. */
  refused: 'Refused',
  /** It could not be written, and will be tried again. */
  failed: 'WriteFailed',
} as const
