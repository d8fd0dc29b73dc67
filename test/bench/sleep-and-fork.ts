/**
 * Fork, suspend and wake of a running Python process against a running cluster, as a connected API client sees them, and
 * bare runsc doing the same steps, in turn: `checkpoint --leave-running` for the parent, `restore` for each child, into a
 * sandbox that was created ahead (as ours are) and into one that was not.
 *
 *   node test/bench/sleep-and-fork.ts [--rounds 10] [--megabytes 1] [--commands]
 *
 * JSON lines, medians in ms. "runs" is from the request until the process's own clock says that it goes on, "ready" until
 * a watch shows it. With --commands whole CLI commands too, less what `caisson version` takes.
 */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { findCondition, type Sandbox } from '../../packages/api/src/index.ts'
import { sandboxes } from '../../packages/cli/src/sandboxes.ts'
import {
  type AnyObject,
  createClient,
  createHttpTransport,
  createInformer,
  findConnection,
  type Informer,
  sandboxSnapshots,
} from '../../packages/client/src/index.ts'
import { runscPath } from './bare-runsc.ts'
import { bareSnapshots } from './bare-snapshots.ts'
import { endOnSignal, startBenchCluster } from './bench-cluster.ts'
import { median, percentile, rounded } from './statistics.ts'

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    megabytes: { type: 'string', default: '1' },
    commands: { type: 'boolean', default: false },
  },
})
const rounds = Number(options.rounds)
const megabytes = Number(options.megabytes)
/** Says when it stood still, and when it went on: milliseconds of its own clock, which is the machine's. */
const PROGRAM = `
import os, time
heap = os.urandom(${megabytes} << 20)
print('up', flush=True)
last = time.time()
while True:
    time.sleep(0.005)
    now = time.time()
    if now - last > 0.02: print('stood still', int((now - last) * 1000), now * 1000, flush=True)
    last = now
`
const COMMAND = ['/usr/bin/python3', '-c', PROGRAM]
/** What the runtime makes ahead of a snapshot's restores. */
const MADE_AHEAD = 5

const samples: Record<string, number[]> = {}
function sample(name: string, ms: number): void {
  ;(samples[name] ??= []).push(ms)
}

async function timed<T>(name: string, work: () => Promise<T>): Promise<T> {
  const start = performance.now()
  const result = await work()
  sample(name, performance.now() - start)
  return result
}

await using cluster = await startBenchCluster()
await using transport = createHttpTransport(await findConnection({ kubeconfig: cluster.env['KUBECONFIG'] ?? '' }))
const client = createClient(transport, { fieldManager: 'bench' })
const namespace = 'default'
await using sandboxCache = createInformer(client, sandboxes)
await using snapshotCache = createInformer(client, sandboxSnapshots)
await using bare = await bareSnapshots(runscPath(cluster.env), COMMAND)
endOnSignal(() => bare[Symbol.asyncDispose]())
endOnSignal(async () => report())

/** Resolves with the moment at which a watch shows a condition to be true of the object, in its generation or a later one. */
function whenTrue<T extends AnyObject>(
  cache: Informer<T>,
  { name, type, generation = 0 }: { name: string; type: string; generation?: number | undefined },
): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>()
  const look = (object: T): void => {
    if (object.metadata.name !== name) return
    const { conditions } = (object as { status?: Sandbox['status'] }).status ?? {}
    const found = findCondition(conditions, type)
    if (found?.status === 'True' && (found.observedGeneration ?? 0) >= generation) resolve(performance.now())
  }
  const handler = cache.handle({ added: look, updated: (_old, object) => look(object) })
  return promise.finally(() => handler[Symbol.dispose]())
}

interface Standstill {
  ms: number
  /** When the process went on, ms since the epoch. */
  until: number
}

/** When a process said that it had stood still, in order. */
async function standstills(name: string): Promise<Standstill[]> {
  const lines = (await cluster.mustCaisson(['logs', name])).split('\n')
  return lines
    .filter((line) => line.startsWith('stood still'))
    .map((line) => line.split(' ').slice(2).map(Number))
    .map(([ms = 0, until = 0]) => ({ ms, until }))
}

async function firstStandstill(name: string): Promise<Standstill> {
  for (;;) {
    const [first] = await standstills(name)
    if (first) return first
  }
}

/** Until what was made ahead is there again, as the bare ones are: the last file of each is there, and its processes came to rest. */
async function refilled(): Promise<void> {
  const root = join(cluster.dataDirectory, 'runtime/containers')
  const isHeld = (name: string): boolean => {
    const records = join(root, name, 'held/exits')
    return name.endsWith('.blank') && existsSync(records) && statSync(records).size > 0
  }
  while (readdirSync(root).filter(isHeld).length < MADE_AHEAD) await delay(50)
  await delay(500)
}

async function takeSnapshot(name: string): Promise<void> {
  const ready = whenTrue(snapshotCache, { name, type: 'Ready' })
  const begun = performance.now()
  await client.create(
    sandboxSnapshots,
    { metadata: { name, namespace }, spec: { sandboxName: 'parent' } },
    { namespace },
  )
  sample('snapshot ready', (await ready) - begun)
  // The longest: what a busy machine adds of its own is shorter.
  const since = (await standstills('parent')).filter(({ until }) => until > performance.timeOrigin + begun)
  if (since.length > 0) sample('snapshot: parent stands still', Math.max(...since.map(({ ms }) => ms)))
}

async function makeChild(name: string, fromSnapshot: string): Promise<number> {
  const { podTemplate } = snapshotCache.get(`${namespace}/${fromSnapshot}`)?.status ?? {}
  if (!podTemplate) throw new Error(`snapshot ${fromSnapshot} is not there`)
  const ready = whenTrue(sandboxCache, { name, type: 'Ready' })
  await client.create(sandboxes, { metadata: { name, namespace }, spec: { podTemplate, fromSnapshot } }, { namespace })
  return await ready
}

async function makeChildren(what: string, names: string[], snapshot: string): Promise<void> {
  const begun = performance.now()
  const ready = await Promise.all(names.map((name) => makeChild(name, snapshot)))
  sample(`${what} ready`, Math.max(...ready) - begun)
  const goOn = await Promise.all(names.map(firstStandstill))
  sample(`${what} runs`, Math.max(...goOn.map(({ until }) => until)) - performance.timeOrigin - begun)
}

async function setMode(name: string, operatingMode: 'Running' | 'Suspended'): Promise<void> {
  const suspends = operatingMode === 'Suspended'
  const begun = performance.now()
  const spec = { operatingMode, ...(suspends && { suspension: { memory: 'Keep' as const } }) }
  const { metadata } = await client.patch(sandboxes, name, { spec }, { namespace })
  const type = suspends ? 'Suspended' : 'Ready'
  sample(
    suspends ? 'suspend' : 'wake ready',
    (await whenTrue(sandboxCache, { name, type, generation: metadata.generation })) - begun,
  )
}

const names = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index}`)

async function ours(round: number): Promise<void> {
  const snapshot = `s${round}`
  await takeSnapshot(snapshot)
  await refilled()
  const child = `child-${round}`
  await makeChildren('child', [child], snapshot)
  await setMode(child, 'Suspended')
  await refilled()
  await setMode(child, 'Running')
  await refilled()
  const five = names(`five-${round}`, 5)
  await makeChildren('five children', five, snapshot)
  await cluster.mustCaisson(['rm', child, ...five])
  if (options.commands) await commands(round, snapshot)
  await client.delete(sandboxSnapshots, snapshot, { namespace })
}

async function commands(round: number, snapshot: string): Promise<void> {
  const child = `command-${round}`
  await refilled()
  await timed('version', () => cluster.mustCaisson(['version']))
  await timed('caisson snapshot', () => cluster.mustCaisson(['snapshot', 'parent', '--name', `c${round}`]))
  await timed('caisson run --snapshot', () =>
    cluster.mustCaisson(['run', '--snapshot', snapshot, '--detach', '--name', child]),
  )
  await timed('caisson suspend', () => cluster.mustCaisson(['suspend', child]))
  await refilled()
  await timed('caisson resume', () => cluster.mustCaisson(['resume', child]))
  await refilled()
  const children = await timed('caisson fork --count 5', () => cluster.mustCaisson(['fork', 'parent', '--count', '5']))
  await cluster.mustCaisson(['rm', child, ...children.trim().split('\n')])
  await client.delete(sandboxSnapshots, `c${round}`, { namespace })
}

async function bareSteps(round: number): Promise<void> {
  const image = `image-${round}`
  await timed('bare checkpoint', () => bare.checkpoint('parent', image))
  const one = `one-${round}`
  await bare.create(one)
  await timed('bare child, created ahead', () => bare.restore(one, image))
  const fresh = `fresh-${round}`
  await timed('bare child', async () => {
    await bare.create(fresh)
    await bare.restore(fresh, image)
  })
  const ahead = names(`ahead-${round}`, 5)
  for (const name of ahead) await bare.create(name)
  await timed('bare five, created ahead', () => Promise.all(ahead.map((name) => bare.restore(name, image))))
  await timed('bare five', () =>
    Promise.all(
      names(`five-${round}`, 5).map(async (name) => {
        await bare.create(name)
        await bare.restore(name, image)
      }),
    ),
  )
  await bare.removeRestored()
}

const ready = whenTrue(sandboxCache, { name: 'parent', type: 'Ready' })
await cluster.mustCaisson(['run', '--detach', '--name', 'parent', '--', ...COMMAND])
await ready
// What a snapshot holds is a loop that goes on: a copy of one that still fills its heap has not stood still by its own clock.
while (!(await cluster.mustCaisson(['logs', 'parent'])).startsWith('up\n')) await delay(50)
await bare.start('parent', COMMAND)
for (let round = 0; round < rounds; round++) {
  await ours(round)
  await bareSteps(round)
}
report()

function report(): void {
  const version = median(samples['version'] ?? [])
  for (const [what, sampled] of Object.entries(samples)) {
    const own = what.startsWith('caisson ') ? version : 0
    console.log(
      JSON.stringify({
        bench: 'sleep-and-fork',
        megabytes,
        what,
        least_ms: rounded(Math.min(...sampled) - own),
        p50_ms: rounded(median(sampled) - own),
        p90_ms: rounded(percentile(sampled, 90) - own),
        n: sampled.length,
      }),
    )
  }
}
