/** SandboxWarmPool: Sandboxes that wait for claims. What each field means is in pool-schema.ts. */
import type { z } from 'zod'
import type { KubeObject } from '../object.ts'
import type * as schema from './pool-schema.ts'

/** As a server may store it: with other schemas the defaults can be missing. */
export type SandboxWarmPoolSpec = z.input<typeof schema.poolSpec>
export type SandboxWarmPoolStatus = z.input<typeof schema.poolStatus>

export interface SandboxWarmPool extends KubeObject {
  kind: 'SandboxWarmPool'
  spec: SandboxWarmPoolSpec
  status?: SandboxWarmPoolStatus
}
