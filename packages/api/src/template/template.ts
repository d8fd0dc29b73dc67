/** SandboxTemplate: what pools and claims make Sandboxes from. What each field means is in template-schema.ts. */
import type { z } from 'zod'
import type { KubeObject } from '../object.ts'
import type * as schema from './template-schema.ts'

/** As a server may store it: with older schemas the defaults can be missing. */
export type SandboxTemplateSpec = z.input<typeof schema.templateSpec>

export interface SandboxTemplate extends KubeObject {
  kind: 'SandboxTemplate'
  spec: SandboxTemplateSpec
}
