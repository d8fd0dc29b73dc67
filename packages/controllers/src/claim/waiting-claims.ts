/** How many claims of each pool have not been answered yet: pools make no members while these find what they need. */
import type { SandboxClaim } from '@caisson/api'
import { type Informer, joinKey } from '@caisson/client'

export interface WaitingClaims {
  waiting(namespace: string, pool: string): number
  /** Whether claims wait and the pool has what they need: until they have it nothing else is done for the pool. */
  busy(namespace: string, pool: string): boolean
  onChange(listener: (namespace: string, pool: string) => void): Disposable
}

/** @param supply how many members of the pool with that key claims can have, or are being given */
export function countWaitingClaims(
  claims: Informer<SandboxClaim>,
  supply: (poolKey: string) => number,
): WaitingClaims & Disposable {
  const counts = new Map<string, number>()
  const listeners = new Set<(namespace: string, pool: string) => void>()

  function change({ metadata, spec }: SandboxClaim, by: 1 | -1): void {
    const [namespace = '', pool = ''] = [metadata.namespace, spec.warmPoolRef?.name]
    const key = joinKey(namespace, pool)
    const count = (counts.get(key) ?? 0) + by
    if (count) counts.set(key, count)
    else counts.delete(key)
    for (const listener of listeners) listener(namespace, pool)
  }

  const handler = claims.handle({
    added: (claim) => void (isUnanswered(claim) && change(claim, 1)),
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
