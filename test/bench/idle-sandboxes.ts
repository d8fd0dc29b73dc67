/**
 * What real sandboxes cost that do nothing: memory beside the sentry's own processes, and processor time, with each of
 * them watched for idleness.
 *
 *   node test/bench/idle-sandboxes.ts [--sandboxes 200] [--seconds 60]
 */
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { readDaemonRecord } from '../../packages/cli/src/cluster/daemon-record.ts'
import { dataDirectory } from '../../packages/cli/src/cluster/data-directory.ts'
import { sandboxes } from '../../packages/cli/src/sandboxes.ts'
import { createClient, createHttpTransport, findConnection } from '../../packages/client/src/index.ts'
import { startCluster } from '../e2e/fixture.ts'
import { cpuSeconds } from './process-usage.ts'
import { rounded } from './statistics.ts'

const { values: options } = parseArgs({
  options: { sandboxes: { type: 'string', default: '200' }, seconds: { type: 'string', default: '60' } },
})
const count = Number(options.sandboxes)
const seconds = Number(options.seconds)
/** Made at a time. */
const LANES = 4

type Part = 'sentry' | 'daemon' | 'monitor' | 'launch'

interface Use {
  processes: number
  megabytes: number
  cpu: number
}

await using cluster = await startCluster()
const daemon = readDaemonRecord(dataDirectory(cluster.dataDirectory))?.pid ?? 0

/** Memory shared with others counts in equal parts. */
function proportionalMegabytes(pid: string): number {
  return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) / 1024
}

function partOf(pid: string, command: string): Part | undefined {
  if (Number(pid) === daemon) return 'daemon'
  if (!command.includes(cluster.dataDirectory)) return undefined
  if (/^runsc-(sandbox|gofer)/.test(command) || /\0(boot|gofer)\0/.test(command)) return 'sentry'
  return command.includes('monitor-main') ? 'monitor' : 'launch'
}

function measure(): Record<Part, Use> {
  const none = (): Use => ({ processes: 0, megabytes: 0, cpu: 0 })
  const use: Record<Part, Use> = { sentry: none(), daemon: none(), monitor: none(), launch: none() }
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const part = partOf(pid, readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
      if (!part) continue
      use[part].processes++
      use[part].megabytes += proportionalMegabytes(pid)
      use[part].cpu += cpuSeconds(Number(pid))
    } catch {
      // It has ended meanwhile.
    }
  }
  return use
}

await using transport = createHttpTransport(await findConnection({ kubeconfig: cluster.env['KUBECONFIG'] ?? '' }))
const client = createClient(transport, { fieldManager: 'bench' })

async function create(name: string): Promise<void> {
  const stop = new AbortController()
  const watch = client.watch(sandboxes, {
    namespace: 'default',
    fieldSelector: `metadata.name=${name}`,
    resourceVersion: '0',
    signal: stop.signal,
  })
  const container = { name: 'main', image: 'caisson.dev/host', command: ['sleep', 'infinity'] }
  const spec = {
    podTemplate: { spec: { terminationGracePeriodSeconds: 0, containers: [container] } },
    idleSuspension: { afterSeconds: 3600 },
  }
  const made = client.create(sandboxes, { metadata: { name }, spec }, { namespace: 'default' })
  for await (const { type, object } of watch) {
    if (type !== 'ADDED' && type !== 'MODIFIED') continue
    if (object.status?.conditions?.some((each) => each.type === 'Ready' && each.status === 'True')) break
  }
  await made
  stop.abort()
}

// One first: what comes with it is not of each.
await create('idle-first')
await delay(5_000)
const before = measure()
const begun = performance.now()
let next = 0
await Promise.all(
  Array.from({ length: LANES }, async () => {
    while (next < count) await create(`idle-${next++}`)
  }),
)
const created = performance.now()
await delay(10_000)
const start = measure()
await delay(seconds * 1000)
const end = measure()
const more = (part: Part): number => (end[part].megabytes - before[part].megabytes) / count
const busy = (part: Part): number => ((end[part].cpu - start[part].cpu) / seconds) * 100
console.log(
  JSON.stringify({
    bench: 'idle-sandboxes',
    sandboxes: count,
    seconds_to_make_one: rounded((created - begun) / 1000 / count),
    mb_each_beside_sentry: rounded(more('daemon') + more('monitor') + more('launch')),
    mb_each_daemon: rounded(more('daemon')),
    mb_each_monitor: rounded(more('monitor')),
    mb_each_launch: rounded(more('launch')),
    mb_each_sentry: rounded(more('sentry')),
    processes_each_beside_sentry: rounded((end.launch.processes - before.launch.processes) / count),
    cpu_percent_daemon: rounded(busy('daemon')),
    cpu_percent_monitor: rounded(busy('monitor')),
    cpu_percent_sentries: rounded(busy('sentry')),
    daemon_mb: rounded(end.daemon.megabytes),
    monitor_mb: rounded(end.monitor.megabytes),
  }),
)
