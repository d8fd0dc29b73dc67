/** SandboxClaim: asks for a Sandbox, out of a pool or made from a template. What each field means is in claim-schema.ts. */
import type { z } from 'zod'
import type { KubeObject } from '../object.ts'
import type * as schema from './claim-schema.ts'

/** As a server may store it: with other schemas the defaults can be missing. */
export type SandboxClaimSpec = z.input<typeof schema.claimSpec>
export type SandboxClaimStatus = z.input<typeof schema.claimStatus>
export type ClaimEnvVar = NonNullable<SandboxClaimSpec['env']>[number]

export interface SandboxClaim extends KubeObject {
  kind: 'SandboxClaim'
  spec: SandboxClaimSpec
  status?: SandboxClaimStatus
}
