/**
 * Memory of the whole process with many idle Sandboxes, whose Pods are Ready without a container.
 *
 *   node test/bench/idle-memory.ts [--sandboxes 10000]
 */
import { parseArgs } from 'node:util'
import { readDaemonRecord } from '../../packages/cli/src/cluster/daemon-record.ts'
import { dataDirectory } from '../../packages/cli/src/cluster/data-directory.ts'
import { sandboxes } from '../../packages/cli/src/sandboxes.ts'
import { createClient, createHttpTransport, findConnection } from '../../packages/client/src/index.ts'
import { startBenchCluster } from './bench-cluster.ts'
import { cpuSeconds, residentMegabytes } from './process-usage.ts'
import { rounded } from './statistics.ts'

const { values: options } = parseArgs({ options: { sandboxes: { type: 'string', default: '10000' } } })
const count = Number(options.sandboxes)

await using cluster = await startBenchCluster({ up: ['--fake-runtime'] })
const pid = readDaemonRecord(dataDirectory(cluster.dataDirectory))?.pid ?? 0
await using transport = createHttpTransport(await findConnection({ kubeconfig: cluster.env['KUBECONFIG'] ?? '' }))
const client = createClient(transport, { fieldManager: 'bench' })
const before = residentMegabytes(pid)
const begun = performance.now()
let next = 0
await Promise.all(
  Array.from({ length: 16 }, async () => {
    while (next < count) {
      const name = `idle-${next++}`
      await client.create(
        sandboxes,
        {
          metadata: { name, namespace: 'default' },
          spec: { podTemplate: { spec: { runtimeClassName: 'fake', containers: [{ name: 'main', image: 'none' }] } } },
        },
        { namespace: 'default' },
      )
    }
  }),
)
const created = performance.now()
// The watch starts with all that is there, and tells of each that becomes Ready.
const ready = new Set<string>()
const stop = new AbortController()
for await (const event of client.watch(sandboxes, {
  namespace: 'default',
  resourceVersion: '0',
  signal: stop.signal,
})) {
  if (event.type !== 'ADDED' && event.type !== 'MODIFIED') continue
  if (event.object.status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True'))
    ready.add(event.object.metadata.name ?? '')
  if (ready.size === count) break
}
const settled = performance.now()
const cpu = cpuSeconds(pid)
// A minute of doing nothing: what it costs to hold them.
await new Promise((resolve) => setTimeout(resolve, 60_000))
console.log(
  JSON.stringify({
    bench: 'idle-memory',
    sandboxes: count,
    rss_before_mb: rounded(before),
    rss_mb: rounded(residentMegabytes(pid)),
    created_per_s: rounded(count / ((created - begun) / 1000)),
    seconds_until_all_ready: rounded((settled - begun) / 1000),
    idle_cpu_percent: rounded(((cpuSeconds(pid) - cpu) / 60) * 100),
  }),
)
