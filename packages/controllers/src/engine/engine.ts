/**
 * Runs one controller: observes from caches, plans, writes, and plans again on the answers, until the plan asks for
 * nothing new; then writes the status, at most once, and looks again in another pass, unless the plan was settled. One
 * object is worked on by one pass at a time.
 */
import type { KubeObject } from '@caisson/api'
import {
  type AnyObject,
  type Client,
  createWorkqueue,
  type Informer,
  keyOf,
  type WorkqueueMetrics,
} from '@caisson/client'
import type { PassTrace, Tracer } from '../tracing/tracer.ts'
import { missingPaths } from './json-difference.ts'
import { isNews, type ObjectMemory, rememberRefusal, renewRefusals } from './object-memory.ts'
import type { Plan, PlannedEvent, Write, WriteFailure } from './plan.ts'
import { createStatusWriter } from './status-writer.ts'
import { createWriteRunner, type Doubt, type WriteCache, type WriteContext, type WriteResult } from './write-runner.ts'

export interface ControllerDefinition<T extends AnyObject, O> {
  name: string
  informer: Informer<T>
  /** The other kinds that the plan writes or depends on. */
  others: readonly WriteCache[]
  /** Reads the caches, and what the controller keeps beside them, where it notes what it has found. Writes nothing. */
  observe(object: T, failures: readonly WriteFailure[]): O
  /**
   * What a write may have been refused for besides the object's own spec: what was refused for good is tried again once
   * this is another.
   */
  madeFrom?(object: T): readonly (AnyObject | undefined)[]
  /** Pure. */
  plan(observed: O, now: number): Plan<object>
  /** Asked within a batch: true has what is left of it planned anew. */
  interrupted?(object: T): boolean
}

/** Where a controller's events go; see `createEventRecorder` of the client. */
type RecordEvent = (about: AnyObject, event: PlannedEvent) => void

/** What controllers do, for a log. */
export interface EngineLog {
  /** Called once, when a controller takes up its work. */
  started?(controller: string, workers: number): void
  /** After each pass that wrote something: the ids of its writes, and `status`. */
  passed?(pass: { controller: string; key: string; did: readonly string[] }): void
}

export interface EngineMetrics extends EngineLog {
  /** Of the queue of a controller that begins its work. */
  queueOf?(controller: string): WorkqueueMetrics
  /** After each write of a plan and of a status. */
  written?(write: { controller: string; verb: Write['verb'] | 'status'; plural: string; result: string }): void
}

export interface EngineOptions {
  client: Client
  record: RecordEvent
  /** Objects that are worked on at the same time. */
  concurrency: number
  /** ms since the epoch. */
  now?: () => number
  onError?: (error: unknown, key: string) => void
  metrics?: EngineMetrics
  /** Records what is done for objects that belong to a trace. */
  tracer?: Tracer
}

export interface Engine extends AsyncDisposable {
  /** Has the object looked at. Called from the handlers of informers. */
  enqueue(key: string): void
  /** Whether something is being done, or waits for it. */
  busy(): boolean
  /** Has it looked at then, unless that happens before; ms since the epoch. */
  enqueueAt(key: string, moment: number): void
  /** Resolves when nothing is being done and nothing waits but for a time. */
  idle(): Promise<void>
}

interface PassContext {
  signal: AbortSignal
  /** Is told what was written. */
  did: string[]
  trace: PassTrace | undefined
}

/** Something failed that may succeed later. `code` tells it from errors of the engine's own. */
export class RetryError extends Error {
  override readonly name = 'RetryError'
  readonly code = 'RETRY'
}

/** How often a pass starts over because something changed under it, before it leaves the object to a later one. */
const OUTDATED_LIMIT = 5

/** Requests of one pass at the same time: those of all others wait behind them. As many as a pool asks for with its defaults. */
const MOST_AT_ONCE = 256

/** Writes of one pass, after which others that wait have their turn. As many as Kubernetes' controllers make in one go. */
const MOST_IN_ONE_GO = 500

// Timers run on the monotonic clock, which stands still while a machine sleeps; a deadline that is further ahead than
// this is looked at again in between.
const LONGEST_WAIT = 300_000

export function createEngine<T extends AnyObject & { status?: object }, O>(
  definition: ControllerDefinition<T, O>,
  options: EngineOptions,
): Engine {
  const { client, record, metrics, now = Date.now } = options
  const { informer } = definition
  const runner = createWriteRunner({ client, informers: [informer, ...definition.others] })
  const writeStatus = createStatusWriter<T>({
    client,
    informer,
    refresh: ({ metadata: { namespace, name = '' } }, context) =>
      runner.refresh(informer.resource, { namespace, name }, context),
  })
  const memories = new Map<string, ObjectMemory>()
  const forgetting = informer.handle({ deleted: (object) => void memories.delete(keyOf(object)) })
  // The key whose pass changes a cache right now: it plans on that change anyway.
  let quiet: string | undefined

  /** ms, never none: a plan that asks again for what is over would leave nothing else a turn of the event loop. */
  const waitUntil = (moment: number): number => Math.min(Math.max(moment - now(), 1), LONGEST_WAIT)

  const queueMetrics = metrics?.queueOf?.(definition.name)
  const queue = createWorkqueue({
    process: async (key, signal) => {
      const did: string[] = []
      const object = options.tracer && informer.get(key)
      const trace = object && options.tracer?.pass(definition.name, object)
      let error: string | undefined
      const requeueAt = await pass(key, { signal, did, trace })
        .catch((thrown: unknown) => {
          error = thrown instanceof Error ? thrown.message : String(thrown)
          throw thrown
        })
        .finally(() => {
          if (did.length > 0) metrics?.passed?.({ controller: definition.name, key, did })
          trace?.end(error)
        })
      return requeueAt === undefined ? {} : { requeueAfter: waitUntil(requeueAt) }
    },
    concurrency: options.concurrency,
    ...(options.onError && { onError: options.onError }),
    ...(queueMetrics && { metrics: queueMetrics }),
  })

  async function pass(key: string, { signal, did, trace }: PassContext): Promise<number | undefined> {
    const context: WriteContext = {
      signal,
      quietly(change) {
        quiet = key
        try {
          change()
        } finally {
          quiet = undefined
        }
      },
    }
    const done = new Set<string>()
    const failures: WriteFailure[] = []
    let outdated = 0
    let tried = 0
    for (;;) {
      const object = informer.get(key)
      if (!object) return undefined
      const memory = memoryOf(key, object)
      if (memory.doubts?.size) {
        await settleDoubts(memory.doubts, context)
        continue
      }
      const observed = definition.observe(object, [...(memory.refused?.values() ?? []), ...failures])
      const plan = definition.plan(observed, now())
      const writes = plan.writes.filter(({ id }) => !done.has(id))
      for (let at = 0, size = 1; at < writes.length; ) {
        const chunk = chunkOf(writes, at, size)
        const results = await Promise.all(chunk.map((write) => runTraced(write, context, trace)))
        let failed = false
        if (results.some(({ kind }) => kind === 'outdated')) outdated++
        for (const [index, result] of results.entries()) {
          const write = chunk[index] as Write
          report(object, write, result, memory)
          if (result.kind === 'done') {
            did.push(write.id)
            memory.refused?.delete(write.id)
          }
          if (result.kind !== 'outdated') done.add(write.id)
          if (result.kind !== 'failed') continue
          failed = true
          if (result.doubt) (memory.doubts ??= new Map()).set(write.id, result.doubt)
          if (result.failure.permanent) rememberRefusal(memory, result.failure, now())
          else failures.push(result.failure)
        }
        tried += chunk.length
        if (tried >= MOST_IN_ONE_GO && queue.depth > 0 && failures.length === 0) {
          queue.add(key)
          return undefined
        }
        at += chunk.length
        const batch = chunk[0]?.batch
        const rest = batch === undefined ? [] : restOf(writes, at, batch)
        size = rest.length ? Math.min(size * 2, MOST_AT_ONCE) : 1
        if (!failed && rest.length && definition.interrupted?.(object)) break
        if (!failed) continue
        // What failed once would fail as often as it is tried.
        for (const { id } of rest) done.add(id)
        at += rest.length
        size = 1
      }
      if (outdated > OUTDATED_LIMIT) throw new RetryError(`${key} changes faster than ${definition.name} can follow`)
      if (writes.length) continue
      const requeueAt = await finish(object, plan, memory, { ...context, did, trace })
      if (requeueAt !== 'outdated') return requeueAt
      outdated++
    }
  }

  /** A plan on a cache that lacks what was written would write it a second time, under another name perhaps. */
  async function settleDoubts(doubts: Map<string, Doubt>, context: WriteContext): Promise<void> {
    for (const [id, { resource, at }] of doubts) {
      await runner.refresh(resource, at, context)
      doubts.delete(id)
    }
  }

  async function runTraced(write: Write, context: WriteContext, trace: PassTrace | undefined): Promise<WriteResult> {
    const end = trace?.write(`${write.verb} ${write.resource.kind}`, write.id)
    const result = await runner.run(write, context)
    end?.(result.kind === 'failed' ? result.failure.message : undefined)
    return result
  }

  /** The end of a pass: nothing is left to write but the status. */
  async function finish(
    object: T,
    plan: Plan<object>,
    memory: ObjectMemory,
    context: WriteContext & PassContext,
  ): Promise<number | undefined | 'outdated'> {
    for (const notice of plan.notices ?? []) announce(object, memory, notice)
    const endStatus = context.trace?.write(`patch ${informer.resource.kind} status`, 'status')
    const result = await writeStatus(object, plan, { ...context, memory, now: now() })
    if (result.kind !== 'unchanged' && result.kind !== 'waiting') {
      endStatus?.(result.kind === 'refused' ? result.message : undefined)
      const { plural } = informer.resource
      metrics?.written?.({ controller: definition.name, verb: 'status', plural, result: result.kind })
    }
    if (result.kind === 'outdated') return 'outdated'
    if (result.kind === 'written') {
      context.did.push('status')
      for (const event of plan.statusEvents) record(object, event)
      announceMissing(object, result.missing, memory)
      // A plan may go by the status. Whether its event has others look again depends on when it comes: after the answer it
      // says nothing new.
      if (!plan.retry && !(plan.settled && result.exact)) queue.add(keyOf(object))
    }
    if (result.kind === 'refused') announce(object, memory, statusRefused(result.message))
    if (!memory.refused?.size) delete memory.policy
    const until = result.kind === 'waiting' ? result.until : undefined
    const requeueAt = earliest(earliest(plan.requeueAt, until), memory.policy?.retryAt)
    if (!plan.retry) return requeueAt
    const key = keyOf(object)
    if (requeueAt !== undefined) queue.addAfter(key, waitUntil(requeueAt))
    throw new RetryError(`${definition.name} ${key}: ${reasonOf(plan)}`)
  }

  function memoryOf(key: string, object: T): ObjectMemory {
    const { uid } = object.metadata
    const wish = [object, ...(definition.madeFrom?.(object) ?? [])].map(generationOf).join()
    let memory = memories.get(key)
    if (!memory || memory.uid !== uid) memories.set(key, (memory = { uid, wish }))
    renewRefusals(memory, wish, now())
    return memory
  }

  function report(object: T, write: Write, result: WriteResult, memory: ObjectMemory): void {
    const { verb, resource, event, failureEvent } = write
    metrics?.written?.({ controller: definition.name, verb, plural: resource.plural, result: result.kind })
    if (result.kind === 'done') {
      const said = typeof event === 'function' ? result.answer && event(result.answer as KubeObject) : event
      if (said) record(object, said)
      if (write.verb === 'patch') {
        const { metadata: _metadata, ...asked } = write.patch
        announceMissing(object, missingPaths(asked, result.answer), memory)
      }
    }
    if (result.kind === 'failed' && failureEvent && !result.failure.namespaceTerminating) {
      record(object, { ...failureEvent, message: failureEvent.message + result.failure.message })
    }
  }

  function announceMissing(object: T, paths: readonly string[], memory: ObjectMemory): void {
    if (paths.length) announce(object, memory, fieldsNotStored(informer, paths))
  }

  function announce(object: T, memory: ObjectMemory, event: PlannedEvent): void {
    if (isNews(memory, event.message)) record(object, event)
  }

  metrics?.started?.(definition.name, options.concurrency)
  return {
    enqueue(key) {
      if (key !== quiet) queue.add(key)
    },
    busy: () => queue.running + queue.depth > 0,
    enqueueAt: (key, moment) => queue.addAfter(key, waitUntil(moment)),
    idle: () => queue.idle(),
    async [Symbol.asyncDispose]() {
      forgetting[Symbol.dispose]()
      await queue[Symbol.asyncDispose]()
    },
  }
}

function generationOf(object: AnyObject | undefined): string {
  return `${object?.metadata.uid}/${object?.metadata.generation}`
}

/** The writes to run at once: one, or up to `size` of a batch. */
function chunkOf(writes: readonly Write[], at: number, size: number): readonly Write[] {
  const batch = writes[at]?.batch
  return batch === undefined ? writes.slice(at, at + 1) : restOf(writes, at, batch).slice(0, size)
}

/** What of a batch is still to come. */
function restOf(writes: readonly Write[], at: number, batch: string): readonly Write[] {
  const end = writes.findIndex((write, index) => index >= at && write.batch !== batch)
  return writes.slice(at, end < 0 ? undefined : end)
}

function fieldsNotStored({ resource }: Informer<AnyObject>, paths: readonly string[]): PlannedEvent {
  const crd = `${resource.plural}.${resource.group}`
  const message = `the installed CustomResourceDefinition ${crd} has no place for ${paths.join(', ')}: install the one of this controller to have it stored`
  return { type: 'Warning', reason: 'FieldNotStored', action: 'Writing', message }
}

function statusRefused(message: string): PlannedEvent {
  return {
    type: 'Warning',
    reason: 'StatusRefused',
    action: 'Writing',
    message: `the status cannot be written: ${message}`,
  }
}

function reasonOf({ status }: Plan<object>): string {
  const { conditions } = (status ?? {}) as { conditions?: { type: string; message: string }[] }
  return conditions?.find(({ type }) => type === 'Ready')?.message ?? 'something failed'
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b)
}
