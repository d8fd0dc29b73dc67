/**
 * How fast the output of a command in a sandbox reaches a pipe here: by `caisson run`, `caisson exec` and `kubectl exec`, and
 * by bare `runsc exec` of the same command in the same sandbox, in turn. And files, which kubectl and caisson copy.
 *
 *   node test/bench/throughput.ts [--rounds 3] [--megabytes 256]
 */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runscPath } from './bare-runsc.ts'
import { startBenchCluster } from './bench-cluster.ts'
import { median, rounded } from './statistics.ts'

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, megabytes: { type: 'string', default: '256' } },
})
const megabytes = Number(options.megabytes)
const bytes = megabytes * 1024 * 1024
/** Writes of 8 KiB, of which gVisor itself does so many a second, and of 64 KiB. */
const COMMANDS = {
  small: `head -c ${bytes} /dev/zero`,
  large: `dd if=/dev/zero bs=64k count=${bytes / 65_536} status=none`,
}

await using cluster = await startBenchCluster()
await cluster.mustCaisson(['run', '--detach', '--name', 'box', '--storage', 'none', '--', 'sleep', '1000'])
await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/box', '--timeout=60s'])
const runsc = `${runscPath(cluster.env)} --root ${join(cluster.dataDirectory, 'runtime', 'runsc')} --ignore-cgroups --platform=systrap`
const [id = ''] = shell(`${runsc} list --quiet`).split('\n')
const caisson = join(import.meta.dirname, '../../bin/caisson')
const file = join(cluster.dataDirectory, 'file')
writeFileSync(file, Buffer.alloc(bytes, 'caisson'))

const ways: Record<string, (command: string) => string> = {
  runsc_exec: (command) => `${runsc} exec --user 65534:65534 ${id} ${command}`,
  kubectl_exec: (command) => `kubectl exec box -- ${command}`,
  caisson_exec: (command) => `${caisson} exec box -- ${command}`,
  caisson_run: (command) => `${caisson} run -- ${command}`,
}
const copies: Record<string, string> = {
  kubectl_cp_in: `kubectl cp ${file} box:/tmp/in`,
  kubectl_cp_out: `kubectl cp box:/tmp/in ${file}.out`,
  caisson_cp_in: `${caisson} cp ${file} box:/tmp/in`,
  caisson_cp_out: `${caisson} cp box:/tmp/in ${file}.out`,
}

function shell(line: string): string {
  return execFileSync('sh', ['-c', line], { env: { ...process.env, ...cluster.env }, encoding: 'utf8' }).trim()
}

const seconds = new Map<string, number[]>()

function measure(name: string, line: string): string {
  const begun = performance.now()
  const said = shell(line)
  seconds.set(name, [...(seconds.get(name) ?? []), (performance.now() - begun) / 1000])
  return said
}

for (let round = 0; round < Number(options.rounds); round++) {
  for (const [size, command] of Object.entries(COMMANDS))
    for (const [way, line] of Object.entries(ways)) {
      const received = measure(`${way}_${size}`, `${line(command)} | wc -c`)
      if (received !== String(bytes)) throw new Error(`${way} gave ${received} of ${bytes} bytes`)
    }
  for (const [name, line] of Object.entries(copies)) measure(name, line)
}
const rates = [...seconds].map(([name, all]): [string, number] => [name, rounded(megabytes / median(all))])
console.log(
  JSON.stringify({
    bench: 'throughput',
    megabytes,
    rounds: Number(options.rounds),
    'MiB/s': Object.fromEntries(rates),
  }),
)
