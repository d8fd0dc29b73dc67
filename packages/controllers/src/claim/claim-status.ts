/** What a claim's status says: its Sandbox's own word once it has one. */
import {
  CLAIM_CONDITIONS,
  type Condition,
  type ConditionState,
  findCondition,
  isConditionTrue,
  kubernetesTime,
  CLAIM_MESSAGES as MESSAGES,
  CLAIM_REASONS as REASONS,
  SANDBOX_REASONS,
  type Sandbox,
  type SandboxClaim,
  type SandboxClaimStatus,
} from '@caisson/api'

/** What is in a claim's way. */
export interface ClaimProblem {
  reason: string
  message: string
  /** Nothing but a change of something else helps: it is not tried again by itself. */
  permanent: boolean
  /** The claim has no Sandbox any more. Where something failed, what it had is still its. */
  unbound?: boolean
}

export interface Situation {
  claim: SandboxClaim
  /** The Sandbox that the claim has. */
  sandbox: Sandbox | undefined
  problem: ClaimProblem | undefined
  expired: boolean
}

type Stated = ConditionState & { lastTransitionTime?: string }

/** The API allows no longer message. */
const MESSAGE_LIMIT = 32_768

/** @param now ms since the epoch */
export function claimStatus(situation: Situation, now: number): SandboxClaimStatus {
  const { claim, sandbox, problem } = situation
  const before = claim.status
  const conditions = new Map((before?.conditions ?? []).map((condition) => [condition.type, condition]))
  set(conditions, readyCondition(situation), now)
  const finished = findCondition(sandbox?.status?.conditions, CLAIM_CONDITIONS.finished)
  if (finished) set(conditions, { ...finished, observedGeneration: generationOf(claim) }, now)
  // Once it has expired, how it had ended stays to be read when the Sandbox is gone.
  else if (sandbox || !situation.expired) conditions.delete(CLAIM_CONDITIONS.finished)
  const kept = problem && !problem.unbound ? before?.sandbox : undefined
  const own = sandbox ? sandboxOf(sandbox) : kept
  return {
    conditions: [...conditions.values()].sort((a, b) => (a.type < b.type ? -1 : 1)),
    ...(own && { sandbox: own }),
  }
}

/** Whether the claim's status says that it is Ready. */
export function isReady(status: SandboxClaimStatus | undefined): boolean {
  return isConditionTrue(status?.conditions, CLAIM_CONDITIONS.ready)
}

function sandboxOf({ metadata, status }: Sandbox): SandboxClaimStatus['sandbox'] {
  const { podIPs, serviceFQDN } = status ?? {}
  return {
    ...(metadata.name !== undefined && { name: metadata.name }),
    ...(podIPs?.length && { podIPs }),
    ...(serviceFQDN && { serviceFQDN }),
  }
}

function readyCondition({ claim, sandbox, problem, expired }: Situation): Stated {
  if (problem) return notReady(claim, problem.reason, problem.message)
  if (expired) return notReady(claim, REASONS.expired, MESSAGES.expired)
  if (!sandbox) return notReady(claim, REASONS.sandboxMissing, MESSAGES.sandboxMissing)
  const ready = findCondition(sandbox.status?.conditions, CLAIM_CONDITIONS.ready)
  if (!ready) return notReady(claim, REASONS.sandboxNotReady, MESSAGES.sandboxNotReady)
  if (ready.reason === SANDBOX_REASONS.expired) return notReady(claim, REASONS.sandboxExpired, MESSAGES.sandboxExpired)
  return { ...ready, observedGeneration: generationOf(claim) }
}

function notReady(claim: SandboxClaim, reason: string, said: string): Stated {
  const message = said.length > MESSAGE_LIMIT ? `${said.slice(0, MESSAGE_LIMIT - 1)}…` : said
  return { type: CLAIM_CONDITIONS.ready, status: 'False', reason, message, observedGeneration: generationOf(claim) }
}

/** A transition that was the Sandbox's has the time at which it was the Sandbox's. */
function set(conditions: Map<string, Condition>, state: Stated, now: number): void {
  const before = conditions.get(state.type)
  const lastTransitionTime =
    before?.status === state.status ? before.lastTransitionTime : (state.lastTransitionTime ?? kubernetesTime(now))
  conditions.set(state.type, { ...state, lastTransitionTime })
}

function generationOf({ metadata }: SandboxClaim): number {
  return metadata.generation ?? 0
}
