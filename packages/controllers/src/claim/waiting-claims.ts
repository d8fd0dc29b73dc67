/** How many claims of each pool have not been answered yet: pools make no members while these find what they need. */
import type { SandboxClaim } from '@caisson/api'
import { type Informer, joinKey } from '@caisson/client'

export interface WaitingClaims {
  waiting(namespace: string, pool: string): number
  onChange(listener: (namespace: string, pool: string) => void): Disposable
}

export function countWaitingClaims(claims: Informer<SandboxClaim>): WaitingClaims & Disposable {
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
