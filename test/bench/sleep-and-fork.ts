/**
 * Fork, suspend and wake of a running Python process against a running cluster, and bare runsc doing the same steps, in
 * turn: `create` and `restore` for each child, `checkpoint --leave-running` for the parent, all with the same memory.
 *
 *   node test/bench/sleep-and-fork.ts [--rounds 10] [--megabytes 1]
 *
 * JSON lines, medians in ms. Of ours the time that the command takes, less what `caisson version` takes.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startCluster } from '../e2e/fixture.ts'
import { hostRootfs, runscPath } from './bare-runsc.ts'
import { median, percentile, rounded } from './statistics.ts'

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '10' }, megabytes: { type: 'string', default: '1' } },
})
const rounds = Number(options.rounds)
const megabytes = Number(options.megabytes)
const PROGRAM = `import os, time\nheap = os.urandom(${megabytes} << 20)\nprint('up', flush=True)\nwhile True: time.sleep(0.05)`

const samples: Record<string, number[]> = {}

async function timed<T>(name: string, work: () => Promise<T>): Promise<T> {
  const start = performance.now()
  const result = await work()
  ;(samples[name] ??= []).push(performance.now() - start)
  return result
}

/** Detached sandboxes inherit their streams, so that they get no pipe. */
function bare(args: string[], output: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(runsc, [...flags, ...args], { stdio: ['ignore', output, output] })
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`runsc ${args.join(' ')}: ${code}`))))
  })
}

await using cluster = await startCluster()
const runsc = runscPath(cluster.env)
const work = mkdtempSync(join(tmpdir(), 'caisson-bench-'))
const flags = [
  '--root',
  join(work, 'root'),
  '--platform=systrap',
  '--ignore-cgroups',
  '--overlay2=root:memory',
  '--network=none',
]
/** Bare sandboxes that are there. No name is the beginning of another: runsc would take it for that one. */
const made = new Set<string>()

async function removeMade(): Promise<void> {
  for (const id of made) await bare(['delete', '--force', id], output).catch(() => undefined)
  made.clear()
}

const output = openSync(join(work, 'output'), 'a')
const bundle = join(work, 'bundle')
mkdirSync(bundle)
await hostRootfs(bundle, { args: ['/usr/bin/python3', '-c', PROGRAM] })
try {
  await cluster.mustCaisson(['run', '--detach', '--name', 'parent', '--', 'python3', '-c', PROGRAM])
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/parent', '--timeout=60s'])
  await bare(['run', '--detach', '--bundle', bundle, 'parent'], output)
  for (let round = 0; round < rounds; round++) {
    await timed('version', () => cluster.mustCaisson(['version']))
    await timed('snapshot', () => cluster.mustCaisson(['snapshot', 'parent', '--name', `s${round}`]))
    const child = `child-${round}`
    await timed('child', () => cluster.mustCaisson(['run', '--snapshot', `s${round}`, '--detach', '--name', child]))
    await timed('suspend', () => cluster.mustCaisson(['suspend', child]))
    await timed('wake', () => cluster.mustCaisson(['resume', child]))
    const children = await timed('fork of five', () => cluster.mustCaisson(['fork', 'parent', '--count', '5']))
    await cluster.mustCaisson(['rm', child, ...children.trim().split('\n')])
    await cluster.mustKubectl(['delete', 'sandboxsnapshot', `s${round}`])

    const image = join(work, `image-${round}`)
    const save = ['checkpoint', '--leave-running', '--compression=none', '--exclude-committed-zero-pages']
    await timed('bare checkpoint', () => bare([...save, `--image-path=${image}`, 'parent'], output))
    const restore = async (id: string): Promise<void> => {
      made.add(id)
      await bare(['create', '--bundle', bundle, id], output)
      await bare(['restore', '--detach', '--bundle', bundle, `--image-path=${image}`, id], output)
    }
    const names = Array.from({ length: 5 }, (_, index) => `five-${round}-${index}`)
    await timed('bare child', () => restore(`one-${round}`))
    await timed('bare five', () => Promise.all(names.map(restore)))
    await removeMade()
    rmSync(image, { recursive: true })
  }
  const version = median(samples['version'] ?? [])
  for (const [what, sample] of Object.entries(samples)) {
    const own = what.startsWith('bare') || what === 'version' ? 0 : version
    console.log(
      JSON.stringify({
        bench: 'sleep-and-fork',
        megabytes,
        what,
        p50_ms: rounded(median(sample) - own),
        p90_ms: rounded(percentile(sample, 90) - own),
        n: sample.length,
      }),
    )
  }
} finally {
  made.add('parent')
  await removeMade()
  rmSync(work, { recursive: true, force: true })
}
