/**
 * `/metrics`, with the names and labels of kube-apiserver. A series is kept for ever, so no label is anybody's text: what
 * is not served has no name, and what is served no longer has no series.
 */
import { addProcessMetrics } from '@caisson/api'
import Gauge from 'prom-client/lib/gauge.js'
import Registry from 'prom-client/lib/registry.js'
import type { Registry as Kinds } from '../registry/registry.ts'
import type { Resource } from '../registry/resource.ts'
import type { Store } from '../storage/store.ts'
import type { Call, RequestInfo } from '../verbs/call.ts'
import type { Environment } from '../verbs/environment.ts'
import type { StorageLimits } from '../verbs/refuse-full.ts'
import { connectionVerbs } from './node-paths.ts'
import { createRequestSeries } from './request-series.ts'

export interface Metrics {
  /** Counts a request that was answered. */
  observe(call: Call, outcome: RequestOutcome): void
  /** A watch or another long-running request began. Call what is returned when it is over. */
  begin(call: Call): () => void
  text(): Promise<string>
  contentType: string
}

export interface RequestOutcome {
  code: number
  seconds: number
}

export interface Storage {
  store: Pick<Store, 'bytes'>
  limits: StorageLimits
}

export interface ServedKinds {
  registry: Pick<Kinds, 'find' | 'generation'>
  subresources: Environment['subresources']
}

const REQUEST_LABELS = ['verb', 'group', 'version', 'resource', 'subresource', 'scope', 'component'] as const
const BUCKETS = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60]

/**
 * @param kinds whose names are labels
 * @param storage how full it is
 */
export function createMetrics(kinds: ServedKinds, storage: Storage): Metrics {
  const registry = new Registry()
  const addProcess = addProcessMetrics(registry, async () => (await import('prom-client')).default)
  const requests = createRequestSeries<keyof ObservedLabels>(registry, {
    total: {
      name: 'apiserver_request_total',
      help: 'Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.',
    },
    duration: {
      name: 'apiserver_request_duration_seconds',
      help: 'Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.',
    },
    buckets: BUCKETS,
  })
  const running = new Gauge({
    name: 'apiserver_longrunning_requests',
    help: 'Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component.',
    labelNames: [...REQUEST_LABELS],
    registers: [registry],
  })

  const stored = new Gauge({
    name: 'caisson_stored_bytes',
    help: 'Bytes of JSON of all objects in the API server.',
    registers: [],
    collect() {
      this.set(storage.store.bytes())
    },
  })
  registry.registerMetric(stored)
  const limit = new Gauge({
    name: 'caisson_stored_bytes_limit',
    help: 'Bytes of JSON that objects may take, in all and those of one namespace.',
    labelNames: ['of'],
    registers: [registry],
  })
  limit.set({ of: 'all' }, storage.limits.total)
  limit.set({ of: 'namespace' }, storage.limits.perNamespace)

  /** Custom kinds that series are of. */
  const custom = new Set<Resource>()
  let generation = kinds.registry.generation

  function labelsOf(call: Call): RequestLabels {
    const { info } = call
    const kind = info.isResource ? kinds.registry.find(info.group, info.version, info.resource) : undefined
    if (!kind) return { verb: metricVerb(call), ...OTHER }
    if (kind.custom) custom.add(kind)
    const subresource =
      info.subresource === '' || kinds.subresources(kind).some(({ name }) => name === info.subresource)
        ? info.subresource
        : ''
    const { group, version, resource } = info
    return { verb: metricVerb(call), group, version, resource, subresource, scope: scopeOf(info), component: COMPONENT }
  }

  /** Series of kinds whose definitions are gone go with them. */
  function followKinds(): void {
    if (generation === kinds.registry.generation) return
    generation = kinds.registry.generation
    let anyGone = false
    for (const kind of custom) {
      const served = kinds.registry.find(kind.group, kind.version, kind.plural)
      if (served === kind) continue
      custom.delete(kind)
      if (!served) anyGone = true
    }
    if (anyGone) requests.forget(isGone)
  }

  function isGone({ group, version, resource }: Partial<Record<string, string | number>>): boolean {
    return Boolean(resource) && !kinds.registry.find(String(group), String(version), String(resource))
  }

  /** Watches of such a kind end after it. */
  async function forgetRunning(): Promise<void> {
    for (const { labels, value } of (await running.get()).values)
      if (value === 0 && isGone(labels)) running.remove(labels)
  }

  return {
    contentType: registry.contentType,
    async text() {
      followKinds()
      await addProcess()
      await forgetRunning()
      return await registry.metrics()
    },
    observe(call, { code, seconds }) {
      followKinds()
      const labels = labelsOf(call)
      const dryRun = call.query.dryRun === 'All' ? 'All' : ''
      const { verb, group, version, resource, subresource, scope } = labels
      const key = `${verb} ${group} ${version} ${resource} ${subresource} ${scope} ${dryRun}`
      requests.count(key, () => ({ ...labels, dry_run: dryRun }), { code: metricCode(code), seconds })
    },
    begin(call) {
      const labels = labelsOf(call)
      running.inc(labels)
      return () => running.dec(labels)
    },
  }
}

const { STATUS_CODES } = process.getBuiltinModule('node:http')

type RequestLabels = Record<(typeof REQUEST_LABELS)[number], string>
type ObservedLabels = RequestLabels & { dry_run: string }

const COMPONENT = 'apiserver'
const OTHER = { group: '', version: '', resource: '', subresource: '', scope: '', component: COMPONENT } as const

/** A server behind a proxy answers with any number: one that nobody has registered counts as its class does (RFC 9110, 15). */
function metricCode(code: number): number {
  if (STATUS_CODES[code] !== undefined) return code
  return code >= 100 && code < 600 ? Math.floor(code / 100) * 100 : 500
}

const VERBS: Readonly<Record<string, string>> = {
  get: 'GET',
  list: 'LIST',
  watch: 'WATCH',
  create: 'POST',
  update: 'PUT',
  patch: 'PATCH',
  delete: 'DELETE',
  deletecollection: 'DELETECOLLECTION',
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])

function metricVerb(call: Call): string {
  const { info, method, contentType } = call
  if (info.verb === 'patch' && contentType === 'application/apply-patch+yaml') return 'APPLY'
  if (connectionVerbs(call)) return 'CONNECT'
  return VERBS[info.verb] ?? (METHODS.has(method) ? method : 'other')
}

function scopeOf({ name, verb, namespace }: RequestInfo): string {
  if (name !== '' || verb === 'create') return 'resource'
  return namespace === '' ? 'cluster' : 'namespace'
}
