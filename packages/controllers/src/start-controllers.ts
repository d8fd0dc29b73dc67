/** Starts the controllers of the agent-sandbox kinds, on the embedded cluster or on any other. */
import { AGENTS_GROUP, type Sandbox } from '@caisson/api'
import {
  abortableDelay,
  type Client,
  defineResource,
  type Informers,
  isApiError,
  type Resource,
  type Transport,
  yieldRequests,
} from '@caisson/client'
import type { ComingClaims } from './claim/after-claims.ts'
import { createLaterEvents, type RecordEvents } from './claim/later-events.ts'
import { startDialects } from './dialect/dialect-controller.ts'
import type { EngineLog, EngineMetrics } from './engine/engine.ts'
import { SANDBOXES } from './sandbox/objects.ts'
import { sandboxCaches, startSandboxController } from './sandbox/sandbox-controller.ts'
import { snapshotCaches } from './snapshot/snapshot-caches.ts'
import { startSnapshotController } from './snapshot/snapshot-controller.ts'
import { type Extensions, type ExtensionsOptions, extensionCaches, startExtensions } from './start-extensions.ts'
import type { Tracer } from './tracing/tracer.ts'

export interface StartControllersOptions {
  client: Client
  /** Shared with whoever else follows the same kinds. Pods have to come with metadata, spec.nodeName and status. */
  informers: Informers
  record: RecordEvents
  /** What went wrong and will be tried again. */
  onError(error: unknown, where: string): void
  /** Ends the start; what has started is ended by disposing it. */
  signal: AbortSignal
  /** `--cluster-domain`; `cluster.local` unless said. */
  clusterDomain?: string
  /** `--sandbox-concurrent-workers`; 100 unless said. */
  sandboxConcurrency?: number
  /** False is `--disable-sandbox-events`. */
  sandboxEvents?: boolean
  /** Of templates, pools and claims, where their kinds are served; false leaves them alone, and with them the flat kinds. */
  extensions?: ExtensionsOptions | false
  /** Whether the flat kinds of agents.x-k8s.io are kept in agreement with the canonical ones; true unless said. */
  flatGroup?: boolean
  /** Where queues and writes are counted. */
  metrics?: EngineMetrics
  /** Records spans of what is done for objects that belong to a trace. */
  tracer?: Tracer
  /** Told what controllers do; see `createControllerLog`. */
  log?: EngineLog
  /**
   * Requests that no claim waits for, such as those of pools that are filled, at most so many at a time while claims are
   * worked on; as many as there are unless said.
   */
  backgroundRequests?: number
  /** ms since the epoch. */
  now?: () => number
}

const SNAPSHOT_CONCURRENCY = 10
const DIALECT_CONCURRENCY = 10

export interface Controllers extends AsyncDisposable {
  /** Resolves when nothing is being worked on and nothing waits but for a time. */
  idle(): Promise<void>
}

/** Resolves when every controller has seen the cluster once and works. Disposing stops them and waits for running passes. */
export async function startControllers(options: StartControllersOptions): Promise<Controllers> {
  const { client, informers, onError, signal, tracer, now = Date.now } = options
  const metrics = withLog(options.metrics, options.log)
  const { clusterDomain = 'cluster.local', sandboxConcurrency = 100, sandboxEvents = true } = options
  const caches = sandboxCaches(informers, await servedSandboxes(options))
  // Not waited for: a cluster may have Sandboxes without snapshots.
  const snapshots = snapshotCaches(informers)
  await Promise.all(
    Object.values(caches).map((informer: { synced(signal: AbortSignal): Promise<void> }) => informer.synced(signal)),
  )
  signal.throwIfAborted()
  let extensions: Extensions | undefined
  const ended = new AbortController()
  const claims: ComingClaims = {
    coming: () => extensions?.claims.coming() ?? false,
    settled: async (signal) => extensions?.claims.settled(signal),
  }
  const idle = async (): Promise<void> => {
    await Promise.all(parts.map((part) => part.idle()))
  }
  const events = createLaterEvents({
    claims: {
      coming: claims.coming,
      async settled(stopped) {
        await claims.settled(stopped)
        await idle()
      },
    },
    record: options.record,
    now,
  })
  const { record } = events
  const { backgroundRequests } = options
  const precedence = { coming: claims.coming, settled: () => claims.settled(ended.signal) }
  const yielding =
    backgroundRequests === undefined ? undefined : yieldRequests(client.transport, precedence, backgroundRequests)
  const background = {
    sooner: yielding ? client.over(creating(client.transport, yielding.sooner)) : client,
    later: yielding ? client.over(yielding.later) : client,
  }
  const sandbox = startSandboxController(
    { ...caches, ...snapshots },
    {
      client: background.sooner,
      record: sandboxEvents ? (about, event) => record('sandbox-controller', about, event) : () => undefined,
      onError: (error, key) => onError(error, `sandbox ${key}`),
      concurrency: sandboxConcurrency,
      clusterDomain,
      claims,
      ...(metrics && { metrics }),
      ...(tracer && { tracer }),
      now,
    },
  )
  const snapshot = startSnapshotController(
    { ...caches, ...snapshots },
    {
      client: background.sooner,
      record: (about, event) => record('snapshot-controller', about, event),
      onError: (error, key) => onError(error, `snapshot ${key}`),
      concurrency: SNAPSHOT_CONCURRENCY,
      ...(metrics && { metrics }),
      ...(tracer && { tracer }),
      now,
    },
  )
  if (options.extensions !== false)
    extensions = startExtensions(
      { ...caches, ...extensionCaches(informers) },
      { ...options, record, background, ...options.extensions, ...(metrics && { metrics }) },
    )
  const dialects =
    options.flatGroup === false || options.extensions === false
      ? undefined
      : startDialects(
          informers,
          (name) => ({
            client,
            record: (about, event) => record('dialect-controller', about, event),
            onError: (error, key) => onError(error, `${name} ${key}`),
            concurrency: DIALECT_CONCURRENCY,
            ...(metrics && { metrics }),
            ...(tracer && { tracer }),
            now,
          }),
          onError,
        )
  const parts = [sandbox, snapshot, extensions, dialects].filter((part) => part !== undefined)
  return {
    async idle() {
      // What was written in this process until now has been heard of by then.
      await new Promise(setImmediate)
      await idle()
      await events.settled()
    },
    async [Symbol.asyncDispose]() {
      ended.abort(new Error('the controllers were stopped'))
      await Promise.all(parts.map((part) => part[Symbol.asyncDispose]()))
      // What controllers said last is passed on.
      await events[Symbol.asyncDispose]()
    },
  }
}

/** What Sandboxes that are there need is made at once: a claim may wait for it. The rest goes by the other one. */
function creating(direct: Transport, rest: Transport): Transport {
  return { ...rest, request: (request) => (request.method === 'POST' ? direct : rest).request(request) }
}

/** Tells both. */
function withLog(metrics: EngineMetrics | undefined, log: EngineLog | undefined): EngineMetrics | undefined {
  if (!metrics || !log) return metrics ?? log
  return {
    ...metrics,
    started(controller, workers) {
      metrics.started?.(controller, workers)
      log.started?.(controller, workers)
    },
    passed(pass) {
      metrics.passed?.(pass)
      log.passed?.(pass)
    },
  }
}

const OLD_SANDBOXES = defineResource<Sandbox>({
  group: SANDBOXES.group,
  version: 'v1alpha1',
  plural: SANDBOXES.plural,
  kind: SANDBOXES.kind,
  namespaced: SANDBOXES.namespaced,
})

/** ms between questions that nobody answers. */
const ASK_AGAIN_MS = 1_000

/** Other people's CRDs may serve only v1alpha1. Where nothing is served yet, the informer waits for v1beta1. */
async function servedSandboxes({ client, signal, onError }: StartControllersOptions): Promise<Resource<Sandbox>> {
  interface Group {
    versions?: { version: string }[]
  }
  for (;;) {
    try {
      const group = await client.request<Group>({ method: 'GET', path: `/apis/${AGENTS_GROUP}`, signal })
      const versions = group.versions?.map(({ version }) => version) ?? []
      return versions.includes('v1beta1') || !versions.includes('v1alpha1') ? SANDBOXES : OLD_SANDBOXES
    } catch (error) {
      signal.throwIfAborted()
      // It is not served, or one may not ask.
      if (isApiError(error) && error.code < 500 && error.code !== 429) return SANDBOXES
      onError(error, 'asking which versions of Sandboxes are served')
      await abortableDelay(ASK_AGAIN_MS, signal)
    }
  }
}
