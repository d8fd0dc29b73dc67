/** What the router counts, under the names and labels of agent-sandbox's own router. */
import Counter from 'prom-client/lib/counter.js'
import Gauge from 'prom-client/lib/gauge.js'
import Histogram from 'prom-client/lib/histogram.js'
import Registry from 'prom-client/lib/registry.js'

export type UpstreamErrorReason = 'dial' | 'timeout' | 'eof' | 'other'

export interface RouterMetrics {
  /** A request has come. Call what is returned when it is over. */
  begin(): (outcome: RequestOutcome) => void
  authorized(namespace: string, decision: 'allow' | 'deny'): void
  retried(namespace: string): void
  failed(namespace: string, reason: UpstreamErrorReason): void
  /** The router has answered in place of a sandbox. */
  answered(api: 'legacy' | 'files' | 'processes'): void
  text(): Promise<string>
  contentType: string
}

export interface RequestOutcome {
  method: string
  code: number
  /** Undefined where no namespace was found out. */
  namespace: string | undefined
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
/** As nginx counts who did not wait. */
const CLIENT_GONE = 499
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180]
/** Namespaces that have a label of their own; the text of a header must not fill the memory. */
const NAMESPACES = 1000

export function createRouterMetrics(version: string): RouterMetrics {
  const { STATUS_CODES } = process.getBuiltinModule('node:http')
  const registry = new Registry()
  const registers = [registry]
  const requestLabels = ['method', 'code', 'sandbox_namespace'] as const
  const total = new Counter({
    name: 'sandbox_router_requests_total',
    help: 'HTTP requests by method, status code and the namespace of the sandbox.',
    labelNames: requestLabels,
    registers,
  })
  const duration = new Histogram({
    name: 'sandbox_router_request_duration_seconds',
    help: 'Seconds from the beginning of a request to the end of its answer.',
    labelNames: requestLabels,
    buckets: BUCKETS,
    registers,
  })
  const inFlight = new Gauge({
    name: 'sandbox_router_inflight_requests',
    help: 'HTTP requests that are being served.',
    registers,
  })
  const errors = new Counter({
    name: 'sandbox_router_upstream_errors_total',
    help: 'Sandboxes that could not be reached or did not answer, by namespace and reason.',
    labelNames: ['sandbox_namespace', 'reason'],
    registers,
  })
  const retries = new Counter({
    name: 'sandbox_router_upstream_retries_total',
    help: 'Connections to sandboxes that were tried again.',
    labelNames: ['sandbox_namespace'],
    registers,
  })
  const decisions = new Counter({
    name: 'sandbox_router_authz_decisions_total',
    help: 'Requests that were let in and turned away, by namespace and decision.',
    labelNames: ['sandbox_namespace', 'decision'],
    registers,
  })
  const runtimeRequests = new Counter({
    name: 'caisson_router_runtime_requests_total',
    help: 'Requests that the router answered in place of a sandbox where nobody listened, by API.',
    labelNames: ['api'],
    registers,
  })
  new Gauge({
    name: 'sandbox_router_build_info',
    help: 'The version of the router.',
    labelNames: ['git_version', 'platform'],
    registers,
  }).set({ git_version: version, platform: `${process.platform}/${process.arch}` }, 1)

  const namespaces = new Set<string>()
  function label(namespace: string | undefined): string {
    if (namespace === undefined) return '-'
    if (namespaces.has(namespace)) return namespace
    if (namespaces.size >= NAMESPACES) return '-'
    namespaces.add(namespace)
    return namespace
  }

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    begin() {
      inFlight.inc()
      const started = performance.now()
      return ({ method, code, namespace }) => {
        inFlight.dec()
        const labels = {
          method: METHODS.has(method) ? method : 'other',
          code: code in STATUS_CODES || code === CLIENT_GONE ? String(code) : 'other',
          sandbox_namespace: label(namespace),
        }
        total.inc(labels)
        duration.observe(labels, (performance.now() - started) / 1000)
      }
    },
    authorized: (namespace, decision) => decisions.inc({ sandbox_namespace: label(namespace), decision }),
    retried: (namespace) => retries.inc({ sandbox_namespace: label(namespace) }),
    failed: (namespace, reason) => errors.inc({ sandbox_namespace: label(namespace), reason }),
    answered: (api) => runtimeRequests.inc({ api }),
  }
}
