/** Claims of a running cluster: agent-sandbox's own cases of their ends, their storage and their annotations. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Sandbox, SandboxClaim, SandboxTemplate } from '../../packages/api/src/index.ts'
import { sandboxes } from '../../packages/cli/src/sandboxes.ts'
import {
  type AnyObject,
  type Client,
  createClient,
  createHttpTransport,
  createInformer,
  findConnection,
  isNotFound,
  type Resource,
  resources,
  sandboxClaims,
  sandboxTemplates,
  sandboxWarmPools,
} from '../../packages/client/src/index.ts'
import { type Cluster, startCluster } from './fixture.ts'

let cluster: Cluster
let client: Client
const stack = new AsyncDisposableStack()
beforeAll(async () => {
  cluster = stack.use(await startCluster({ up: ['--fake-runtime'] }))
  const connection = await findConnection({ kubeconfig: cluster.env['KUBECONFIG'] ?? '' })
  client = createClient(stack.use(createHttpTransport(connection)), { fieldManager: 'claims-test' })
})
afterAll(() => stack.disposeAsync())

type TemplateSpec = Partial<SandboxTemplate['spec']>
type ClaimSpec = Partial<SandboxClaim['spec']>
type PodSpec = SandboxTemplate['spec']['podTemplate']['spec']

/** On no container runtime. */
const PAUSE: PodSpec = {
  runtimeClassName: 'fake',
  containers: [{ name: 'pause', image: 'registry.k8s.io/pause:3.10' }],
}
/** Under gVisor: ends by itself, without an error. */
const ENDS: PodSpec = {
  restartPolicy: 'Never',
  automountServiceAccountToken: false,
  terminationGracePeriodSeconds: 0,
  containers: [{ name: 'main', image: 'caisson.dev/host', command: ['true'] }],
}

/** A namespace with a template and a pool of no members: claims have a Sandbox made for them. */
async function prepare(namespace: string, spec: TemplateSpec): Promise<void> {
  await client.create(resources.namespaces, { metadata: { name: namespace } })
  const template = { metadata: { name: 'template' }, spec: { podTemplate: { spec: PAUSE }, ...spec } }
  await client.create(sandboxTemplates, template, { namespace })
  const pool = { metadata: { name: 'pool' }, spec: { replicas: 0, sandboxTemplateRef: { name: 'template' } } }
  await client.create(sandboxWarmPools, pool, { namespace })
}

async function claim(namespace: string, spec: ClaimSpec = {}): Promise<SandboxClaim> {
  const object = { metadata: { name: 'claim' }, spec: { warmPoolRef: { name: 'pool' }, ...spec } }
  return await client.create(sandboxClaims, object, { namespace })
}

/**
 * Resolves with the only object of its kind in the namespace once it is what is asked for; undefined: once there is none.
 *
 * @param begin done once somebody looks on: for what may not last
 */
async function until<T extends AnyObject>(
  resource: Resource<T>,
  namespace: string,
  holds: (object: T | undefined) => boolean,
  begin?: () => Promise<unknown>,
): Promise<T | undefined> {
  await using informer = createInformer(client, resource, { namespace })
  await informer.synced()
  const seen = Promise.withResolvers<T | undefined>()
  const look = (): void => {
    const [object] = informer.list()
    if (holds(object)) seen.resolve(object)
  }
  using _handler = informer.handle({ added: look, updated: look, deleted: look })
  await begin?.()
  look()
  return await seen.promise
}

const readyIs = (reason: string) => (object: SandboxClaim | Sandbox | undefined) =>
  object?.status?.conditions?.some((each) => each.type === 'Ready' && each.reason === reason) ?? false
const isGone = (object: AnyObject | undefined): boolean => object === undefined

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/
const condition = (type: string, status: string, reason: string, message: string) => ({
  type,
  status,
  reason,
  message,
  observedGeneration: 1,
  lastTransitionTime: expect.stringMatching(TIME),
})
const READY = condition('Ready', 'True', 'DependenciesReady', 'Pod is Ready')
const FINISHED = condition('Finished', 'True', 'PodSucceeded', 'Pod completed successfully')
const ENDED = condition('Ready', 'False', 'PodSucceeded', 'Pod completed successfully')
const EXPIRED = condition('Ready', 'False', 'ClaimExpired', 'Claim expired. Sandbox cleanup initiated.')
const bound = { name: 'claim', podIPs: [expect.any(String)] }

describe('storage that a claim brings along', () => {
  const volume = (name: string, storage: string) => ({
    metadata: { name },
    spec: { accessModes: ['ReadWriteOnce' as const], resources: { requests: { storage } } },
  })
  const theirs = [volume('data', '1Gi')]
  const refused = (why: string) =>
    condition('Ready', 'False', 'VolumeClaimTemplatesError', `failed to merge volume claim templates: ${why}`)
  const FORBIDDEN =
    'overriding volume claim templates is forbidden by the template: cannot override template volume "data"'
  const DISALLOWED = 'volume claim templates are disallowed by the template'

  test.each<[string, TemplateSpec, ClaimSpec, [string, string][] | string]>([
    [
      'disallowed-unsaid',
      { volumeClaimTemplates: theirs },
      { volumeClaimTemplates: [volume('extra', '2Gi')] },
      DISALLOWED,
    ],
    [
      'disallowed',
      { volumeClaimTemplates: theirs, volumeClaimTemplatesPolicy: 'Disallowed' },
      { volumeClaimTemplates: [volume('extra', '2Gi')] },
      DISALLOWED,
    ],
    [
      'disallowed-none',
      { volumeClaimTemplates: theirs, volumeClaimTemplatesPolicy: 'Disallowed' },
      {},
      [['data-claim', '1Gi']],
    ],
    [
      'allowed-appended',
      { volumeClaimTemplates: theirs, volumeClaimTemplatesPolicy: 'Allowed' },
      { volumeClaimTemplates: [volume('extra', '2Gi')] },
      [
        ['data-claim', '1Gi'],
        ['extra-claim', '2Gi'],
      ],
    ],
    [
      'allowed-same-name',
      { volumeClaimTemplates: theirs, volumeClaimTemplatesPolicy: 'Allowed' },
      { volumeClaimTemplates: [volume('data', '2Gi')] },
      FORBIDDEN,
    ],
    [
      'overrides-replaced',
      { volumeClaimTemplates: theirs, volumeClaimTemplatesPolicy: 'Overrides' },
      { volumeClaimTemplates: [volume('data', '2Gi')] },
      [['data-claim', '2Gi']],
    ],
    [
      'overrides-appended',
      { volumeClaimTemplates: theirs, volumeClaimTemplatesPolicy: 'Overrides' },
      { volumeClaimTemplates: [volume('extra', '2Gi')] },
      [
        ['data-claim', '1Gi'],
        ['extra-claim', '2Gi'],
      ],
    ],
    [
      'duplicate',
      { volumeClaimTemplatesPolicy: 'Allowed' },
      { volumeClaimTemplates: [volume('extra', '1Gi'), volume('extra', '2Gi')] },
      'claim: invalid volume claim templates: duplicate name "extra"',
    ],
    [
      'without-name',
      { volumeClaimTemplatesPolicy: 'Allowed' },
      { volumeClaimTemplates: [{ spec: volume('', '1Gi').spec }] },
      'claim: invalid volume claim templates: name at index 0 is empty',
    ],
  ])('%s', async (name, template, spec, outcome) => {
    const namespace = `storage-${name}`
    await prepare(namespace, template)
    await claim(namespace, spec)
    const rejected = typeof outcome === 'string'
    const settled = await until(
      sandboxClaims,
      namespace,
      readyIs(rejected ? 'VolumeClaimTemplatesError' : 'DependenciesReady'),
    )
    expect(settled?.status).toEqual(
      rejected ? { conditions: [refused(outcome)] } : { conditions: [READY], sandbox: bound },
    )
    const { items } = await client.list(resources.persistentVolumeClaims, { namespace })
    const stored = items.map(({ metadata, spec }) => [metadata.name, spec?.resources?.requests?.['storage']])
    expect(Object.fromEntries(stored)).toEqual(Object.fromEntries(rejected ? [] : outcome))
    if (rejected) expect((await client.list(sandboxes, { namespace })).items).toEqual([])
  })
})

describe('the end of a claim', () => {
  const soon = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString().replace(/\.\d+/, '')

  test('in the foreground it stays until its Sandbox is gone', async () => {
    const namespace = 'end-foreground'
    await prepare(namespace, {})
    const lifecycle = { shutdownTime: soon(3600), shutdownPolicy: 'DeleteForeground' as const }
    await claim(namespace, { lifecycle })
    await until(sandboxClaims, namespace, readyIs('DependenciesReady'))
    // Somebody else's finalizer holds the Sandbox.
    const held = { metadata: { finalizers: ['example.com/held'] } }
    await client.patch(sandboxes, 'claim', held, { namespace })
    await client.patch(
      sandboxClaims,
      'claim',
      { spec: { lifecycle: { ...lifecycle, shutdownTime: soon(-1) } } },
      { namespace },
    )
    const sandbox = await until(sandboxes, namespace, (each) => each?.metadata.deletionTimestamp !== undefined)
    expect(sandbox?.metadata.finalizers).toContain('example.com/held')
    const lingering = await client.get(sandboxClaims, 'claim', { namespace })
    expect(lingering.metadata).toMatchObject({
      deletionTimestamp: expect.stringMatching(TIME),
      finalizers: ['foregroundDeletion'],
    })
    expect(lingering.status?.conditions).toEqual([{ ...EXPIRED, observedGeneration: 2 }])
    await client.patch(sandboxes, 'claim', { metadata: { finalizers: null } }, { namespace })
    await until(sandboxClaims, namespace, isGone)
    await until(sandboxes, namespace, isGone)
  })

  test.each([
    ['Delete' as const, 1],
    ['DeleteForeground' as const, 1],
  ])('comes a while after its Pod has ended: %s', async (shutdownPolicy, ttlSecondsAfterFinished) => {
    const namespace = `end-ttl-${shutdownPolicy.toLowerCase()}`
    await prepare(namespace, { podTemplate: { spec: ENDS } })
    // By the Pod's end, which is told in whole seconds: the claim may go at once.
    const finished = await until(sandboxClaims, namespace, readyIs('PodSucceeded'), () =>
      claim(namespace, { lifecycle: { ttlSecondsAfterFinished, shutdownPolicy } }),
    )
    expect(finished?.status).toEqual({
      conditions: [FINISHED, ENDED],
      sandbox: { name: 'claim', podIPs: expect.anything() },
    })
    await until(sandboxClaims, namespace, isGone)
    await until(sandboxes, namespace, isGone)
    const at = finished?.status?.conditions?.find(({ type }) => type === 'Finished')?.lastTransitionTime ?? ''
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(at) + ttlSecondsAfterFinished * 1000)
  })

  test.each([
    ['shutdownTime', 2, 3600],
    ['ttl', 3600, 1],
  ])('is the earlier of shutdownTime and TTL: %s', async (name, shutdown, ttlSecondsAfterFinished) => {
    const namespace = `end-earlier-${name.toLowerCase()}`
    await prepare(namespace, { podTemplate: { spec: ENDS } })
    const shutdownTime = soon(shutdown)
    await claim(namespace, { lifecycle: { shutdownTime, ttlSecondsAfterFinished, shutdownPolicy: 'Delete' } })
    await until(sandboxClaims, namespace, isGone)
    await until(sandboxes, namespace, isGone)
    if (name === 'ttl') expect(Date.now()).toBeLessThan(Date.parse(shutdownTime))
    else expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(shutdownTime))
  })

  test('does not come by itself where no TTL is given', async () => {
    const namespace = 'end-none'
    await prepare(namespace, { podTemplate: { spec: ENDS } })
    await claim(namespace, { lifecycle: { shutdownPolicy: 'Delete' } })
    const finished = await until(sandboxClaims, namespace, readyIs('PodSucceeded'))
    // A claim with a TTL of none, that ends later, goes first.
    const other = 'end-none-other'
    await prepare(other, { podTemplate: { spec: ENDS } })
    await claim(other, { lifecycle: { ttlSecondsAfterFinished: 0, shutdownPolicy: 'Delete' } })
    await until(sandboxClaims, other, isGone)
    const kept = await client.get(sandboxClaims, 'claim', { namespace })
    expect(kept.metadata.deletionTimestamp).toBeUndefined()
    expect(kept.status).toEqual(finished?.status)
  })

  test('leaves how it ended to be read where it is retained', async () => {
    const namespace = 'end-retain'
    await prepare(namespace, { podTemplate: { spec: ENDS } })
    await claim(namespace, { lifecycle: { ttlSecondsAfterFinished: 0, shutdownPolicy: 'Retain' } })
    await until(sandboxClaims, namespace, readyIs('ClaimExpired'))
    await until(sandboxes, namespace, isGone)
    const retained = await until(sandboxClaims, namespace, (each) => each?.status?.sandbox === undefined)
    expect(retained?.status).toEqual({ conditions: [FINISHED, EXPIRED] })
    await expect(client.get(resources.pods, 'claim', { namespace })).rejects.toSatisfy(isNotFound)
  })
})

test('a claim says when the controller has first seen it', async () => {
  const namespace = 'observed'
  await prepare(namespace, {})
  const { metadata } = await claim(namespace)
  await until(sandboxClaims, namespace, readyIs('DependenciesReady'))
  const KEY = 'agents.x-k8s.io/controller-first-observed-at'
  const told = await until(sandboxClaims, namespace, (each) => each?.metadata.annotations?.[KEY] !== undefined)
  expect(told?.metadata.annotations).toEqual({ [KEY]: expect.stringMatching(/^[\d-]+T[\d:]+\.\d{6}Z$/) })
  const at = Date.parse(told?.metadata.annotations?.[KEY] ?? '')
  expect(at).toBeGreaterThanOrEqual(Date.parse(metadata.creationTimestamp ?? ''))
  expect(at).toBeLessThanOrEqual(Date.now())
})

/** Of `internal/metrics/metrics.go` in sigs.k8s.io/agent-sandbox v1.0.3. */
const CLAIM_BUCKETS = [100, 250, 500, 750, 1000, 1250, 1500, 2000, 2500, 5000, 10000, 30000, 60000, 120000, 240000]
const CREATION_BUCKETS = [50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000, 240000, 300000, 600000]

test('what claims took, and what there is of Sandboxes, can be counted', async () => {
  const namespace = 'counted'
  const template = 'counted-template'
  await client.create(resources.namespaces, { metadata: { name: namespace } })
  await client.create(
    sandboxTemplates,
    { metadata: { name: template }, spec: { podTemplate: { spec: PAUSE } } },
    { namespace },
  )
  const pool = { metadata: { name: 'pool' }, spec: { replicas: 1, sandboxTemplateRef: { name: template } } }
  await client.create(sandboxWarmPools, pool, { namespace })
  await until(sandboxWarmPools, namespace, (each) => each?.status?.readyReplicas === 1)
  const ask = (name: string, spec: SandboxClaim['spec']) =>
    client.create(
      sandboxClaims,
      {
        metadata: {
          name,
          labels: { 'agents.x-k8s.io/created-by': 'python-client' },
          annotations: { 'agents.x-k8s.io/client-first-requested-at': new Date().toISOString() },
        },
        spec,
      },
      { namespace },
    )
  await ask('warm', { warmPoolRef: { name: 'pool' } })
  await until(sandboxClaims, namespace, readyIs('DependenciesReady'))
  await client.delete(sandboxClaims, 'warm', { namespace })
  await until(sandboxClaims, namespace, isGone)
  await ask('cold', { templateRef: { name: template } })
  await until(sandboxClaims, namespace, readyIs('DependenciesReady'))
  await until(sandboxWarmPools, namespace, (each) => each?.status?.readyReplicas === 1)
  await using informer = createInformer(client, sandboxes, { namespace })
  await informer.synced()
  const two = Promise.withResolvers<void>()
  const look = (): void => void (informer.list().length === 2 && two.resolve())
  using _handler = informer.handle({ added: look, updated: look, deleted: look })
  look()
  await two.promise

  const lines = (await cluster.mustKubectl(['get', '--raw', '/metrics'])).split('\n')
  const counted = lines.filter((line) => line.includes(template) && !/_(bucket|sum)\{/.test(line))
  expect(counted.sort()).toEqual(
    [
      ...['cold', 'warm'].flatMap((type) => [
        `agent_sandbox_claim_controller_startup_latency_ms_count{launch_type="${type}",sandbox_template="${template}"} 1`,
        `agent_sandbox_client_claim_startup_latency_ms_count{launch_type="${type}",sandbox_template="${template}"} 1`,
      ]),
      `agent_sandbox_claim_creation_total{namespace="counted",sandbox_template="${template}",launch_type="cold",warmpool_name="none",pod_condition="not_ready",created_by="python-client"} 1`,
      `agent_sandbox_claim_creation_total{namespace="counted",sandbox_template="${template}",launch_type="warm",warmpool_name="pool",pod_condition="ready",created_by="python-client"} 1`,
      `agent_sandbox_creation_latency_ms_count{namespace="counted",launch_type="cold",sandbox_template="${template}"} 1`,
      `agent_sandbox_creation_latency_ms_count{namespace="counted",launch_type="warm",sandbox_template="${template}"} 2`,
      `agent_sandboxes{namespace="counted",ready_condition="true",expired="false",launch_type="cold",sandbox_template="${template}",owned_by="SandboxClaim",created_by="python-client",operating_mode="Running"} 1`,
      `agent_sandboxes{namespace="counted",ready_condition="true",expired="false",launch_type="warm",sandbox_template="${template}",owned_by="SandboxWarmPool",created_by="controller",operating_mode="Running"} 1`,
    ].sort(),
  )
  const bounds = lines.flatMap((line) => {
    const [, name, le] = (line.includes(template) && /^(\w+)_bucket\{le="([^"]+)"/.exec(line)) || []
    return name === undefined ? [] : [`${name} ${le}`]
  })
  const bucketsOf = (name: string, buckets: readonly number[]): string[] =>
    ['cold', 'warm'].flatMap(() => [...buckets, '+Inf'].map((bound) => `${name} ${bound}`))
  expect(bounds.sort()).toEqual(
    [
      ...bucketsOf('agent_sandbox_claim_controller_startup_latency_ms', CLAIM_BUCKETS),
      ...bucketsOf('agent_sandbox_client_claim_startup_latency_ms', CLAIM_BUCKETS),
      ...bucketsOf('agent_sandbox_creation_latency_ms', CREATION_BUCKETS),
    ].sort(),
  )
  expect(lines).toContainEqual(expect.stringMatching(/^agent_sandbox_build_info\{git_version="[\d.]+",.* 1$/))
  expect(lines).toContainEqual(
    expect.stringMatching(/^caisson_claim_ready_seconds_bucket\{le="0\.001",launch_type="warm"\} \d+$/),
  )
})
