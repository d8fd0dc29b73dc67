/** When a Sandbox ends, and what is left of it. */
import {
  findCondition,
  mergeConditions,
  ownershipOf,
  parseKubernetesTime,
  SANDBOX_CONDITIONS,
  SANDBOX_EVENTS,
  SANDBOX_MESSAGES,
  SANDBOX_REASONS,
  type Sandbox,
  type SandboxStatus,
} from '@caisson/api'
import type { Plan, Write } from '../engine/plan.ts'
import { errorCondition, expiredCondition } from './conditions.ts'
import { deletionAsSeen, SANDBOXES } from './objects.ts'
import { failureOf, type ObservedSandbox, type SandboxError } from './observed-sandbox.ts'
import { removeMemory } from './plan-memory.ts'
import { removePod } from './plan-pod.ts'
import { removeService } from './plan-service.ts'

/** The moment at which a Sandbox ends, ms since the epoch; undefined for one without an end. */
export function endOf(sandbox: Sandbox): number | undefined {
  return parseKubernetesTime(sandbox.spec.shutdownTime)
}

/**
 * Takes an expired Sandbox down: its Pod, its Service and its memory, and with policy Delete itself. With Retain its
 * conditions stay, Finished among them, and everything that was about what ran goes. Claims are left to the Sandbox's
 * deletion.
 */
export function planExpired(observed: ObservedSandbox, now: number): Plan<SandboxStatus> {
  const { sandbox } = observed
  const { writes, errors } = removeChildren(observed)
  if (sandbox.spec.shutdownPolicy === 'Delete') {
    const own = removeItself(observed)
    if (own.error) errors.push(own.error)
    // Only once nothing of it is left to stop: what could not be deleted would otherwise go unseen.
    if (own.write && !errors.length && !writes.length) writes.push(own.write)
    return {
      writes,
      status: errors.length ? withReady(sandbox, errorCondition(sandbox, errors), now) : undefined,
      statusEvents: [],
      statusMayWait: 0,
      retry: errors.some(({ permanent }) => !permanent),
    }
  }
  const before = findCondition(sandbox.status?.conditions, SANDBOX_CONDITIONS.ready)
  const marked = withReady(sandbox, expiredCondition(sandbox), now)
  const announced = before?.reason === SANDBOX_REASONS.expired
  return {
    writes,
    status: errors.length ? marked : { conditions: marked.conditions ?? [] },
    statusEvents: announced
      ? []
      : [{ type: 'Normal', reason: SANDBOX_EVENTS.expired, action: 'Expiry', message: SANDBOX_MESSAGES.expired }],
    statusMayWait: 0,
    retry: errors.length > 0,
  }
}

function removeChildren(observed: ObservedSandbox): { writes: Write[]; errors: SandboxError[] } {
  const { sandbox, service, memory } = observed
  const plans = observed.pods
    .filter((pod) => ownershipOf(pod, sandbox) === 'owned')
    .map((pod) => removePod(observed, pod))
  if (service && ownershipOf(service, sandbox) === 'owned') plans.push(removeService(observed, service))
  if (memory && ownershipOf(memory, sandbox) === 'owned') plans.push(removeMemory(observed, memory))
  return {
    writes: plans.flatMap(({ write }) => (write ? [write] : [])),
    errors: plans.flatMap(({ error }) => (error ? [error] : [])),
  }
}

function removeItself(observed: ObservedSandbox): { write?: Write; error?: SandboxError } {
  const write = deletionAsSeen(SANDBOXES, observed.sandbox)
  const error = failureOf(observed, write.id, 'failed to delete sandbox: ')
  return error ? { error } : { write }
}

function withReady(sandbox: Sandbox, ready: ReturnType<typeof expiredCondition>, now: number): SandboxStatus {
  const conditions = mergeConditions(sandbox.status?.conditions, [ready], {
    now,
    dropped: [SANDBOX_CONDITIONS.podScheduled, SANDBOX_CONDITIONS.containerError],
  })
  return { ...sandbox.status, conditions }
}
