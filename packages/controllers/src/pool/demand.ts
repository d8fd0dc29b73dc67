/** When claims asked pools for members: what pools with bounds follow. */
import { controllerOf, type Sandbox, type SandboxClaim, type SandboxWarmPool } from '@caisson/api'
import { type Informer, joinKey, keyOf, sandboxWarmPools } from '@caisson/client'
import { boundsOf, idleTimeout } from './target.ts'

export interface Demand extends Disposable {
  /** ms since the epoch, oldest first. */
  of(pool: SandboxWarmPool): readonly number[]
}

interface DemandSources {
  pools: Informer<SandboxWarmPool>
  sandboxes: Informer<Sandbox>
  claims: Informer<SandboxClaim>
}

interface DemandOptions {
  /** ms since the epoch. */
  now: () => number
  /** A pool with bounds has been asked for a member. */
  changed(pool: SandboxWarmPool): void
}

/**
 * Kept in memory, and begun with the claims that are there: after a restart only claims that have been deleted since are
 * missing, and a pool is too small for as long as it takes to be asked again.
 */
export function trackDemand({ pools, sandboxes, claims }: DemandSources, { now, changed }: DemandOptions): Demand {
  /** By the key of the pool and the UID of the claim. */
  const moments = new Map<string, Map<string, number>>()

  function note(key: string, claim: SandboxClaim, at: number): void {
    const pool = pools.get(key)
    const bounds = pool && boundsOf(pool)
    const { uid = '' } = claim.metadata
    if (!bounds || moments.get(key)?.has(uid)) return
    const known = moments.get(key) ?? new Map<string, number>()
    moments.set(key, known.set(uid, at))
    // More than the pool may ever have need not be counted.
    for (const oldest of known.keys()) {
      if (known.size <= bounds.max) break
      known.delete(oldest)
    }
    changed(pool)
  }

  const noteClaim = (claim: SandboxClaim): void => {
    const { warmPoolRef } = claim.spec
    if (warmPoolRef) note(joinKey(claim.metadata.namespace, warmPoolRef.name), claim, createdAt(claim))
  }
  const notePresent = (pool: SandboxWarmPool): void => {
    if (!boundsOf(pool)) return void moments.delete(keyOf(pool))
    if (moments.has(keyOf(pool))) return
    const asking = claims.list().filter(({ metadata, spec }) => {
      return spec.warmPoolRef?.name === pool.metadata.name && metadata.namespace === pool.metadata.namespace
    })
    for (const claim of asking.sort((a, b) => createdAt(a) - createdAt(b))) noteClaim(claim)
  }
  const handlers = [
    pools.handle({
      added: notePresent,
      updated: (_old, pool) => notePresent(pool),
      deleted: (pool) => void moments.delete(keyOf(pool)),
    }),
    claims.handle({ added: noteClaim }),
    // Which pool a selector chose is seen when a Sandbox leaves it.
    sandboxes.handle({
      updated(old, sandbox) {
        const [before, after] = [controllerOf(old), controllerOf(sandbox)]
        if (before?.kind !== sandboxWarmPools.kind || !after || after.uid === before.uid) return
        const { namespace } = sandbox.metadata
        const claim = claims.get(joinKey(namespace, after.name))
        if (claim?.metadata.uid === after.uid && !claim.spec.warmPoolRef)
          note(joinKey(namespace, before.name), claim, now())
      },
    }),
  ]
  return {
    of(pool) {
      const known = moments.get(keyOf(pool))
      if (!known) return []
      const passed = now() - idleTimeout(pool)
      for (const [uid, at] of known) if (at <= passed) known.delete(uid)
      return [...known.values()].sort((a, b) => a - b)
    },
    [Symbol.dispose]() {
      for (const handler of handlers) handler[Symbol.dispose]()
    },
  }
}

function createdAt({ metadata }: SandboxClaim): number {
  return Date.parse(metadata.creationTimestamp ?? '') || 0
}
