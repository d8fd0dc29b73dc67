/** Whether something happens in a Pod, and what its condition says of that. */
import { IDLE, IDLE_REASONS, kubernetesTime } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import type { ConditionFields } from '../pods/condition-fields.ts'

/** Times are ms since the epoch. */
export type ActivityState =
  | { kind: 'active'; afterMs: number }
  /** Half of the time has passed: soon enough to be told, seldom enough to be worth a write. */
  | { kind: 'quiet'; afterMs: number; since: number }
  | { kind: 'idle'; afterMs: number; since: number }

/** Shorter times than this are over before anybody has read of their half. */
const ANNOUNCED_FROM_MS = 10_000

/** @param quietMs how long nothing has happened; `since` is when that began, as it is told */
export function activityState(quietMs: number, { afterMs, since }: { afterMs: number; since: number }): ActivityState {
  if (quietMs >= afterMs) return { kind: 'idle', afterMs, since }
  if (afterMs >= ANNOUNCED_FROM_MS && quietMs >= afterMs / 2) return { kind: 'quiet', afterMs, since }
  return { kind: 'active', afterMs }
}

/** How long nothing may happen in a Pod, ms; undefined where nobody wants to know, or wrote no number of seconds. */
export function idleAfter({ metadata }: PodObject): number | undefined {
  const seconds = metadata.annotations?.[IDLE.afterSeconds]
  return seconds !== undefined && /^[1-9]\d{0,7}$/.test(seconds) ? Number(seconds) * 1000 : undefined
}

export function idleCondition(state: ActivityState): ConditionFields {
  const seconds = state.afterMs / 1000
  if (state.kind === 'active')
    return {
      type: IDLE.condition,
      status: 'False',
      reason: IDLE_REASONS.active,
      message: `Idle after ${seconds} s without exec, attach, port-forward, traffic or output`,
    }
  const since = `Nothing has happened since ${kubernetesTime(state.since)}`
  return state.kind === 'idle'
    ? { type: IDLE.condition, status: 'True', reason: IDLE_REASONS.idle, message: since }
    : {
        type: IDLE.condition,
        status: 'False',
        reason: IDLE_REASONS.quiet,
        message: `${since}: idle at ${kubernetesTime(state.since + state.afterMs)} unless something does`,
      }
}
