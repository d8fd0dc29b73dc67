/**
 * `caisson run -- echo x` against a running cluster, by the installed package and from the checkout, and what Caisson
 * itself calls for it without Caisson (`runtime-command.ts`: LAUNCHER runsc FLAGS run --bundle BUNDLE ID), in turn.
 *
 *   node test/bench/run-latency.ts [--rounds 20]
 *
 * JSON lines, in ms:
 *   cli          start of the process -> its create request (CAISSON_TIMINGS): the command line's own part
 *   first_byte   create request -> first byte on standard output; for runsc, from the start of its process, and for
 *                runsc_and_network from the beginning of the making of its network, which Caisson has ready or makes too
 *   end          first byte -> end of the process: for caisson with the removal of the sandbox, for runsc with the sentry's end
 * and the ratio of each round's first_byte to those of the two in the same round, as a median.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { makeBareNetwork } from './bare-network.ts'
import { startBenchCluster } from './bench-cluster.ts'
import { CHECKOUT, installPackage } from './installed-package.ts'
import { LAUNCHER_DESCRIPTORS, runtimeCommand } from './runtime-command.ts'
import { median, percentile, rounded } from './statistics.ts'

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '20' } } })
const rounds = Number(options.rounds)
const WARM_UP = 2
/** What a run leaves to be done, the removal of its sandbox and the making of the next network, is not in the next one's time. */
const SETTLE_MS = 800

interface Times {
  /** Start of the process until it asked the cluster; 0 where there is none to ask. */
  cli: number
  first_byte: number
  end: number
}

function now(): number {
  return performance.timeOrigin + performance.now()
}

/** `asked` finds in what was said on standard error when the cluster was asked. */
function timed(start: () => ChildProcess, asked?: RegExp): Promise<Times> {
  return new Promise((resolve, reject) => {
    const begun = now()
    const child = start()
    let first = Number.NaN
    let said = ''
    child.stdout?.once('data', () => (first = now())).resume()
    child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => {
      const ended = now()
      const request = asked === undefined ? begun : Number(asked.exec(said)?.[1])
      if (code !== 0 || Number.isNaN(first + request))
        reject(new Error(`${child.spawnfile} exited with ${code}: ${said}`))
      else resolve({ cli: request - begun, first_byte: first - request, end: ended - first })
    })
  })
}

using installed = installPackage()
await using cluster = await startBenchCluster()
const env = { ...process.env, ...cluster.env, CAISSON_TIMINGS: '1' }
const work = mkdtempSync(join(tmpdir(), 'caisson-bench-'))
const nothing = openSync('/dev/null', 'r+')
try {
  const command = await runtimeCommand(cluster, { args: ['echo', 'x'], directory: work })
  const run = (caisson: string): Promise<Times> =>
    timed(
      () => spawn(caisson, ['run', '--', 'echo', 'x'], { env, stdio: ['ignore', 'pipe', 'pipe'] }),
      /create request at ([\d.]+)/,
    )
  const bare = async (id: string): Promise<{ runsc: Times; runsc_and_network: Times }> => {
    const begun = now()
    using network = makeBareNetwork()
    const networkMs = now() - begun
    const { program, args, env: environment } = command(id, network.path)
    const descriptors = Array.from({ length: LAUNCHER_DESCRIPTORS }, () => nothing)
    const runsc = await timed(() =>
      spawn(program, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe', ...descriptors] }),
    )
    return { runsc, runsc_and_network: { ...runsc, first_byte: networkMs + runsc.first_byte } }
  }
  const samples: Record<'installed' | 'checkout' | 'runsc' | 'runsc_and_network', Times[]> = {
    installed: [],
    checkout: [],
    runsc: [],
    runsc_and_network: [],
  }
  for (let round = 0; round < WARM_UP + rounds; round++) {
    const settled = async <T>(measure: () => Promise<T>): Promise<T> => {
      await delay(SETTLE_MS)
      return await measure()
    }
    const times = {
      installed: await settled(() => run(installed.caisson)),
      ...(await settled(() => bare(`bare-${round}`))),
      checkout: await settled(() => run(CHECKOUT)),
    }
    if (round < WARM_UP) continue
    for (const what of ['installed', 'checkout', 'runsc', 'runsc_and_network'] as const) samples[what].push(times[what])
  }
  for (const [what, times] of Object.entries(samples)) {
    const of = (name: keyof Times, p: number): number =>
      rounded(
        percentile(
          times.map((one) => one[name]),
          p,
        ),
      )
    console.log(
      JSON.stringify({
        bench: 'run-latency',
        what,
        ...(!what.startsWith('runsc') && { cli_p50_ms: of('cli', 50), cli_min_ms: of('cli', 0) }),
        first_byte_p50_ms: of('first_byte', 50),
        first_byte_p90_ms: of('first_byte', 90),
        end_p50_ms: of('end', 50),
        n: times.length,
      }),
    )
  }
  for (const to of ['runsc', 'runsc_and_network'] as const) {
    const ratio = (times: readonly Times[]): number =>
      rounded(median(times.map(({ first_byte }, round) => first_byte / (samples[to][round]?.first_byte ?? Number.NaN))))
    console.log(
      JSON.stringify({
        bench: 'run-latency',
        ratio: `caisson/${to}, create request -> first byte`,
        goal: 1.25,
        installed: ratio(samples.installed),
        checkout: ratio(samples.checkout),
      }),
    )
  }
} finally {
  rmSync(work, { recursive: true, force: true })
}
