/** One run: a server, clients that do what they like, faults that happen to it, and the history of it all. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type Random, seeded } from '../differential/script.ts'
import { createConnection } from './connection.ts'
import { FAULTS, type Fault, type FaultContext } from './faults.ts'
import type { History, Watching } from './history.ts'
import { KINDS, RECORD_DEFINITION, RECORDS, seenOf, type WireObject } from './kinds.ts'
import { EVERYTHING, runLister } from './lister.ts'
import { startProxy } from './proxy.ts'
import type { Recorder } from './recorder.ts'
import { type ServerProcess, type ServerSettings, startServerProcess } from './server-process.ts'
import { type LastEvents, runInformer, runSleeper, runWatcher } from './watcher.ts'
import { COLOURS, NAMESPACES, runWriter, SIDES } from './writer.ts'

export interface CampaignOptions {
  seed: number
  /** One after the other, with traffic before each. */
  faults: readonly Fault[]
  /** Traffic before each fault, ms: between half of this and this. */
  between: number
}

export interface Campaign {
  history: History
  /** Answers that no law has a place for. */
  unexpected: readonly string[]
  /** How often each fault did what it is for. */
  hits: ReadonlyMap<Fault, number>
}

const WINDOW = 400
const STALLED_MS = 1500
const WRITERS = 6
const DISK = '256m'

export async function runCampaign({ seed, faults, between }: CampaignOptions): Promise<Campaign> {
  await using stack = new AsyncDisposableStack()
  const random = seeded(seed)
  const directory = mkdtempSync(join(tmpdir(), 'history-'))
  stack.defer(() => rmSync(directory, { recursive: true }))
  // A disk of its own, to be filled.
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', directory])
  stack.defer(() => void execFileSync('umount', [directory]))
  const settings: ServerSettings = {
    token: randomBytes(16).toString('hex'),
    window: { events: WINDOW, bytes: 256 << 20 },
    stalledMs: STALLED_MS,
    seed,
  }
  const proxy = stack.use(await startProxy())
  const server = await startKept(directory, settings, proxy)
  stack.defer(() => server.end())
  const stop = new AbortController()
  const unexpected: string[] = []
  const recorder: Recorder = {
    endpoint: { port: proxy.port, token: settings.token, ca: () => server.current().ca },
    operations: [],
    listings: [],
    watchings: [],
    now: () => performance.now(),
    stopped: stop.signal,
    serving: () => server.serving(),
    known: new Map(),
    newest: 0,
    onOutcome: new Set(),
    unexpected: (what) => void unexpected.push(what),
  }
  await prepare(recorder)
  const context: FaultContext = { server, proxy, recorder, random, directory, padding: 200, sleeps: 0 }
  const end = Promise.withResolvers<Awaited<LastEvents['written']>>()
  const clients = startClients(recorder, { random, context, last: { written: end.promise, patience: 20_000 } })
  const hits = new Map<Fault, number>()
  try {
    for (const fault of faults) {
      await setTimeout(between / 2 + random.integer(between / 2))
      if (await FAULTS[fault](context)) hits.set(fault, (hits.get(fault) ?? 0) + 1)
    }
    await setTimeout(between)
  } finally {
    stop.abort()
    await server.serving()
    end.resolve(await writeLast(recorder))
    await Promise.all(clients)
  }
  const { operations, listings } = recorder
  const watchings = [...recorder.watchings, ...server.watchings()]
  const history = { operations, listings, watchings, restarts: server.restarts, window: WINDOW }
  return { history, unexpected, hits }
}

function startClients(
  recorder: Recorder,
  { random, context, last }: { random: Random; context: FaultContext; last: LastEvents },
): Promise<void>[] {
  const client = (name: string) => ({ recorder, client: name, random: seeded(random.integer(2 ** 31)) })
  const writers = Array.from({ length: WRITERS }, (_, index) =>
    runWriter({ ...client(`writer-${index}`), padding: () => context.padding }),
  )
  const recordersOfAll = KINDS.map((kind) =>
    runInformer(client(`all-${kind.resource}`), { kind, selection: EVERYTHING, last }),
  )
  const left = { ...EVERYTHING, side: { operator: 'in', values: ['left'] } } as const
  const red = { ...EVERYTHING, colour: { equal: true, value: 'red' } } as const
  return [
    ...writers,
    ...recordersOfAll,
    ...KINDS.map((kind) => runInformer(client(`left-${kind.resource}`), { kind, selection: left, last })),
    runInformer(client('red-records'), { kind: RECORDS, selection: red, last }),
    ...[1, 2].map((index) => runLister(client(`lister-${index}`))),
    ...[1, 2, 3, 4].map((index) => runWatcher(client(`watcher-${index}`), last)),
    runSleeper(client('sleeper'), () => context.sleeps),
  ]
}

/** The namespaces and the custom kind. */
async function prepare(recorder: Recorder): Promise<void> {
  using connection = createConnection(recorder.endpoint)
  const create = async (path: string, body: unknown): Promise<void> => {
    const answer = await connection.send('POST', path, { body })
    if (answer.status !== 201) throw new Error(`${path}: ${JSON.stringify(answer.body)}`)
  }
  for (const name of NAMESPACES) await create('/api/v1/namespaces', { metadata: { name } })
  await create('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', RECORD_DEFINITION)
  for (;;) {
    const { status } = await connection.send('GET', RECORDS.path())
    if (status === 200) return
    await setTimeout(20)
  }
}

/** One object of every sort in every namespace: whoever watches has to hear of one of them. */
async function writeLast({ endpoint }: Recorder): Promise<Awaited<LastEvents['written']>> {
  using connection = createConnection(endpoint)
  const written: Awaited<LastEvents['written']>[number][] = []
  for (const kind of KINDS)
    for (const namespace of NAMESPACES)
      for (const side of SIDES)
        for (const colour of COLOURS) {
          const name = `last-${side || 'none'}-${colour}`
          const content = { value: `${kind.resource}-${namespace}-${name}`, side, colour }
          const { status, body } = await connection.send('POST', kind.path(namespace), {
            body: kind.body(name, content, ''),
          })
          if (status !== 201) throw new Error(`${name}: ${status} ${JSON.stringify(body)}`)
          written.push(seenOf(kind.resource, body as WireObject))
        }
  return written
}

/** A server that is started again on what it left whenever it is gone. */
export interface KeptServer {
  current(): ServerProcess
  /** Resolves while it answers. */
  serving(): Promise<void>
  /** Waits until it is gone, and starts it again; before that once in vain where it is to be killed after so many ms. */
  restart(why: string, interruptedAfter?: number): Promise<void>
  /** What was watched inside of all its processes. */
  watchings(): Watching[]
  restarts: History['restarts'][number][]
  end(): Promise<void>
}

async function startKept(
  directory: string,
  settings: ServerSettings,
  proxy: { target(port: number | undefined): void },
): Promise<KeptServer> {
  let current = await startServerProcess(directory, settings)
  const processes = [current]
  let serving = Promise.resolve()
  proxy.target(current.port)
  const restarts: KeptServer['restarts'] = []
  /** Nobody asks a server that is not there: whether it happened could not be told. */
  async function follow({ gone }: ServerProcess): Promise<void> {
    await gone
    proxy.target(undefined)
    gate = Promise.withResolvers()
    serving = gate.promise
    at = performance.now()
  }
  let gate = Promise.withResolvers<void>()
  let at = 0
  void follow(current)
  return {
    current: () => current,
    serving: () => serving,
    restarts,
    watchings: () => processes.flatMap((process) => process.watchings()),
    async restart(why, interruptedAfter) {
      await current.gone
      try {
        if (interruptedAfter !== undefined) await startInVain(directory, settings, interruptedAfter)
        current = await startServerProcess(directory, settings)
      } catch (error) {
        gate.reject(error)
        throw error
      }
      processes.push(current)
      void follow(current)
      restarts.push({ at, until: performance.now(), why })
      proxy.target(current.port)
      gate.resolve()
    },
    async end() {
      current.kill()
      await current.gone
    },
  }
}

/** It is killed while it starts, or right after. */
async function startInVain(directory: string, settings: ServerSettings, interruptedAfter: number): Promise<void> {
  const started = await startServerProcess(directory, settings, interruptedAfter).catch(() => undefined)
  await started?.gone
}
