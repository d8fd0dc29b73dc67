import { ANNOTATIONS, type Sandbox, type SandboxClaim, type SandboxTemplate } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { type ApiRequest, createInformers, sandboxClaims, sandboxWarmPools } from '@caisson/client'
import { describe, expect, test } from 'vitest'
import { SANDBOXES } from '../sandbox/objects.ts'
import { CONTAINERS, isReady, reasonIs, useClaims } from '../testing/claim-fixture.ts'
import { type RunningControllers, runControllers, startTestNode, until } from '../testing/test-cluster.ts'

const t = useClaims(apiserver)

const naming = (member: string) => ({ annotations: { [ANNOTATIONS.sandboxName]: member } })
const FORBIDDEN = { additionalPodMetadata: { labels: { team: 'a' } } }

async function aPool(replicas: number, template: Partial<SandboxTemplate['spec']> = {}): Promise<string[]> {
  await t.createTemplate(template)
  await t.createPool(replicas)
  await t.filledPool(replicas)
  return members()
}

async function members(): Promise<string[]> {
  const { items } = await t.client.list(SANDBOXES, { namespace: t.namespace })
  return items.filter(isMember).map(({ metadata }) => metadata.name ?? '')
}

function isMember({ metadata }: Sandbox): boolean {
  return metadata.ownerReferences?.[0]?.kind === 'SandboxWarmPool' && !metadata.deletionTimestamp
}

async function scaleToNone(): Promise<void> {
  const at = { namespace: t.namespace, name: 'pool' }
  const { metadata } = await t.client.patch(sandboxWarmPools, at.name, { spec: { replicas: 0 } }, at)
  await until(
    t.client,
    sandboxWarmPools,
    at,
    (pool) => pool?.status?.observedGeneration === metadata.generation && pool?.status?.replicas === 0,
  )
}

/**
 * Controllers whose claim `mine` is edited just before it takes the member, once the pool wants to have none any more.
 *
 * @param kept is told the members that the pool has left by then
 */
function spoilingBeforeTransfer(member: string, kept: string[]): Promise<RunningControllers> {
  const { transport } = t.cluster
  const touched = Promise.withResolvers<void>()
  const spoilt = Promise.withResolvers<void>()
  let begun = false
  async function spoil(): Promise<void> {
    const at = { namespace: t.namespace, name: 'pool' }
    // What was seen of the member is not what it is any more.
    await t.client.patch(SANDBOXES, member, { metadata: { annotations: { touched: '' } } }, at)
    await touched.promise
    const { generation } = (await t.client.patch(sandboxWarmPools, 'pool', { spec: { replicas: 0 } }, at)).metadata
    await until(t.client, sandboxWarmPools, at, (pool) => pool?.status?.observedGeneration === generation)
    kept.push(...(await members()))
    await t.client.patch(sandboxClaims, 'mine', { spec: FORBIDDEN }, at)
    await spoilt.promise
  }
  const spoiling = {
    ...transport,
    async request(asked: ApiRequest) {
      if (!begun && asked.method === 'PATCH' && asked.path.endsWith(`/sandboxes/${member}`)) {
        begun = true
        await spoil()
      }
      return transport.request(asked)
    },
    async *watch(asked: ApiRequest) {
      for await (const event of transport.watch(asked)) {
        yield event
        // It has been taken in.
        const { kind, metadata } = event.object
        if (kind === 'Sandbox' && metadata.annotations?.['touched'] === '') touched.resolve()
        if (kind === 'SandboxClaim' && metadata.generation === 2) spoilt.resolve()
      }
    },
  }
  return runControllers({ ...t.cluster, transport: spoiling }, t.namespace)
}

/** Everybody else gets members of the pool, and the pool can be emptied. */
async function expectNoneKept(names: readonly string[]): Promise<void> {
  await t.createClaim('other')
  const { status } = await t.untilClaim('other', isReady)
  expect(names).toContain(status?.sandbox?.name)
  await scaleToNone()
  expect(await members()).toEqual([])
}

describe('a member that a claim names', () => {
  test.each<[what: string, spec: Partial<SandboxClaim['spec']>, reason: string]>([
    ['wants a label that it may not have', FORBIDDEN, 'InvalidMetadata'],
    [
      'wants a label that the template has otherwise',
      { additionalPodMetadata: { labels: { 'sandbox.users.io/tier': 'mine' } } },
      'ReconcilerError',
    ],
    ['wants variables that the template forbids', { env: [{ name: 'A', value: 'b' }] }, 'EnvVarsInjectionRejected'],
    ['is over', { lifecycle: { shutdownTime: '2026-01-01T00:00:00Z', shutdownPolicy: 'Retain' } }, 'ClaimExpired'],
    [
      'wants more than a Sandbox may have',
      { additionalPodMetadata: { annotations: { 'example.com/much': 'x'.repeat(1_560_000) } } },
      'InvalidConfiguration',
    ],
  ])('is not kept for one that %s', async (_what, spec, reason) => {
    await using _node = await startTestNode(t.client, t.namespace)
    const names = await aPool(2, {
      podTemplate: {
        metadata: {
          labels: { 'sandbox.users.io/tier': 'web' },
          annotations: { 'example.com/some': 'x'.repeat(20_000) },
        },
        spec: CONTAINERS,
      },
      envVarsDelivery: 'Warm',
    })
    for (const name of names) await t.createClaim(`for-${name}`, spec, naming(name))
    for (const name of names) await t.untilClaim(`for-${name}`, reasonIs(reason))
    await expectNoneKept(names)
  })

  test('is not kept for one that has another Sandbox', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate()
    await t.createPool(0)
    await t.createClaim('mine', { templateRef: { name: 'web' } })
    await t.untilClaim('mine', isReady)
    await t.client.patch(sandboxWarmPools, 'pool', { spec: { replicas: 1 } }, { namespace: t.namespace })
    await t.filledPool(1)
    const [name = ''] = await members()
    await t.client.patch(sandboxClaims, 'mine', { metadata: naming(name) }, { namespace: t.namespace })
    await scaleToNone()
    expect(await members()).toEqual([])
  })

  test('is kept until the claim is edited to be one that may not have it, and no longer', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    const [name = ''] = await aPool(1)
    await t.running[Symbol.asyncDispose]()
    const kept: string[] = []
    await using _controllers = await spoilingBeforeTransfer(name, kept)
    await t.createClaim('mine', { warmPoolSelector: {} })
    await t.untilClaim('mine', reasonIs('InvalidMetadata'))
    expect(kept).toEqual([name])
    await until(t.client, SANDBOXES, { namespace: t.namespace, name }, (sandbox) => sandbox === undefined)
  })

  test('is taken by one that could not have it once it can', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    const [name = ''] = await aPool(1)
    await t.createClaim('mine', FORBIDDEN, naming(name))
    await t.untilClaim('mine', reasonIs('InvalidMetadata'))
    const spec = { additionalPodMetadata: null }
    await t.client.patch(sandboxClaims, 'mine', { spec }, { namespace: t.namespace })
    expect((await t.untilClaim('mine', isReady)).status?.sandbox?.name).toBe(name)
  })

  test('is kept for one that another controller gave it, whoever asks before', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    const [name = ''] = await aPool(1)
    await using informers = createInformers(t.client)
    const given = new Set<string>()
    informers.of(sandboxClaims, { namespace: t.namespace }).handle({
      updated: (_old, { metadata }) =>
        void (metadata.annotations?.[ANNOTATIONS.sandboxName] && given.add(metadata.name ?? '')),
    })
    await t.restart(async () => {
      await t.createClaim('asks')
      await t.createClaim('given', {}, naming(name))
    })
    const claims = await Promise.all(['asks', 'given'].map((each) => t.untilClaim(each, isReady)))
    expect(claims.map(({ status }) => status?.sandbox?.name)).toEqual(['asks', name])
    expect(given).toEqual(new Set(['given']))
  })
})
