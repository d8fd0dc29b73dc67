/**
 * The embedded API server against a real kube-apiserver with etcd, with the same client, in turn.
 *
 *   node test/bench/api-server.ts [--rounds 2] [--objects 5000]
 *
 * JSON lines: each phase of each run with the CPU seconds that the server used (etcd's counted with kube-apiserver's),
 * then the ratios of the medians, embedded to real: of the first round (`cold`), in which the embedded server's code is
 * being compiled, and of the rounds after it, as many as asked for.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readDaemonRecord } from '../../packages/cli/src/cluster/daemon-record.ts'
import { dataDirectory } from '../../packages/cli/src/cluster/data-directory.ts'
import { startRealCluster } from '../cluster/real-cluster.ts'
import { startBenchCluster } from './bench-cluster.ts'
import { cpuSeconds } from './process-usage.ts'
import { median, rounded } from './statistics.ts'

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '2' }, objects: { type: 'string', default: '5000' } },
})

interface Row {
  phase: string
  per_s?: number
  ms?: number
  ms_until_last?: number
  /** Of the server, over the phase. */
  cpu_s: number
}

/** One run of apiserver.mjs; the server's CPU time is read whenever a phase ends. */
function benchmark(kubeconfig: string, pids: readonly number[]): Promise<Row[]> {
  const used = (): number => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  return new Promise((resolve, reject) => {
    const rows: Row[] = []
    let before = used()
    let rest = ''
    const child = spawn(process.execPath, [join(import.meta.dirname, 'apiserver.mjs'), '--objects', options.objects], {
      env: { ...process.env, KUBECONFIG: kubeconfig },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      rest += text
      const lines = rest.split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const now = used()
        rows.push({ ...(JSON.parse(line) as Omit<Row, 'cpu_s'>), cpu_s: rounded(now - before) })
        before = now
      }
    })
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve(rows) : reject(new Error(`apiserver.mjs exited with ${code}`))))
  })
}

await using real = await startRealCluster({ controllers: false })
await using embedded = await startBenchCluster({ up: ['--fake-runtime'] })
const record = readDaemonRecord(dataDirectory(embedded.dataDirectory))
if (!record) throw new Error('the embedded cluster is not running')
const servers = {
  embedded: { kubeconfig: join(embedded.dataDirectory, 'kubeconfig'), pids: [record.pid] },
  real: { kubeconfig: real.kubeconfig, pids: [real.pids['kube-apiserver'] ?? 0, real.pids['etcd'] ?? 0] },
}
type Rows = Record<keyof typeof servers, Row[]>
const cold: Rows = { embedded: [], real: [] }
const warm: Rows = { embedded: [], real: [] }
for (let round = 0; round <= Number(options.rounds); round++) {
  for (const name of round % 2 === 0 ? (['embedded', 'real'] as const) : (['real', 'embedded'] as const)) {
    const rows = await benchmark(servers[name].kubeconfig, servers[name].pids)
    for (const row of rows) console.log(JSON.stringify({ bench: 'api-server', server: name, round, ...row }))
    ;(round === 0 ? cold : warm)[name].push(...rows)
  }
}
for (const [state, all] of Object.entries({ cold, warm })) {
  for (const phase of new Set(all.real.map((row) => row.phase)))
    console.log(JSON.stringify({ bench: 'api-server', ratio: 'embedded/real', state, phase, ...ratios(all, phase) }))
}

function ratios(all: Rows, phase: string): Record<string, number | undefined> {
  const of = (name: keyof typeof servers, field: 'per_s' | 'ms' | 'ms_until_last' | 'cpu_s'): number =>
    median(all[name].filter((row) => row.phase === phase).map((row) => row[field] ?? Number.NaN))
  const ratio = (field: 'per_s' | 'ms' | 'ms_until_last' | 'cpu_s'): number | undefined => {
    const value = rounded(of('embedded', field) / of('real', field))
    return Number.isNaN(value) ? undefined : value
  }
  return { per_s: ratio('per_s'), ms: ratio('ms'), ms_until_last: ratio('ms_until_last'), cpu: ratio('cpu_s') }
}
