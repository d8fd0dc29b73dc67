/**
 * `caisson up`: from the start of its process until it says that it is ready, which it does when /readyz answers 200 and
 * every part works; with an empty data directory, and with one that exists. The installed package and the checkout, in turn.
 *
 *   node test/bench/start-up.ts [--rounds 5]
 *
 * JSON lines: ms (median and least), and the CPU time of the process until then, which moves less on a busy machine.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { CHECKOUT, installPackage } from './installed-package.ts'
import { cpuSeconds, residentMegabytes } from './process-usage.ts'
import { median, percentile, rounded } from './statistics.ts'

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } })
const WARM_UP = 1

interface Start {
  ms: number
  cpu: number
  megabytes: number
}

async function start(caisson: string, dataDirectory: string): Promise<Start> {
  const begun = performance.now()
  const child = spawn(caisson, ['--data-dir', dataDirectory, 'up'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const ms = await untilItSpeaks(child, begun)
  const [cpu, megabytes] = [cpuSeconds(child.pid ?? 0) * 1000, residentMegabytes(child.pid ?? 0)]
  child.kill('SIGINT')
  await ended
  return { ms, cpu, megabytes }
}

function untilItSpeaks(child: ChildProcess, begun: number): Promise<number> {
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', () => resolve(performance.now() - begun))
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`caisson up exited with ${code} before it was ready`)))
  })
}

using installed = installPackage()
const launchers = { installed: installed.caisson, checkout: CHECKOUT }
const samples = {
  installed: { fresh: [] as Start[], existing: [] as Start[] },
  checkout: { fresh: [] as Start[], existing: [] as Start[] },
}
for (let round = 0; round < WARM_UP + Number(options.rounds); round++) {
  for (const from of ['installed', 'checkout'] as const) {
    const dataDirectory = mkdtempSync(join(tmpdir(), 'caisson-start-'))
    try {
      const fresh = await start(launchers[from], dataDirectory)
      const existing = await start(launchers[from], dataDirectory)
      if (round < WARM_UP) continue
      samples[from].fresh.push(fresh)
      samples[from].existing.push(existing)
    } finally {
      rmSync(dataDirectory, { recursive: true, force: true })
    }
  }
}
for (const [from, kinds] of Object.entries(samples)) {
  for (const [directory, starts] of Object.entries(kinds)) {
    const of = (name: keyof Start): number[] => starts.map((one) => one[name])
    console.log(
      JSON.stringify({
        bench: 'start-up',
        from,
        directory,
        goal_ms: 700,
        p50_ms: rounded(median(of('ms'))),
        min_ms: rounded(percentile(of('ms'), 0)),
        cpu_p50_ms: rounded(median(of('cpu'))),
        rss_mb: rounded(median(of('megabytes'))),
        n: starts.length,
      }),
    )
  }
}
