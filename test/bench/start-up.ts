/**
 * `caisson up`: from the start of its process until /readyz answers 200; an empty data directory, and one that exists.
 *
 *   node test/bench/start-up.ts [--rounds 5]
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { residentMegabytes } from './process-usage.ts'
import { median, rounded } from './statistics.ts'

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } })
const caisson = join(import.meta.dirname, '../../bin/caisson')

/** ms until the process says that it is ready, which it does when the API server and every part work. */
async function start(dataDirectory: string): Promise<{ ms: number; megabytes: number }> {
  const begun = performance.now()
  const child = spawn(caisson, ['--data-dir', dataDirectory, 'up'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const ms = await new Promise<number>((resolve, reject) => {
    child.stdout.once('data', () => resolve(performance.now() - begun))
    child.once('error', reject)
  })
  const megabytes = residentMegabytes(child.pid ?? 0)
  child.kill('SIGINT')
  await ended
  return { ms, megabytes }
}

const samples = { fresh: [] as number[], existing: [] as number[], megabytes: [] as number[] }
for (let round = 0; round < Number(options.rounds); round++) {
  const dataDirectory = mkdtempSync(join(tmpdir(), 'caisson-start-'))
  try {
    samples.fresh.push((await start(dataDirectory)).ms)
    const again = await start(dataDirectory)
    samples.existing.push(again.ms)
    samples.megabytes.push(again.megabytes)
  } finally {
    rmSync(dataDirectory, { recursive: true, force: true })
  }
}
console.log(
  JSON.stringify({
    bench: 'start-up',
    fresh_ms: rounded(median(samples.fresh)),
    existing_ms: rounded(median(samples.existing)),
    rss_mb: rounded(median(samples.megabytes)),
    n: samples.fresh.length,
  }),
)
