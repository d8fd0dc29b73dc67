/**
 * `caisson controller` with many Sandboxes on a real kube-apiserver: its memory once all are Ready, and, of a process that
 * starts among them, the time until it makes the Pod of a Sandbox that was made while there was no controller, and until
 * its readiness probe succeeds.
 *
 *   node test/bench/operator-scale.ts [--sandboxes 10000] [--restarts 3]
 *
 * JSON lines. There is no kubelet: every Pod is said to be Ready at once, and its object is no larger than that makes it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { isConditionTrue } from '../../packages/api/src/index.ts'
import { createInformer, resources, sandboxes } from '../../packages/client/src/index.ts'
import {
  connectCluster,
  sandboxNamed,
  startTestNode,
  type TestCluster,
} from '../../packages/controllers/src/testing/test-cluster.ts'
import { freePort, startRealCluster } from '../cluster/real-cluster.ts'
import { run } from '../e2e/fixture.ts'
import { cpuSeconds, residentMegabytes } from './process-usage.ts'
import { rounded } from './statistics.ts'

const { values: options } = parseArgs({
  options: { sandboxes: { type: 'string', default: '10000' }, restarts: { type: 'string', default: '3' } },
})

const COUNT = Number(options.sandboxes)
const LANES = 32
const LIMIT_MS = 600_000
const NAMESPACE = 'scale'
const ROOT = join(import.meta.dirname, '../..')
const CAISSON = join(ROOT, 'bin/caisson')

interface Controller extends AsyncDisposable {
  child: ChildProcess
  startedAt: number
  ready(): Promise<boolean>
}

async function startController(kubeconfig: string): Promise<Controller> {
  const port = await freePort()
  const flags = ['--extensions', '--leader-elect=false', '--metrics-bind-address=0', '--disable-sandbox-events']
  const probes = `--health-probe-bind-address=127.0.0.1:${port}`
  const startedAt = performance.now()
  const env = { ...process.env, KUBECONFIG: kubeconfig }
  const child = spawn(CAISSON, ['controller', ...flags, probes], { env, stdio: 'ignore' })
  return {
    child,
    startedAt,
    ready: () =>
      fetch(`http://127.0.0.1:${port}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      ),
    async [Symbol.asyncDispose]() {
      const gone = once(child, 'exit')
      child.kill('SIGTERM')
      await gone
    },
  }
}

/** Asks until it is so; there is no event for what another process thinks. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + LIMIT_MS
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${LIMIT_MS} ms`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function makeAll({ client }: TestCluster): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < COUNT) await client.create(sandboxes, sandboxNamed(`box-${next++}`), { namespace: NAMESPACE })
  }
  await Promise.all(Array.from({ length: LANES }, lane))
}

/** The most that the process has had, by the kernel's count. */
function peakMegabytes(pid: number): number {
  return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

function say(row: Record<string, number | string>): void {
  console.log(JSON.stringify({ bench: 'operator-scale', sandboxes: COUNT, ...row }))
}

await using plane = await startRealCluster({ controllers: false })
await using cluster = await connectCluster(plane.kubeconfig)
const { client } = cluster
for (const file of ['manifest.yaml', 'extensions.yaml']) {
  const words = ['apply', '-f', join(ROOT, 'deploy/manifests', file)]
  const { code, stderr } = await run(CAISSON, words, { env: { KUBECONFIG: plane.kubeconfig } })
  if (code !== 0) throw new Error(stderr)
}
await client.create(resources.namespaces, { metadata: { name: NAMESPACE } })
await client.create(resources.serviceAccounts, { metadata: { name: 'default' } }, { namespace: NAMESPACE })
const followed = createInformer(client, sandboxes, {
  namespace: NAMESPACE,
  // What the bench itself keeps of them.
  transform: ({ apiVersion, kind, metadata, spec, status }) => ({
    apiVersion,
    kind,
    metadata,
    spec: {
      podTemplate: { spec: { containers: [] } },
      ...(spec.operatingMode && { operatingMode: spec.operatingMode }),
    },
    ...(status && { status: { conditions: status.conditions ?? [] } }),
  }),
})
await using _followed = followed
await followed.synced(AbortSignal.timeout(LIMIT_MS))
let readyCount = 0
const isReady = (sandbox: { status?: { conditions?: unknown[] } }): boolean =>
  isConditionTrue((sandbox.status?.conditions ?? []) as Parameters<typeof isConditionTrue>[0], 'Ready')
followed.handle({
  updated(old, sandbox) {
    if (!isReady(old) && isReady(sandbox)) readyCount++
  },
})
await using _node = await startTestNode(client, NAMESPACE)
{
  await using controller = await startController(plane.kubeconfig)
  await until(controller.ready)
  const pid = controller.child.pid ?? 0
  say({ phase: 'empty', rss_mb: rounded(residentMegabytes(pid)) })
  const before = performance.now()
  await makeAll(cluster)
  await until(() => readyCount >= COUNT)
  say({
    phase: 'made',
    seconds: rounded((performance.now() - before) / 1000),
    controller_cpu_s: rounded(cpuSeconds(pid)),
    rss_mb: rounded(residentMegabytes(pid)),
    peak_mb: rounded(peakMegabytes(pid)),
  })
}
for (let round = 0; round < Number(options.restarts); round++) {
  const name = `late-${round}`
  await client.create(sandboxes, sandboxNamed(name), { namespace: NAMESPACE })
  await using pods = createInformer(client, resources.pods, {
    namespace: NAMESPACE,
    fieldSelector: `metadata.name=${name}`,
  })
  await pods.synced(AbortSignal.timeout(LIMIT_MS))
  const made = Promise.withResolvers<number>()
  pods.handle({ added: () => made.resolve(performance.now()) })
  await using controller = await startController(plane.kubeconfig)
  const ready = until(controller.ready).then(() => performance.now())
  const [madeAt, readyAt] = await Promise.all([made.promise, ready])
  const pid = controller.child.pid ?? 0
  say({
    phase: 'restart',
    first_reconcile_s: rounded((madeAt - controller.startedAt) / 1000),
    ready_s: rounded((readyAt - controller.startedAt) / 1000),
    controller_cpu_s: rounded(cpuSeconds(pid)),
    rss_mb: rounded(residentMegabytes(pid)),
    peak_mb: rounded(peakMegabytes(pid)),
  })
}
