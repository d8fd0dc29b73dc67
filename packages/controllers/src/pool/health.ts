/** Which members do not become Ready, why, and for how long they are waited for. */
import { findCondition, isConditionTrue, SANDBOX_CONDITIONS, SANDBOX_REASONS, type Sandbox } from '@caisson/api'
import { type Member, patienceWith } from './observed-pool.ts'

export interface Health {
  /** Not Ready although their time is over: they are replaced. */
  overdue: Member[]
  /** Without a place on any node for longer than the grace period. */
  unschedulable: number
  gated: number
  /** Why members wait for their snapshot, in the words of one of them. */
  snapshot: string | undefined
  /** What keeps members from ever becoming Ready, in the words of one of them. */
  failing: { count: number; sandbox: string; message: string } | undefined
  /** When to look again if nothing happens, ms since the epoch. */
  nextAt: number | undefined
}

const HOPELESS: ReadonlySet<string> = new Set([
  SANDBOX_REASONS.podFailed,
  SANDBOX_REASONS.podSucceeded,
  SANDBOX_REASONS.invalidConfiguration,
])

/** @param grace ms @param now ms since the epoch */
export function healthOf(members: readonly Member[], { grace, now }: { grace: number; now: number }): Health {
  const health: Health = {
    overdue: [],
    unschedulable: 0,
    gated: 0,
    snapshot: undefined,
    failing: undefined,
    nextAt: undefined,
  }
  const lookAgain = (at: number): void => {
    health.nextAt = Math.min(at, health.nextAt ?? at)
  }
  for (const member of members) {
    if (member.ready) continue
    const patience = patienceWith(member.sandbox, grace)
    if (patience.kind === 'until') {
      if (patience.deadline <= now) health.overdue.push(member)
      else lookAgain(patience.deadline)
      countFailure(health, member.sandbox)
    } else if (patience.reason === 'unschedulable') {
      if (patience.since + grace <= now) health.unschedulable++
      else lookAgain(patience.since + grace)
    } else if (patience.reason === 'gated') health.gated++
    else health.snapshot ??= findCondition(member.sandbox.status?.conditions, SANDBOX_CONDITIONS.ready)?.message
  }
  return health
}

function countFailure(health: Health, { metadata, status }: Sandbox): void {
  const conditions = status?.conditions
  const ready = findCondition(conditions, SANDBOX_CONDITIONS.ready)
  const error = findCondition(conditions, SANDBOX_CONDITIONS.containerError)
  const inTrouble = isConditionTrue(conditions, SANDBOX_CONDITIONS.containerError)
  if (!inTrouble && !HOPELESS.has(ready?.reason ?? '')) return
  const message = (inTrouble ? error?.message : ready?.message) ?? ''
  health.failing ??= { count: 0, sandbox: metadata.name ?? '', message }
  health.failing.count++
}
