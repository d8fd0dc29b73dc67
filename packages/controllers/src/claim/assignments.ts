/**
 * For whom the members of pools are kept that are written down in claims. Whoever writes claims may write any member into
 * any of them; it counts for those alone that can take it now. What another one says stays written, and counts once that
 * can: taken back on a cache that is behind, it would lose a claim the Sandbox that it has taken already.
 */
import { ANNOTATIONS, type Sandbox, type SandboxClaim, type SandboxTemplate, type SandboxWarmPool } from '@caisson/api'
import { type Informer, joinKey, keyOf } from '@caisson/client'
import { sentEnvProblem, takesWarmEnv } from '../blueprint/warm-env.ts'
import { findSandbox, type KnownSandboxes } from './find-sandbox.ts'
import { poolOfMember } from './member.ts'
import { assignedName } from './observed-claim.ts'
import { type ClaimPlanOptions, mayHave } from './plan-claim.ts'

interface AssignmentCaches {
  claims: Informer<SandboxClaim>
  sandboxes: Informer<Sandbox>
  pools: Informer<SandboxWarmPool>
  templates: Informer<SandboxTemplate>
}

interface AssignmentOptions {
  /** Of now. */
  labelDomains(): ClaimPlanOptions['labelDomains']
  /** ms since the epoch. */
  now(): number
}

export interface Assignments {
  /** The member that is kept for the claim; undefined where there is none, and once the claim has a Sandbox. */
  memberFor(claim: SandboxClaim): Sandbox | undefined
  /** The claim that the member is kept for. */
  claimFor(sandbox: Sandbox): SandboxClaim | undefined
  /** All claims in which the Sandbox is written down, whether they can take it or not. */
  naming(sandbox: Sandbox): readonly SandboxClaim[]
  /** The server has refused for good what the claim as it is needs: nothing is kept for it until it is edited. */
  refuse(claim: SandboxClaim): void
  gone(claim: SandboxClaim): void
}

/** Index of claims by the key of the Sandbox that is written down in them. */
const BY_SANDBOX = 'sandboxOfClaim'

/** The caches must have synced. */
export function createAssignments(caches: AssignmentCaches, { labelDomains, now }: AssignmentOptions): Assignments {
  const { claims, templates } = caches
  /** Generations of claims, by UID. */
  const refused = new Map<string, number | undefined>()
  claims.addIndex(BY_SANDBOX, sandboxKey)

  function isRefused({ metadata: { uid = '', generation } }: SandboxClaim): boolean {
    return refused.has(uid) && refused.get(uid) === generation
  }

  function memberFor(claim: SandboxClaim): Sandbox | undefined {
    if (assignedName(claim) === undefined || isRefused(claim)) return undefined
    const known = knownSandboxes(caches, claim)
    const finding = findSandbox(known)
    if (finding.kind !== 'transfer') return undefined
    const { sandbox } = finding
    const origin = originOfMember(templates, sandbox, known.assignedPool)
    if (!mayHave(claim, origin, { labelDomains: labelDomains(), now: now() })) return undefined
    return envProblem(claim, sandbox, originOf(templates, sandbox)) === undefined ? sandbox : undefined
  }

  const naming = (sandbox: Sandbox) => claims.byIndex(BY_SANDBOX, keyOf(sandbox))
  return {
    memberFor,
    naming,
    claimFor: (sandbox) => naming(sandbox).find((claim) => memberFor(claim) !== undefined),
    refuse: ({ metadata: { uid = '', generation } }) => void refused.set(uid, generation),
    gone: ({ metadata: { uid = '' } }) => void refused.delete(uid),
  }
}

/** What there is of the Sandboxes that the claim may have. */
export function knownSandboxes(
  { sandboxes, pools }: Pick<AssignmentCaches, 'sandboxes' | 'pools'>,
  claim: SandboxClaim,
): KnownSandboxes {
  const { namespace, name } = claim.metadata
  const at = (name: string | undefined) => (name ? sandboxes.get(joinKey(namespace, name)) : undefined)
  const assigned = at(assignedName(claim))
  const assignedFrom = assigned && poolOfMember(assigned)
  return {
    claim,
    bound: at(claim.status?.sandbox?.name),
    assigned,
    assignedPool: assignedFrom && pools.get(joinKey(namespace, assignedFrom.name)),
    namesake: at(name),
  }
}

/** The template that a Sandbox says that it was made from: its pool may have another by now. */
export function originOf(templates: Informer<SandboxTemplate>, { metadata }: Sandbox): SandboxTemplate | undefined {
  const name = metadata.annotations?.[ANNOTATIONS.templateRef]
  return name ? templates.get(joinKey(metadata.namespace, name)) : undefined
}

/** Where that is gone, the one that the pool has. */
export function originOfMember(
  templates: Informer<SandboxTemplate>,
  sandbox: Sandbox,
  pool: SandboxWarmPool | undefined,
): SandboxTemplate | undefined {
  const { namespace } = sandbox.metadata
  return originOf(templates, sandbox) ?? (pool && templates.get(joinKey(namespace, pool.spec.sandboxTemplateRef.name)))
}

/**
 * Why a Sandbox that was a pool's may not be given the claim's variables; undefined where it may, or has no place for any.
 *
 * @param origin what the Sandbox was made from
 */
export function envProblem(
  { spec: { env = [] } }: SandboxClaim,
  sandbox: Sandbox,
  origin: SandboxTemplate | undefined,
): string | undefined {
  if (!env.length || !takesWarmEnv(sandbox.spec)) return undefined
  if (origin) return sentEnvProblem(origin, env)
  return `the template of Sandbox ${JSON.stringify(sandbox.metadata.name)} is gone, and with it what it allows`
}

function sandboxKey(claim: SandboxClaim): string[] {
  const name = assignedName(claim)
  return name === undefined || claim.metadata.deletionTimestamp ? [] : [joinKey(claim.metadata.namespace, name)]
}
