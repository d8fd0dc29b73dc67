/**
 * From the request that makes a Sandbox until a watch shows it Ready, and bare `runsc create` + `start` of the same
 * command with a network namespace and a veth pair made by hand, in turn.
 *
 *   node test/bench/ready-latency.ts [--rounds 15]
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { sandboxes } from '../../packages/cli/src/sandboxes.ts'
import { createClient, createHttpTransport, findConnection } from '../../packages/client/src/index.ts'
import { makeBareNetwork } from './bare-network.ts'
import { hostRootfs, runscPath } from './bare-runsc.ts'
import { startBenchCluster } from './bench-cluster.ts'
import { median, percentile, rounded } from './statistics.ts'

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '15' } } })

await using cluster = await startBenchCluster()
await using transport = createHttpTransport(await findConnection({ kubeconfig: cluster.env['KUBECONFIG'] ?? '' }))
const client = createClient(transport, { fieldManager: 'bench' })
const work = mkdtempSync(join(tmpdir(), 'caisson-bench-'))
const runsc = runscPath(cluster.env)
const nothing = openSync('/dev/null', 'r+')
const flags = [
  '--root',
  join(work, 'root'),
  '--platform=systrap',
  '--ignore-cgroups',
  '--overlay2=all:memory',
  '--network=sandbox',
]

async function ours(round: number): Promise<number> {
  const name = `ready-${round + 2}`
  const stop = new AbortController()
  const watch = client.watch(sandboxes, {
    namespace: 'default',
    fieldSelector: `metadata.name=${name}`,
    resourceVersion: '0',
    signal: stop.signal,
  })
  const spec = {
    podTemplate: {
      spec: {
        containers: [{ name: 'main', image: 'caisson.dev/host', command: ['sleep', '600'] }],
        terminationGracePeriodSeconds: 0,
      },
    },
  }
  const begun = performance.now()
  const made = client.create(sandboxes, { metadata: { name, namespace: 'default' }, spec }, { namespace: 'default' })
  let ms = Number.NaN
  for await (const event of watch) {
    if (event.type !== 'ADDED' && event.type !== 'MODIFIED') continue
    if (
      !event.object.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True')
    )
      continue
    ms = performance.now() - begun
    break
  }
  await made
  stop.abort()
  await cluster.mustCaisson(['rm', name])
  return ms
}

async function bare(round: number): Promise<number> {
  const id = `bare-${round + 2}`
  const bundle = join(work, id)
  mkdirSync(bundle)
  const begun = performance.now()
  using network = makeBareNetwork()
  await hostRootfs(bundle, { args: ['/bin/sleep', '600'], networkNamespace: network.path })
  // The empty tmpfs is for runsc builds that take every namespace for the root one (gVisor issue 10704).
  const run = (...args: string[]): void => {
    execFileSync(
      'unshare',
      ['-m', 'sh', '-c', 'mount -t tmpfs none /proc/sys/net && exec "$@"', 'sh', runsc, ...flags, ...args],
      { stdio: [nothing, nothing, nothing] },
    )
  }
  run('create', '-bundle', bundle, id)
  run('start', id)
  const ms = performance.now() - begun
  execFileSync(runsc, [...flags, 'delete', '--force', id], { stdio: [nothing, nothing, nothing] })
  return ms
}

try {
  const samples = { caisson: [] as number[], runsc: [] as number[] }
  for (let round = -2; round < Number(options.rounds); round++) {
    const [a, b] = [await ours(round), await bare(round)]
    if (round < 0) continue
    samples.caisson.push(a)
    samples.runsc.push(b)
  }
  for (const [what, sample] of Object.entries(samples)) {
    console.log(
      JSON.stringify({
        bench: 'ready-latency',
        what,
        p50_ms: rounded(median(sample)),
        p90_ms: rounded(percentile(sample, 90)),
        n: sample.length,
      }),
    )
  }
  console.log(
    JSON.stringify({
      bench: 'ready-latency',
      ratio: 'caisson/runsc',
      p50: rounded(median(samples.caisson) / median(samples.runsc)),
    }),
  )
} finally {
  rmSync(work, { recursive: true, force: true })
}
