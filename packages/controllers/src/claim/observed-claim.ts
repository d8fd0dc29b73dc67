import { ANNOTATIONS, type Sandbox, type SandboxClaim, type SandboxTemplate, type SandboxWarmPool } from '@caisson/api'
import type { SecretToBe } from '../blueprint/warm-env.ts'
import type { WriteFailure } from '../engine/plan.ts'
import type { NetworkPolicy } from '../template/network-policy.ts'
import type { PolicyFailure } from '../template/policy-failures.ts'
import type { Offer } from './adoption.ts'
import type { EnvValues, SentSecret } from './env-delivery.ts'

/** Everything that a claim's plan depends on. */
export interface ObservedClaim {
  claim: SandboxClaim
  /** The Sandbox that the status names. */
  bound: Sandbox | undefined
  /** The Sandbox that was written down for the claim. */
  assigned: Sandbox | undefined
  /** What there is of the name of the pool that this Sandbox says it is of. */
  assignedPool: SandboxWarmPool | undefined
  /** The Sandbox that has the claim's own name. */
  namesake: Sandbox | undefined
  /** What the claim asks, by name, and what there is of that name. */
  pool: { name: string; found: SandboxWarmPool | undefined } | undefined
  /** What a Sandbox is made from where there is none to take. */
  template: { name: string; found: SandboxTemplate | undefined } | undefined
  /** What has the name of that template's NetworkPolicy. */
  policy: NetworkPolicy | undefined
  /** Why that could not be written. */
  policyFailure: PolicyFailure | undefined
  /** An older template whose name has the same hash as that one's. */
  templateNamesake: string | undefined
  /** What has the name that a NetworkPolicy of the claim's own had, until agent-sandbox 0.2. */
  legacyPolicy: NetworkPolicy | undefined
  /** What the Sandbox that the claim has, or is being given, was made from. */
  origin: SandboxTemplate | undefined
  /** What the pool has for the claim; `none` unless it needs something. */
  offer: Offer
  /** When the controller first saw the claim, ms since the epoch, as finely as the clock has it. */
  firstObservedAt: number
  /** Whether many claims of its pool wait at once. */
  crowded: boolean
  /** The claim's variables, where they can be given to what is there already; undefined where there is nothing to give. */
  env?: ClaimEnv
  failures: readonly WriteFailure[]
}

export type ClaimEnv = Exclude<EnvValues, { kind: 'known' }> | { kind: 'known'; secrets: readonly EnvSecret[] }

/** A Secret that gives variables to the claim's Sandbox, and what has its name as far as that is known. */
export interface EnvSecret {
  wanted: SecretToBe
  sent: SentSecret | undefined
}

/** The name of the Sandbox that was written down for the claim. */
export function assignedName({ metadata }: Pick<SandboxClaim, 'metadata'>): string | undefined {
  return metadata.annotations?.[ANNOTATIONS.sandboxName] || metadata.labels?.[ANNOTATIONS.sandboxName] || undefined
}

/** Whether the claim brings along what no Sandbox that is there already can have. */
export function needsColdStart({ claim: { spec }, env }: Pick<ObservedClaim, 'claim' | 'env'>): boolean {
  return Boolean(spec.volumeClaimTemplates?.length) || (Boolean(spec.env?.length) && env?.kind !== 'known')
}
