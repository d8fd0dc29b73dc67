/** How many claims of each pool have not been answered yet: pools make no members while these find what they need. */
import type { SandboxClaim } from '@caisson/api'
import { abortableDelay, type Informer, joinKey } from '@caisson/client'

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
   * Until when so many wait that nothing should be done beside them, ms since the epoch, whether the pool has something for
   * them or they have Sandboxes made. Undefined where it is not so.
   */
  crowdedUntil(namespace: string, pool: string): number | undefined
  /** Whether claims have come for so long, and so few at a time, that the pool should be filled beside them. */
  goOn(namespace: string, pool: string): boolean
  /** Whether any pool has a crowd. */
  crowded(): boolean
  /** Waits until none has one; says whether it had to. Rejects when the signal is aborted. */
  dispersed(signal: AbortSignal): Promise<boolean>
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
/** More than these at once are a crowd: the API server is behind. */
export const FEW_CLAIMS = 4
/** What has not been answered this long after the last claim came is not waited for any more. */
const CROWD_MS = 10_000

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

/** Whether they still come, and have for too long to be waited for. */
export function goesOn({ begunAt, lastAt }: ClaimRun, at: number): boolean {
  return at < lastAt + PAUSE_MS && at >= begunAt + LONGEST_MS
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
  /** When the last claim of those that wait came, where they are a crowd; ms since the epoch. */
  const crowds = new Map<string, number>()
  const listeners = new Set<(namespace: string, pool: string) => void>()
  let dispersal = Promise.withResolvers<void>()

  function change({ metadata, spec }: SandboxClaim, by: 1 | -1): void {
    const [namespace = '', pool = ''] = [metadata.namespace, spec.warmPoolRef?.name]
    const key = joinKey(namespace, pool)
    const count = (counts.get(key) ?? 0) + by
    if (count) counts.set(key, count)
    else counts.delete(key)
    followCrowd(key, { count, came: by > 0 })
    for (const listener of listeners) listener(namespace, pool)
  }

  function followCrowd(key: string, { count, came }: { count: number; came: boolean }): void {
    if (count > FEW_CLAIMS) {
      if (came || !crowds.has(key)) crowds.set(key, now())
    } else if (crowds.delete(key) && crowds.size === 0) {
      dispersal.resolve()
      dispersal = Promise.withResolvers()
    }
  }

  /** Of all pools, or of one. */
  function crowdEndsAt(keys: Iterable<string>): number | undefined {
    const ends = [...keys].map((key) => (crowds.get(key) ?? Number.NEGATIVE_INFINITY) + CROWD_MS)
    const last = Math.max(...ends)
    return last > now() ? last : undefined
  }

  async function dispersed(signal: AbortSignal): Promise<boolean> {
    let waited = false
    for (let end = crowdEndsAt(crowds.keys()); end !== undefined; end = crowdEndsAt(crowds.keys())) {
      waited = true
      const done = new AbortController()
      const late = abortableDelay(end - now(), AbortSignal.any([signal, done.signal])).catch(() => {})
      await Promise.race([dispersal.promise, late])
      done.abort()
      signal.throwIfAborted()
    }
    return waited
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
    crowdedUntil: (namespace, pool) => crowdEndsAt([joinKey(namespace, pool)]),
    goOn(namespace, pool) {
      const key = joinKey(namespace, pool)
      const run = runs.get(key)
      return run !== undefined && goesOn(run, now()) && !plenty(key)
    },
    crowded: () => crowdEndsAt(crowds.keys()) !== undefined,
    dispersed,
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
