/**
 * Who gets which member of a pool. Kept in memory and built from the caches at start: what is decided here is only whom a
 * member is offered to, and two claims are never offered the same one. That a claim has it is decided by the API server.
 * Pools are known by their UIDs: a Sandbox that only says the name of one is in no queue that anybody asks.
 */
import type { Sandbox } from '@caisson/api'
import { keyOf } from '@caisson/client'
import { type Progress, poolKeyOf, progressOf } from './member.ts'
import { createSpreadQueue, type SpreadQueue } from './spread-queue.ts'

export type Offer =
  | { kind: 'member'; sandbox: Sandbox }
  /**
   * A member is on its way up for which nobody waits that asked before. The claim is called when it is offered one.
   * `movedAt` is when one of the pool's came up last, or the first of those that start was seen; ms since the epoch.
   */
  | { kind: 'starting'; movedAt: number }
  | { kind: 'none' }

/** Who asks: a claim's UID, and the key by which it is called when there is something for it. */
export interface Asker {
  uid: string
  key: string
}

export interface Adoption {
  /** What is known of a Sandbox now, as it was before where the two differ in more than their state. */
  seen(sandbox: Sandbox): void
  gone(sandbox: Sandbox): void
  /**
   * The Sandbox with that key is the claim's: it was written down before, or made for it. Where it is no member the claim
   * waits for none any more, and what it was offered is another's.
   */
  hold(asker: Asker, key: string): void
  /** The claim needs no member, or none any more. */
  release(uid: string): void
  /**
   * A member for the claim: the same one until the claim has it or is released. Without `acceptable` any will do; one
   * that is not acceptable is offered to nobody until something happens to it. Claims that wait are offered what comes up
   * in the order in which they began to.
   */
  offer(asker: Asker, poolKey: string, acceptable?: (sandbox: Sandbox) => boolean): Offer
  /** How many members of the pool could be had at once. */
  available(poolKey: string): number
  /** How many of those are Ready. */
  ready(poolKey: string): number
  /** Those, and how many are on their way to claims. */
  supply(poolKey: string): number
}

export interface AdoptionOptions {
  /** The Sandbox with that key, from the cache. */
  find(key: string): Sandbox | undefined
  /** The claim that has been given the Sandbox, by what is written in it. */
  assignee(sandbox: Sandbox): Asker | undefined
  /** The claim, which had asked in vain, is offered something now. */
  call(key: string): void
  /** ms since the epoch. */
  now(): number
}

interface Member {
  uid: string
  poolKey: string
  progress: Progress
  node: string
  /** UID of the claim that it is offered to. */
  heldBy?: string
}

interface Pool {
  ready: SpreadQueue
  running: SpreadQueue
  starting: Set<string>
  /** When the first of those that start began to, or one was up since; ms since the epoch. */
  movedAt: number
  /** How many are offered to claims. */
  held: number
  /** Claims that wait for what is starting, the first one first: UID and key. */
  waiting: Map<string, string>
}

export function createAdoption({ find, assignee, call, now }: AdoptionOptions): Adoption {
  const members = new Map<string, Member>()
  const pools = new Map<string, Pool>()
  /** The key of the member that a claim holds, by the claim's UID. */
  const held = new Map<string, string>()
  /** The pool that a claim waits for, by the claim's UID. */
  const waitingFor = new Map<string, string>()

  function poolAt(key: string): Pool {
    let pool = pools.get(key)
    if (!pool) {
      pool = {
        ready: createSpreadQueue(),
        running: createSpreadQueue(),
        starting: new Set(),
        movedAt: 0,
        held: 0,
        waiting: new Map(),
      }
      pools.set(key, pool)
    }
    return pool
  }

  function prune(key: string, { ready, running, starting, held, waiting }: Pool): void {
    if (!ready.size && !running.size && !starting.size && !held && !waiting.size) pools.delete(key)
  }

  function leaveQueues(key: string, { poolKey }: Member): void {
    const pool = pools.get(poolKey)
    if (!pool) return
    pool.ready.remove(key)
    pool.running.remove(key)
    pool.starting.delete(key)
    prune(poolKey, pool)
  }

  function enqueue(key: string, member: Member): void {
    const { poolKey, progress, node } = member
    const pool = poolAt(poolKey)
    if (progress === 'starting') {
      if (!pool.starting.size) pool.movedAt = now()
      return void pool.starting.add(key)
    }
    const [first] = pool.waiting
    if (!first) return pool[progress].add(key, node)
    // Whoever asks before that one does has not waited for as long.
    const [uid, claim] = first
    take(key, member, uid)
    call(claim)
  }

  function stopWaiting(uid: string): void {
    const poolKey = waitingFor.get(uid)
    if (poolKey === undefined) return
    waitingFor.delete(uid)
    const pool = pools.get(poolKey)
    pool?.waiting.delete(uid)
    if (pool) prune(poolKey, pool)
  }

  function drop(key: string): void {
    const member = members.get(key)
    if (!member) return
    members.delete(key)
    leaveQueues(key, member)
    if (member.heldBy !== undefined) unhold(member.heldBy, member)
  }

  function unhold(uid: string, { poolKey }: Member): void {
    held.delete(uid)
    const pool = pools.get(poolKey)
    if (!pool) return
    pool.held--
    prune(poolKey, pool)
  }

  function seen(sandbox: Sandbox): void {
    const key = keyOf(sandbox)
    const { uid = '' } = sandbox.metadata
    const before = members.get(key)
    const poolKey = poolKeyOf(sandbox)
    if (before && (before.uid !== uid || before.poolKey !== poolKey)) drop(key)
    if (poolKey === undefined) return
    const member: Member = { uid, poolKey, progress: progressOf(sandbox), node: sandbox.status?.nodeName ?? '' }
    const known = members.get(key)
    members.set(key, member)
    if (known?.heldBy !== undefined) {
      member.heldBy = known.heldBy
      return
    }
    const asker = assignee(sandbox)
    if (asker) return take(key, member, asker.uid)
    if (known?.progress === 'starting' && member.progress !== 'starting') poolAt(poolKey).movedAt = now()
    if (known && known.progress !== member.progress) leaveQueues(key, known)
    enqueue(key, member)
  }

  function take(key: string, member: Member, uid: string): void {
    leaveQueues(key, member)
    stopWaiting(uid)
    release(uid)
    member.heldBy = uid
    held.set(uid, key)
    poolAt(member.poolKey).held++
  }

  function release(uid: string): void {
    stopWaiting(uid)
    const key = held.get(uid)
    const member = key === undefined ? undefined : members.get(key)
    if (key === undefined || !member) return
    putAside(uid)
    enqueue(key, member)
  }

  /** What the claim holds is in no queue until something happens to it. */
  function putAside(uid: string): void {
    const member = members.get(held.get(uid) ?? '')
    if (!member) return
    delete member.heldBy
    unhold(uid, member)
  }

  function nextOf({ ready, running }: Pool): string | undefined {
    return ready.take() ?? running.take()
  }

  return {
    seen,
    gone: (sandbox) => drop(keyOf(sandbox)),
    hold(asker, key) {
      const member = members.get(key)
      if (!member) return release(asker.uid)
      if (member.heldBy === asker.uid) return
      // Only offered so far: what is written counts more.
      if (member.heldBy !== undefined) unhold(member.heldBy, member)
      take(key, member, asker.uid)
    },
    release,
    offer(asker, poolKey, acceptable) {
      const mine = held.get(asker.uid)
      const sandbox = mine === undefined ? undefined : find(mine)
      if (sandbox && poolKeyOf(sandbox) === poolKey) {
        if (acceptable?.(sandbox) !== false) return { kind: 'member', sandbox }
        putAside(asker.uid)
      } else if (mine !== undefined || waitingFor.get(asker.uid) !== poolKey) release(asker.uid)
      const pool = pools.get(poolKey)
      if (!pool) return { kind: 'none' }
      for (let key = nextOf(pool); key !== undefined; key = nextOf(pool)) {
        const member = members.get(key)
        const candidate = find(key)
        if (!member || !candidate || acceptable?.(candidate) === false) continue
        take(key, member, asker.uid)
        return { kind: 'member', sandbox: candidate }
      }
      const others = pool.waiting.has(asker.uid) ? pool.waiting.size - 1 : pool.waiting.size
      if (pool.starting.size <= others) {
        stopWaiting(asker.uid)
        prune(poolKey, pool)
        return { kind: 'none' }
      }
      pool.waiting.set(asker.uid, asker.key)
      waitingFor.set(asker.uid, poolKey)
      return { kind: 'starting', movedAt: pool.movedAt }
    },
    available(poolKey) {
      const pool = pools.get(poolKey)
      return pool ? pool.ready.size + pool.running.size : 0
    },
    ready: (poolKey) => pools.get(poolKey)?.ready.size ?? 0,
    supply(poolKey) {
      const pool = pools.get(poolKey)
      return pool ? pool.ready.size + pool.running.size + pool.held : 0
    },
  }
}
