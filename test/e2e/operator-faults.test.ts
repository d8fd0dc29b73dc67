/**
 * What befalls the controllers on a real control plane while claims come and go: each claim becomes Ready, no Sandbox is
 * given twice, nothing too many is left, and a controller says that it is ready where it is and only there.
 *
 * Those that take long are left to `make test-cluster`, which sets CAISSON_TEST_FAULTS=all.
 */
import { once } from 'node:events'
import { renameSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CONTROLLER_LEASE, CONTROLLER_NAMESPACE, findCondition, kubernetesTime } from '../../packages/api/src/index.ts'
import { resources, sandboxes } from '../../packages/client/src/index.ts'
import { sandboxNamed, until } from '../../packages/controllers/src/testing/test-cluster.ts'
import { buildBeside } from '../cluster/build-control-plane.ts'
import { type RealCluster, writeKubeconfig } from '../cluster/real-cluster.ts'
import { startProxy } from '../history/proxy.ts'
import { type ClaimLoad, startClaimLoad } from './claim-load.ts'
import { type Replica, type ReplicaOptions, startReplica } from './controller-replica.ts'
import { ACCOUNT, type OperatorCluster, startOperatorCluster } from './operator-cluster.ts'

const NAMESPACE = 'faults'
/** Of a fault, and of the claims that are served during and after it. */
const FAULT_MS = 6000
const CLAIMS = 15
const HOUR = 3_600_000
/** Of a graceful stop, as of one with nothing under way. */
const STOPPED_MS = 2000
/** A Lease runs out after 15 s, and is looked at every 2 s with a jitter. */
const FAILOVER = { timeout: 25_000, interval: 50 }

const longer = test.runIf(process.env['CAISSON_TEST_FAULTS'] === 'all')

let cluster: OperatorCluster
let plane: RealCluster
let kubeconfig: string
let loads = 0

beforeAll(async () => {
  cluster = await startOperatorCluster(NAMESPACE, { nodes: true })
  plane = cluster.plane
  // Whose owners are gone it knows of the kinds that it found when it started, or half a minute later.
  await plane.restart('kube-controller-manager')
  kubeconfig = writeKubeconfig(plane, 'account', { as: ACCOUNT })
})
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
})

const replica = (options: Partial<ReplicaOptions> = {}): Promise<Replica> => startReplica({ kubeconfig, ...options })
const load = (): Promise<ClaimLoad> =>
  startClaimLoad({ client: cluster.client, namespace: NAMESPACE, lanes: 3, pool: 4, name: `load-${loads++}` })
const lease = () => cluster.client.get(resources.leases, CONTROLLER_LEASE, { namespace: CONTROLLER_NAMESPACE })
const leads = async (one: Replica): Promise<boolean> => (await lease()).spec?.holderIdentity === one.identity

async function becomesLeader(one: Replica): Promise<void> {
  await expect.poll(() => leads(one).catch(() => false), FAILOVER).toBe(true)
  await expect.poll(() => one.readiness()).toBe('200 ok')
}

async function finished(claims: ClaimLoad): Promise<void> {
  await claims.serves(CLAIMS)
  await claims.finish()
  expect(claims.broken).toEqual([])
}

test('the API server is killed and comes back', async () => {
  await using one = await replica()
  await becomesLeader(one)
  await using claims = await load()
  await claims.serves(CLAIMS)
  const back = plane.restart('kube-apiserver')
  await expect.poll(() => one.readiness(), { interval: 20 }).toMatch(/^503 /)
  await back
  await expect.poll(() => one.readiness()).toBe('200 ok')
  await finished(claims)
  expect(one.ends).toEqual([])
})

longer('every connection is cut every second', async () => {
  await using proxy = await startProxy()
  const { port } = new URL(plane.server)
  proxy.target(Number(port))
  const server = `https://127.0.0.1:${proxy.port}`
  await using one = await replica({ kubeconfig: writeKubeconfig(plane, 'proxy', { server, as: ACCOUNT }) })
  await becomesLeader(one)
  await using claims = await load()
  let cut = 0
  const cutting = setInterval(() => (cut += proxy.reset(() => true)), 1000)
  try {
    const before = performance.now()
    while (performance.now() - before < FAULT_MS) await claims.serves(1)
    await claims.serves(CLAIMS)
  } finally {
    clearInterval(cutting)
  }
  // Nine watches and at least one request.
  expect(cut).toBeGreaterThan(10 * 5)
  await expect.poll(() => one.readiness()).toBe('200 ok')
  await finished(claims)
  expect(one.ends).toEqual([])
})

test('the API server has one seat for the controllers, and turns the rest away', async () => {
  await using one = await replica()
  await becomesLeader(one)
  await using claims = await load()
  await claims.serves(CLAIMS)
  const flow = { group: 'flowcontrol.apiserver.k8s.io', version: 'v1', namespaced: false }
  const apiVersion = `${flow.group}/${flow.version}`
  const make = (plural: string, kind: string, spec: object) =>
    cluster.client.request({
      method: 'POST',
      path: `/apis/${apiVersion}/${plural}`,
      body: { apiVersion, kind, metadata: { name: 'storm' }, spec },
    })
  const limited = { nominalConcurrencyShares: 0, lendablePercent: 0, limitResponse: { type: 'Reject' } }
  await make('prioritylevelconfigurations', 'PriorityLevelConfiguration', { type: 'Limited', limited })
  const [namespace, name] = [CONTROLLER_NAMESPACE, 'agent-sandbox-controller']
  const rule = {
    subjects: [{ kind: 'ServiceAccount', serviceAccount: { namespace, name } }],
    resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'], clusterScope: true }],
  }
  const priority = { matchingPrecedence: 2, priorityLevelConfiguration: { name: 'storm' } }
  await make('flowschemas', 'FlowSchema', { ...priority, rules: [rule] })
  await expect.poll(rejected, { interval: 50 }).toBeGreaterThan(10)
  await cluster.client.request({ method: 'DELETE', path: `/apis/${apiVersion}/flowschemas/storm` })
  await expect.poll(() => one.readiness()).toBe('200 ok')
  await finished(claims)
  expect(one.ends).toEqual([])
})

/** Requests that kube-apiserver has turned away by the storm's FlowSchema until now. */
async function rejected(): Promise<number> {
  const metrics = String(await cluster.client.request({ method: 'GET', path: '/metrics' }))
  const lines = metrics.match(/^apiserver_flowcontrol_rejected_requests_total{.*flow_schema="storm".*} \d+$/gm) ?? []
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}

longer('etcd stalls for longer than a Lease is waited for', async () => {
  await using one = await replica()
  await becomesLeader(one)
  await using claims = await load()
  await claims.serves(CLAIMS)
  const etcd = plane.pids.etcd ?? 0
  process.kill(etcd, 'SIGSTOP')
  try {
    // It works no more before its Lease runs out, and says before that that it is not ready.
    await expect.poll(() => one.readiness(), { interval: 100 }).toMatch(/^503 the Lease cannot be read/)
    await expect.poll(() => one.ends.length, FAILOVER).toBeGreaterThan(0)
  } finally {
    process.kill(etcd, 'SIGCONT')
  }
  expect(one.ends[0]).toBe(1)
  await becomesLeader(one)
  await finished(claims)
})

longer('a token is revoked, and its file has another one later', async () => {
  const file = join(dirname(plane.kubeconfig), 'token')
  await writeToken(file, 'first')
  await using one = await replica({ kubeconfig: writeKubeconfig(plane, 'token', { credentials: { tokenFile: file } }) })
  await becomesLeader(one)
  await using claims = await load()
  await claims.serves(CLAIMS)
  // Renewed in time, as the kubelet does it.
  await writeToken(file, 'second')
  await cluster.client.delete(resources.secrets, 'first', { namespace: CONTROLLER_NAMESPACE })
  await claims.serves(CLAIMS)
  expect(await one.readiness()).toBe('200 ok')
  // And too late: kube-apiserver believes a token for ten seconds more.
  await cluster.client.delete(resources.secrets, 'second', { namespace: CONTROLLER_NAMESPACE })
  await expect.poll(() => one.readiness(), { interval: 50 }).toMatch(/^503 /)
  await writeToken(file, 'third')
  await expect.poll(() => one.readiness()).toBe('200 ok')
  await finished(claims)
  expect(one.ends).toEqual([])
})

/** Of the controllers' account, valid for as long as the Secret of that name is there. */
async function writeToken(file: string, secret: string): Promise<void> {
  const { metadata } = await cluster.client.create(
    resources.secrets,
    { metadata: { name: secret } },
    { namespace: CONTROLLER_NAMESPACE },
  )
  const boundObjectRef = { apiVersion: 'v1', kind: 'Secret', name: secret, uid: metadata.uid }
  const answer = (await cluster.client.request({
    method: 'POST',
    path: `/api/v1/namespaces/${CONTROLLER_NAMESPACE}/serviceaccounts/agent-sandbox-controller/token`,
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { boundObjectRef } },
  })) as { status: { token: string } }
  writeFileSync(`${file}.new`, answer.status.token, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

longer('a client certificate runs out, and is renewed later', async () => {
  const [certificate, key] = ['client.crt', 'client.key'].map((name) => join(dirname(plane.kubeconfig), name))
  if (!certificate || !key) throw new Error('unreachable')
  const issue = (validForMs: number): void => {
    const issued = plane.issueClient({ name: ACCOUNT, validForMs })
    writeFileSync(certificate, issued.certificate, { mode: 0o600 })
    writeFileSync(key, issued.key, { mode: 0o600 })
  }
  issue(12_000)
  const credentials = { 'client-certificate': certificate, 'client-key': key }
  await using one = await replica({ kubeconfig: writeKubeconfig(plane, 'certificate', { credentials }) })
  await becomesLeader(one)
  await using claims = await load()
  await claims.serves(CLAIMS)
  await expect.poll(() => one.readiness(), { interval: 50 }).toMatch(/^503 /)
  issue(HOUR)
  await expect.poll(() => one.readiness()).toBe('200 ok')
  await finished(claims)
  expect(one.ends).toEqual([])
})

test('clocks go wrong by an hour: the API server’s counts, and the Lease stays with who has it', async () => {
  const skewed = (ahead: number): Promise<Replica> =>
    replica({
      env: {
        NODE_OPTIONS: `--import ${pathToFileURL(join(import.meta.dirname, 'skewed-clock.ts')).href}`,
        CAISSON_TEST_CLOCK_AHEAD_MS: String(ahead),
      },
    })
  const fast = await skewed(HOUR)
  await becomesLeader(fast)
  await makeSandbox('lasting', Date.now() + HOUR / 2)
  await sandboxBecomes('lasting', { status: 'True', reason: 'DependenciesReady' })
  const { leaseTransitions: before = 0 } = (await lease()).spec ?? {}
  await using slow = await skewed(-HOUR)
  await using claims = await load()
  await claims.serves(CLAIMS)
  await fast[Symbol.asyncDispose]()
  await becomesLeader(slow)
  await makeSandbox('ending', Date.now() + 2000)
  await sandboxBecomes('ending', { status: 'False', reason: 'SandboxExpired' })
  for (const name of ['lasting', 'ending']) await cluster.client.delete(sandboxes, name, { namespace: NAMESPACE })
  await finished(claims)
  // Letting go of the Lease is no transition of its own.
  expect((await lease()).spec?.leaseTransitions).toBe(before + 1)
  expect([fast.ends, slow.ends]).toEqual([[0], []])
})

async function makeSandbox(name: string, shutdownAt: number): Promise<void> {
  const shutdownTime = kubernetesTime(shutdownAt)
  await cluster.client.create(sandboxes, sandboxNamed(name, { shutdownTime }), { namespace: NAMESPACE })
}

async function sandboxBecomes(name: string, ready: { status: string; reason: string }): Promise<void> {
  await until(cluster.client, sandboxes, { namespace: NAMESPACE, name }, (sandbox) => {
    const found = findCondition(sandbox?.status?.conditions, 'Ready')
    return found?.status === ready.status && found.reason === ready.reason
  })
}

longer('the leader is killed', async () => {
  const both = [await replica(), await replica()] as const
  await using one = both[0]
  await using two = both[1]
  await expect.poll(async () => (await Promise.all(both.map(leads))).filter(Boolean), FAILOVER).toEqual([true])
  const [leader, other] = (await leads(one)) ? [one, two] : [two, one]
  await expect.poll(() => other.readiness()).toBe('200 ok')
  await using claims = await load()
  await claims.serves(CLAIMS)
  leader.signal('SIGKILL')
  // Its place is taken when its Lease has run out, by whichever of the two is first.
  await finished(claims)
  expect([leader.ends, other.ends]).toEqual([['SIGKILL'], []])
})

test('the API server holds a write up while the leader is asked to end: it ends at once, and another one goes on', async () => {
  const held = await holdPods()
  const one = await replica()
  await becomesLeader(one)
  await cluster.client.create(sandboxes, sandboxNamed('held'), { namespace: NAMESPACE })
  await held.asked
  const before = performance.now()
  await one[Symbol.asyncDispose]()
  expect(performance.now() - before).toBeLessThan(STOPPED_MS)
  expect([one.ends, (await lease()).spec?.holderIdentity]).toEqual([[0], ''])
  await held[Symbol.asyncDispose]()
  // Whether what was given up is done nevertheless or not.
  await using _two = await replica()
  await sandboxBecomes('held', { status: 'True', reason: 'DependenciesReady' })
  const { items } = await cluster.client.list(resources.pods, { namespace: NAMESPACE })
  expect(items.map(({ metadata }) => metadata.name)).toEqual(['held'])
  await cluster.client.delete(sandboxes, 'held', { namespace: NAMESPACE })
})

/** Has the API server ask, before it makes a Pod, somebody who takes connections and says nothing. */
async function holdPods(): Promise<AsyncDisposable & { asked: Promise<unknown> }> {
  const connections: Socket[] = []
  const silent = createServer((connection) => void connections.push(connection.on('error', () => undefined)))
  const asked = once(silent, 'connection')
  await once(silent.listen(0, '127.0.0.1'), 'listening')
  const path = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations'
  const { port } = silent.address() as AddressInfo
  const webhook = {
    name: 'silent.example.com',
    clientConfig: { url: `https://127.0.0.1:${port}/` },
    rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
    failurePolicy: 'Ignore',
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
    timeoutSeconds: 30,
  }
  await cluster.client.request({ method: 'POST', path, body: { metadata: { name: 'silent' }, webhooks: [webhook] } })
  return {
    asked,
    async [Symbol.asyncDispose]() {
      for (const connection of connections) connection.destroy()
      silent.close()
      await cluster.client.request({ method: 'DELETE', path: `${path}/silent` })
    },
  }
}

longer('agent-sandbox’s controller takes the place of ours, and ours its place again', async () => {
  const command = [await buildBeside('agent-sandbox')]
  const ours = await replica()
  await becomesLeader(ours)
  const theirs = await replica({ command, kubeconfig: plane.kubeconfig })
  await using claims = await load()
  await claims.serves(CLAIMS)
  const holder = async () => (await lease()).spec?.holderIdentity ?? ''
  const before = await holder()
  await ours[Symbol.asyncDispose]()
  await expect.poll(holder, FAILOVER).not.toMatch(new RegExp(`^$|^${before}$`))
  await claims.serves(CLAIMS)
  await using again = await replica()
  await theirs[Symbol.asyncDispose]()
  await becomesLeader(again)
  await finished(claims)
  expect([ours.ends, again.ends]).toEqual([[0], []])
})
