/** How many claims of each pool have not been answered yet: pools make no members while these find what they need. */
import type { SandboxClaim } from '@caisson/api'
import { type Informer, joinKey } from '@caisson/client'

export interface WaitingClaims {
  waiting(namespace: string, pool: string): number
  /** Whether claims wait and the pool has what they need: until they have it nothing else is done for the pool. */
  busy(namespace: string, pool: string): boolean
  /**
   * When claims will have paused, or come for so long that nobody should wait for their end any more, unless the pool has
   * plenty: ms since the epoch. Undefined where none has asked the pool.
   */
  pausesAt(namespace: string, pool: string): number | undefined
  /**
   * Until when nothing need be done for the pool, ms since the epoch: claims come closely one after another and find
   * members that are Ready. Undefined where something may have to be.
   */
  undisturbedUntil(namespace: string, pool: string): number | undefined
  onChange(listener: (namespace: string, pool: string) => void): Disposable
}

/** As long as the start of a sandbox takes, in which a claim takes ten times its time on two processors. */
const PAUSE_MS = 200
/** Claims that go on for longer are not waited for, where they could come to find nothing. */
const LONGEST_MS = 1_000

/** Claims of a pool that follow each other closely; ms since the epoch. */
export interface ClaimRun {
  begunAt: number
  lastAt: number
}

/** With a claim that came now, which begins another one where those before had paused. */
export function continueRun(run: ClaimRun | undefined, at: number): ClaimRun {
  const begunAt = run && at - run.lastAt < PAUSE_MS ? run.begunAt : at
  return { begunAt, lastAt: at }
}

/** When nobody need wait for them any more. @param plenty whether they will find something for long yet */
export function endOfRun({ begunAt, lastAt }: ClaimRun, plenty: boolean): number {
  const pause = lastAt + PAUSE_MS
  return plenty ? pause : Math.min(pause, begunAt + LONGEST_MS)
}

interface WaitingClaimsOptions {
  /** How many members of the pool with that key claims can have, or are being given. */
  supply(poolKey: string): number
  /** Whether the pool has so many that claims may go on without others being made. */
  plenty(poolKey: string): boolean
  /** How many of them nobody has been offered and are Ready. */
  ready(poolKey: string): number
  /** ms since the epoch. */
  now(): number
}

export function countWaitingClaims(
  claims: Informer<SandboxClaim>,
  { supply, plenty, ready, now }: WaitingClaimsOptions,
): WaitingClaims & Disposable {
  const counts = new Map<string, number>()
  const runs = new Map<string, ClaimRun>()
  const listeners = new Set<(namespace: string, pool: string) => void>()

  function change({ metadata, spec }: SandboxClaim, by: 1 | -1): void {
    const [namespace = '', pool = ''] = [metadata.namespace, spec.warmPoolRef?.name]
    const key = joinKey(namespace, pool)
    const count = (counts.get(key) ?? 0) + by
    if (count) counts.set(key, count)
    else counts.delete(key)
    for (const listener of listeners) listener(namespace, pool)
  }

  function noteArrival({ metadata, spec }: SandboxClaim): void {
    const key = joinKey(metadata.namespace, spec.warmPoolRef?.name ?? '')
    const at = now()
    for (const [each, { lastAt }] of runs) if (lastAt + PAUSE_MS <= at) runs.delete(each)
    runs.set(key, continueRun(runs.get(key), at))
  }

  function pausesAt(namespace: string, pool: string): number | undefined {
    const key = joinKey(namespace, pool)
    const run = runs.get(key)
    return run && endOfRun(run, plenty(key))
  }

  const handler = claims.handle({
    added(claim) {
      if (!isUnanswered(claim)) return
      noteArrival(claim)
      change(claim, 1)
    },
    updated(old, claim) {
      const [before, after] = [isUnanswered(old), isUnanswered(claim)]
      const moved = old.spec.warmPoolRef?.name !== claim.spec.warmPoolRef?.name
      if (before && (!after || moved)) change(old, -1)
      if (after && (!before || moved)) change(claim, 1)
    },
    deleted: (claim) => void (isUnanswered(claim) && change(claim, -1)),
  })
  return {
    waiting: (namespace, pool) => counts.get(joinKey(namespace, pool)) ?? 0,
    busy(namespace, pool) {
      const key = joinKey(namespace, pool)
      const count = counts.get(key) ?? 0
      return count > 0 && supply(key) >= count
    },
    pausesAt,
    undisturbedUntil(namespace, pool) {
      const at = pausesAt(namespace, pool)
      return at !== undefined && at > now() && ready(joinKey(namespace, pool)) > 0 ? at : undefined
    },
    onChange(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    [Symbol.dispose]() {
      handler[Symbol.dispose]()
      listeners.clear()
    },
  }
}

/** Asks a pool, and nothing has been said about it. */
function isUnanswered({ metadata, spec, status }: SandboxClaim): boolean {
  return spec.warmPoolRef !== undefined && !metadata.deletionTimestamp && !status?.conditions?.length
}
