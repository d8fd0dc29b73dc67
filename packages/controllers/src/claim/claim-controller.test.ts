import { findCondition, LABELS, nameHash } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { sandboxClaims, sandboxWarmPools } from '@caisson/client'
import { describe, expect, test } from 'vitest'
import { PODS, SANDBOXES } from '../sandbox/objects.ts'
import { CONTAINERS, isReady, said, useClaims } from '../testing/claim-fixture.ts'
import { startTestNode, until } from '../testing/test-cluster.ts'

const t = useClaims(apiserver)
const POOL_STATUS = 'PATCH sandboxwarmpools/pool/status'

describe('a claim on a pool that has something', () => {
  test('is given a member: three writes until it is Ready, five in all with one event, and four for the member that follows', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate()
    await t.createPool(1)
    await t.filledPool(1)
    await t.running.controllers.idle()
    const [member] = (await t.client.list(SANDBOXES, { namespace: t.namespace })).items
    t.running.writes.length = 0
    t.running.events.length = 0
    const begun = performance.now()
    await t.createClaim('mine')
    const claim = await t.untilClaim('mine', isReady)
    const name = member?.metadata.name ?? ''
    const next = await t.untilSandbox(({ metadata, status }) => {
      return metadata.name !== name && findCondition(status?.conditions, 'Ready')?.status === 'True'
    })
    await t.running.controllers.idle()

    const written = t.running.writes.map((write) =>
      write.replace(name, 'MEMBER').replace(next.metadata.name ?? '', 'NEXT'),
    )
    const ofClaim = written.filter((write) => /MEMBER|sandboxclaims/.test(write))
    expect(ofClaim.slice(0, 3)).toEqual([
      'PATCH sandboxclaims/mine',
      'PATCH sandboxes/MEMBER',
      'PATCH sandboxclaims/mine/status',
    ])
    expect(ofClaim.slice(3).sort()).toEqual(['PATCH pods/MEMBER', 'PATCH sandboxes/MEMBER/status'])
    // The fourth is the kubelet's.
    const ofPool = written.filter((write) => write.includes('sandboxwarmpools'))
    // How filling goes on may wait a second: none where the member is replaced within it.
    const seconds = Math.floor((performance.now() - begun) / 1000)
    expect(new Set([...ofPool, POOL_STATUS])).toEqual(new Set([POOL_STATUS]))
    expect(ofPool.length).toBeLessThanOrEqual(2 * seconds)
    const ofRefill = written.filter((write) => !ofClaim.includes(write) && !ofPool.includes(write))
    expect(ofRefill).toEqual(['POST sandboxes', 'POST pods', 'PATCH sandboxes/NEXT/status'])
    expect(t.running.events).toEqual([
      { about: 'mine', type: 'Normal', reason: 'SandboxAdopted', message: `Adopted warm pool Sandbox "${name}"` },
    ])
    expect(said(claim)).toEqual({
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'DependenciesReady',
          message: 'Pod is Ready',
          observedGeneration: 1,
        },
      ],
      sandbox: { name, podIPs: ['10.1.2.3'] },
    })
    expect(findCondition(claim.status?.conditions, 'Ready')?.lastTransitionTime).toBe(
      findCondition(member?.status?.conditions, 'Ready')?.lastTransitionTime,
    )
  })

  test('is what the Sandbox and its Pod say', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate({ podTemplate: { metadata: { labels: { tier: 'web' } }, spec: CONTAINERS } })
    await t.createPool(1)
    await t.filledPool(1)
    await t.createClaim(
      'mine',
      { additionalPodMetadata: { labels: { 'sandbox.users.io/team': 'a' }, annotations: { note: 'b' } } },
      { labels: { [LABELS.createdBy]: 'python-client' }, annotations: { 'opentelemetry.io/trace-context': '{}' } },
    )
    const claim = await t.untilClaim('mine', isReady)
    const sandbox = await t.sandboxOf(claim)
    const uid = claim.metadata.uid
    const tracking = {
      [LABELS.claimUid]: uid,
      [LABELS.createdBy]: 'python-client',
      [LABELS.templateRefHash]: nameHash('web'),
    }
    expect(sandbox.metadata).toMatchObject({
      annotations: { 'agents.x-k8s.io/sandbox-template-ref': 'web', 'opentelemetry.io/trace-context': '{}' },
      ownerReferences: [
        {
          apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
          kind: 'SandboxClaim',
          name: 'mine',
          uid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    })
    expect(sandbox.metadata.labels).toEqual({ ...tracking, [LABELS.launchType]: 'warm' })
    expect((sandbox.metadata as { managedFields?: unknown }).managedFields).toBeUndefined()
    expect(sandbox.spec.podTemplate.metadata).toEqual({
      labels: { tier: 'web', 'sandbox.users.io/team': 'a', ...tracking },
      annotations: { note: 'b' },
    })
    const name = sandbox.metadata.name ?? ''
    const pod = await until(
      t.client,
      PODS,
      { namespace: t.namespace, name },
      (pod) => pod?.metadata.labels?.[LABELS.claimUid] === uid,
    )
    expect(pod.metadata.labels).toEqual({
      ...tracking,
      tier: 'web',
      'sandbox.users.io/team': 'a',
      [LABELS.sandboxNameHash]: nameHash(name),
    })
  })

  test('twenty claims share twenty-five members, each its own', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate()
    await t.createPool(25)
    await t.filledPool(25)
    const names = Array.from({ length: 20 }, (_, index) => `c${index}`)
    await Promise.all(names.map((name) => t.createClaim(name)))
    const claims = await Promise.all(names.map((name) => t.untilClaim(name, isReady)))
    const given = new Set(claims.map(({ status }) => status?.sandbox?.name))
    expect(given.size).toBe(20)
    for (const claim of claims) expect((await t.sandboxOf(claim)).metadata.labels?.[LABELS.launchType]).toBe('warm')
  })

  test('edits of its pod metadata reach the Pod', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate()
    await t.createPool(1)
    await t.filledPool(1)
    await t.createClaim('mine', { additionalPodMetadata: { labels: { 'sandbox.users.io/a': '1' } } })
    const { status } = await t.untilClaim('mine', isReady)
    const labels = { 'sandbox.users.io/a': null, 'sandbox.users.io/b': '2' }
    await t.client.patch(
      sandboxClaims,
      'mine',
      { spec: { additionalPodMetadata: { labels } } },
      { namespace: t.namespace },
    )
    const pod = await until(t.client, PODS, { namespace: t.namespace, name: status?.sandbox?.name ?? '' }, (pod) =>
      Boolean(pod?.metadata.labels?.['sandbox.users.io/b']),
    )
    expect(pod.metadata.labels?.['sandbox.users.io/a']).toBeUndefined()
  })
})

describe('a claim without a member', () => {
  test('gets a Sandbox of its own name', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate()
    await t.createPool(0)
    await t.createClaim('mine')
    const claim = await t.untilClaim('mine', isReady)
    const sandbox = await t.sandboxOf(claim)
    expect(sandbox.metadata.name).toBe('mine')
    expect(sandbox.metadata.labels).toEqual({
      [LABELS.claimUid]: claim.metadata.uid,
      [LABELS.templateRefHash]: nameHash('web'),
      [LABELS.launchType]: 'cold',
    })
    await t.running.controllers.idle()
    expect(t.running.events).toContainEqual({
      about: 'mine',
      type: 'Normal',
      reason: 'SandboxProvisioned',
      message: 'Created Sandbox "mine"',
    })
    expect(claim.metadata.annotations?.['agents.x-k8s.io/controller-first-observed-at']).toMatch(/\.\d{6}Z$/)
  })

  test('waits for a member that is starting, and is told by that, not by a timer', async () => {
    await t.createTemplate()
    await t.createPool(1)
    const pool = await until(
      t.client,
      sandboxWarmPools,
      { namespace: t.namespace, name: 'pool' },
      (pool) => pool?.status?.replicas === 1,
    )
    expect(pool.status?.readyReplicas ?? 0).toBe(0)
    await t.createClaim('mine')
    await t.running.controllers.idle()
    expect((await t.client.get(sandboxClaims, 'mine', { namespace: t.namespace })).status).toBeUndefined()
    await using _node = await startTestNode(t.client, t.namespace)
    const claim = await t.untilClaim('mine', isReady)
    expect(claim.status?.sandbox?.name).toMatch(/^pool-/)
  })

  test('has a Sandbox made after two seconds in which no member came up, and leaves the member to others', async () => {
    await t.createTemplate()
    await t.createPool(1)
    const member = await t.untilSandbox(({ metadata }) => metadata.name?.startsWith('pool-') === true)
    await t.createClaim('mine')
    await t.untilSandbox(({ metadata }) => metadata.name === 'mine')
    await using _node = await startTestNode(t.client, t.namespace)
    await t.untilClaim('mine', isReady)
    await t.filledPool(1)
    await t.createClaim('other')
    const other = await t.untilClaim('other', isReady)
    expect(other.status?.sandbox?.name).toBe(member.metadata.name)
  })

  test('from a template alone', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate()
    await t.createClaim('mine', { templateRef: { name: 'web' } })
    const claim = await t.untilClaim('mine', isReady)
    expect(claim.status?.sandbox?.name).toBe('mine')
  })

  test('from the pool that has most of those with the labels', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate()
    for (const [name, replicas] of [
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ] as const)
      await t.client.create(
        sandboxWarmPools,
        {
          metadata: { name, labels: { tier: name === 'c' ? 'other' : 'mine' } },
          spec: { replicas, sandboxTemplateRef: { name: 'web' } },
        },
        { namespace: t.namespace },
      )
    for (const [name, count] of [
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ] as const)
      await until(
        t.client,
        sandboxWarmPools,
        { namespace: t.namespace, name },
        (pool) => pool?.status?.readyReplicas === count,
      )
    await t.createClaim('mine', { warmPoolSelector: { matchLabels: { tier: 'mine' } } })
    const claim = await t.untilClaim('mine', isReady)
    expect(claim.status?.sandbox?.name).toMatch(/^b-/)
  })
})

describe('once it has its Sandbox', () => {
  test('what it asked for cannot be changed', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate()
    await t.createPool(0)
    await t.createClaim('mine')
    await t.client.patch(sandboxClaims, 'mine', { metadata: { labels: { a: 'b' } } }, { namespace: t.namespace })
    await t.untilClaim('mine', isReady)
    const change = (spec: object) => t.client.patch(sandboxClaims, 'mine', { spec }, { namespace: t.namespace })
    await expect(change({ warmPoolRef: { name: 'other' } })).rejects.toThrow(
      'spec.warmPoolRef is immutable once the claim has its Sandbox',
    )
    await expect(change({ env: [{ name: 'A', value: 'b' }] })).rejects.toThrow(
      'spec.env is immutable once the claim has its Sandbox',
    )
    await change({ lifecycle: { ttlSecondsAfterFinished: 5 } })
  })

  test('a Sandbox that is deleted is replaced', async () => {
    await using _node = await startTestNode(t.client, t.namespace)
    await t.createTemplate()
    await t.createPool(1)
    await t.filledPool(1)
    await t.createClaim('mine')
    const before = await t.untilClaim('mine', isReady)
    await t.filledPool(1)
    await t.client.delete(SANDBOXES, before.status?.sandbox?.name ?? '', { namespace: t.namespace })
    const after = await t.untilClaim('mine', ({ status }) => status?.sandbox?.name !== before.status?.sandbox?.name)
    expect(after.status?.sandbox?.name).toMatch(/^pool-/)
    expect(isReady(after)).toBe(true)
  })
})
