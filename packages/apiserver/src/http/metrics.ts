/** `/metrics`, with the names and labels of kube-apiserver. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Call, RequestInfo } from '../verbs/call.ts'
import { connectionVerbs } from './node-paths.ts'

export interface Metrics {
  /** Counts a request that was answered. `served` is false where no such resource exists: its name would be anybody's text. */
  observe(call: Call, outcome: RequestOutcome): void
  /** A watch or another long-running request began. Call what is returned when it is over. */
  begin(call: Call): () => void
  text(): Promise<string>
  contentType: string
}

export interface RequestOutcome {
  code: number
  seconds: number
  served: boolean
}

const REQUEST_LABELS = ['verb', 'group', 'version', 'resource', 'subresource', 'scope', 'component'] as const
const BUCKETS = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60]

export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const total = new Counter({
    name: 'apiserver_request_total',
    help: 'Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.',
    labelNames: [...REQUEST_LABELS, 'dry_run', 'code'],
    registers: [registry],
  })
  const duration = new Histogram({
    name: 'apiserver_request_duration_seconds',
    help: 'Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.',
    labelNames: [...REQUEST_LABELS, 'dry_run'],
    buckets: BUCKETS,
    registers: [registry],
  })
  const running = new Gauge({
    name: 'apiserver_longrunning_requests',
    help: 'Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component.',
    labelNames: [...REQUEST_LABELS],
    registers: [registry],
  })

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    observe(call, { code, seconds, served }) {
      const labels = { ...labelsOf(call, served), dry_run: call.query.dryRun === 'All' ? 'All' : '' }
      total.inc({ ...labels, code }, 1)
      duration.observe(labels, seconds)
    },
    begin(call) {
      const labels = labelsOf(call, true)
      running.inc(labels)
      return () => running.dec(labels)
    },
  }
}

function labelsOf(call: Call, served: boolean) {
  const { info } = call
  const known = info.isResource && served
  return {
    verb: metricVerb(call),
    group: known ? info.group : '',
    version: known ? info.version : '',
    resource: known ? info.resource : '',
    subresource: known ? info.subresource : '',
    scope: known ? scopeOf(info) : '',
    component: 'apiserver',
  }
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
