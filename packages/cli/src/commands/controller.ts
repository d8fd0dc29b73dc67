/** The controllers as a process of their own, against any cluster: what agent-sandbox's controller is there. */

import { setTimeout as delay } from 'node:timers/promises'
import { CONTROLLER_NAMESPACE } from '@caisson/api'
import {
  type Client,
  type ClusterConnection,
  createClient,
  createEventRecorder,
  createHttpTransport,
  createInformers,
  createServerClock,
  type EventRecorder,
  findConnection,
  type Informers,
  inClusterConnection,
  isNotFound,
  limitRequests,
  type PodObject,
  resources,
  sandboxClaims,
  sandboxes,
} from '@caisson/client'
import {
  type ControllerLog,
  createControllerLog,
  createSandboxMetrics,
  type StartControllersOptions,
  startControllers,
  startTracing,
} from '@caisson/controllers'
import { type ControllerFlags, controllerHelp, parseControllerFlags } from '../controller/controller-flags.ts'
import { type ControllerMetrics, createControllerMetrics } from '../controller/controller-metrics.ts'
import { runElected } from '../controller/run-elected.ts'
import { plain, servePaths } from '../controller/serve-probes.ts'
import { parseWorkScope, type WorkScope } from '../controller/work-scope.ts'
import { VERSION } from '../version.ts'

/** Where agent-sandbox's Deployment mounts the ConfigMap `agent-sandbox-config`. */
const CONFIG_DIRECTORY = '/etc/sandbox-config'
/** A Pod is killed 30 s after it was asked to end. */
const STOP_MS = 25_000
/** For events that are still to be written when the controllers have ended. */
const FLUSH_MS = 1000
/** controller-runtime's, for a limit of 0. */
const DEFAULT_QPS = 20
/** Four requests of 3 ms each keep a processor of the API server busy. */
const BACKGROUND_REQUESTS = 4

/** Runs until SIGTERM or SIGINT, then ends what it is at and lets go of the Lease. */
export async function controller(words: readonly string[]): Promise<void> {
  const { flags, ignored } = parseControllerFlags(words)
  if (flags.help || flags.h) return console.log(controllerHelp())
  if (flags.version) return console.log(`caisson controller ${VERSION}`)
  const scope = parseWorkScope(flags)
  const log = createControllerLog({
    write: (line) => console.error(line),
    now: Date.now,
    form: flags['zap-encoder'] === 'json' ? 'json' : 'console',
    onlyErrors: flags['zap-log-level'] === 'error',
  })
  for (const sentence of ignored) log.said(sentence)
  const stopping = stopSignal(log)
  const { connection, namespace } = await findCluster(flags)
  const metrics = createControllerMetrics()
  const context: Context = { flags, scope, log, metrics, stopping, connection, problem: () => 'not started yet' }
  await using probes = await servePaths({
    flag: '--health-probe-bind-address',
    address: flags['health-probe-bind-address'] ?? ':8081',
    paths: {
      '/healthz': () => plain(200, 'ok'),
      '/readyz': () => {
        const problem = stopping.aborted ? 'stopping' : context.problem()
        return problem === undefined ? plain(200, 'ok') : plain(503, problem)
      },
    },
  })
  await using scrapes = await serveMetrics(context)
  log.said(`Probes are answered on port ${probes.port ?? 'none'}, metrics on port ${scrapes.port ?? 'none'}`)
  const working = (signal: AbortSignal): Promise<void> => work(context, namespace, signal)
  if (flags['leader-elect'] === false) {
    context.problem = () => undefined
    await working(stopping)
  } else {
    await runElected({
      connection,
      namespace,
      shard: context.scope.shard,
      log,
      leads: metrics.leads,
      stopping,
      onError: (error) => reportError(context, error, 'leader election'),
      stateProblem(problem) {
        context.problem = problem
      },
      work: working,
    })
  }
  log.said('Stopped')
}

interface Context {
  flags: ControllerFlags
  scope: WorkScope
  log: ControllerLog
  metrics: ControllerMetrics
  stopping: AbortSignal
  connection: ClusterConnection
  /** Why this process is not ready; undefined where it is. */
  problem(): string | undefined
}

/** Runs the controllers until the signal is aborted and what they were at has ended. */
async function work(context: Context, configNamespace: string, signal: AbortSignal): Promise<void> {
  const { flags, scope, log, metrics, connection } = context
  await using stack = new AsyncDisposableStack()
  const qps = flags['kube-api-qps'] ?? -1
  const connections = flags['api-connections']
  const clock = createServerClock(Date.now)
  const direct = stack.use(
    createHttpTransport(connection, { ...(connections !== undefined && { connections }), onDate: clock.heard }),
  )
  const limit = { qps: qps || DEFAULT_QPS, burst: flags['kube-api-burst'] ?? 10 }
  const client = createClient(qps < 0 ? direct : limitRequests(direct, limit), {
    fieldManager: 'sandbox-controller',
    // What has no place in the installed kinds is seen in the answers.
    fieldValidation: 'Ignore',
  })
  const informers = stack.use(createInformers(client, scope))
  metrics.add(
    stack.use(
      createSandboxMetrics({
        sandboxes: informers.of(sandboxes),
        ...(flags.extensions && { claims: informers.of(sandboxClaims) }),
      }),
    ),
  )
  // Of Pods, which are most of what there is, only what controllers read.
  informers.of(resources.pods, { transform: withoutSpec })
  const { problem: ofLease } = context
  context.problem = () => 'the controllers have not started yet'
  const events = stack.use(recordEvents(client))
  const tracing = flags['enable-tracing']
    ? startTracing({
        environment: process.env,
        byDefault: true,
        version: VERSION,
        onError: (error) => reportError(context, error, 'sending traces'),
      })
    : undefined
  if (tracing) stack.use(tracing)
  try {
    stack.use(
      await startControllers({
        client,
        informers,
        record: events.record,
        log,
        now: clock.now,
        metrics: metrics.engine,
        ...(tracing && { tracer: tracing.tracer }),
        onError: (error, where) => reportError(context, error, where),
        signal,
        backgroundRequests: BACKGROUND_REQUESTS,
        ...controllersOptions(flags, configNamespace),
      }),
    )
  } catch (error) {
    if (!signal.aborted) throw error
  }
  // Watches may stand where nothing else is answered.
  context.problem = () => unfollowed(informers) ?? ofLease()
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
}

function controllersOptions(flags: ControllerFlags, configNamespace: string): Partial<StartControllersOptions> {
  return given({
    clusterDomain: flags['cluster-domain'],
    sandboxConcurrency: flags['sandbox-concurrent-workers'],
    sandboxEvents: not(flags['disable-sandbox-events']),
    flatGroup: flags['flat-group'],
    extensions:
      flags.extensions === true &&
      given({
        configNamespace,
        claimConcurrency: flags['sandbox-claim-concurrent-workers'],
        claimEvents: not(flags['disable-claim-events']),
        claimObservability: not(flags['disable-claim-observability-annotations']),
        poolConcurrency: flags['sandbox-warm-pool-concurrent-workers'],
        templateConcurrency: flags['sandbox-template-concurrent-workers'],
        poolBatchSize: flags['sandbox-warm-pool-max-batch-size'],
        poolReadinessGracePeriod: flags['sandbox-warm-pool-readiness-grace-period'],
        poolEviction: flags['enable-warm-pool-eviction'],
        configDirectory: flags['sandbox-config-dir'] ?? CONFIG_DIRECTORY,
      }),
  })
}

/** Without those that have no value. */
function given<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> }
}

function not(value: boolean | undefined): boolean | undefined {
  return value === undefined ? undefined : !value
}

/** What is followed and not up to date; kinds that the cluster does not serve are not missed. */
function unfollowed(informers: Informers): string | undefined {
  const behind = informers.unhealthy().filter(({ health }) => health.synced || !isNotFound(health.lastError))
  if (behind.length === 0) return undefined
  return behind
    .map(({ resource, health }) => `${resource.plural}: ${health.lastError?.message ?? 'not read yet'}`)
    .join('\n')
}

function withoutSpec(pod: PodObject): PodObject {
  if (!pod.spec) return pod
  const { nodeName } = pod.spec
  return { ...pod, spec: { containers: [], ...(nodeName !== undefined && { nodeName }) } }
}

function recordEvents(client: Client): AsyncDisposable & Pick<StartControllersOptions, 'record'> {
  const recorders = new Map<string, EventRecorder>()
  return {
    record(component, about, event) {
      const recorder = recorders.get(component) ?? createEventRecorder(client, { component })
      recorders.set(component, recorder)
      recorder.record(about, event)
    },
    async [Symbol.asyncDispose]() {
      const all = [...recorders.values()]
      await Promise.race([Promise.all(all.map((recorder) => recorder.flush())), delay(FLUSH_MS)])
      await Promise.all(all.map((recorder) => recorder[Symbol.asyncDispose]()))
    },
  }
}

/** As controller-runtime looks for it: what was named, then the Pod's own account, then ~/.kube/config. */
async function findCluster(flags: ControllerFlags): Promise<{ connection: ClusterConnection; namespace: string }> {
  const { kubeconfig, context } = flags
  const named = kubeconfig !== undefined || context !== undefined || Boolean(process.env['KUBECONFIG'])
  const inside = named ? undefined : await inClusterConnection()
  const connection =
    inside ??
    (await findConnection({
      ...(kubeconfig !== undefined && { kubeconfig }),
      ...(context !== undefined && { context }),
    }))
  return { connection, namespace: flags['leader-election-namespace'] || (inside?.namespace ?? CONTROLLER_NAMESPACE) }
}

function serveMetrics({ flags, metrics }: Context): ReturnType<typeof servePaths> {
  const directory = flags['metrics-cert-dir']
  const minVersion = flags['tls-min-version'] === 'VersionTLS13' ? 'TLSv1.3' : 'TLSv1.2'
  return servePaths({
    flag: '--metrics-bind-address',
    address: flags['metrics-bind-address'] ?? ':8080',
    paths: {
      '/metrics': async () => ({ status: 200, contentType: metrics.contentType, body: await metrics.text() }),
    },
    ...(directory !== undefined && { tls: { directory, minVersion } }),
  })
}

function reportError({ log, metrics }: Context, error: unknown, where: string): void {
  metrics.failed()
  log.failed(where, error instanceof Error ? error.message : String(error))
}

/** Aborted when the process is asked to end; asked twice, or after `STOP_MS`, it ends there and then. */
function stopSignal(log: ControllerLog): AbortSignal {
  const stop = new AbortController()
  const ask = (signal: NodeJS.Signals): void => {
    if (stop.signal.aborted) process.exit(1)
    log.said(`Stopping: ${signal}`)
    stop.abort(new Error('the controller was stopped'))
    setTimeout(() => {
      log.failed('stopping', `what was under way did not end within ${STOP_MS / 1000} s`)
      process.exit(1)
    }, STOP_MS).unref()
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, ask)
  return stop.signal
}
