/** How a claim comes to its Sandbox: in which order one is looked for, and what has to be done to have it. */
import { controllerOf, EXTENSIONS_GROUP, ownershipOf, referenceGroup, type Sandbox, selects } from '@caisson/api'
import { sandboxClaims } from '@caisson/client'
import { poolOfMember } from './member.ts'
import { assignedName, type ObservedClaim } from './observed-claim.ts'

export type Finding =
  /** The claim has it. */
  | { kind: 'found'; sandbox: Sandbox }
  /** It was written down for the claim, and is still the pool's. */
  | { kind: 'transfer'; sandbox: Sandbox }
  /** What was written down is gone, or somebody else's. */
  | { kind: 'forget'; name: string }
  /** A Sandbox has the claim's name and is not its own. */
  | { kind: 'taken'; sandbox: Sandbox }
  /** Nothing yet: the pool may have something. */
  | { kind: 'ask' }

/** What the claim may have, by its names. */
export type KnownSandboxes = Pick<ObservedClaim, 'claim' | 'bound' | 'assigned' | 'assignedPool' | 'namesake'>

/** What there is, and what it needs. Everything but the pool's offer. */
export function findSandbox(known: KnownSandboxes): Finding {
  const { claim, bound, assigned, namesake } = known
  const owns = (sandbox: Sandbox | undefined): sandbox is Sandbox =>
    sandbox !== undefined && ownershipOf(sandbox, claim) === 'owned'
  if (owns(bound)) return { kind: 'found', sandbox: bound }
  const name = assignedName(claim)
  if (name !== undefined) {
    if (owns(assigned)) return { kind: 'found', sandbox: assigned }
    if (assigned && canTake(known, assigned)) return { kind: 'transfer', sandbox: assigned }
    // An owner that is neither a pool nor a claim may be passing: what is written stays, and is not followed.
    if (!assigned || isLost(assigned)) return { kind: 'forget', name }
  }
  if (owns(namesake)) return { kind: 'found', sandbox: namesake }
  if (namesake) return { kind: 'taken', sandbox: namesake }
  return { kind: 'ask' }
}

/**
 * Whether it is a member of a pool that the claim asks. Where that is deleted meanwhile the member goes with it, unless the
 * claim takes it first: it was written down while the pool was there.
 */
function canTake({ claim, assignedPool: pool }: KnownSandboxes, sandbox: Sandbox): boolean {
  const owner = poolOfMember(sandbox)
  if (!owner || (pool && owner.uid !== pool.metadata.uid)) return false
  const { warmPoolRef, warmPoolSelector } = claim.spec
  if (warmPoolSelector) return !pool || selects(warmPoolSelector, pool.metadata.labels)
  return warmPoolRef?.name === owner.name
}

function isLost(sandbox: Sandbox): boolean {
  const owner = controllerOf(sandbox)
  return owner !== undefined && referenceGroup(owner) === EXTENSIONS_GROUP
}

/** The name of the claim that controls a Sandbox, of whatever version. */
export function claimNameOf(sandbox: Sandbox): string | undefined {
  const owner = controllerOf(sandbox)
  return owner?.kind === sandboxClaims.kind && referenceGroup(owner) === EXTENSIONS_GROUP ? owner.name : undefined
}
