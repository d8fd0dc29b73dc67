/** `caisson controller` against a real control plane: what it makes of objects, and who works when it ends, dies or is robbed. */

import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { CONTROLLER_LEASE, CONTROLLER_NAMESPACE, findCondition, type Sandbox } from '../../packages/api/src/index.ts'
import {
  CONFIG_RULES,
  EXTENSION_CLUSTER_RULES,
  EXTENSION_RULES,
  leaseRules,
  SANDBOX_CLUSTER_RULES,
  SANDBOX_RULES,
} from '../../packages/cli/scripts/deploy/permissions.ts'
import { isOfShard } from '../../packages/cli/src/controller/work-scope.ts'
import {
  resources,
  sandboxClaims,
  sandboxes,
  sandboxTemplates,
  sandboxWarmPools,
} from '../../packages/client/src/index.ts'
import { startCollector } from '../../packages/controllers/src/testing/otlp-collector.ts'
import { sandboxNamed, until } from '../../packages/controllers/src/testing/test-cluster.ts'
import { controlPlaneVersion } from '../cluster/build-control-plane.ts'
import { type RealCluster, writeKubeconfig } from '../cluster/real-cluster.ts'
import { type ControllerProcess, startController } from './controller-process.ts'
import { must, run } from './fixture.ts'
import { ACCOUNT, CAISSON, type OperatorCluster, startOperatorCluster } from './operator-cluster.ts'

const NAMESPACE = 'operator-test'
const LIMIT_MS = 30_000

const NAMESPACED = 'namespaced-controller'

let cluster: OperatorCluster
let plane: RealCluster
/** Of the controllers' own account. */
let kubeconfig: string
let started: ControllerProcess[] = []
/** Of the processes that a test starts. */
let environment: Record<string, string> = {}

beforeAll(async () => {
  cluster = await startOperatorCluster(NAMESPACE)
  plane = cluster.plane
  kubeconfig = writeKubeconfig(plane, 'controllers', { as: ACCOUNT })
})

afterEach(async () => {
  for (const { child, ended } of started) {
    // Lets go of the Lease, so that the next test need not wait for it.
    child.kill('SIGTERM')
    await ended
  }
  started = []
  environment = {}
})

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
})

function start(name: string, ...flags: string[]): ControllerProcess {
  const one = startController({ name, flags, kubeconfig, env: environment })
  started.push(one)
  return one
}

const podIn = (namespace: string, name: string) => until(cluster.client, resources.pods, { namespace, name }, Boolean)
const createSandbox = (name: string) =>
  cluster.client.create(sandboxes, sandboxNamed(name, { service: true }), { namespace: NAMESPACE })
const ready = (object: { status?: Sandbox['status'] } | undefined) =>
  findCondition(object?.status?.conditions, 'Ready')?.status === 'True'
const holder = () => cluster.client.get(resources.leases, CONTROLLER_LEASE, { namespace: CONTROLLER_NAMESPACE })

/** Follows the Lease until somebody other than `before` holds it; with when that was seen. */
async function nextLeader(before: string | undefined): Promise<{ holder: string; at: number }> {
  const events = cluster.client.watch(resources.leases, {
    namespace: CONTROLLER_NAMESPACE,
    fieldSelector: `metadata.name=${CONTROLLER_LEASE}`,
    signal: AbortSignal.timeout(LIMIT_MS),
  })
  for await (const event of events) {
    if (event.type !== 'ADDED' && event.type !== 'MODIFIED') continue
    const { holderIdentity } = event.object.spec ?? {}
    if (holderIdentity && holderIdentity !== before) return { holder: holderIdentity, at: performance.now() }
  }
  throw new Error('the watch of the Lease has ended')
}

test('a Sandbox and a claim become what upstream makes of them, and the probes say so', async () => {
  const { client } = cluster
  const one = start(
    'one',
    '-leader-elect',
    '--extensions=true',
    '--kube-api-qps=1000',
    '--kube-api-burst',
    '2000',
    '--zap-devel',
  )
  expect(await one.line('zap-devel')).toContain(
    '--zap-devel has no effect: --zap-encoder and --zap-log-level say what the log is like',
  )
  await one.line('"controller":"pool"')
  const workers = one.lines.filter((line) => line.includes('Starting workers')).map((line) => line.split('\t')[3])
  expect(new Set(workers)).toEqual(
    new Set([
      '{"controller":"claim","worker count":50}',
      '{"controller":"network-policy","worker count":10}',
      '{"controller":"pool","worker count":10}',
      '{"controller":"sandbox","worker count":100}',
      '{"controller":"snapshot","worker count":10}',
      '{"controller":"template","worker count":10}',
    ]),
  )

  expect(await one.ask('probes', '/healthz')).toEqual({ status: 200, body: 'ok\n' })
  expect(await one.ask('probes', '/readyz')).toEqual({ status: 200, body: 'ok\n' })
  expect(await one.ask('probes', '/metrics')).toEqual({ status: 404, body: 'not found\n' })

  await createSandbox('alone')
  const sandbox = await until(client, sandboxes, { namespace: NAMESPACE, name: 'alone' }, ready)
  expect(sandbox.status).toMatchObject({
    service: 'alone',
    serviceFQDN: `alone.${NAMESPACE}.svc.cluster.local`,
    podIPs: ['10.1.2.3'],
  })
  const containers = [{ name: 'main', image: 'example.com/main' }]
  await client.create(
    sandboxTemplates,
    { metadata: { name: 'web' }, spec: { podTemplate: { spec: { containers } } } },
    { namespace: NAMESPACE },
  )
  await client.create(
    sandboxWarmPools,
    { metadata: { name: 'pool' }, spec: { replicas: 1, sandboxTemplateRef: { name: 'web' } } },
    { namespace: NAMESPACE },
  )
  await until(
    client,
    sandboxWarmPools,
    { namespace: NAMESPACE, name: 'pool' },
    (pool) => pool?.status?.readyReplicas === 1,
  )
  const members = await client.list(sandboxes, { namespace: NAMESPACE })
  const [member] = members.items.map(({ metadata }) => metadata.name ?? '').filter((name) => name !== 'alone')
  await client.create(
    sandboxClaims,
    { metadata: { name: 'claim' }, spec: { warmPoolRef: { name: 'pool' } } },
    { namespace: NAMESPACE },
  )
  const claim = await until(client, sandboxClaims, { namespace: NAMESPACE, name: 'claim' }, ready)
  expect(claim.status?.sandbox?.name).toBe(member)
  const { body } = await one.ask('metrics', '/metrics')
  expect(body).toContain(`leader_election_master_status{name="${CONTROLLER_LEASE}"} 1`)
  expect(body).toContain(
    'caisson_controller_writes_total{controller="sandbox",verb="create",resource="pods",result="done"} ',
  )
  for (const series of [
    `agent_sandbox_claim_creation_total{namespace="${NAMESPACE}",sandbox_template="web",launch_type="warm",warmpool_name="pool",pod_condition="ready",created_by="unknown"} 1`,
    'workqueue_adds_total{name="sandboxclaim",controller="sandboxclaim"} ',
    'controller_runtime_reconcile_total{controller="sandboxwarmpool",result="success"} ',
    'controller_runtime_max_concurrent_reconciles{controller="sandbox"} 100',
  ])
    expect(body).toContain(series)
  // Every kind that is there is followed, and nothing has gone wrong on the way.
  expect(one.lines.filter((line) => line.includes('\tERROR\t'))).toEqual([])
})

test('the account may read which label domains claims may use, and what is done for a claim is traced', async () => {
  const { client } = cluster
  const at = { namespace: NAMESPACE }
  const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
  await using collector = await startCollector()
  environment = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url }
  const configMap = { metadata: { name: 'agent-sandbox-config' }, data: { 'allowed-label-domains': 'example.com' } }
  await client.create(resources.configMaps, configMap, { namespace: CONTROLLER_NAMESPACE })
  const containers = [{ name: 'main', image: 'example.com/main' }]
  await client.create(
    sandboxTemplates,
    { metadata: { name: 'labelled' }, spec: { podTemplate: { spec: { containers } } } },
    at,
  )
  const createClaim = (name: string, label: string, annotations: Record<string, string> = {}) =>
    client.create(
      sandboxClaims,
      {
        metadata: { name, annotations },
        spec: { templateRef: { name: 'labelled' }, additionalPodMetadata: { labels: { [label]: 'a' } } },
      },
      at,
    )
  const claimBecomes = (name: string, reason: string) =>
    until(
      client,
      sandboxClaims,
      { ...at, name },
      (claim) => findCondition(claim?.status?.conditions, 'Ready')?.reason === reason,
    )

  const one = start('one', '--extensions', '--enable-tracing')
  await one.line('"controller":"pool"')
  const context = JSON.stringify({ traceparent: `00-${TRACE}-00f067aa0ba902b7-01` })
  await createClaim('traced', 'example.com/team', { 'opentelemetry.io/trace-context': context })
  await claimBecomes('traced', 'DependenciesReady')
  await createClaim('refused', 'example.org/team')
  await claimBecomes('refused', 'InvalidMetadata')
  const names = (): string[] => collector.spans().map(({ traceId, name }) => `${traceId} ${name}`)
  await expect
    .poll(names)
    .toEqual(expect.arrayContaining([`${TRACE} ReconcileSandboxClaim`, `${TRACE} ReconcileSandbox`]))
  expect(names().filter((name) => !name.startsWith(TRACE))).toEqual([])

  // It is followed.
  const data = { 'allowed-label-domains': 'example.org' }
  await client.patch(resources.configMaps, 'agent-sandbox-config', { data }, { namespace: CONTROLLER_NAMESPACE })
  await claimBecomes('refused', 'DependenciesReady')
  expect(one.lines.filter((line) => line.includes('\tERROR\t'))).toEqual([])
  one.child.kill('SIGTERM')
  await one.ended

  // Where it is mounted the file counts.
  const directory = dirname(kubeconfig)
  writeFileSync(join(directory, 'allowed-label-domains'), 'example.net\n')
  const two = start('two', '--extensions', '--sandbox-config-dir', directory)
  await two.line('"controller":"pool"')
  await createClaim('mounted', 'example.net/team')
  await claimBecomes('mounted', 'DependenciesReady')
  await createClaim('other', 'example.org/team')
  await claimBecomes('other', 'InvalidMetadata')
  expect(two.lines.filter((line) => line.includes('\tERROR\t'))).toEqual([])
})

test('a stopped leader is followed within two seconds, a killed one within 17', async () => {
  const one = start('one')
  await one.line('Starting workers')
  const first = await nextLeader('')
  const two = start('two')
  await two.line(`${first.holder} leads`)
  expect(await two.ask('probes', '/readyz')).toEqual({ status: 200, body: 'ok\n' })
  expect(two.lines.filter((line) => line.includes('Starting workers'))).toEqual([])

  const stopped = performance.now()
  one.child.kill('SIGTERM')
  const second = await nextLeader(first.holder)
  expect(await one.ended).toBe(0)
  expect(one.lines.at(-1)).toContain('Stopped')
  console.log(`after a graceful stop: ${Math.round(second.at - stopped)} ms`)
  expect(second.at - stopped).toBeLessThan(2000)
  await two.line('Starting workers')
  await createSandbox('after-stop')
  await podIn(NAMESPACE, 'after-stop')

  const three = start('three')
  await three.line(`${second.holder} leads`)
  const killed = performance.now()
  two.child.kill('SIGKILL')
  await createSandbox('after-kill')
  const third = await nextLeader(second.holder)
  console.log(`after kill -9: ${Math.round(third.at - killed)} ms`)
  expect(third.at - killed).toBeLessThan(17_000)
  await three.line('Starting workers')
  await podIn(NAMESPACE, 'after-kill')
})

async function allow(namespace: string | undefined, name: string, rules: object[]): Promise<void> {
  const kind = namespace === undefined ? 'ClusterRole' : 'Role'
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  const metadata = { name, ...(namespace !== undefined && { namespace }) }
  const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: NAMESPACED }]
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind, name }
  const objects = [
    { apiVersion, kind, metadata, rules },
    { apiVersion, kind: `${kind}Binding`, metadata, roleRef, subjects },
  ]
  const input = objects.map((object) => JSON.stringify(object)).join('\n---\n')
  await must(run(CAISSON, ['apply', '-f', '-'], { input, env: { KUBECONFIG: plane.kubeconfig } }))
}

const makeNamespace = (name: string) => cluster.client.create(resources.namespaces, { metadata: { name } })
const makeSandbox = (namespace: string, name: string) =>
  cluster.client.create(sandboxes, sandboxNamed(name), { namespace })
const podsIn = async (namespace: string) =>
  (await cluster.client.list(resources.pods, { namespace })).items.map(({ metadata }) => metadata.name)

test('with --namespaces works there, with rights there, and nowhere else', async () => {
  for (const name of ['mine-1', 'mine-2', 'not-mine']) await makeNamespace(name)
  for (const name of ['mine-1', 'mine-2']) await allow(name, 'controller', [...SANDBOX_RULES, ...EXTENSION_RULES])
  await allow(undefined, 'namespaced-controller', [...SANDBOX_CLUSTER_RULES, ...EXTENSION_CLUSTER_RULES])
  await allow(CONTROLLER_NAMESPACE, 'namespaced-controller', [...leaseRules([CONTROLLER_LEASE]), ...CONFIG_RULES])
  await makeSandbox('not-mine', 'left-alone')
  const namespacedKubeconfig = writeKubeconfig(plane, NAMESPACED, { as: NAMESPACED })
  const one = start(
    'one',
    '--extensions',
    '--flat-group=false',
    `--kubeconfig=${namespacedKubeconfig}`,
    '--namespaces=mine-1,mine-2',
    '--zap-encoder=json',
  )
  const began = await one.line('"controller":"pool"')
  expect(JSON.parse(began)).toMatchObject({ level: 'info', msg: 'Starting workers', controller: 'pool' })
  expect(await one.ask('probes', '/readyz')).toEqual({ status: 200, body: 'ok\n' })
  for (const namespace of ['mine-1', 'mine-2']) await makeSandbox(namespace, 'box')
  for (const namespace of ['mine-1', 'mine-2']) await podIn(namespace, 'box')
  expect(await podsIn('not-mine')).toEqual([])
  // A template's policy, a pool's member and a claim, from its beginning to its end.
  const at = { namespace: 'mine-1' }
  const { client } = cluster
  const { podTemplate } = sandboxNamed('any').spec
  await client.create(sandboxTemplates, { metadata: { name: 'web' }, spec: { podTemplate } }, at)
  const ofTemplate = { replicas: 1, sandboxTemplateRef: { name: 'web' } }
  await client.create(sandboxWarmPools, { metadata: { name: 'pool' }, spec: ofTemplate }, at)
  await until(client, sandboxWarmPools, { ...at, name: 'pool' }, (pool) => pool?.status?.replicas === 1)
  const claimed = { name: 'claim', ...at }
  await client.create(sandboxClaims, { metadata: { name: 'claim' }, spec: { templateRef: { name: 'web' } } }, at)
  await until(client, sandboxClaims, claimed, (claim) => claim?.status?.sandbox?.name === 'claim')
  const lifecycle = { shutdownTime: '2026-01-01T00:00:00Z', shutdownPolicy: 'Delete' as const }
  await client.patch(sandboxClaims, 'claim', { spec: { lifecycle } }, at)
  await until(client, sandboxClaims, claimed, (claim) => claim === undefined)
  expect(one.lines.filter((line) => line.includes('"level":"error"'))).toEqual([])
})

test('shards share the namespaces, and end when somebody else takes the first Lease', async () => {
  const names = 'abcdefghijklmnop'.split('').map((letter) => `team-${letter}`)
  const ofShard = (index: number) => names.find((name) => isOfShard(name, { index, count: 2 })) ?? expect.fail()
  const [first, second] = [ofShard(0), ofShard(1)]
  for (const name of [first, second]) await makeNamespace(name)
  const flags = [`--kubeconfig=${plane.kubeconfig}`]
  const one = start('one', '--shard=1/2', ...flags)
  await one.line('Starting workers')
  await makeSandbox(first, 'box')
  await makeSandbox(second, 'box')
  await podIn(second, 'box')
  expect(await podsIn(first)).toEqual([])
  const zero = start('zero', '--shard=0/2', ...flags)
  await podIn(first, 'box')
  expect(zero.lines.filter((line) => line.includes(second))).toEqual([])
  expect(one.lines.filter((line) => line.includes(first))).toEqual([])

  const { spec } = await holder()
  await cluster.client.patch(
    resources.leases,
    CONTROLLER_LEASE,
    { spec: { ...spec, holderIdentity: 'somebody-else', leaseDurationSeconds: 1 } },
    { namespace: CONTROLLER_NAMESPACE },
  )
  expect([await zero.ended, await one.ended]).toEqual([1, 1])
  expect(one.lines.at(-1)).toContain('somebody-else has the first Lease and is not one of 2 shards')
})

const there = (...args: string[]) => run(CAISSON, args, { env: { KUBECONFIG: plane.kubeconfig } })
const mustThere = async (...args: string[]) => (await must(there(...args))).trim()

test('doctor --context says what a cluster has, and what to do about what it lacks', async () => {
  const { client } = cluster
  const findings = async (): Promise<Record<string, string>> => {
    const { stdout } = await there('doctor', '--context', 'real', '-o', 'json')
    const { findings } = JSON.parse(stdout) as { findings: { check: string; state: string; message: string }[] }
    return Object.fromEntries(findings.map(({ check, state, message }) => [check, `${state}: ${message}`]))
  }
  const earlier = start('earlier')
  await earlier.line('Starting workers')
  earlier.child.kill('SIGTERM')
  expect(await earlier.ended).toBe(0)
  const before = await findings()
  expect(before).toMatchObject({
    cluster: `ok: ${plane.server}, Kubernetes ${controlPlaneVersion()}`,
    sandboxes: 'ok: sandboxes in agents.x-k8s.io/v1beta1',
    pools: 'ok: sandboxtemplates, sandboxclaims, sandboxwarmpools in extensions.agents.x-k8s.io/v1beta1',
    snapshots: 'ok: sandboxsnapshots in caisson.dev/v1alpha1',
    lease: `missing: nobody holds ${CONTROLLER_NAMESPACE}/${CONTROLLER_LEASE}: no controller works on sandboxes`,
    rights: 'ok: you may have sandboxes in namespace default',
    account: 'ok: agent-sandbox-controller may work in every namespace',
    'warm env': 'ok: no template has envVarsDelivery Warm',
  })
  expect(before['runtimes']).toMatch(/^note: no RuntimeClass of gVisor or Kata \(none at all\)/)
  expect(before['controller']).toMatch(/^note: Deployment .*: 0 of 1 ready, caisson.dev\/agent-sandbox-controller:/)

  const one = start('one')
  await one.line('Starting workers')
  await client.create(resources.runtimeClasses, { metadata: { name: 'gvisor' }, handler: 'runsc' })
  const containers = [{ name: 'main', image: 'busybox' }]
  const template = { envVarsDelivery: 'Warm' as const, podTemplate: { spec: { containers } } }
  const metadata = { name: 'warm', namespace: 'default' }
  await client.create(sandboxTemplates, { metadata, spec: template })
  const after = await findings()
  await client.delete(sandboxTemplates, 'warm', { namespace: 'default' })
  expect(after['warm env']).toMatch(
    /^note: claims of the template default\/warm, .* may not get secrets, create secrets, .*warm-env\.yaml' allows it/,
  )
  expect(after['lease']).toMatch(/^ok: \S+ works, renewed \d+ s ago$/)
  expect(after['runtimes']).toBe('ok: RuntimeClasses gvisor (runsc)')
  expect((await there('doctor', '--context', 'real')).code).toBe(0)
  await client.delete(resources.runtimeClasses, 'gvisor')

  const unknown = await there('doctor', '--context', 'elsewhere')
  expect(unknown.code).toBe(66)
  expect(unknown.stderr).toContain('there is no context "elsewhere"; there are: real')
})

test('commands with --context have sandboxes elsewhere, and none that is less isolated than was asked for', async () => {
  const { client } = cluster
  const one = start('one', '--extensions')
  const elsewhere = ['--context', 'real', '-n', NAMESPACE]
  const refusal = async (...args: string[]) => (await there('run', ...elsewhere, '--detach', ...args)).stderr
  expect(await refusal('--', 'true')).toContain(
    'caisson.dev/host is a view of this machine, which another cluster lacks',
  )
  const image = ['--image', 'example.com/main']
  expect(await refusal(...image, '--', 'true')).toContain('the cluster has no RuntimeClass gvisor')
  expect(await refusal(...image, '--network=none', '--', 'true')).toContain(
    '--network none is for the nodes of Caisson',
  )
  const wrong = await there('--context', 'real', 'up')
  expect([wrong.code, wrong.stderr]).toEqual([
    64,
    "caisson: --context names another cluster, and 'caisson up' is about this machine: leave it out\n",
  ])
  const { items } = await client.list(resources.networkPolicies, { namespace: NAMESPACE })
  expect(items.filter(({ metadata }) => metadata.name === 'caisson-isolated')).toEqual([])

  await client.create(resources.runtimeClasses, { metadata: { name: 'gvisor' }, handler: 'runsc' })
  expect(await mustThere('run', ...elsewhere, '--detach', '--name', 'there', ...image, '--', 'sleep', '9')).toBe(
    'there',
  )
  const pod = await until(client, resources.pods, { namespace: NAMESPACE, name: 'there' }, Boolean)
  const selected = { 'caisson.dev/network': 'isolated' }
  const policy = () => client.get(resources.networkPolicies, 'caisson-isolated', { namespace: NAMESPACE })
  const closed = { podSelector: { matchLabels: selected }, policyTypes: ['Ingress', 'Egress'] }
  expect((await policy()).spec).toEqual(closed)
  expect(pod).toMatchObject({ metadata: { labels: selected }, spec: { runtimeClassName: 'gvisor' } })
  await until(client, sandboxes, { namespace: NAMESPACE, name: 'there' }, ready)
  expect((await mustThere('ls', ...elsewhere, '-o', 'name')).split('\n')).toContain('sandbox/there')
  await mustThere('rm', ...elsewhere, 'there')
  // Whoever has opened it, and be it only for some of its Pods, is not believed to have closed it.
  const ingress = [{}]
  await client.patch(resources.networkPolicies, 'caisson-isolated', { spec: { ingress } }, { namespace: NAMESPACE })
  expect(await refusal(...image, '--', 'true')).toContain(
    `NetworkPolicy caisson-isolated in namespace ${NAMESPACE} lets through what it should not`,
  )
  await client.delete(resources.networkPolicies, 'caisson-isolated', { namespace: NAMESPACE })

  await one.line('"controller":"pool"')
  await mustThere('template', 'create', ...elsewhere, ...image, 'there', '--', 'sleep', '9')
  const template = await client.get(sandboxTemplates, 'there', { namespace: NAMESPACE })
  expect(template.spec).toMatchObject({ networkPolicy: {}, podTemplate: { spec: { runtimeClassName: 'gvisor' } } })
  await mustThere('pool', 'create', ...elsewhere, '--template', 'there', 'there')
  const sandbox = await mustThere('claim', ...elsewhere, '--keep', '--name', 'there', 'there')
  const claim = await client.get(sandboxClaims, 'there', { namespace: NAMESPACE })
  expect(claim.status?.sandbox?.name).toBe(sandbox)
  await mustThere('pool', 'scale', ...elsewhere, 'there', '0')
  await client.delete(sandboxClaims, 'there', { namespace: NAMESPACE })
  await client.delete(resources.runtimeClasses, 'gvisor')
})

test('who loses the Lease ends at once, and works no more', async () => {
  const one = start('one', '--leader-election-namespace', CONTROLLER_NAMESPACE)
  await one.line('Starting workers')
  const lease = await holder()
  const spec = { ...lease.spec, holderIdentity: 'somebody-else', leaseDurationSeconds: 3600 }
  await cluster.client.patch(resources.leases, CONTROLLER_LEASE, { spec }, { namespace: CONTROLLER_NAMESPACE })
  expect(await one.ended).toBe(1)
  expect(one.lines.at(-1)).toContain('the Lease was lost')
})
