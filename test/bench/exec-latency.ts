/**
 * From the request of an exec until its first byte, by a client that is connected, and bare `runsc exec` of the same
 * command in the same sandbox, in turn.
 *
 *   node test/bench/exec-latency.ts [--rounds 40]
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createClient, createHttpTransport, execInPod, findConnection } from '../../packages/client/src/index.ts'
import { runscPath } from './bare-runsc.ts'
import { startBenchCluster } from './bench-cluster.ts'
import { median, percentile, rounded } from './statistics.ts'

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '40' } } })
const COMMAND = ['/bin/echo', 'x']
const WARM_UP = 3

await using cluster = await startBenchCluster()
await cluster.mustCaisson(['run', '--detach', '--name', 'box', '--', 'sleep', '1000'])
await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/box', '--timeout=60s'])
await using transport = createHttpTransport(await findConnection({ kubeconfig: cluster.env['KUBECONFIG'] ?? '' }))
const client = createClient(transport, { fieldManager: 'bench' })
const runsc = runscPath(cluster.env)
const global = ['--root', join(cluster.dataDirectory, 'runtime', 'runsc'), '--ignore-cgroups', '--platform=systrap']
const id =
  spawnSync(runsc, [...global, 'list', '--quiet'], { encoding: 'utf8' })
    .stdout.trim()
    .split('\n')[0] ?? ''

async function ours(): Promise<number> {
  await transport.connectAhead?.({ webSocket: true })
  const begun = performance.now()
  await using command = await execInPod(client, 'box', { namespace: 'default', command: COMMAND, stderr: false })
  const { stdout } = command
  if (!stdout) throw new Error('there is no output')
  await once(stdout, 'readable')
  const ms = performance.now() - begun
  stdout.resume()
  const { exitCode } = await command.exit
  if (exitCode !== 0) throw new Error(`the command exited with ${exitCode}`)
  return ms
}

async function bare(): Promise<number> {
  const begun = performance.now()
  const child = spawn(runsc, [...global, 'exec', '--user', '65534:65534', id, ...COMMAND], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  await once(child.stdout, 'readable')
  const ms = performance.now() - begun
  child.stdout.resume()
  const [exitCode] = (await exited) as [number]
  if (exitCode !== 0) throw new Error(`runsc exec exited with ${exitCode}`)
  return ms
}

const samples: { ours: number[]; bare: number[] } = { ours: [], bare: [] }
for (let round = -WARM_UP; round < Number(options.rounds); round++) {
  // The first of the two is another one each time.
  const order = round % 2 === 0 ? (['ours', 'bare'] as const) : (['bare', 'ours'] as const)
  for (const which of order) {
    const ms = which === 'ours' ? await ours() : await bare()
    if (round >= 0) samples[which].push(ms)
  }
}
console.log(
  JSON.stringify({
    bench: 'exec-latency',
    rounds: samples.ours.length,
    ours_p50_ms: rounded(median(samples.ours)),
    ours_p90_ms: rounded(percentile(samples.ours, 90)),
    ours_least_ms: rounded(Math.min(...samples.ours)),
    bare_p50_ms: rounded(median(samples.bare)),
    bare_p90_ms: rounded(percentile(samples.bare, 90)),
    bare_least_ms: rounded(Math.min(...samples.bare)),
    ratio: rounded(median(samples.ours) / median(samples.bare)),
  }),
)
