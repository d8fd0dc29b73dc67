/**
 * What real sandboxes cost that do nothing: memory beside the sentry's own processes, and processor time, with each of
 * them watched for idleness.
 *
 *   node test/bench/idle-sandboxes.ts [--sandboxes 200] [--seconds 60] [--within 240]
 *
 * What has been made `within` so many seconds is measured, also where it is fewer.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { readDaemonRecord } from '../../packages/cli/src/cluster/daemon-record.ts'
import { dataDirectory } from '../../packages/cli/src/cluster/data-directory.ts'
import { sandboxes } from '../../packages/cli/src/sandboxes.ts'
import { createClient, createHttpTransport, findConnection } from '../../packages/client/src/index.ts'
import { startBenchCluster } from './bench-cluster.ts'
import { cpuSeconds } from './process-usage.ts'
import { rounded } from './statistics.ts'

const { values: options } = parseArgs({
  options: {
    sandboxes: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '60' },
    within: { type: 'string', default: '240' },
  },
})
const count = Number(options.sandboxes)
const seconds = Number(options.seconds)
const within = Number(options.within) * 1000
/** Made at a time. */
const LANES = 4

type Part = 'sentry' | 'daemon' | 'monitor' | 'launch'

interface Use {
  processes: number
  megabytes: number
  cpu: number
}

await using cluster = await startBenchCluster()
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

/** Resolves when it is Ready; rejects where the time is over before. */
async function create(name: string, deadline: AbortSignal): Promise<void> {
  const stop = new AbortController()
  const watch = client.watch(sandboxes, {
    namespace: 'default',
    fieldSelector: `metadata.name=${name}`,
    resourceVersion: '0',
    signal: AbortSignal.any([stop.signal, deadline]),
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
  deadline.throwIfAborted()
  stop.abort()
}

// One first: what comes with it is not of each.
await create('idle-first', AbortSignal.timeout(within))
await delay(5_000)
const before = measure()
const begun = performance.now()
const deadline = AbortSignal.timeout(within)
let next = 0
let made = 0
async function fillLane(): Promise<void> {
  try {
    while (next < count) {
      await create(`idle-${next++}`, deadline)
      made++
    }
  } catch (error) {
    if (!deadline.aborted) throw error
  }
}
await Promise.all(Array.from({ length: LANES }, fillLane))
const created = performance.now()
await delay(10_000)
const start = measure()
await delay(seconds * 1000)
const end = measure()
const more = (part: Part): number => (end[part].megabytes - before[part].megabytes) / made
const busy = (part: Part): number => ((end[part].cpu - start[part].cpu) / seconds) * 100
console.log(
  JSON.stringify({
    bench: 'idle-sandboxes',
    sandboxes: made,
    asked_for: count,
    seconds_to_make_one: rounded((created - begun) / 1000 / made),
    mb_each_beside_sentry: rounded(more('daemon') + more('monitor') + more('launch')),
    mb_each_daemon: rounded(more('daemon')),
    mb_each_monitor: rounded(more('monitor')),
    mb_each_launch: rounded(more('launch')),
    mb_each_sentry: rounded(more('sentry')),
    processes_each_beside_sentry: rounded((end.launch.processes - before.launch.processes) / made),
    cpu_percent_daemon: rounded(busy('daemon')),
    cpu_percent_monitor: rounded(busy('monitor')),
    cpu_percent_sentries: rounded(busy('sentry')),
    load_average: loadavg().map(rounded),
    daemon_mb: rounded(end.daemon.megabytes),
    monitor_mb: rounded(end.monitor.megabytes),
  }),
)
