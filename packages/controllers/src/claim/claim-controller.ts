/** Wires the SandboxClaim plan to caches: what it observes, and which changes have which claim looked at. */
import {
  LABELS,
  type Sandbox,
  type SandboxClaim,
  type SandboxTemplate,
  type SandboxWarmPool,
  selects,
} from '@caisson/api'
import { type AnyObject, type Informer, joinKey, keyOf } from '@caisson/client'
import { overrideConflict } from '../blueprint/additional-metadata.ts'
import { isLike } from '../blueprint/sandbox-spec.ts'
import { maySendEnv, takesWarmEnv, warmEnvSecrets } from '../blueprint/warm-env.ts'
import { createEngine, type Engine, type EngineOptions } from '../engine/engine.ts'
import { sameJson } from '../engine/json-difference.ts'
import { withNamesakes } from '../template/name-collision.ts'
import { type NetworkPolicy, templateNameOf } from '../template/network-policy.ts'
import type { PolicyFailures } from '../template/policy-failures.ts'
import { olderTemplate, policyOf, type TemplateCaches } from '../template/template-controller.ts'
import { type Adoption, type Asker, createAdoption, type Offer } from './adoption.ts'
import type { ComingClaims } from './after-claims.ts'
import { followArrivals } from './arrivals.ts'
import { type Assignments, envProblem, knownSandboxes, originOf, originOfMember } from './assignments.ts'
import { createEnvDelivery, type EnvDelivery } from './env-delivery.ts'
import { claimNameOf, type Finding, findSandbox } from './find-sandbox.ts'
import type { ClaimEnv, ObservedClaim } from './observed-claim.ts'
import { type ClaimPlanOptions, mayAdopt, planClaim } from './plan-claim.ts'
import { countWaitingClaims, type WaitingClaims } from './waiting-claims.ts'

export interface ClaimCaches extends Pick<TemplateCaches, 'templates' | 'policies'> {
  claims: Informer<SandboxClaim>
  sandboxes: Informer<Sandbox>
  pools: Informer<SandboxWarmPool>
}

export interface ClaimControllerOptions extends EngineOptions, Omit<ClaimPlanOptions, 'labelDomains'> {
  /** Of now. */
  labelDomains(): readonly string[]
  assignments: Assignments
  policyFailures: PolicyFailures
}

export interface ClaimController extends AsyncDisposable, Pick<Engine, 'idle'>, ComingClaims {
  waiting: WaitingClaims
  /** Looks again at claims that want labels: others are allowed now. */
  reconsiderLabels(): void
}

/** Index of claims without a Sandbox by the key of their pool; those with a selector by their namespace. */
const BY_POOL = 'poolOfClaim'
/** Index of claims without a Sandbox by the key of their template. */
const BY_TEMPLATE = 'templateOfClaim'
/** Index of pools by the key of their template. */
const POOLS_BY_TEMPLATE = 'templateOfPool'

/** Starts at once; the caches must have synced, or claims would be given a second Sandbox. */
export function startClaimController(caches: ClaimCaches, options: ClaimControllerOptions): ClaimController {
  const { claims, sandboxes, pools, templates, policies } = caches
  const { assignments } = options
  claims.addIndex(BY_POOL, poolKey)
  claims.addIndex(BY_TEMPLATE, templateKey)
  pools.addIndex(POOLS_BY_TEMPLATE, templateKeyOfPool)
  const adoption = createAdoption({
    find: (key) => sandboxes.get(key),
    assignee(sandbox) {
      const claim = assignments.claimFor(sandbox)
      return claim && askerOf(claim)
    },
    call: (key) => engine.enqueue(key),
    now: options.now ?? Date.now,
  })
  const waiting = countWaitingClaims(claims, {
    supply: (poolKey) => adoption.supply(supplyKeyOf(pools.get(poolKey))),
    plenty: (poolKey) => hasPlenty(pools.get(poolKey), adoption),
    ready: (poolKey) => adoption.ready(supplyKeyOf(pools.get(poolKey))),
    now: options.now ?? Date.now,
  })
  const firstSeen = new Map<string, number>()
  const arrivals = followArrivals()
  const delivery = createEnvDelivery({ client: options.client, call: (key) => engine.enqueue(key) })
  const engine = createEngine<SandboxClaim, ObservedClaim>(
    {
      name: 'claim',
      informer: claims,
      others: [sandboxes, pools, templates, policies, delivery.cache],
      observe: (claim, failures) =>
        observeClaim({ ...caches, adoption, delivery, firstSeen, waiting }, claim, { failures, options }),
      madeFrom(claim) {
        const { pool, template } = sourcesOf({ ...caches, adoption }, claim)
        return [pool?.found, template?.found]
      },
      plan: (observed, now) => planClaim(observed, now, { ...options, labelDomains: options.labelDomains() }),
    },
    options,
  )
  const holdAssigned = (claim: SandboxClaim): void => {
    const member = assignments.memberFor(claim)
    if (member) adoption.hold(askerOf(claim), keyOf(member))
  }
  const enqueueConcerned = (sandbox: Sandbox): void => {
    const { namespace } = sandbox.metadata
    const owner = claimNameOf(sandbox)
    if (owner !== undefined) engine.enqueue(joinKey(namespace, owner))
    const key = keyOf(sandbox)
    if (claims.get(key)) engine.enqueue(key)
    for (const claim of assignments.naming(sandbox)) engine.enqueue(keyOf(claim))
  }
  const enqueueUsers = (templateKey: string): void => {
    for (const claim of claims.byIndex(BY_TEMPLATE, templateKey)) engine.enqueue(keyOf(claim))
    for (const pool of pools.byIndex(POOLS_BY_TEMPLATE, templateKey)) enqueueAskers(engine, claims, pool)
  }
  const enqueueUsersOf = (template: SandboxTemplate): void => {
    for (const each of withNamesakes(templates, template)) enqueueUsers(keyOf(each))
  }
  const enqueueGuarded = (policy: NetworkPolicy): void => {
    const name = templateNameOf(policy)
    const template = name === undefined ? undefined : templates.get(joinKey(policy.metadata.namespace, name))
    if (template) enqueueUsersOf(template)
  }
  const handlers = [
    claims.handle({
      added(claim) {
        arrivals.note()
        firstSeen.set(claim.metadata.uid ?? '', performance.timeOrigin + performance.now())
        holdAssigned(claim)
        engine.enqueue(keyOf(claim))
      },
      updated(_old, claim) {
        holdAssigned(claim)
        engine.enqueue(keyOf(claim))
      },
      deleted(claim) {
        firstSeen.delete(claim.metadata.uid ?? '')
        adoption.release(claim.metadata.uid ?? '')
        delivery.forget(claim.metadata.uid ?? '')
        assignments.gone(claim)
      },
    }),
    sandboxes.handle({
      added(sandbox) {
        adoption.seen(sandbox)
        enqueueConcerned(sandbox)
      },
      updated(old, sandbox) {
        adoption.seen(sandbox)
        // It may have changed hands.
        if (claimNameOf(old) !== claimNameOf(sandbox)) enqueueConcerned(old)
        enqueueConcerned(sandbox)
      },
      deleted(sandbox) {
        adoption.gone(sandbox)
        enqueueConcerned(sandbox)
      },
    }),
    pools.handle(whenChanged((pool: SandboxWarmPool) => enqueueAskers(engine, claims, pool))),
    templates.handle(whenChanged(enqueueUsersOf)),
    policies.handle({
      added: enqueueGuarded,
      // Also where it only has another owner: a template that was made anew takes over what the one before left.
      updated: (_old, policy) => enqueueGuarded(policy),
      deleted: enqueueGuarded,
    }),
    options.policyFailures.onChange(enqueueUsersOf),
  ]
  return {
    waiting,
    reconsiderLabels() {
      for (const claim of claims.list()) if (claim.spec.additionalPodMetadata?.labels) engine.enqueue(keyOf(claim))
    },
    coming: () => engine.busy() || arrivals.coming() || waiting.crowded(),
    idle: () => engine.idle(),
    async settled(signal) {
      do await engine.idle()
      while ((await arrivals.paused(signal)) || (await waiting.dispersed(signal)))
    },
    async [Symbol.asyncDispose]() {
      for (const handler of handlers) handler[Symbol.dispose]()
      waiting[Symbol.dispose]()
      await engine[Symbol.asyncDispose]()
    },
  }
}

interface Sources extends ClaimCaches {
  adoption: Adoption
  delivery: EnvDelivery
  /** When claims were first seen, by UID. */
  firstSeen: ReadonlyMap<string, number>
  waiting: WaitingClaims
}

function observeClaim(
  sources: Sources,
  claim: SandboxClaim,
  { failures, options }: { failures: ObservedClaim['failures']; options: ClaimControllerOptions },
): ObservedClaim {
  const { templates, adoption, firstSeen } = sources
  const { namespace, name = '', uid = '' } = claim.metadata
  const { now = Date.now } = options
  const { pool, template } = sourcesOf(sources, claim)
  const known = {
    ...knownSandboxes(sources, claim),
    pool,
    template,
    policy: template?.found && policyOf(sources, template.found),
    policyFailure: template?.found && options.policyFailures.of(template.found),
    templateNamesake: template?.found && olderTemplate(sources, template.found),
    legacyPolicy: sources.policies.get(joinKey(namespace, `${name}-network-policy`)),
    firstObservedAt: firstSeen.get(uid) ?? now(),
    crowded: sources.waiting.crowdedUntil(namespace ?? '', claim.spec.warmPoolRef?.name ?? '') !== undefined,
    failures,
  }
  const finding = findSandbox(known)
  if (failures.some(({ permanent }) => permanent)) options.assignments.refuse(claim)
  if (finding.kind === 'found' || finding.kind === 'transfer') {
    // It waits for nothing else any more; and for nothing at all where it cannot take what is written in it.
    if (finding.kind === 'found' || options.assignments.memberFor(claim))
      adoption.hold(askerOf(claim), keyOf(finding.sandbox))
    else adoption.release(uid)
    const env = envFor(sources, claim, finding)
    const origin =
      finding.kind === 'transfer'
        ? originOfMember(templates, finding.sandbox, known.assignedPool)
        : (originOf(templates, finding.sandbox) ?? template?.found)
    return { ...known, offer: { kind: 'none' }, origin, ...(env && { env }) }
  }
  const env = finding.kind === 'ask' ? envToSend(sources, claim, pool?.found && template?.found) : undefined
  const asking = { ...known, ...(env && { env }) }
  const offer: Offer =
    finding.kind === 'ask' && mayAdopt(asking, now(), { labelDomains: options.labelDomains() })
      ? offerFrom(sources, asking)
      : { kind: 'none' }
  // Nobody else waits for what it does not take.
  if (offer.kind === 'none') adoption.release(uid)
  return { ...asking, offer, origin: undefined }
}

/** Where the claim's Sandbox comes from: what it asks, and what a Sandbox is made from where there is none to take. */
function sourcesOf(
  sources: Pick<Sources, 'pools' | 'templates' | 'adoption'>,
  claim: SandboxClaim,
): Pick<ObservedClaim, 'pool' | 'template'> {
  const { pools, templates } = sources
  const { namespace } = claim.metadata
  const poolName = claim.spec.warmPoolRef?.name ?? selectedPool(sources, claim)
  const pool = poolName === undefined ? undefined : { name: poolName, found: pools.get(joinKey(namespace, poolName)) }
  const templateName = claim.spec.templateRef?.name ?? pool?.found?.spec.sandboxTemplateRef.name
  const template =
    templateName === undefined
      ? undefined
      : { name: templateName, found: templates.get(joinKey(namespace, templateName)) }
  return { pool, template }
}

/** The variables of a claim that asks a pool whose members can be given them. */
function envToSend(
  { delivery }: Sources,
  claim: SandboxClaim,
  template: SandboxTemplate | undefined,
): ClaimEnv | undefined {
  const { env = [] } = claim.spec
  if (!env.length || !template || !maySendEnv(template, env)) return undefined
  const values = delivery.valuesOf(claim)
  return values.kind === 'known' ? { kind: 'known', secrets: [] } : values
}

/**
 * What a Sandbox that was a pool's has to be given; once the status names it, it has been. That it was written down for the
 * claim says nothing of what the template allows: the claim's owner may have written that, or other variables since.
 */
function envFor(
  { delivery, templates }: Sources,
  claim: SandboxClaim,
  { kind, sandbox }: Extract<Finding, { kind: 'found' | 'transfer' }>,
): ClaimEnv | undefined {
  const { spec, metadata, status } = claim
  if (!spec.env?.length) return undefined
  if (!takesWarmEnv(sandbox.spec) || status?.sandbox?.name === sandbox.metadata.name) {
    delivery.forget(metadata.uid ?? '')
    return undefined
  }
  const problem = envProblem(claim, sandbox, originOf(templates, sandbox))
  if (problem !== undefined) return { kind: 'problem', message: problem, permanent: true }
  if (kind === 'transfer') return undefined
  const values = delivery.valuesOf(claim)
  if (values.kind !== 'known') return values
  const wanted = warmEnvSecrets(claim, sandbox, values.variables)
  const secrets = wanted.map((secret) => ({
    wanted: secret,
    sent: delivery.sent(secret.metadata.namespace, secret.metadata.name),
  }))
  return { kind: 'known', secrets }
}

/** What the pool has that was made from a template with which the claim can agree. */
function offerFrom({ adoption, templates }: Sources, { claim, pool }: Pick<ObservedClaim, 'claim' | 'pool'>): Offer {
  const { metadata, spec } = claim
  const found = pool?.found
  if (!found) return { kind: 'none' }
  const strict = found.spec.updateStrategy?.type === 'Recreate'
  const offer = adoption.offer(askerOf(claim), supplyKeyOf(found), (sandbox) => {
    const template = strict ? templates.get(joinKey(metadata.namespace, found.spec.sandboxTemplateRef.name)) : undefined
    return !template || isLike(template, sandbox.spec, sandbox.metadata.labels?.[LABELS.templateHash])
  })
  if (offer.kind !== 'member') return offer
  // Made before the template had them take any: it is another claim's.
  if (spec.env?.length && !takesWarmEnv(offer.sandbox.spec)) return { kind: 'none' }
  const origin = originOf(templates, offer.sandbox)
  const conflict = overrideConflict(origin?.spec.podTemplate.metadata, spec.additionalPodMetadata)
  return conflict === undefined ? offer : { kind: 'none' }
}

/** The pool that a claim with a selector asks: the one with most to give, then the first by name. */
function selectedPool(
  { pools, adoption }: Pick<Sources, 'pools' | 'adoption'>,
  { metadata, spec }: SandboxClaim,
): string | undefined {
  if (!spec.warmPoolSelector) return undefined
  const { warmPoolSelector } = spec
  const [best] = pools
    .list()
    .filter((pool) => pool.metadata.namespace === metadata.namespace && selects(warmPoolSelector, pool.metadata.labels))
    .map((pool) => ({ name: pool.metadata.name ?? '', available: adoption.available(supplyKeyOf(pool)) }))
    .sort((a, b) => b.available - a.available || (a.name < b.name ? -1 : 1))
  return best?.name
}

/** Half of what the pool had when it was looked at last. */
function hasPlenty(pool: SandboxWarmPool | undefined, adoption: Adoption): boolean {
  const { replicas = 0 } = pool?.status ?? {}
  return replicas > 0 && adoption.available(supplyKeyOf(pool)) * 2 >= replicas
}

function askerOf(claim: SandboxClaim): Asker {
  return { uid: claim.metadata.uid ?? '', key: keyOf(claim) }
}

function enqueueAskers(engine: Engine, claims: Informer<SandboxClaim>, pool: SandboxWarmPool): void {
  const named = claims.byIndex(BY_POOL, keyOf(pool))
  for (const claim of [...named, ...claims.byIndex(BY_POOL, joinKey(pool.metadata.namespace, ''))])
    engine.enqueue(keyOf(claim))
}

/** For kinds whose status is of no interest. */
function whenChanged<T extends AnyObject>(enqueue: (object: T) => void) {
  return {
    added: enqueue,
    updated(old: T, object: T) {
      const { generation, labels } = object.metadata
      // A server of other people's CRDs may count no generations.
      if (generation === undefined || generation !== old.metadata.generation || !sameJson(labels, old.metadata.labels))
        enqueue(object)
    },
    deleted: enqueue,
  }
}

function poolKey({ metadata, spec, status }: SandboxClaim): string[] {
  if (status?.sandbox?.name || spec.templateRef) return []
  return [joinKey(metadata.namespace, spec.warmPoolRef?.name ?? '')]
}

function templateKey({ metadata, spec, status }: SandboxClaim): string[] {
  if (status?.sandbox?.name || !spec.templateRef) return []
  return [joinKey(metadata.namespace, spec.templateRef.name)]
}

/** As `poolKeyOf` has it of its members. */
function supplyKeyOf(pool: SandboxWarmPool | undefined): string {
  return pool ? joinKey(pool.metadata.namespace, pool.metadata.uid ?? '') : ''
}

function templateKeyOfPool({ metadata, spec }: SandboxWarmPool): string[] {
  return [joinKey(metadata.namespace, spec.sandboxTemplateRef.name)]
}
