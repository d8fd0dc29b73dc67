import { randomBytes } from 'node:crypto'
import {
  claimCrd,
  findCondition,
  LABELS,
  nameHash,
  poolCrd,
  type Sandbox,
  type SandboxClaim,
  type SandboxTemplate,
  type SandboxWarmPool,
  snapshotCrd,
  templateCrd,
} from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import {
  type Client,
  createInformers,
  resources,
  sandboxClaims,
  sandboxTemplates,
  sandboxWarmPools,
} from '@caisson/client'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { PODS, SANDBOXES } from '../sandbox/objects.ts'
import { startEmbeddedCluster } from '../testing/embedded-cluster.ts'
import {
  installCrd,
  type RunningControllers,
  runControllers,
  sandboxNamed,
  startTestNode,
  type TestCluster,
  until,
} from '../testing/test-cluster.ts'

let cluster: TestCluster
let client: Client
let namespace: string
let running: RunningControllers

beforeAll(async () => {
  cluster = await startEmbeddedCluster(apiserver)
  client = cluster.client
  await installCrd(client)
  for (const crd of [snapshotCrd(), templateCrd(), claimCrd(), poolCrd()]) await installCrd(client, crd)
})
afterAll(async () => cluster[Symbol.asyncDispose]())

beforeEach(async () => {
  namespace = `test-${randomBytes(4).toString('hex')}`
  await client.create(resources.namespaces, { metadata: { name: namespace } })
  await client.create(resources.serviceAccounts, { metadata: { name: 'default' } }, { namespace })
  running = await runControllers(cluster, namespace)
})
afterEach(async () => {
  await running[Symbol.asyncDispose]()
  await client.delete(resources.namespaces, namespace)
})

const createTemplate = (spec: Partial<SandboxTemplate['spec']> = {}) =>
  client.create(
    sandboxTemplates,
    {
      metadata: { name: 'web' },
      spec: { podTemplate: { spec: { containers: [{ name: 'main', image: 'example.com/main' }] } }, ...spec },
    },
    { namespace },
  )
const createPool = (replicas: number, spec: Partial<SandboxWarmPool['spec']> = {}) =>
  client.create(
    sandboxWarmPools,
    { metadata: { name: 'pool' }, spec: { replicas, sandboxTemplateRef: { name: 'web' }, ...spec } },
    { namespace },
  )
const createClaim = (
  name: string,
  spec: Partial<SandboxClaim['spec']> = {},
  metadata: Partial<SandboxClaim['metadata']> = {},
) =>
  client.create(
    sandboxClaims,
    { metadata: { name, ...metadata }, spec: { warmPoolRef: { name: 'pool' }, ...spec } },
    { namespace },
  )
const untilClaim = (name: string, holds: (claim: SandboxClaim) => boolean) =>
  until(client, sandboxClaims, { namespace, name }, (claim) => claim !== undefined && holds(claim))
const isReady = ({ status }: SandboxClaim) => findCondition(status?.conditions, 'Ready')?.status === 'True'
const reasonIs =
  (reason: string) =>
  ({ status }: SandboxClaim) =>
    findCondition(status?.conditions, 'Ready')?.reason === reason
const sandboxOf = (claim: SandboxClaim): Promise<Sandbox> =>
  client.get(SANDBOXES, claim.status?.sandbox?.name ?? '', { namespace })

async function filledPool(replicas: number): Promise<SandboxWarmPool> {
  return until(
    client,
    sandboxWarmPools,
    { namespace, name: 'pool' },
    (pool) => pool?.status?.readyReplicas === replicas,
  )
}

async function untilSandbox(holds: (sandbox: Sandbox) => boolean): Promise<Sandbox> {
  await using informers = createInformers(client)
  const found = Promise.withResolvers<Sandbox>()
  const look = (sandbox: Sandbox) => void (holds(sandbox) && found.resolve(sandbox))
  informers.of(SANDBOXES, { namespace }).handle({ added: look, updated: (_old, sandbox) => look(sandbox) })
  return await found.promise
}

/** What the status says, without the times. */
function said({ status }: SandboxClaim): unknown {
  const conditions = status?.conditions?.map(({ lastTransitionTime: _time, ...condition }) => condition)
  return { ...status, conditions }
}

const containers = { containers: [{ name: 'main', image: 'example.com/main' }] }

describe('a claim on a pool that has something', () => {
  test('is given a member: three writes until it is Ready, five in all, and four for the member that follows', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await createPool(1)
    await filledPool(1)
    await running.controllers.idle()
    const [member] = (await client.list(SANDBOXES, { namespace })).items
    running.writes.length = 0
    running.events.length = 0
    await createClaim('mine')
    const claim = await untilClaim('mine', isReady)
    const name = member?.metadata.name ?? ''
    const next = await untilSandbox(({ metadata, status }) => {
      return metadata.name !== name && findCondition(status?.conditions, 'Ready')?.status === 'True'
    })
    await running.controllers.idle()

    const written = running.writes.map((write) =>
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
    const ofRefill = written.filter((write) => !ofClaim.includes(write) && !write.includes('sandboxwarmpools'))
    expect(ofRefill).toEqual(['POST sandboxes', 'POST pods', 'PATCH sandboxes/NEXT/status'])
    expect(running.events.filter(({ about }) => about === 'mine')).toEqual([
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
    await using _node = await startTestNode(client, namespace)
    await createTemplate({ podTemplate: { metadata: { labels: { tier: 'web' } }, spec: containers } })
    await createPool(1)
    await filledPool(1)
    await createClaim(
      'mine',
      { additionalPodMetadata: { labels: { 'sandbox.users.io/team': 'a' }, annotations: { note: 'b' } } },
      { labels: { [LABELS.createdBy]: 'python-client' }, annotations: { 'opentelemetry.io/trace-context': '{}' } },
    )
    const claim = await untilClaim('mine', isReady)
    const sandbox = await sandboxOf(claim)
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
    expect(sandbox.spec.podTemplate.metadata).toEqual({
      labels: { tier: 'web', 'sandbox.users.io/team': 'a', ...tracking },
      annotations: { note: 'b' },
    })
    const name = sandbox.metadata.name ?? ''
    const pod = await until(client, PODS, { namespace, name }, (pod) => pod?.metadata.labels?.[LABELS.claimUid] === uid)
    expect(pod.metadata.labels).toEqual({
      ...tracking,
      tier: 'web',
      'sandbox.users.io/team': 'a',
      [LABELS.sandboxNameHash]: nameHash(name),
    })
  })

  test('twenty claims share twenty-five members, each its own', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await createPool(25)
    await filledPool(25)
    const names = Array.from({ length: 20 }, (_, index) => `c${index}`)
    await Promise.all(names.map((name) => createClaim(name)))
    const claims = await Promise.all(names.map((name) => untilClaim(name, isReady)))
    const given = new Set(claims.map(({ status }) => status?.sandbox?.name))
    expect(given.size).toBe(20)
    for (const claim of claims) expect((await sandboxOf(claim)).metadata.labels?.[LABELS.launchType]).toBe('warm')
  })

  test('edits of its pod metadata reach the Pod', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await createPool(1)
    await filledPool(1)
    await createClaim('mine', { additionalPodMetadata: { labels: { 'sandbox.users.io/a': '1' } } })
    const { status } = await untilClaim('mine', isReady)
    const labels = { 'sandbox.users.io/a': null, 'sandbox.users.io/b': '2' }
    await client.patch(sandboxClaims, 'mine', { spec: { additionalPodMetadata: { labels } } }, { namespace })
    const pod = await until(client, PODS, { namespace, name: status?.sandbox?.name ?? '' }, (pod) =>
      Boolean(pod?.metadata.labels?.['sandbox.users.io/b']),
    )
    expect(pod.metadata.labels?.['sandbox.users.io/a']).toBeUndefined()
  })
})

describe('a claim without a member', () => {
  test('gets a Sandbox of its own name', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await createPool(0)
    await createClaim('mine')
    const claim = await untilClaim('mine', isReady)
    const sandbox = await sandboxOf(claim)
    expect(sandbox.metadata.name).toBe('mine')
    expect(sandbox.metadata.labels).toEqual({
      [LABELS.claimUid]: claim.metadata.uid,
      [LABELS.templateRefHash]: nameHash('web'),
      [LABELS.launchType]: 'cold',
    })
    expect(running.events).toContainEqual({
      about: 'mine',
      type: 'Normal',
      reason: 'SandboxProvisioned',
      message: 'Created Sandbox "mine"',
    })
    expect(claim.metadata.annotations?.['agents.x-k8s.io/controller-first-observed-at']).toMatch(/\.\d{6}Z$/)
  })

  test('waits for a member that is starting, and is told by that, not by a timer', async () => {
    await createTemplate()
    await createPool(1)
    const pool = await until(
      client,
      sandboxWarmPools,
      { namespace, name: 'pool' },
      (pool) => pool?.status?.replicas === 1,
    )
    expect(pool.status?.readyReplicas ?? 0).toBe(0)
    await createClaim('mine')
    await running.controllers.idle()
    expect((await client.get(sandboxClaims, 'mine', { namespace })).status).toBeUndefined()
    await using _node = await startTestNode(client, namespace)
    const claim = await untilClaim('mine', isReady)
    expect(claim.status?.sandbox?.name).toMatch(/^pool-/)
  })

  test('from a template alone', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await client.create(
      sandboxClaims,
      { metadata: { name: 'mine' }, spec: { templateRef: { name: 'web' } } },
      { namespace },
    )
    const claim = await untilClaim('mine', isReady)
    expect(claim.status?.sandbox?.name).toBe('mine')
  })

  test('from the pool that has most of those with the labels', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    for (const [name, replicas] of [
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ] as const)
      await client.create(
        sandboxWarmPools,
        {
          metadata: { name, labels: { tier: name === 'c' ? 'other' : 'mine' } },
          spec: { replicas, sandboxTemplateRef: { name: 'web' } },
        },
        { namespace },
      )
    for (const [name, count] of [
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ] as const)
      await until(client, sandboxWarmPools, { namespace, name }, (pool) => pool?.status?.readyReplicas === count)
    await client.create(
      sandboxClaims,
      { metadata: { name: 'mine' }, spec: { warmPoolSelector: { matchLabels: { tier: 'mine' } } } },
      { namespace },
    )
    const claim = await untilClaim('mine', isReady)
    expect(claim.status?.sandbox?.name).toMatch(/^b-/)
  })
})

describe('names', () => {
  const untilFilled = (name: string, count: number) =>
    until(client, sandboxWarmPools, { namespace, name }, (pool) => pool?.status?.readyReplicas === count)
  const createPoolNamed = (name: string, replicas: number) =>
    client.create(
      sandboxWarmPools,
      { metadata: { name }, spec: { replicas, sandboxTemplateRef: { name: 'web' } } },
      { namespace },
    )

  test('two pools whose names have one hash are two pools', async () => {
    expect(nameHash('costarring')).toBe(nameHash('liquid'))
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await createPoolNamed('costarring', 2)
    await createPoolNamed('liquid', 1)
    await untilFilled('costarring', 2)
    await untilFilled('liquid', 1)
    const names = ['a', 'b', 'c']
    for (const name of names) await createClaim(name, { warmPoolRef: { name: name === 'a' ? 'costarring' : 'liquid' } })
    const claims = await Promise.all(names.map((name) => untilClaim(name, isReady)))
    const from = claims.map(({ status }) => (status?.sandbox?.name ?? '').replace(/-.*/, ''))
    expect(from[0]).toBe('costarring')
    for (const pool of from.slice(1)) expect(['liquid', 'b', 'c']).toContain(pool)
    await untilFilled('costarring', 2)
    await untilFilled('liquid', 1)
    expect(running.errors).toEqual([])
  })

  test('of 63 characters are names like others', async () => {
    await using _node = await startTestNode(client, namespace)
    const [pool, warm, cold] = ['p', 'w', 'c'].map((letter) => letter.repeat(63)) as [string, string, string]
    await createTemplate()
    await createPoolNamed(pool, 1)
    await untilFilled(pool, 1)
    await createClaim(warm, { warmPoolRef: { name: pool } })
    const given = await untilClaim(warm, isReady)
    expect(given.status?.sandbox?.name?.length).toBeLessThanOrEqual(63)
    await client.create(
      sandboxClaims,
      { metadata: { name: cold }, spec: { templateRef: { name: 'web' } } },
      { namespace },
    )
    expect((await untilClaim(cold, isReady)).status?.sandbox?.name).toBe(cold)
  })
})

describe('what cannot be had', () => {
  /** The whole status, and that no more than it was written: nothing is tried again by itself. */
  async function expectRefusal(name: string, reason: string, message: string): Promise<void> {
    const claim = await untilClaim(name, reasonIs(reason))
    await running.controllers.idle()
    expect(said(claim)).toEqual({
      conditions: [{ type: 'Ready', status: 'False', reason, message, observedGeneration: 1 }],
    })
    expect(running.writes.filter((write) => write.includes('sandboxclaims/'))).toEqual([
      `PATCH sandboxclaims/${name}/status`,
    ])
    expect(running.errors).toEqual([])
    expect((await client.list(SANDBOXES, { namespace })).items.map(({ metadata }) => metadata.name)).not.toContain(name)
  }

  test('a pool that is not there, until it is', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await createClaim('mine')
    await expectRefusal('mine', 'WarmPoolNotFound', 'SandboxWarmPool "pool" not found')
    await createPool(1)
    await untilClaim('mine', isReady)
  })

  test('no pool with the labels', async () => {
    await client.create(
      sandboxClaims,
      { metadata: { name: 'mine' }, spec: { warmPoolSelector: { matchLabels: { tier: 'mine' } } } },
      { namespace },
    )
    await expectRefusal('mine', 'WarmPoolNotFound', 'no SandboxWarmPool of the namespace matches warmPoolSelector')
  })

  test('a template that is not there, until it is', async () => {
    await using _node = await startTestNode(client, namespace)
    await createPool(0)
    await createClaim('mine')
    await expectRefusal('mine', 'TemplateNotFound', 'SandboxTemplate "web" not found')
    await createTemplate()
    await untilClaim('mine', isReady)
  })

  test.each<[what: string, spec: Partial<SandboxClaim['spec']>, reason: string, message: string]>([
    [
      'a label without a domain',
      { additionalPodMetadata: { labels: { team: 'a' } } },
      'InvalidMetadata',
      'invalid additionalPodMetadata: failed to validate label "team": label "team" must have a domain prefix (e.g. \'sandbox.users.io/my-label\') to prevent opting into unintended policy domains',
    ],
    [
      'a label of another domain',
      { additionalPodMetadata: { labels: { 'example.com/team': 'a' } } },
      'InvalidMetadata',
      'invalid additionalPodMetadata: failed to validate label "example.com/team": label domain "example.com" is not in the allowlist (configure the allowed-label-domains key of the agent-sandbox-config ConfigMap in the controller namespace; default: sandbox.users.io)',
    ],
    [
      'an annotation of Kubernetes',
      { additionalPodMetadata: { annotations: { 'pod.kubernetes.io/x': 'a' } } },
      'InvalidMetadata',
      'invalid additionalPodMetadata: failed to validate annotation "pod.kubernetes.io/x": restricted system domain: "pod.kubernetes.io/x" is not allowed in AdditionalPodMetadata',
    ],
    [
      'a label that the template has otherwise',
      { additionalPodMetadata: { labels: { 'sandbox.users.io/tier': 'mine' } } },
      'ReconcilerError',
      'Error seen: metadata override conflict: label "sandbox.users.io/tier" is defined in template with value "web", but claim requests "mine"',
    ],
    [
      'environment variables',
      { env: [{ name: 'A', value: 'b' }] },
      'EnvVarsInjectionRejected',
      'environment variable injection rejected: environment variable injection is not allowed by the template policy',
    ],
    [
      'storage',
      { volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'] } }] },
      'VolumeClaimTemplatesError',
      'failed to merge volume claim templates: volume claim templates are disallowed by the template',
    ],
  ])('%s', async (_what, spec, reason, message) => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate({
      podTemplate: { metadata: { labels: { 'sandbox.users.io/tier': 'web' } }, spec: containers },
    })
    await createPool(1)
    await filledPool(1)
    await createClaim('mine', spec)
    await expectRefusal('mine', reason, message)
  })

  test('an environment variable for a container that is not there, until the claim is edited', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate({ envVarsInjectionPolicy: 'Allowed', envVarsSources: { secrets: ['s'] } })
    await createPool(1)
    await filledPool(1)
    await createClaim('mine', { env: [{ name: 'A', value: 'b', containerName: 'other' }] })
    await expectRefusal(
      'mine',
      'EnvVarsInjectionRejected',
      'environment variable injection rejected: target container "other" not found in template for environment variable "A"',
    )
    await client.patch(
      sandboxClaims,
      'mine',
      { spec: { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] } },
      { namespace },
    )
    const sandbox = await sandboxOf(await untilClaim('mine', isReady))
    expect(sandbox.spec.podTemplate.spec.containers[0]?.env).toEqual([
      { name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } },
    ])
  })

  test('a name that another Sandbox has, until that is gone', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await createPool(0)
    await client.create(SANDBOXES, sandboxNamed('mine'), { namespace })
    await createClaim('mine')
    const message =
      'Error seen: sandbox "mine" is not controlled by claim "mine". Please use a different claim name or delete the sandbox manually'
    const claim = await untilClaim('mine', reasonIs('ReconcilerError'))
    expect(findCondition(claim.status?.conditions, 'Ready')?.message).toBe(message)
    await client.delete(SANDBOXES, 'mine', { namespace })
    await client.delete(PODS, 'mine', { namespace, gracePeriodSeconds: 0 })
    await untilClaim('mine', isReady)
    expect(running.errors).toEqual([])
  })
})

describe('the end of a claim', () => {
  test('Retain: the Sandbox goes, the claim says why', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await createPool(0)
    await createClaim('mine')
    await untilClaim('mine', isReady)
    const lifecycle = { shutdownTime: '2020-01-01T00:00:00Z' }
    await client.patch(sandboxClaims, 'mine', { spec: { lifecycle } }, { namespace })
    const claim = await untilClaim('mine', ({ status }) => status?.sandbox === undefined)
    expect(said(claim)).toEqual({
      conditions: [
        {
          type: 'Ready',
          status: 'False',
          reason: 'ClaimExpired',
          message: 'Claim expired. Sandbox cleanup initiated.',
          observedGeneration: 2,
        },
      ],
    })
    expect((await client.list(SANDBOXES, { namespace })).items).toEqual([])
    expect(running.events.filter(({ reason }) => reason === 'ClaimExpired')).toEqual([
      { about: 'mine', type: 'Normal', reason: 'ClaimExpired', message: 'Claim expired' },
    ])
  })

  test('Delete: the claim goes', async () => {
    await createTemplate()
    await createPool(0)
    await createClaim('mine', { lifecycle: { shutdownTime: '2020-01-01T00:00:00Z', shutdownPolicy: 'Delete' } })
    await until(client, sandboxClaims, { namespace, name: 'mine' }, (claim) => claim === undefined)
    expect(running.events.map(({ reason, message }) => `${reason}: ${message}`)).toEqual([
      'ClaimExpired: Claim expired',
      'ClaimExpired: Deleting Claim (ShutdownPolicy=Delete)',
    ])
  })

  test('a deadline that has passed: for good, and what it had is given up', async () => {
    await createTemplate()
    await createPool(0)
    await createClaim('mine', { readyDeadlineSeconds: 1 })
    const claim = await untilClaim('mine', (claim) => reasonIs('DeadlineExceeded')(claim) && !claim.status?.sandbox)
    expect(said(claim)).toEqual({
      conditions: [
        {
          type: 'Ready',
          status: 'False',
          reason: 'DeadlineExceeded',
          message: 'The claim was not Ready within 1 s. Sandbox cleanup initiated.',
          observedGeneration: 1,
        },
      ],
    })
    expect((await client.list(SANDBOXES, { namespace })).items).toEqual([])
  })
})

describe('once it has its Sandbox', () => {
  test('what it asked for cannot be changed', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await createPool(0)
    await createClaim('mine')
    await client.patch(sandboxClaims, 'mine', { metadata: { labels: { a: 'b' } } }, { namespace })
    await untilClaim('mine', isReady)
    const change = (spec: object) => client.patch(sandboxClaims, 'mine', { spec }, { namespace })
    await expect(change({ warmPoolRef: { name: 'other' } })).rejects.toThrow(
      'spec.warmPoolRef is immutable once the claim has its Sandbox',
    )
    await expect(change({ env: [{ name: 'A', value: 'b' }] })).rejects.toThrow(
      'spec.env is immutable once the claim has its Sandbox',
    )
    await change({ lifecycle: { ttlSecondsAfterFinished: 5 } })
  })

  test('a Sandbox that is deleted is replaced', async () => {
    await using _node = await startTestNode(client, namespace)
    await createTemplate()
    await createPool(1)
    await filledPool(1)
    await createClaim('mine')
    const before = await untilClaim('mine', isReady)
    await filledPool(1)
    await client.delete(SANDBOXES, before.status?.sandbox?.name ?? '', { namespace })
    const after = await untilClaim('mine', ({ status }) => status?.sandbox?.name !== before.status?.sandbox?.name)
    expect(after.status?.sandbox?.name).toMatch(/^pool-/)
    expect(isReady(after)).toBe(true)
  })
})
