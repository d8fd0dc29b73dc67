/** What tests of claims begin with, and short ways to say what is wanted. */
import {
  claimCrd,
  findCondition,
  poolCrd,
  type Sandbox,
  type SandboxClaim,
  type SandboxTemplate,
  type SandboxWarmPool,
  sandboxCrd,
  snapshotCrd,
  templateCrd,
} from '@caisson/api'
import { createInformers, sandboxClaims, sandboxTemplates, sandboxWarmPools } from '@caisson/client'
import { SANDBOXES } from '../sandbox/objects.ts'
import type { EmbeddedServer } from './embedded-cluster.ts'
import { until } from './test-cluster.ts'
import { type NamespaceTests, useNamespace } from './test-namespace.ts'

export const CONTAINERS = { containers: [{ name: 'main', image: 'example.com/main' }] }

export interface ClaimTests extends NamespaceTests {
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
  const t = useNamespace(server, [sandboxCrd(), snapshotCrd(), templateCrd(), claimCrd(), poolCrd()])
  const ways: Omit<ClaimTests, keyof NamespaceTests> = {
    createTemplate: (spec = {}, name = 'web') =>
      t.client.create(
        sandboxTemplates,
        { metadata: { name }, spec: { podTemplate: { spec: CONTAINERS }, ...spec } },
        { namespace: t.namespace },
      ),
    createPool: (replicas, spec = {}, name = 'pool') =>
      t.client.create(
        sandboxWarmPools,
        { metadata: { name }, spec: { replicas, sandboxTemplateRef: { name: 'web' }, ...spec } },
        { namespace: t.namespace },
      ),
    filledPool: (replicas, name = 'pool') =>
      until(
        t.client,
        sandboxWarmPools,
        { namespace: t.namespace, name },
        (pool) => pool?.status?.readyReplicas === replicas,
      ),
    createClaim(name, spec = {}, metadata = {}) {
      const asks = spec.templateRef || spec.warmPoolSelector ? {} : { warmPoolRef: { name: 'pool' } }
      return t.client.create(
        sandboxClaims,
        { metadata: { name, ...metadata }, spec: { ...asks, ...spec } },
        { namespace: t.namespace },
      )
    },
    untilClaim: (name, holds) =>
      until(t.client, sandboxClaims, { namespace: t.namespace, name }, (claim) => claim !== undefined && holds(claim)),
    async untilSandbox(holds) {
      await using informers = createInformers(t.client)
      const found = Promise.withResolvers<Sandbox>()
      const look = (sandbox: Sandbox) => void (holds(sandbox) && found.resolve(sandbox))
      informers
        .of(SANDBOXES, { namespace: t.namespace })
        .handle({ added: look, updated: (_old, sandbox) => look(sandbox) })
      return await found.promise
    },
    sandboxOf: (claim) => t.client.get(SANDBOXES, claim.status?.sandbox?.name ?? '', { namespace: t.namespace }),
  }
  return Object.assign(t, ways)
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
