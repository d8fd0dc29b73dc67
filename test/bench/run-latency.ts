/**
 * `caisson run -- echo x` against a running cluster, and bare `runsc run` of the same command with the same root file
 * system, flags and no network, in turn.
 *
 *   node test/bench/run-latency.ts [--rounds 20]
 *
 * JSON lines: create request -> first output byte inside the cluster (what users wait for, the CLI's own start left out),
 * the whole `caisson run` as a process, and `runsc run`; medians and their ratio.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startCluster } from '../e2e/fixture.ts'
import { hostRootfs, runscPath } from './bare-runsc.ts'
import { median, percentile, rounded } from './statistics.ts'

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '20' } } })
const rounds = Number(options.rounds)

/** ms until the first byte on standard output, and until the process has ended. */
function timed(command: string, args: string[], env: NodeJS.ProcessEnv): Promise<{ first: number; end: number }> {
  return new Promise((resolve, reject) => {
    const start = performance.now()
    let first = Number.NaN
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
    child.stdout.once('data', () => (first = performance.now() - start))
    child.on('error', reject)
    child.on('close', (code) =>
      code === 0
        ? resolve({ first, end: performance.now() - start })
        : reject(new Error(`${command} exited with ${code}`)),
    )
  })
}

const caisson = join(import.meta.dirname, '../../bin/caisson')
await using cluster = await startCluster()
const env = { ...process.env, ...cluster.env }
const work = mkdtempSync(join(tmpdir(), 'caisson-bench-'))
try {
  const bundle = join(work, 'bundle')
  mkdirSync(bundle)
  await hostRootfs(bundle, { args: ['/bin/echo', 'x'] })
  const runsc = runscPath(cluster.env)
  const flags = [
    '--root',
    join(work, 'root'),
    '--platform=systrap',
    '--ignore-cgroups',
    '--overlay2=all:memory',
    '--network=none',
  ]
  const samples = { caisson: [] as number[], whole: [] as number[], version: [] as number[], runsc: [] as number[] }
  for (let round = -2; round < rounds; round++) {
    const ours = await timed(caisson, ['run', '--', 'echo', 'x'], env)
    const version = await timed(caisson, ['version'], env)
    const bare = await timed(runsc, [...flags, 'run', '-bundle', bundle, `bench-${round + 2}`], env)
    // The first two warm caches up.
    if (round < 0) continue
    samples.caisson.push(ours.first)
    samples.whole.push(ours.end)
    samples.version.push(version.end)
    samples.runsc.push(bare.first)
  }
  for (const [name, sample] of Object.entries(samples)) {
    console.log(
      JSON.stringify({
        bench: 'run-latency',
        what: name,
        p50_ms: rounded(median(sample)),
        p90_ms: rounded(percentile(sample, 90)),
        n: sample.length,
      }),
    )
  }
  const inCluster = median(samples.caisson) - median(samples.version)
  console.log(
    JSON.stringify({
      bench: 'run-latency',
      ratio: 'caisson/runsc',
      first_byte_whole: rounded(median(samples.caisson) / median(samples.runsc)),
      first_byte_without_cli_start: rounded(inCluster / median(samples.runsc)),
      cli_start_ms: rounded(median(samples.version)),
    }),
  )
} finally {
  for (const left of readdirSync(work)) rmSync(join(work, left), { recursive: true, force: true })
  rmSync(work, { recursive: true, force: true })
}
