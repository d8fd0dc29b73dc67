import {
  ANNOTATIONS,
  claimCrd,
  controllerOf,
  findCondition,
  isConditionTrue,
  poolCrd,
  type Sandbox,
  type SandboxClaim,
  type SandboxWarmPool,
  snapshotCrd,
  templateCrd,
  UPDATE_STRATEGIES,
} from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import {
  type AnyObject,
  type Client,
  createInformers,
  isApiError,
  sandboxClaims,
  sandboxTemplates,
  sandboxWarmPools,
} from '@caisson/client'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PODS, SANDBOXES } from '../sandbox/objects.ts'
import { startEmbeddedCluster } from '../testing/embedded-cluster.ts'
import { startGarbageCollector } from '../testing/garbage-collector.ts'
import { installCrd, type RunningControllers, runControllers, startTestNode } from '../testing/test-cluster.ts'
import { createNamespace, namespaceName } from '../testing/test-namespace.ts'
import { createUnreliableTransport, type UnreliableTransport } from '../testing/unreliable-transport.ts'

const namespace = namespaceName()
const FORBIDDEN = { additionalPodMetadata: { labels: { team: 'a' } } }
const containers = (version: number) => ({ containers: [{ name: 'main', image: `example.com/main:${version}` }] })

type Step =
  | { what: 'claim'; which: number }
  /** By a claim that names it and may not have it. */
  | { what: 'pin'; which: number }
  /** A claim is edited to be one that may not have what it asks for, and back. */
  | { what: 'spoil'; which: number }
  | { what: 'mend'; which: number }
  | { what: 'release'; which: number }
  | { what: 'lose'; which: number }
  | { what: 'remove'; which: number }
  | { what: 'scale'; replicas: number }
  | { what: 'edit'; version: number }
  | { what: 'strategy'; type: (typeof UPDATE_STRATEGIES)[number] }
  | { what: 'crash'; seed: number }
  | { what: 'wait'; turns: number }

const which = fc.nat(9)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ what: fc.constant('claim' as const), which }) },
  {
    weight: 4,
    arbitrary: fc.record({ what: fc.constantFrom('pin' as const, 'spoil' as const, 'mend' as const), which }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ what: fc.constantFrom('release' as const, 'lose' as const, 'remove' as const), which }),
  },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('scale' as const), replicas: fc.nat(6) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('edit' as const), version: fc.nat(3) }) },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant('strategy' as const), type: fc.constantFrom(...UPDATE_STRATEGIES) }),
  },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('crash' as const), seed: fc.nat() }) },
  { weight: 6, arbitrary: fc.record({ what: fc.constant('wait' as const), turns: fc.nat(60) }) },
)

test('whatever happens in whatever order, on a bad connection, pools and claims come to what was asked for', async () => {
  await using cluster = await startEmbeddedCluster(apiserver)
  const { client } = cluster
  await installCrd(client)
  for (const crd of [snapshotCrd(), templateCrd(), claimCrd(), poolCrd()]) await installCrd(client, crd)
  await createNamespace(client, namespace)
  await using _node = await startTestNode(client, namespace)
  const owned = [sandboxClaims, sandboxWarmPools, sandboxTemplates, SANDBOXES, PODS]
  await using _garbage = await startGarbageCollector(client, namespace, owned)
  await client.create(
    sandboxTemplates,
    { metadata: { name: 'web' }, spec: { podTemplate: { spec: containers(0) } } },
    { namespace },
  )
  await client.create(
    sandboxWarmPools,
    { metadata: { name: 'pool' }, spec: { replicas: 2, sandboxTemplateRef: { name: 'web' } } },
    { namespace },
  )

  await using informers = createInformers(client)
  const sandboxes = informers.of(SANDBOXES, { namespace })
  const claims = informers.of(sandboxClaims, { namespace })
  const pods = informers.of(PODS, { namespace })
  const pools = informers.of(sandboxWarmPools, { namespace })
  await informers.synced()
  /** What was asked for at any moment since the last rest. */
  const wanted = [2]
  const strategies: string[] = []
  const most = (): number => {
    const replicas = Math.max(...wanted)
    return strategies.includes('RollingUpdate') ? replicas + Math.ceil(replicas / 4) : replicas
  }
  /** Deleted by the test itself, by UID. */
  const removed = new Set<string>()
  const removedNames = new Set<string>()
  const broken: string[] = []
  const members = (): Sandbox[] => sandboxes.list().filter((each) => controllerOf(each)?.kind === 'SandboxWarmPool')
  using _invariants = sandboxes.handle({
    added() {
      if (members().length > most()) broken.push(`${members().length} members, at most ${most()}`)
    },
    updated(old, sandbox) {
      const [before, after] = [controllerOf(old), controllerOf(sandbox)]
      if (before?.kind === 'SandboxClaim' && before.uid !== after?.uid)
        broken.push(`Sandbox ${sandbox.metadata.name} went from ${before.name} to ${after?.name}`)
    },
    deleted(sandbox) {
      const owner = controllerOf(sandbox)
      const claim = claims.list().find(({ metadata }) => metadata.uid === owner?.uid)
      if (owner?.kind !== 'SandboxClaim' || removed.has(sandbox.metadata.uid ?? '')) return
      if (claim && !removed.has(claim.metadata.uid ?? ''))
        broken.push(`Sandbox ${sandbox.metadata.name} of a claim was deleted`)
    },
  })

  using _given = claims.handle({
    updated(old, claim) {
      const [before, after] = [old.status?.sandbox?.name, claim.status?.sandbox?.name]
      if (before === undefined || before === after || removedNames.has(before)) return
      broken.push(`claim ${claim.metadata.name} had ${before} and has ${after}`)
    },
  })

  let connection: UnreliableTransport
  let running: RunningControllers
  async function start(seed: number): Promise<void> {
    connection = createUnreliableTransport(cluster.transport, seed)
    running = await runControllers({ ...cluster, transport: connection.transport }, namespace)
  }
  async function crash(): Promise<void> {
    await connection.cut()
    await running[Symbol.asyncDispose]()
  }
  let next = 0
  async function take(each: Step): Promise<void> {
    const nth = <T>(list: readonly T[], index: number): T | undefined => list[index % (list.length || 1)]
    // Rest is judged by the caches: they have to know what was asked for last.
    const edit = async (spec: Partial<SandboxWarmPool['spec']>): Promise<void> =>
      pools.observe(await client.patch(sandboxWarmPools, 'pool', { spec }, { namespace }))
    const claim = async (annotations = {}, spec = {}): Promise<void> => {
      const metadata = { name: `claim-${next++}`, annotations }
      const body = { metadata, spec: { warmPoolRef: { name: 'pool' }, ...spec } }
      claims.observe(await client.create(sandboxClaims, body, { namespace }))
    }
    const editClaim = async (which: number, spec: object): Promise<void> => {
      const name = nth(claims.list(), which)?.metadata.name
      if (name !== undefined) claims.observe(await client.patch(sandboxClaims, name, { spec }, { namespace }))
    }
    if (each.what === 'claim') await claim()
    else if (each.what === 'pin')
      await claim({ [ANNOTATIONS.sandboxName]: nth(members(), each.which)?.metadata.name ?? '' }, FORBIDDEN)
    else if (each.what === 'spoil') await editClaim(each.which, FORBIDDEN)
    else if (each.what === 'mend') await editClaim(each.which, { additionalPodMetadata: null })
    else if (each.what === 'release') await remove(client, sandboxClaims, nth(claims.list(), each.which))
    else if (each.what === 'remove') await remove(client, SANDBOXES, nth(members(), each.which))
    else if (each.what === 'lose') await remove(client, PODS, nth(pods.list(), each.which))
    else if (each.what === 'scale') {
      wanted.push(each.replicas)
      await edit({ replicas: each.replicas })
    } else if (each.what === 'edit') {
      const spec = { podTemplate: { spec: containers(each.version) } }
      await client.patch(sandboxTemplates, 'web', { spec }, { namespace })
    } else if (each.what === 'strategy') {
      strategies.push(each.type)
      await edit({ updateStrategy: { type: each.type } })
    } else if (each.what === 'crash') {
      await crash()
      await start(each.seed)
    } else for (let turn = 0; turn < each.turns; turn++) await new Promise(setImmediate)
  }
  async function remove(
    by: Client,
    resource: typeof SANDBOXES | typeof sandboxClaims | typeof PODS,
    object: AnyObject | undefined,
  ): Promise<void> {
    if (!object) return
    removed.add(object.metadata.uid ?? '')
    if (resource === SANDBOXES) removedNames.add(object.metadata.name ?? '')
    const preconditions = { uid: object.metadata.uid ?? '' }
    await ignoreRefused(
      by.delete<AnyObject>(resource, object.metadata.name ?? '', { namespace, gracePeriodSeconds: 0, preconditions }),
    )
  }

  /** Waits until everything is as it was asked for. */
  async function rest(): Promise<void> {
    const settled = Promise.withResolvers<void>()
    const look = (): void => void (isAtRest() && settled.resolve())
    const watching = [sandboxes, claims, pods, pools].map((informer) =>
      informer.handle({ added: look, updated: look, deleted: look }),
    )
    look()
    const timer = setTimeout(() => {
      settled.reject(new Error(`no rest: ${describeState()}; last errors: ${running.errors.slice(-5).join('; ')}`))
    }, 20_000)
    try {
      await settled.promise
    } finally {
      clearTimeout(timer)
      for (const handler of watching) handler[Symbol.dispose]()
    }
    const [pool] = pools.list()
    wanted.splice(0, wanted.length, pool?.spec.replicas ?? 0)
    strategies.splice(0, strategies.length, pool?.spec.updateStrategy?.type ?? '')
    const given = claims.list().flatMap(({ status }) => status?.sandbox?.name ?? [])
    expect(new Set(given).size).toBe(given.length)
  }
  /** All of it in a few lines: whole objects are too many for the log of a run. */
  function describeState(): string {
    const ready = ({ status }: Sandbox | SandboxClaim) =>
      isConditionTrue(status?.conditions, 'Ready') ? 'Ready' : 'not Ready'
    const [pool] = pools.list()
    return [
      `pool ${JSON.stringify(pool?.spec)} says ${pool?.status?.readyReplicas} of ${pool?.status?.replicas}`,
      ...sandboxes.list().map((each) => `${each.metadata.name} of ${controllerOf(each)?.name} ${ready(each)}`),
      ...claims.list().map((each) => `${each.metadata.name} has ${each.status?.sandbox?.name} ${ready(each)}`),
      ...pods.list().map(({ metadata, status }) => `Pod ${metadata.name} ${status?.phase}`),
    ].join('\n')
  }
  function isAtRest(): boolean {
    const [pool] = pools.list()
    const { replicas } = pool?.spec ?? {}
    return (
      members().length === replicas &&
      pool?.status?.observedGeneration === pool?.metadata.generation &&
      pool?.status?.readyReplicas === replicas &&
      pool?.status?.replicas === replicas &&
      sandboxes.list().every(({ status }) => isConditionTrue(status?.conditions, 'Ready')) &&
      areEachOfOneClaim(sandboxes.list().filter((each) => !members().includes(each))) &&
      pods.size === sandboxes.size &&
      claims.list().every(isServed)
    )
  }
  function areEachOfOneClaim(given: readonly Sandbox[]): boolean {
    const owners = new Set(given.map((each) => controllerOf(each)?.uid))
    return owners.size === given.length && owners.isSubsetOf(new Set(claims.list().map(({ metadata }) => metadata.uid)))
  }
  /** One that may not have what it asks for keeps what it had before. */
  function isServed({ metadata, spec, status }: SandboxClaim): boolean {
    if (spec.additionalPodMetadata) {
      const { reason, observedGeneration } = findCondition(status?.conditions, 'Ready') ?? {}
      return reason === 'InvalidMetadata' && observedGeneration === metadata.generation
    }
    const sandbox = sandboxes.get(`${namespace}/${status?.sandbox?.name}`)
    return (
      isConditionTrue(status?.conditions, 'Ready') &&
      sandbox !== undefined &&
      controllerOf(sandbox)?.uid === metadata.uid
    )
  }

  await start(1)
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        for (const each of steps) await ignoreRefused(take(each))
        await rest()
        expect(broken).toEqual([])
      }),
      // One cluster serves all runs: a shorter one would begin where the failed one ended.
      { numRuns: 12, endOnFailure: true, interruptAfterTimeLimit: 120_000, markInterruptAsFailure: true },
    )
  } finally {
    await crash()
  }
}, 180_000)

/** The step came too late, or too early. */
async function ignoreRefused(call: Promise<unknown>): Promise<void> {
  try {
    await call
  } catch (error) {
    if (!isApiError(error)) throw error
  }
}
