/**
 * From the request for one more member of a warm pool until a watch shows that member Ready, for a pool whose members
 * are restored from a snapshot and for one whose members start anew, in turn. Both run a Python that has loaded what a
 * tool server loads.
 *
 *   node test/bench/pool-members.ts [--rounds 15] [--refilled]
 *
 * Members follow each other at once, or with --refilled once all sandboxes are there that are made ahead of restores.
 */
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { sandboxes } from '../../packages/cli/src/sandboxes.ts'
import {
  createClient,
  createHttpTransport,
  createInformer,
  findConnection,
  sandboxSnapshots,
  sandboxTemplates,
  sandboxWarmPools,
} from '../../packages/client/src/index.ts'
import { waitForMadeAhead } from '../../packages/runtime/src/testing/made-ahead.ts'
import { startBenchCluster } from './bench-cluster.ts'
import { median, percentile, rounded } from './statistics.ts'

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '15' }, refilled: { type: 'boolean', default: false } },
})
/** What the runtime makes ahead of a snapshot's restores, and until what made it has come to rest, ms. */
const MADE_AHEAD = 5
const REST_MS = 500

await using cluster = await startBenchCluster()
await using transport = createHttpTransport(await findConnection({ kubeconfig: cluster.env['KUBECONFIG'] ?? '' }))
const client = createClient(transport, { fieldManager: 'bench' })
const namespace = 'default'
await using informer = createInformer(client, sandboxes, { namespace })
await informer.synced()

/** Ready once it answers: started anew, a member has to load everything first. */
const SERVER = `
import asyncio, email, http.server, json, sqlite3, ssl, unittest, urllib.request, xml.dom.minidom
http.server.ThreadingHTTPServer(('', 8000), http.server.SimpleHTTPRequestHandler).serve_forever()
`
const spec = {
  terminationGracePeriodSeconds: 0,
  automountServiceAccountToken: false,
  containers: [{ name: 'main', image: 'caisson.dev/host', command: ['/usr/bin/python3', '-c', SERVER] }],
}

/** Resolves with the time at which as many members of a pool are Ready. */
async function untilReady(pool: string, count: number): Promise<number> {
  const seen = Promise.withResolvers<number>()
  const look = (): void => {
    const ready = informer
      .list()
      .filter(({ metadata }) => metadata.ownerReferences?.[0]?.name === pool)
      .filter(({ status }) => status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'))
    if (ready.length === count) seen.resolve(performance.now())
  }
  using _handler = informer.handle({ added: look, updated: look, deleted: look })
  look()
  return await seen.promise
}

async function scale(pool: string, replicas: number): Promise<void> {
  await client.patch(sandboxWarmPools, pool, { spec: { replicas } }, { namespace })
}

async function oneMore(pool: string): Promise<number> {
  if (options.refilled) {
    await waitForMadeAhead(join(cluster.dataDirectory, 'runtime'), MADE_AHEAD)
    await delay(REST_MS)
  }
  const begun = performance.now()
  const asked = scale(pool, 1)
  const ms = (await untilReady(pool, 1)) - begun
  await asked
  await scale(pool, 0)
  await untilReady(pool, 0)
  return ms
}

await client.create(sandboxes, { metadata: { name: 'source' }, spec: { podTemplate: { spec } } }, { namespace })
await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/source', '--timeout=60s'])
const answers = `import socket, time
while True:
    try: socket.create_connection(('127.0.0.1', 8000)).close(); break
    except OSError: time.sleep(0.05)`
await cluster.mustKubectl(['exec', 'source', '--', '/usr/bin/python3', '-c', answers])
await client.create(sandboxSnapshots, { metadata: { name: 'warm' }, spec: { sandboxName: 'source' } }, { namespace })
await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandboxsnapshot/warm', '--timeout=60s'])
await client.delete(sandboxes, 'source', { namespace })
for (const [name, more] of Object.entries({ restored: { fromSnapshot: 'warm' }, anew: {} })) {
  const template = { metadata: { name }, spec: { podTemplate: { spec }, ...more } }
  await client.create(sandboxTemplates, template, { namespace })
  const pool = { metadata: { name }, spec: { replicas: 0, sandboxTemplateRef: { name } } }
  await client.create(sandboxWarmPools, pool, { namespace })
}

const samples = { restored: [] as number[], anew: [] as number[] }
for (let round = -2; round < Number(options.rounds); round++) {
  for (const pool of ['restored', 'anew'] as const) {
    const ms = await oneMore(pool)
    if (round >= 0) samples[pool].push(ms)
  }
}
for (const [what, sample] of Object.entries(samples)) {
  const [p50, p90] = [rounded(median(sample)), rounded(percentile(sample, 90))]
  console.log(
    JSON.stringify({
      bench: 'pool-members',
      what,
      refilled: options.refilled,
      p50_ms: p50,
      p90_ms: p90,
      n: sample.length,
    }),
  )
}
