/** How members of an older template give way to those of the template as it is now. */
import {
  type IntOrPercent,
  type SandboxWarmPool,
  scaledValue,
  UPDATE_STRATEGIES,
  type UpdateStrategy,
} from '@caisson/api'
import type { Member } from './observed-pool.ts'

export interface RolloutStep {
  /** Which of the stale members go now. */
  deleted: Member[]
  /** How many members there may be beyond the wanted ones now. */
  surge: number
}

const DEFAULT_SURGE = '25%'

/** What is unknown, such as the strategy of a later version, is OnReplenish, which deletes nothing. */
export function strategyOf({ spec }: SandboxWarmPool): UpdateStrategy {
  const { type } = spec.updateStrategy ?? {}
  return UPDATE_STRATEGIES.find((known) => known === type) ?? 'OnReplenish'
}

/**
 * Recreate has all stale members go at once, OnReplenish none. RollingUpdate lets those go that are not Ready, and of the
 * others as many as leave enough Ready ones.
 *
 * @param members all that are there and stay otherwise
 * @param stale those of them that may be deleted
 */
export function rolloutStep(
  pool: SandboxWarmPool,
  { members, stale, target }: { members: readonly Member[]; stale: readonly Member[]; target: number },
): RolloutStep {
  const strategy = strategyOf(pool)
  if (stale.length === 0 || strategy === 'OnReplenish') return { deleted: [], surge: 0 }
  if (strategy === 'Recreate') return { deleted: [...stale], surge: 0 }
  const { maxSurge, maxUnavailable } = rolloutBounds(pool, target)
  const unready = stale.filter(({ ready }) => !ready)
  const ready = stale.filter((member) => member.ready)
  const spare = members.filter((member) => member.ready).length - (target - maxUnavailable)
  return { deleted: [...unready, ...ready.slice(0, Math.max(0, spare))], surge: maxSurge }
}

/** How many members may be too many, and how many too few, while one generation gives way to the next. */
function rolloutBounds({ spec }: SandboxWarmPool, target: number): { maxSurge: number; maxUnavailable: number } {
  const { maxSurge = DEFAULT_SURGE, maxUnavailable = 0 } = (spec.updateStrategy?.rollingUpdate ?? {}) as {
    maxSurge?: IntOrPercent
    maxUnavailable?: IntOrPercent
  }
  const surge = scaledValue(maxSurge, target, 'up')
  const unavailable = Math.min(scaledValue(maxUnavailable, target, 'down'), target)
  // Both at nothing would let no rollout go on.
  return { maxSurge: surge, maxUnavailable: surge === 0 && unavailable === 0 ? 1 : unavailable }
}
