/**
 * Claims on a real control plane with ten kwok nodes: agent-sandbox's own controller and `caisson controller` in turn, each
 * on a control plane of its own, with its own CRDs and the flags of agent-sandbox's scalability test.
 *
 *   node test/bench/operator-claims.ts [--rounds 1] [--only caisson|agent-sandbox] [--pool 350] [--phases serial,parallel,burst,rate]
 *
 * JSON lines: the phases of `claims.mjs`, with the CPU seconds of the controller and of kube-apiserver over each and the
 * controller's memory at its end; then the medians of each controller over all rounds.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { resources } from '../../packages/client/src/index.ts'
import { connectCluster } from '../../packages/controllers/src/testing/test-cluster.ts'
import { buildBeside, controlPlaneDirectory, moduleDirectory } from '../cluster/build-control-plane.ts'
import { type RealCluster, startRealCluster } from '../cluster/real-cluster.ts'
import { cpuSeconds, residentMegabytes } from './process-usage.ts'
import { median, rounded } from './statistics.ts'

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1' },
    only: { type: 'string' },
    pool: { type: 'string', default: '350' },
    phases: { type: 'string', default: 'serial,parallel,burst,rate' },
  },
})

const NODES = 10
const PODS_OF_A_NODE = '1000'
const FLAGS = [
  '--extensions',
  '--leader-elect=false',
  '--kube-api-qps=1000',
  '--kube-api-burst=2000',
  '--sandbox-concurrent-workers=50',
  '--sandbox-claim-concurrent-workers=50',
  '--sandbox-warm-pool-max-batch-size=300',
  '--metrics-bind-address=0',
  '--health-probe-bind-address=0',
]

const root = join(import.meta.dirname, '../..')
const CONTROLLERS = {
  'agent-sandbox': async () => ({
    command: [await buildBeside('agent-sandbox')],
    crds: join(moduleDirectory('agent-sandbox'), 'k8s/crds'),
  }),
  caisson: () => ({ command: [join(root, 'bin/caisson'), 'controller'], crds: join(root, 'deploy/crds') }),
}
type Name = keyof typeof CONTROLLERS

type Row = Record<string, number | string>

function started(command: readonly string[], kubeconfig: string): ChildProcess & AsyncDisposable {
  const [program = '', ...args] = command
  const child = spawn(program, args, { env: { ...process.env, KUBECONFIG: kubeconfig }, stdio: 'ignore' })
  return Object.assign(child, {
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    },
  })
}

async function prepare(plane: RealCluster, crds: string): Promise<void> {
  const kubectl = (...args: string[]): void => {
    const env = { ...process.env, KUBECONFIG: plane.kubeconfig }
    execFileSync(join(controlPlaneDirectory(), 'kubectl'), args, { env, stdio: ['ignore', 'ignore', 'inherit'] })
  }
  kubectl('create', '-f', crds)
  kubectl('wait', '--for=condition=Established', '-f', crds)
  await using cluster = await connectCluster(plane.kubeconfig)
  const allocatable = { cpu: '1000', memory: '1Ti', pods: PODS_OF_A_NODE }
  for (let index = 0; index < NODES; index++) {
    await cluster.client.create(resources.nodes, {
      metadata: { name: `kwok-${index}`, annotations: { 'kwok.x-k8s.io/node': 'fake' } },
      status: { allocatable, capacity: allocatable },
    })
  }
}

/** Runs claims.mjs; what the processes used is read whenever a phase ends. */
async function claims(label: Name, kubeconfig: string, pids: { controller: number; server: number }): Promise<Row[]> {
  const program = join(import.meta.dirname, 'claims.mjs')
  const args = ['--label', label, '--pool', options.pool, '--phases', options.phases]
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...process.env, KUBECONFIG: kubeconfig },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const rows: Row[] = []
  const used = () => ({ controller: cpuSeconds(pids.controller), server: cpuSeconds(pids.server) })
  let before = used()
  let rest = ''
  for await (const text of child.stdout.setEncoding('utf8')) {
    rest += text
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const now = used()
      const row: Row = {
        bench: 'operator-claims',
        ...(JSON.parse(line) as Row),
        controller_cpu_s: rounded(now.controller - before.controller),
        server_cpu_s: rounded(now.server - before.server),
        controller_rss_mb: rounded(residentMegabytes(pids.controller)),
      }
      before = now
      rows.push(row)
      console.log(JSON.stringify(row))
    }
  }
  if (child.exitCode === null) await once(child, 'exit')
  if (child.exitCode !== 0) throw new Error(`claims.mjs ended with ${child.exitCode ?? child.signalCode}`)
  return rows
}

async function turn(name: Name): Promise<Row[]> {
  const { command, crds } = await CONTROLLERS[name]()
  const kwok = await buildBeside('kwok')
  await using plane = await startRealCluster({ controllers: true })
  await prepare(plane, crds)
  await using _nodes = started(
    [kwok, '--kubeconfig', plane.kubeconfig, '--manage-all-nodes', '--config', '/dev/null'],
    plane.kubeconfig,
  )
  await using controller = started([...command, ...FLAGS], plane.kubeconfig)
  return await claims(name, plane.kubeconfig, {
    controller: controller.pid ?? 0,
    server: plane.pids['kube-apiserver'] ?? 0,
  })
}

const names = (Object.keys(CONTROLLERS) as Name[]).filter((name) => !options.only || name === options.only)
const all: Record<Name, Row[]> = { 'agent-sandbox': [], caisson: [] }
for (let round = 0; round < Number(options.rounds); round++) {
  for (const name of round % 2 === 0 ? names : names.toReversed()) all[name].push(...(await turn(name)))
}
if (Number(options.rounds) > 1) {
  for (const name of names)
    for (const phase of new Set(all[name].map((row) => row['phase']))) {
      const rows = all[name].filter((row) => row['phase'] === phase)
      const numbers = Object.keys(rows[0] ?? {}).filter((key) => typeof rows[0]?.[key] === 'number')
      const medians = numbers.map((key) => [key, median(rows.map((row) => Number(row[key])))] as const)
      console.log(
        JSON.stringify({
          bench: 'operator-claims',
          median_of: rows.length,
          label: name,
          phase,
          ...Object.fromEntries(medians),
        }),
      )
    }
}
