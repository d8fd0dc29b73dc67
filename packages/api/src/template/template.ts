/** SandboxTemplate: what pools and claims make Sandboxes from. What each field means is in template-schema.ts. */
import type { z } from 'zod'
import type { KubeObject } from '../object.ts'
import type * as schema from './template-schema.ts'

export const NETWORK_POLICY_MANAGEMENTS = ['Managed', 'Unmanaged'] as const

/** Whether a claim may bring something along, and whether it may replace what the template has. */
export const INJECTION_POLICIES = ['Allowed', 'Overrides', 'Disallowed'] as const
export type InjectionPolicy = (typeof INJECTION_POLICIES)[number]

export const ENV_DELIVERIES = ['ColdStart', 'Warm'] as const

/** As a server may store it: with older schemas the defaults can be missing. */
export type SandboxTemplateSpec = z.input<typeof schema.templateSpec>

export interface SandboxTemplate extends KubeObject {
  kind: 'SandboxTemplate'
  spec: SandboxTemplateSpec
}
