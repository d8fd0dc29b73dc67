/** How many members a pool is to have, where demand decides. */
import type { SandboxWarmPool } from '@caisson/api'

/** Seconds that a claim counts as demand, unless the pool says how many. */
const IDLE_TIMEOUT = 300

export interface Target {
  members: number
  /** When demand that is counted now will have passed and fewer are wanted, ms since the epoch. */
  shrinksAt?: number
}

/**
 * `replicas`, unless the pool has bounds: then as many as claims asked for within the idle timeout, but neither fewer nor
 * more than the bounds. Only one bound given, `replicas` stands in for the other where it can.
 *
 * @param demand when claims asked for a member, ms since the epoch, oldest first
 */
export function targetOf(pool: SandboxWarmPool, demand: readonly number[], now: number): Target {
  const bounds = boundsOf(pool)
  if (!bounds) return { members: pool.spec.replicas ?? 1 }
  const { min, max } = bounds
  const idle = idleTimeout(pool)
  const counted = demand.filter((at) => at > now - idle)
  const members = Math.max(min, Math.min(max, counted.length))
  if (members === min) return { members }
  // Fewer are wanted once fewer than this many are left to count.
  const passes = counted[counted.length - members] as number
  return { members, shrinksAt: passes + idle }
}

/** Between how many members demand decides; undefined where it does not. */
export function boundsOf({ spec }: Pick<SandboxWarmPool, 'spec'>): { min: number; max: number } | undefined {
  const { replicas = 1, minReplicas, maxReplicas } = spec
  if (minReplicas === undefined && maxReplicas === undefined) return undefined
  const max = maxReplicas ?? Math.max(replicas, minReplicas ?? 0)
  return { min: Math.min(minReplicas ?? replicas, max), max }
}

/** How long a claim counts as demand, ms. */
export function idleTimeout({ spec }: Pick<SandboxWarmPool, 'spec'>): number {
  return (spec.idleTimeoutSeconds ?? IDLE_TIMEOUT) * 1000
}
