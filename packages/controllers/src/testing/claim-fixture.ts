/** What tests of claims begin with: a namespace of their own, controllers that work in it, and short ways to say what is wanted. */
import { randomBytes } from 'node:crypto'
import {
  claimCrd,
  findCondition,
  poolCrd,
  type Sandbox,
  type SandboxClaim,
  type SandboxTemplate,
  type SandboxWarmPool,
  snapshotCrd,
  templateCrd,
} from '@caisson/api'
import {
  type Client,
  createInformers,
  resources,
  sandboxClaims,
  sandboxTemplates,
  sandboxWarmPools,
} from '@caisson/client'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { SANDBOXES } from '../sandbox/objects.ts'
import { type EmbeddedServer, startEmbeddedCluster } from './embedded-cluster.ts'
import { installCrd, type RunningControllers, runControllers, type TestCluster, until } from './test-cluster.ts'

export const CONTAINERS = { containers: [{ name: 'main', image: 'example.com/main' }] }

export interface ClaimTests {
  readonly cluster: TestCluster
  readonly client: Client
  readonly namespace: string
  /** The controllers of this test. */
  readonly running: RunningControllers
  /** Ends them at once and has others follow them. */
  restart(): Promise<void>
  /** Called `web` unless said. */
  createTemplate(spec?: Partial<SandboxTemplate['spec']>, name?: string): Promise<SandboxTemplate>
  /** Called `pool`, of the template `web`. */
  createPool(replicas: number, spec?: Partial<SandboxWarmPool['spec']>, name?: string): Promise<SandboxWarmPool>
  filledPool(replicas: number, name?: string): Promise<SandboxWarmPool>
  /** Of the pool `pool` unless its spec says otherwise. */
  createClaim(
    name: string,
    spec?: Partial<SandboxClaim['spec']>,
    metadata?: Partial<SandboxClaim['metadata']>,
  ): Promise<SandboxClaim>
  untilClaim(name: string, holds: (claim: SandboxClaim) => boolean): Promise<SandboxClaim>
  untilSandbox(holds: (sandbox: Sandbox) => boolean): Promise<Sandbox>
  sandboxOf(claim: SandboxClaim): Promise<Sandbox>
}

/** For a whole file: one API server, and for each test a namespace. */
export function useClaims(server: EmbeddedServer): ClaimTests {
  let cluster: TestCluster
  let namespace: string
  let running: RunningControllers

  beforeAll(async () => {
    cluster = await startEmbeddedCluster(server)
    await installCrd(cluster.client)
    for (const crd of [snapshotCrd(), templateCrd(), claimCrd(), poolCrd()]) await installCrd(cluster.client, crd)
  })
  afterAll(async () => cluster[Symbol.asyncDispose]())
  beforeEach(async () => {
    namespace = `test-${randomBytes(4).toString('hex')}`
    await cluster.client.create(resources.namespaces, { metadata: { name: namespace } })
    await cluster.client.create(resources.serviceAccounts, { metadata: { name: 'default' } }, { namespace })
    running = await runControllers(cluster, namespace)
  })
  afterEach(async () => {
    await running[Symbol.asyncDispose]()
    await cluster.client.delete(resources.namespaces, namespace)
  })

  return {
    get cluster() {
      return cluster
    },
    get client() {
      return cluster.client
    },
    get namespace() {
      return namespace
    },
    get running() {
      return running
    },
    async restart() {
      await running[Symbol.asyncDispose]()
      running = await runControllers(cluster, namespace)
    },
    createTemplate: (spec = {}, name = 'web') =>
      cluster.client.create(
        sandboxTemplates,
        { metadata: { name }, spec: { podTemplate: { spec: CONTAINERS }, ...spec } },
        { namespace },
      ),
    createPool: (replicas, spec = {}, name = 'pool') =>
      cluster.client.create(
        sandboxWarmPools,
        { metadata: { name }, spec: { replicas, sandboxTemplateRef: { name: 'web' }, ...spec } },
        { namespace },
      ),
    filledPool: (replicas, name = 'pool') =>
      until(cluster.client, sandboxWarmPools, { namespace, name }, (pool) => pool?.status?.readyReplicas === replicas),
    createClaim(name, spec = {}, metadata = {}) {
      const asks = spec.templateRef || spec.warmPoolSelector ? {} : { warmPoolRef: { name: 'pool' } }
      return cluster.client.create(
        sandboxClaims,
        { metadata: { name, ...metadata }, spec: { ...asks, ...spec } },
        { namespace },
      )
    },
    untilClaim: (name, holds) =>
      until(cluster.client, sandboxClaims, { namespace, name }, (claim) => claim !== undefined && holds(claim)),
    async untilSandbox(holds) {
      await using informers = createInformers(cluster.client)
      const found = Promise.withResolvers<Sandbox>()
      const look = (sandbox: Sandbox) => void (holds(sandbox) && found.resolve(sandbox))
      informers.of(SANDBOXES, { namespace }).handle({ added: look, updated: (_old, sandbox) => look(sandbox) })
      return await found.promise
    },
    sandboxOf: (claim) => cluster.client.get(SANDBOXES, claim.status?.sandbox?.name ?? '', { namespace }),
  }
}

export function isReady({ status }: SandboxClaim): boolean {
  return findCondition(status?.conditions, 'Ready')?.status === 'True'
}

export function reasonIs(reason: string): (claim: SandboxClaim) => boolean {
  return ({ status }) => findCondition(status?.conditions, 'Ready')?.reason === reason
}

/** What the status says, without the times. */
export function said({ status }: SandboxClaim): object {
  const conditions = status?.conditions?.map(({ lastTransitionTime: _time, ...condition }) => condition)
  return { ...status, conditions }
}
