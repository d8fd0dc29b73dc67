/** Wires the SandboxWarmPool plan to caches: what it observes, and which changes have which pool looked at. */
import { randomBytes } from 'node:crypto'
import {
  LABELS,
  nameHash,
  type Sandbox,
  type SandboxClaim,
  type SandboxTemplate,
  type SandboxWarmPool,
} from '@caisson/api'
import {
  type AnyObject,
  type Informer,
  type Informers,
  joinKey,
  keyOf,
  sandboxClaims,
  sandboxWarmPools,
} from '@caisson/client'
import type { Assignments } from '../claim/assignments.ts'
import { assignedName } from '../claim/observed-claim.ts'
import { FEW_CLAIMS, type WaitingClaims } from '../claim/waiting-claims.ts'
import { createEngine, type Engine, type EngineOptions } from '../engine/engine.ts'
import { BY_NAME_HASH, nameHashKey, olderNamesake, withNamesakes } from '../template/name-collision.ts'
import { type NetworkPolicy, templateNameOf } from '../template/network-policy.ts'
import type { PolicyFailures } from '../template/policy-failures.ts'
import { olderTemplate, policyOf, type TemplateCaches } from '../template/template-controller.ts'
import { type Demand, trackDemand } from './demand.ts'
import { createMemberNames, type MemberNames } from './member-names.ts'
import type { ObservedPool } from './observed-pool.ts'
import { type PoolPlanOptions, planPool, yieldsToClaims } from './plan-pool.ts'
import { spaceLooks } from './spaced-looks.ts'

export interface PoolCaches extends TemplateCaches {
  pools: Informer<SandboxWarmPool>
  sandboxes: Informer<Sandbox>
  claims: Informer<SandboxClaim>
}

export interface PoolControllerOptions extends EngineOptions, PoolPlanOptions {
  waitingClaims?: WaitingClaims
  assignments: Assignments
  policyFailures: PolicyFailures
}

/** Index of Sandboxes by namespace and the hash of their pool's name. */
const BY_POOL = 'warmPool'
/** Index of pools by the key of their template. */
const BY_TEMPLATE = 'sandboxTemplate'

/** How long a look at a pool has pause after it for each of its members, ms: a two-hundredth of it is what the look takes. */
export const PAUSE_OF_MEMBER = 0.5
/** ms */
const LONGEST_PAUSE = 250

export function poolCaches(informers: Informers): Pick<PoolCaches, 'pools' | 'claims'> {
  return {
    pools: informers.of(sandboxWarmPools, { indexers: { [BY_TEMPLATE]: templateKey, [BY_NAME_HASH]: nameHashKey } }),
    claims: informers.of(sandboxClaims),
  }
}

/** Starts at once; the caches must have synced, or members that exist would be made again. */
export function startPoolController(
  caches: PoolCaches,
  options: PoolControllerOptions,
): AsyncDisposable & Pick<Engine, 'idle'> {
  const { pools, sandboxes, claims, templates, policies } = caches
  const { now = Date.now, waitingClaims, assignments, policyFailures } = options
  sandboxes.addIndex(BY_POOL, memberKey)
  const names = createMemberNames(
    randomBytes(8).toString('hex'),
    (namespace, name) => sandboxes.get(joinKey(namespace, name)) !== undefined,
  )
  const observe = (pool: SandboxWarmPool, failures: ObservedPool['failures']): ObservedPool =>
    observePool(pool, failures, { ...caches, names, demand, waitingClaims, assignments, policyFailures })
  const engine = createEngine<SandboxWarmPool, ObservedPool>(
    {
      name: 'pool',
      informer: pools,
      others: [sandboxes, templates, policies],
      observe,
      madeFrom: (pool) => [templateOf(templates, pool)],
      plan: (observed, now) => planPool(observed, now, options),
      interrupted: (pool) => yieldsToClaims(observe(pool, []), now()),
    },
    options,
  )
  // Members change by the dozen, one after another where changes come over a network, and each look is at all of them.
  const crowd = spaceLooks({
    look: (key) => engine.enqueue(key),
    pauseOf(key) {
      const { spec, status } = pools.get(key) ?? {}
      const members = Math.max(spec?.replicas ?? 0, status?.replicas ?? 0)
      return Math.min(members * PAUSE_OF_MEMBER, LONGEST_PAUSE)
    },
  })
  /** Each look is at all members, and while claims come that find what they need it would come to nothing. */
  const enqueueUndisturbed = ({ namespace = '', name = '' }: SandboxWarmPool['metadata']): void => {
    const key = joinKey(namespace, name)
    const until = waitingClaims?.undisturbedUntil(namespace, name)
    if (until === undefined) crowd.add(key)
    else engine.enqueueAt(key, until)
  }
  const demand = trackDemand(caches, { now, changed: ({ metadata }) => enqueueUndisturbed(metadata) })
  const enqueue = (pool: SandboxWarmPool): void => engine.enqueue(keyOf(pool))
  // Which of those with the same hash is in the way of which may be another now.
  const enqueueAlike = (pool: SandboxWarmPool): void => withNamesakes(pools, pool).forEach(enqueue)
  const enqueueOf = (template: SandboxTemplate): void => {
    for (const each of withNamesakes(templates, template))
      for (const pool of pools.byIndex(BY_TEMPLATE, keyOf(each))) enqueue(pool)
  }
  const enqueueMember = (sandbox: Sandbox): void => {
    for (const key of memberKey(sandbox))
      for (const { metadata } of pools.byIndex(BY_NAME_HASH, key)) {
        const { namespace = '', name = '' } = metadata
        // It is looked at when they are done.
        if (!waitingClaims?.busy(namespace, name)) enqueueUndisturbed(metadata)
      }
  }
  const enqueueUnassigned = (claim: SandboxClaim, next?: SandboxClaim): void => {
    const name = assignedName(claim)
    const sandbox = name === undefined ? undefined : sandboxes.get(joinKey(claim.metadata.namespace, name))
    if (sandbox && (!next || assignments.memberFor(next) !== sandbox)) enqueueMember(sandbox)
  }
  const enqueueGuarded = (policy: NetworkPolicy): void => {
    const name = templateNameOf(policy)
    const template = name === undefined ? undefined : templates.get(joinKey(policy.metadata.namespace, name))
    if (template) enqueueOf(template)
  }
  const handlers = [
    pools.handle({
      added: enqueueAlike,
      updated: (_old, pool) => enqueue(pool),
      deleted(pool) {
        names.forget(pool.metadata.uid ?? '')
        enqueueAlike(pool)
      },
    }),
    templates.handle({
      added: enqueueOf,
      updated: (_old, template) => enqueueOf(template),
      deleted: enqueueOf,
    }),
    policies.handle({
      added: enqueueGuarded,
      updated: (_old, policy) => enqueueGuarded(policy),
      deleted: enqueueGuarded,
    }),
    sandboxes.handle({
      added: enqueueMember,
      updated(old, sandbox) {
        enqueueMember(old)
        enqueueMember(sandbox)
      },
      deleted: enqueueMember,
    }),
    policyFailures.onChange(enqueueOf),
    // A member that was a claim's to take and is not any more may be one too many.
    claims.handle({
      // Where only time has passed, or a template changed, the status that says so has it looked at.
      updated: enqueueUnassigned,
      deleted: (claim) => enqueueUnassigned(claim),
    }),
    waitingClaims?.onChange((namespace, name) => {
      const waiting = waitingClaims.waiting(namespace, name)
      if (waiting === 0 || waiting === FEW_CLAIMS) enqueueUndisturbed({ namespace, name })
    }),
    demand,
    crowd,
  ]
  return {
    async idle() {
      await crowd.passed()
      await engine.idle()
    },
    async [Symbol.asyncDispose]() {
      for (const handler of handlers) handler?.[Symbol.dispose]()
      await engine[Symbol.asyncDispose]()
    },
  }
}

interface Sources extends PoolCaches {
  names: MemberNames
  demand: Demand
  waitingClaims: WaitingClaims | undefined
  assignments: Assignments
  policyFailures: PolicyFailures
}

function observePool(
  pool: SandboxWarmPool,
  failures: ObservedPool['failures'],
  { pools, sandboxes, templates, policies, names, demand, waitingClaims, assignments, policyFailures }: Sources,
): ObservedPool {
  const { namespace = '', name = '' } = pool.metadata
  names.settle(pool)
  const template = templateOf(templates, pool)
  return {
    pool,
    template,
    policy: template && policyOf({ policies }, template),
    templateNamesake: template && olderTemplate({ templates, policies }, template),
    policyFailure: template && policyFailures.of(template),
    namesake: olderNamesake(pools, pool),
    candidates: sandboxes.byIndex(BY_POOL, joinKey(namespace, nameHash(name))),
    isAssigned: (sandbox) => assignments.claimFor(sandbox) !== undefined,
    waitingClaims: waitingClaims?.waiting(namespace, name) ?? 0,
    claimsPauseAt: waitingClaims?.pausesAt(namespace, name),
    claimsCrowdUntil: waitingClaims?.crowdedUntil(namespace, name),
    claimsGoOn: waitingClaims?.goOn(namespace, name) ?? false,
    demand: demand.of(pool),
    newNames: (count) => names.next(pool, count),
    failures,
  }
}

function templateOf(templates: Informer<SandboxTemplate>, pool: SandboxWarmPool): SandboxTemplate | undefined {
  return templates.get(joinKey(pool.metadata.namespace, pool.spec.sandboxTemplateRef.name))
}

function memberKey({ metadata }: AnyObject): string[] {
  const hash = metadata.labels?.[LABELS.warmPool]
  return hash ? [joinKey(metadata.namespace, hash)] : []
}

function templateKey({ metadata, spec }: SandboxWarmPool): string[] {
  return [joinKey(metadata.namespace, spec.sandboxTemplateRef.name)]
}
