/**
 * Sandbox: one Pod with a stable name, storage and an optional headless Service, that can be suspended, resumed and
 * given an end. What each field means is in sandbox-schema.ts.
 */
import type { z } from 'zod'
import type { KubeObject } from '../object.ts'
import type * as schema from './sandbox-schema.ts'

export type PodTemplate = z.input<typeof schema.podTemplate>
export type PersistentVolumeClaimTemplate = z.input<typeof schema.persistentVolumeClaimTemplate>
export type SandboxBlueprint = z.input<typeof schema.sandboxBlueprint>
/** As a server may store it: with older schemas the defaults can be missing. */
export type SandboxSpec = z.input<typeof schema.sandboxSpec>
export type SandboxStatus = z.input<typeof schema.sandboxStatus>

export interface Sandbox extends KubeObject {
  kind: 'Sandbox'
  spec: SandboxSpec
  status?: SandboxStatus
}
