/** What is counted of Sandboxes and claims, under the names, labels and buckets of agent-sandbox, and finer ones of our own. */
import {
  ANNOTATIONS,
  CLAIM_CONDITIONS,
  controllerOf,
  findCondition,
  isConditionTrue,
  LABELS,
  nameHash,
  normalizeCreatedBy,
  SANDBOX_REASONS,
  type Sandbox,
  type SandboxClaim,
} from '@caisson/api'
import { type Informer, joinKey } from '@caisson/client'
import Counter from 'prom-client/lib/counter.js'
import Gauge from 'prom-client/lib/gauge.js'
import Histogram from 'prom-client/lib/histogram.js'
import Registry from 'prom-client/lib/registry.js'

export interface SandboxMetrics extends Disposable {
  /** In the text format of Prometheus. */
  text(): Promise<string>
}

export interface SandboxMetricsOptions {
  sandboxes: Informer<Sandbox>
  /** Where their kind is followed. */
  claims?: Informer<SandboxClaim>
  /** Of this program, where nobody else says it. */
  version?: string
}

const CLAIM_BUCKETS = [100, 250, 500, 750, 1000, 1250, 1500, 2000, 2500, 5000, 10000, 30000, 60000, 120000, 240000]
const CREATION_BUCKETS = [50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000, 240000, 300000, 600000]
/** Seconds; agent-sandbox's own begin where a warm claim has long been served. */
const FINE_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
/** Names that have series of their own, which stay: tenants choose names, and must not fill the memory with them. */
const NAME_LIMIT = 1000
/** Characters of a name: the most that Kubernetes gives an object. */
const NAME_LENGTH = 253
const UNKNOWN_TEMPLATE = '__unknown__'

/** Counts from now on: what was Ready or bound before is not measured again. */
export function createSandboxMetrics({ sandboxes, claims, version }: SandboxMetricsOptions): SandboxMetrics {
  const registry = new Registry()
  if (version !== undefined) registerBuildInfo(registry, version)
  const series = createSeries(registry)
  const nameOf = limitNames(NAME_LIMIT)
  using stack = new DisposableStack()
  stack.use(countPresent(registry, sandboxes))
  stack.use(measureCreations(sandboxes, series, nameOf))
  if (claims) stack.use(measureClaims({ claims, sandboxes }, series, nameOf))
  const owned = stack.move()
  return { text: () => registry.metrics(), [Symbol.dispose]: () => owned.dispose() }
}

/** Says which version the controllers are of. */
export function registerBuildInfo(registry: Registry, version: string): void {
  new Gauge({
    name: 'agent_sandbox_build_info',
    help: 'The version of the controllers.',
    labelNames: ['git_version', 'git_commit', 'build_date', 'go_version', 'compiler', 'platform'],
    registers: [registry],
  }).set(
    {
      git_version: version,
      git_commit: 'unknown',
      build_date: 'unknown',
      go_version: 'none',
      compiler: `node ${process.version}`,
      platform: `${process.platform}/${process.arch}`,
    },
    1,
  )
}

type Series = ReturnType<typeof createSeries>

function createSeries(registry: Registry) {
  const registers = [registry]
  const claimLatency = (name: string, since: string) =>
    new Histogram({
      name,
      help: `Milliseconds from ${since} until the claim is Ready.`,
      labelNames: ['launch_type', 'sandbox_template'],
      buckets: CLAIM_BUCKETS,
      registers,
    })
  return {
    admitted: claimLatency('agent_sandbox_claim_startup_latency_ms', 'when a webhook first observed the claim'),
    observed: claimLatency(
      'agent_sandbox_claim_controller_startup_latency_ms',
      'when the controller first observed the claim',
    ),
    requested: claimLatency('agent_sandbox_client_claim_startup_latency_ms', 'when the client asked for the claim'),
    creation: new Histogram({
      name: 'agent_sandbox_creation_latency_ms',
      help: 'Milliseconds from the creation of a Sandbox until it is Ready.',
      labelNames: ['namespace', 'launch_type', 'sandbox_template'],
      buckets: CREATION_BUCKETS,
      registers,
    }),
    bound: new Counter({
      name: 'agent_sandbox_claim_creation_total',
      help: 'Sandboxes that were created or adopted for claims.',
      labelNames: ['namespace', 'sandbox_template', 'launch_type', 'warmpool_name', 'pod_condition', 'created_by'],
      registers,
    }),
    ready: new Histogram({
      name: 'caisson_claim_ready_seconds',
      help: 'Seconds from when the controller first observed a claim until it is Ready.',
      labelNames: ['launch_type'],
      buckets: FINE_BUCKETS,
      registers,
    }),
    started: new Histogram({
      name: 'caisson_sandbox_ready_seconds',
      help: 'Seconds from the creation of a Sandbox until it is Ready.',
      labelNames: ['owned_by'],
      buckets: FINE_BUCKETS,
      registers,
    }),
  }
}

/** `agent_sandboxes`, kept up with each change: a scrape lists combinations of labels, not Sandboxes. */
function countPresent(registry: Registry, sandboxes: Informer<Sandbox>): Disposable {
  const counts = new Map<string, { labels: Record<string, string>; count: number }>()
  const gauge = new Gauge({
    name: 'agent_sandboxes',
    help: 'Sandboxes that there are.',
    labelNames: [
      'namespace',
      'ready_condition',
      'expired',
      'launch_type',
      'sandbox_template',
      'owned_by',
      'created_by',
      'operating_mode',
    ],
    registers: [],
    collect() {
      this.reset()
      for (const { labels, count } of counts.values()) this.set(labels, count)
    },
  })
  registry.registerMetric(gauge)
  function add(sandbox: Sandbox, by: 1 | -1): void {
    const labels = presentLabels(sandbox)
    const key = JSON.stringify(labels)
    const entry = counts.get(key) ?? { labels, count: 0 }
    entry.count += by
    if (entry.count > 0) counts.set(key, entry)
    else counts.delete(key)
  }
  return sandboxes.handle({
    added: (sandbox) => add(sandbox, 1),
    updated(old, sandbox) {
      add(old, -1)
      add(sandbox, 1)
    },
    deleted: (sandbox) => add(sandbox, -1),
  })
}

function presentLabels(sandbox: Sandbox): Record<string, string> {
  const { metadata, spec, status } = sandbox
  const ready = findCondition(status?.conditions, CLAIM_CONDITIONS.ready)
  return {
    namespace: metadata.namespace ?? '',
    ready_condition: String(ready?.status === 'True'),
    expired: String(ready?.reason === SANDBOX_REASONS.expired),
    launch_type: launchTypeOf(sandbox),
    sandbox_template: templateOf(sandbox) ?? 'unknown',
    owned_by: ownerKind(sandbox),
    created_by: normalizeCreatedBy(metadata.labels?.[LABELS.createdBy] ?? ''),
    operating_mode: spec.operatingMode ?? 'Running',
  }
}

function measureCreations(sandboxes: Informer<Sandbox>, series: Series, nameOf: (name: string) => string): Disposable {
  /** When those that have not been Ready were first seen, by UID. */
  const starting = new Map<string, number>()
  return sandboxes.handle({
    added({ metadata, status }) {
      // One without a word about it is new.
      if (!status?.conditions?.length) starting.set(metadata.uid ?? '', performance.now())
    },
    updated(_old, sandbox) {
      const { metadata } = sandbox
      const since = starting.get(metadata.uid ?? '')
      if (since === undefined || !isReady(sandbox)) return
      starting.delete(metadata.uid ?? '')
      const ms = performance.now() - since
      series.creation.observe(
        {
          namespace: nameOf(metadata.namespace ?? ''),
          launch_type: launchTypeOf(sandbox),
          sandbox_template: nameOf(templateOf(sandbox) ?? UNKNOWN_TEMPLATE),
        },
        ms,
      )
      series.started.observe({ owned_by: ownerKind(sandbox) }, ms / 1000)
    },
    deleted: ({ metadata }) => void starting.delete(metadata.uid ?? ''),
  })
}

function measureClaims(
  { claims, sandboxes }: { claims: Informer<SandboxClaim>; sandboxes: Informer<Sandbox> },
  series: Series,
  nameOf: (name: string) => string,
): Disposable {
  /** When those that have not been Ready were first seen, by UID. */
  const waiting = new Map<string, number>()
  const sandboxOf = ({ metadata, status }: SandboxClaim): Sandbox | undefined =>
    sandboxes.get(joinKey(metadata.namespace, status?.sandbox?.name ?? ''))

  function countBound(claim: SandboxClaim): void {
    const sandbox = sandboxOf(claim)
    const launch_type = launchTypeOf(sandbox)
    series.bound.inc({
      namespace: nameOf(claim.metadata.namespace ?? ''),
      sandbox_template: nameOf(templateOf(sandbox) ?? UNKNOWN_TEMPLATE),
      launch_type,
      warmpool_name: launch_type === 'cold' ? 'none' : nameOf(claim.spec.warmPoolRef?.name ?? 'unknown'),
      pod_condition: isReady(claim) ? 'ready' : 'not_ready',
      created_by: normalizeCreatedBy(claim.metadata.labels?.[LABELS.createdBy] ?? ''),
    })
  }

  function measure(claim: SandboxClaim, since: number): void {
    const sandbox = sandboxOf(claim)
    const labels = {
      launch_type: launchTypeOf(sandbox),
      sandbox_template: nameOf(templateOf(sandbox) ?? UNKNOWN_TEMPLATE),
    }
    const ms = performance.now() - since
    series.observed.observe(labels, ms)
    series.ready.observe({ launch_type: labels.launch_type }, ms / 1000)
    for (const [histogram, key] of [
      [series.admitted, ANNOTATIONS.webhookFirstObservedAt],
      [series.requested, ANNOTATIONS.clientFirstRequestedAt],
    ] as const) {
      const elapsed = Date.now() - Date.parse(claim.metadata.annotations?.[key] ?? '')
      // Whoever makes the claim writes it: a clock may be wrong, and a text no time at all.
      if (elapsed >= 0) histogram.observe(labels, elapsed)
    }
  }

  return claims.handle({
    added({ metadata, status }) {
      if (!status?.sandbox?.name) waiting.set(metadata.uid ?? '', performance.now())
    },
    updated(old, claim) {
      const uid = claim.metadata.uid ?? ''
      const since = waiting.get(uid)
      if (since === undefined) return
      if (!old.status?.sandbox?.name && claim.status?.sandbox?.name) countBound(claim)
      if (!isReady(claim)) return
      waiting.delete(uid)
      measure(claim, since)
    },
    deleted: ({ metadata }) => void waiting.delete(metadata.uid ?? ''),
  })
}

function isReady({ status }: Sandbox | SandboxClaim): boolean {
  return isConditionTrue(status?.conditions, CLAIM_CONDITIONS.ready)
}

function launchTypeOf(sandbox: Sandbox | undefined): 'warm' | 'cold' | 'unknown' {
  const type = sandbox?.metadata.labels?.[LABELS.launchType]
  return type === 'warm' || type === 'cold' ? type : 'unknown'
}

/**
 * The template that a claim or a pool made the Sandbox of. Whoever writes Sandboxes writes this annotation as well, of any
 * length: what is not as the controllers write it names no template.
 */
function templateOf(sandbox: Sandbox | undefined): string | undefined {
  if (!sandbox || ownerKind(sandbox) === 'None') return undefined
  const { annotations, labels } = sandbox.metadata
  const name = annotations?.[ANNOTATIONS.templateRef]
  if (!name || name.length > NAME_LENGTH) return undefined
  return labels?.[LABELS.templateRefHash] === nameHash(name) ? name : undefined
}

function ownerKind(sandbox: Sandbox): 'SandboxClaim' | 'SandboxWarmPool' | 'None' {
  const kind = controllerOf(sandbox)?.kind
  return kind === 'SandboxClaim' || kind === 'SandboxWarmPool' ? kind : 'None'
}

/** The first names as they are; later ones, and what is too long for a name, all alike. */
function limitNames(limit: number): (name: string) => string {
  const names = new Set<string>()
  return (name) => {
    if (names.has(name)) return name
    if (names.size >= limit || name.length > NAME_LENGTH) return '__other__'
    names.add(name)
    return name
  }
}
