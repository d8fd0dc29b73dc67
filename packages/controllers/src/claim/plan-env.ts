/** Gives a claim's variables to the Sandbox that it has taken over, before anybody is told that it has. */
import { CLAIM_MESSAGES, CLAIM_REASONS, type Sandbox } from '@caisson/api'
import { resources } from '@caisson/client'
import { type CreateWrite, type Write, writeId } from '../engine/plan.ts'
import { deletionAt } from '../sandbox/objects.ts'
import type { ClaimProblem } from './claim-status.ts'
import { fingerprintOf } from './env-delivery.ts'
import type { ClaimEnv, EnvSecret } from './observed-claim.ts'

export type EnvStep = { kind: 'wait' } | { kind: 'problem'; problem: ClaimProblem } | { kind: 'write'; writes: Write[] }

/**
 * Undefined where nothing is left to do.
 *
 * @param sandbox the claim's own; undefined while it has none
 */
export function planEnv(env: ClaimEnv | undefined, sandbox: Sandbox | undefined): EnvStep | undefined {
  if (!env) return undefined
  if (env.kind === 'reading') return { kind: 'wait' }
  if (env.kind === 'problem') {
    if (env.permanent) return rejected(env.message)
    const message = CLAIM_MESSAGES.errorSeen + env.message
    return { kind: 'problem', problem: { reason: CLAIM_REASONS.reconcilerError, message, permanent: false } }
  }
  if (!sandbox) return undefined
  const foreign = env.secrets.find(({ sent }) => sent && sent.owner !== sandbox.metadata.uid)
  if (foreign) {
    const { name } = foreign.wanted.metadata
    return rejected(`Secret ${JSON.stringify(name)} exists and is not of this Sandbox: delete it, and claim again`)
  }
  const writes = env.secrets.flatMap(writeOf)
  return writes.length ? { kind: 'write', writes } : undefined
}

/** One that was sent for what the claim said before it was edited has to go first. */
function writeOf({ wanted, sent }: EnvSecret): Write[] {
  const { name, namespace } = wanted.metadata
  const resource = resources.secrets
  if (!sent) {
    const create: CreateWrite = {
      verb: 'create',
      id: writeId('create', resource, name),
      resource,
      object: wanted,
    }
    return [create]
  }
  if (sent.fingerprint === fingerprintOf(wanted.data)) return []
  return [deletionAt(resource, { name, namespace, uid: sent.uid })]
}

function rejected(said: string): EnvStep {
  const message = CLAIM_MESSAGES.envVarsInjectionRejected + said
  return { kind: 'problem', problem: { reason: CLAIM_REASONS.envVarsInjectionRejected, message, permanent: true } }
}
