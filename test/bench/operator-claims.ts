/**
 * Claims on a real control plane with ten kwok nodes: agent-sandbox's own controller and `caisson controller` in turn, each
 * on a control plane of its own, with its own CRDs and the flags of agent-sandbox's scalability test.
 *
 *   node test/bench/operator-claims.ts [--rounds 1] [--only caisson|agent-sandbox] [--pool 350] [--phases serial,parallel,burst,rate]
 *                                      [--profiles DIRECTORY] [--requests] [--without-v1alpha1]
 *
 * JSON lines: the phases of `claims.mjs`, with the CPU seconds of the controller and of the control plane's processes over
 * each and the controller's memory at its end; then the medians of each controller over all rounds. `--profiles` writes CPU
 * profiles of kube-apiserver (for `go tool pprof -top`), each of five seconds, named by controller and number, and one of
 * Caisson's controller, and has them cost what they cost. `--requests` adds to each phase how many requests of which kind
 * the server was sent by everybody, with its end, the removal of its claims, counted to the next. `--without-v1alpha1`
 * installs Caisson's kinds as agent-sandbox has them, in one version.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { parse } from 'yaml'
import {
  type CustomResourceDefinition,
  claimCrd,
  poolCrd,
  sandboxCrd,
  snapshotCrd,
  templateCrd,
} from '../../packages/api/src/index.ts'
import { resources } from '../../packages/client/src/index.ts'
import { connectCluster, installCrd } from '../../packages/controllers/src/testing/test-cluster.ts'
import { buildBeside, moduleDirectory } from '../cluster/build-control-plane.ts'
import { type RealCluster, startRealCluster } from '../cluster/real-cluster.ts'
import { cpuSeconds, residentMegabytes } from './process-usage.ts'
import { median, rounded } from './statistics.ts'

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1' },
    only: { type: 'string' },
    pool: { type: 'string', default: '350' },
    phases: { type: 'string', default: 'serial,parallel,burst,rate' },
    profiles: { type: 'string' },
    requests: { type: 'boolean', default: false },
    'without-v1alpha1': { type: 'boolean', default: false },
  },
})

const NODES = 10
const PODS_OF_A_NODE = '1000'
/** Without them a busy kwok is silent for so long that its nodes count as gone, and all of their Pods as not ready. */
const LEASES = '--node-lease-duration-seconds=40'
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
    crds: publishedCrds(),
  }),
  caisson: () => ({
    command: [join(root, 'bin/caisson'), 'controller'],
    crds: [sandboxCrd(), snapshotCrd(), templateCrd(), claimCrd(), poolCrd()].map(withVersions),
  }),
}

function publishedCrds(): CustomResourceDefinition[] {
  const directory = join(moduleDirectory('agent-sandbox'), 'k8s/crds')
  return readdirSync(directory).map((file) => parse(readFileSync(join(directory, file), 'utf8')))
}

function withVersions(crd: CustomResourceDefinition): CustomResourceDefinition {
  if (!options['without-v1alpha1'] || crd.spec.versions.length === 1) return crd
  return { ...crd, spec: { ...crd.spec, versions: crd.spec.versions.filter(({ name }) => name !== 'v1alpha1') } }
}

type Name = keyof typeof CONTROLLERS

type Row = Record<string, number | string | Counts>

/** How many, by verb and kind. */
type Counts = Record<string, number>

function started(command: readonly string[], kubeconfig: string, env = {}): ChildProcess & AsyncDisposable {
  const [program = '', ...args] = command
  const child = spawn(program, args, { env: { ...process.env, KUBECONFIG: kubeconfig, ...env }, stdio: 'ignore' })
  return Object.assign(child, {
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      // A profile is written at a graceful end.
      child.kill(options.profiles === undefined ? 'SIGKILL' : 'SIGTERM')
      await gone
    },
  })
}

async function prepare(plane: RealCluster, crds: readonly CustomResourceDefinition[]): Promise<void> {
  await using cluster = await connectCluster(plane.kubeconfig)
  for (const crd of crds) await installCrd(cluster.client, crd)
  const allocatable = { cpu: '1000', memory: '1Ti', pods: PODS_OF_A_NODE }
  for (let index = 0; index < NODES; index++) {
    await cluster.client.create(resources.nodes, {
      metadata: { name: `kwok-${index}`, annotations: { 'kwok.x-k8s.io/node': 'fake' } },
      status: { allocatable, capacity: allocatable },
    })
  }
}

/** Runs claims.mjs; what the processes used is read whenever a phase ends. */
async function claims(label: Name, plane: RealCluster, pids: Readonly<Record<string, number>>): Promise<Row[]> {
  const program = join(import.meta.dirname, 'claims.mjs')
  const args = ['--label', label, '--pool', options.pool, '--phases', options.phases]
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...process.env, KUBECONFIG: plane.kubeconfig },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const rows: Row[] = []
  const used = () => Object.entries(pids).map(([name, pid]) => [`${name}_cpu_s`, cpuSeconds(pid)] as const)
  let before = used()
  let asked = options.requests ? await countRequests(plane) : {}
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
        ...Object.fromEntries(now.map(([name, seconds], at) => [name, rounded(seconds - (before[at]?.[1] ?? 0))])),
        controller_rss_mb: rounded(residentMegabytes(pids['controller'] ?? 0)),
      }
      before = now
      if (options.requests) {
        const counts = await countRequests(plane)
        row['requests'] = difference(asked, counts)
        asked = counts
      }
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
  await using nodes = started(
    [kwok, '--kubeconfig', plane.kubeconfig, '--manage-all-nodes', '--config', '/dev/null', LEASES],
    plane.kubeconfig,
  )
  await using controller = started([...command, ...FLAGS], plane.kubeconfig, profiled(name))
  await using _profiles = profile(plane, name)
  return await claims(name, plane, {
    controller: controller.pid ?? 0,
    server: plane.pids['kube-apiserver'] ?? 0,
    etcd: plane.pids.etcd ?? 0,
    managers: plane.pids['kube-controller-manager'] ?? 0,
    scheduler: plane.pids['kube-scheduler'] ?? 0,
    nodes: nodes.pid ?? 0,
  })
}

/** One profile after the other until it is disposed; none unless they are asked for. */
function profile(plane: RealCluster, label: Name): AsyncDisposable {
  const { profiles: directory } = options
  const stop = new AbortController()
  async function run(): Promise<void> {
    if (directory === undefined) return
    mkdirSync(directory, { recursive: true })
    for (let count = 0; !stop.signal.aborted; count++) {
      const bytes = await fetchBytes(plane, '/debug/pprof/profile?seconds=5', stop.signal)
      await writeFile(join(directory, `${label}-${String(count).padStart(2, '0')}.pb.gz`), bytes)
    }
  }
  const running = run().catch((error: unknown) => {
    if (!stop.signal.aborted) throw error
  })
  return {
    async [Symbol.asyncDispose]() {
      stop.abort()
      await running
    },
  }
}

/** Has Node write a profile of the process at its end. */
function profiled(name: Name): NodeJS.ProcessEnv {
  if (options.profiles === undefined || name !== 'caisson') return {}
  return { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${options.profiles}` }
}

/** Answered requests by verb and kind, `events` those of both groups; refusals have their code beside them. */
async function countRequests(plane: RealCluster): Promise<Counts> {
  const text = (await fetchBytes(plane, '/metrics')).toString()
  const counts: Counts = {}
  for (const line of text.split('\n')) {
    if (!line.startsWith('apiserver_request_total{')) continue
    const label = (name: string): string => new RegExp(`[{,]${name}="([^"]*)"`).exec(line)?.[1] ?? ''
    const [verb, resource, subresource, code] = ['verb', 'resource', 'subresource', 'code'].map(label)
    if (verb === 'WATCH' || resource === 'leases' || !resource) continue
    const kind = `${verb} ${resource}${subresource ? `/${subresource}` : ''}${Number(code) < 300 ? '' : ` ${code}`}`
    counts[kind] = (counts[kind] ?? 0) + Number(line.slice(line.lastIndexOf(' ') + 1))
  }
  return counts
}

function difference(before: Counts, after: Counts): Counts {
  const changes = Object.entries(after).map(([kind, count]) => [kind, count - (before[kind] ?? 0)] as const)
  return Object.fromEntries(changes.filter(([, count]) => count > 0).sort(([, a], [, b]) => b - a))
}

async function fetchBytes({ server, ca, token }: RealCluster, path: string, signal?: AbortSignal): Promise<Buffer> {
  const headers = { authorization: `Bearer ${token}` }
  const asked = request(`${server}${path}`, { ca, headers, ...(signal && { signal }) }).end()
  const [answer] = await once(asked, 'response')
  return Buffer.concat(await Array.fromAsync(answer as AsyncIterable<Buffer>))
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
