/** As many unclaimed Sandboxes as a pool is to have, made from its template as its strategy says. */
import type { SandboxWarmPoolStatus } from '@caisson/api'
import { nothing, type Plan, type Write } from '../engine/plan.ts'
import { policyState } from '../template/network-policy.ts'
import { type Health, healthOf } from './health.ts'
import { adoptMember, createMember, deleteMember, isCreation, type MemberOptions } from './member-writes.ts'
import { type Member, type Members, membersOf, type ObservedPool } from './observed-pool.ts'
import { poolEvents, poolNotices, poolStatus, statusMayWait } from './pool-status.ts'
import { rolloutStep, strategyOf } from './rollout.ts'
import { targetOf } from './target.ts'

export interface PoolPlanOptions extends MemberOptions {
  /** Members that are made or deleted in one go. */
  maxBatchSize: number
  /** ms that a member may take to become Ready, where its pool does not say. */
  readinessGracePeriod: number
}

/** How long to leave a pool alone whose namespace goes away: usually it is gone by then. */
const NAMESPACE_TERMINATING_RECHECK = 30_000

/** @param now ms since the epoch */
export function planPool(observed: ObservedPool, now: number, options: PoolPlanOptions): Plan<SandboxWarmPoolStatus> {
  const { pool, failures } = observed
  if (pool.metadata.deletionTimestamp) return nothing()
  if (failures.some(({ namespaceTerminating }) => namespaceTerminating)) {
    return nothing(now + NAMESPACE_TERMINATING_RECHECK)
  }
  const members = membersOf(observed)
  const target = targetOf(pool, observed.demand, now)
  const grace = (pool.spec.readinessGracePeriodSeconds ?? options.readinessGracePeriod / 1000) * 1000
  const health = healthOf(members.active, { grace, now })
  const refused = new Set(failures.map(({ id }) => id))
  const writes = [
    ...deletions(observed, members, { target: target.members, health, grace }),
    ...additions(observed, members, { target: target.members, now, options }),
  ].filter(({ id }) => !refused.has(id))
  const status = poolStatus(observed, members, { target: target.members, health, grace, now })
  const refillAt = yieldsToClaims(observed, now) ? refillTime(observed) : undefined
  const requeueAt = earliest(earliest(health.nextAt, target.shrinksAt), refillAt)
  return {
    writes: withinBatch(writes, options.maxBatchSize),
    status,
    statusEvents: poolEvents(pool, status),
    notices: poolNotices(observed),
    statusMayWait: statusMayWait(pool, status),
    retry: failures.some(({ permanent }) => !permanent),
    ...(requeueAt !== undefined && { requeueAt }),
  }
}

/** Members of one pool that are not Ready: while none of them becomes it, more of them would only fill the cluster. */
const MOST_STARTING = 1000

/**
 * Whether members are made later, because claims come first: while some wait that find enough that are Ready, and until no
 * more have come for a moment, since the start of a member is what the next one would wait for. Many at once are left alone
 * in any case: those that find nothing have Sandboxes made for them, and more would come to all of them later.
 */
export function yieldsToClaims(observed: ObservedPool, now: number): boolean {
  const { waitingClaims, claimsPauseAt = now, claimsCrowdUntil = now } = observed
  if (claimsCrowdUntil > now) return true
  if (observed.claimsGoOn || (waitingClaims === 0 && claimsPauseAt <= now)) return false
  const ready = membersOf(observed).active.filter((member) => member.ready)
  if (waitingClaims > 0) return ready.length >= waitingClaims
  return ready.some(({ assigned }) => !assigned)
}

/** When to look again; while claims wait it is their answers that have the pool looked at. */
function refillTime({ waitingClaims, claimsPauseAt, claimsCrowdUntil }: ObservedPool): number | undefined {
  return claimsCrowdUntil ?? (waitingClaims === 0 ? claimsPauseAt : undefined)
}

interface Situation {
  target: number
  health: Health
  grace: number
}

function deletions(observed: ObservedPool, members: Members, { target, health, grace }: Situation): Write[] {
  const { pool } = observed
  const deletable = (member: Member): boolean => !member.assigned
  const overdue = health.overdue.filter(deletable)
  const rest = without(members.active, overdue)
  const stale = rest.filter((member) => !member.current && deletable(member))
  const outdated = rolloutStep(pool, { members: rest, stale, target }).deleted
  const kept = without(rest, outdated)
  // While one generation gives way to the next there may be more of them.
  const surplus = kept.length - target - rolloutStep(pool, { members: kept, stale, target }).surge
  const excess = surplus > 0 ? leastMissed(kept.filter(deletable), surplus) : []
  return [
    ...overdue.map((member) => deleteMember(member, { grace })),
    ...[...outdated, ...excess].map((member) => deleteMember(member)),
    ...strayOrphans(observed, members, target).map((member) => deleteMember(member)),
  ]
}

function additions(
  observed: ObservedPool,
  members: Members,
  { target, now, options }: { target: number; now: number; options: PoolPlanOptions },
): Write[] {
  const { pool, template, policy, failures } = observed
  const adopted = adoptable(observed, members, target).map((member) => adoptMember(pool, member))
  if (observed.templateNamesake !== undefined || observed.policyFailure) return adopted
  if (!template || template.metadata.deletionTimestamp || policyState(template, policy) !== 'enforced') return adopted
  // What the server refused it would refuse again.
  if (failures.some((failure) => isCreation(failure, template)) || yieldsToClaims(observed, now)) return adopted
  const stale = members.active.filter(({ current }) => !current)
  const { surge } = rolloutStep(pool, { members: members.active, stale, target })
  const room = target + surge - members.active.length - members.terminating - adopted.length
  const current = members.active.length - stale.length
  const missing = strategyOf(pool) === 'RollingUpdate' ? Math.min(room, target - current - adopted.length) : room
  const starting = members.active.filter(({ ready }) => !ready).length
  const count = Math.min(missing, options.maxBatchSize, MOST_STARTING - starting)
  const names = count > 0 ? observed.newNames(count) : []
  return [...adopted, ...names.map((name) => createMember(pool, template, { evictable: options.evictable, name }))]
}

/** Orphans that are like the template fill gaps. Without a template nothing says what they are. */
function adoptable({ template }: ObservedPool, { active, orphans, terminating }: Members, target: number): Member[] {
  const gaps = target - active.length - terminating
  return template && gaps > 0 ? orphans.filter(({ current }) => current).slice(0, gaps) : []
}

/** Those that are not like it, and those for which there is no place, would be nobody's for ever. */
function strayOrphans(observed: ObservedPool, members: Members, target: number): Member[] {
  if (!observed.template) return []
  return without(members.orphans, adoptable(observed, members, target))
}

function without(members: readonly Member[], some: readonly Member[]): Member[] {
  const gone = new Set(some)
  return members.filter((member) => !gone.has(member))
}

/** Not Ready before Ready, then the newest. */
function leastMissed(members: readonly Member[], count: number): Member[] {
  const created = ({ sandbox }: Member): string => sandbox.metadata.creationTimestamp ?? ''
  const name = ({ sandbox }: Member): string => sandbox.metadata.name ?? ''
  const order = (a: Member, b: Member): number =>
    Number(a.ready) - Number(b.ready) || compare(created(b), created(a)) || compare(name(b), name(a))
  return [...members].sort(order).slice(0, count)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** The rest is planned again once these are done. */
function withinBatch(writes: readonly Write[], limit: number): Write[] {
  const counts = new Map<string, number>()
  return writes.filter(({ batch = '' }) => {
    const count = (counts.get(batch) ?? 0) + 1
    counts.set(batch, count)
    return count <= limit
  })
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b)
}
