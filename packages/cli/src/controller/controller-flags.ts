/** The flags of agent-sandbox's controller, of all its versions, and ours. docs/compatibility.md has them as a table. */
import { CliError } from '../cli-error.ts'
import { type GoFlag, parseGoFlags } from './go-flags.ts'

type Flags = Readonly<Record<string, GoFlag>>

/** What does what it says. */
const WORKING = {
  kubeconfig: {
    kind: 'text',
    about: 'file that says where the cluster is (default: KUBECONFIG, then the Pod’s account)',
  },
  context: { kind: 'text', about: 'of the kubeconfig (default: its current one)' },
  'leader-elect': { kind: 'boolean', about: 'work only while holding the Lease (true)' },
  'leader-election-namespace': { kind: 'text', about: 'of the Lease (default: the Pod’s, else agent-sandbox-system)' },
  'metrics-bind-address': { kind: 'text', about: 'host:port of /metrics, or 0 for none (:8080)' },
  'metrics-secure-serving': { kind: 'boolean', about: 'serve /metrics over TLS; needs --metrics-cert-dir (false)' },
  'metrics-cert-dir': { kind: 'text', about: 'directory of tls.crt and tls.key for /metrics' },
  'tls-min-version': { kind: 'text', about: 'of TLS of /metrics: VersionTLS12 or VersionTLS13 (VersionTLS12)' },
  'health-probe-bind-address': { kind: 'text', about: 'host:port of /healthz and /readyz, or 0 for none (:8081)' },
  namespaces: { kind: 'text', about: 'comma-separated: work in these alone, at most 100 (all)' },
  shard: {
    kind: 'text',
    about: 'INDEX/COUNT, such as 0/3: work in this part of the namespaces, by a hash of their names (all)',
  },
  extensions: { kind: 'boolean', about: 'run templates, claims and pools too (false)' },
  'flat-group': {
    kind: 'boolean',
    about: 'keep the kinds of manuals in agents.x-k8s.io in agreement, where served (true)',
  },
  'cluster-domain': { kind: 'text', about: 'of Services (cluster.local)' },
  'kube-api-qps': { kind: 'number', about: 'requests a second; below 0 for no limit, 0 for 20 (-1)' },
  'kube-api-burst': { kind: 'integer', about: 'requests at once, where --kube-api-qps limits them (10)' },
  'api-connections': { kind: 'integer', about: 'connections for requests, one request each at a time (32)' },
  'sandbox-concurrent-workers': { kind: 'integer', about: 'Sandboxes at the same time (100)' },
  'sandbox-claim-concurrent-workers': { kind: 'integer', about: 'claims at the same time (50)' },
  'sandbox-warm-pool-concurrent-workers': { kind: 'integer', about: 'pools at the same time (10)' },
  'sandbox-template-concurrent-workers': { kind: 'integer', about: 'templates at the same time (10)' },
  'sandbox-warm-pool-max-batch-size': { kind: 'integer', about: 'members made or deleted in one go (300)' },
  'sandbox-warm-pool-readiness-grace-period': { kind: 'duration', about: 'how long members may take to be Ready (5m)' },
  'enable-warm-pool-eviction': { kind: 'boolean', about: 'members may be evicted by a cluster autoscaler (true)' },
  'disable-sandbox-events': { kind: 'boolean', about: 'record no events about Sandboxes (false)' },
  'disable-claim-events': { kind: 'boolean', about: 'record no events about claims (false)' },
  'sandbox-config-dir': {
    kind: 'text',
    about: 'where ConfigMap agent-sandbox-config is mounted; read from the API where it is not (/etc/sandbox-config)',
  },
  'disable-claim-observability-annotations': { kind: 'boolean', about: 'write no times into annotations (false)' },
  'enable-tracing': {
    kind: 'boolean',
    about: 'send spans of what belongs to a trace by OTLP over HTTP, to OTEL_EXPORTER_OTLP_ENDPOINT (false)',
  },
  'zap-encoder': { kind: 'text', about: 'the form of the log: console, or json with an object a line (console)' },
  'zap-log-level': { kind: 'text', about: 'the least that the log says: debug or info, or error (info)' },
  version: { kind: 'boolean', about: 'print the version' },
  help: { kind: 'boolean', about: 'print this' },
  h: { kind: 'boolean', about: 'print this' },
} as const satisfies Flags

/** What is read, and changes nothing: `about` says why. */
const WITHOUT_EFFECT = {
  'enable-pprof': { kind: 'boolean', about: 'profiles are of Go' },
  'enable-pprof-debug': { kind: 'boolean', about: 'profiles are of Go' },
  'pprof-block-profile-rate': { kind: 'integer', about: 'profiles are of Go' },
  'pprof-mutex-profile-fraction': { kind: 'integer', about: 'profiles are of Go' },
  'separate-watch-connection': { kind: 'boolean', about: 'watches always have connections of their own' },
  'enable-rest-client-metrics': { kind: 'boolean', about: 'writes are always counted' },
  'sandbox-warm-pool-replenish-delay': { kind: 'duration', about: 'pools yield to waiting claims by themselves' },
  'sandbox-warm-pool-max-refill-rate': { kind: 'number', about: 'pools yield to waiting claims by themselves' },
  'sandbox-warm-pool-unschedulable-recheck-interval': {
    kind: 'duration',
    about: 'pools follow their members’ changes',
  },
  'sandbox-claim-warm-candidate-grace-period': { kind: 'duration', about: 'claims follow their candidates’ changes' },
  'cache-label-selectors': { kind: 'boolean', about: 'whole kinds are followed' },
  'sandbox-write-behind-window': { kind: 'duration', about: 'a pass writes a status once' },
  'tls-cipher-suites': { kind: 'text', about: 'the suites are those of Node' },
  'webhook-port': { kind: 'integer', about: 'there is no conversion webhook' },
  'webhook-cert-dir': { kind: 'text', about: 'there is no conversion webhook' },
  'webhook-cert-name': { kind: 'text', about: 'there is no conversion webhook' },
  'webhook-key-name': { kind: 'text', about: 'there is no conversion webhook' },
  'webhook-service-name': { kind: 'text', about: 'there is no conversion webhook' },
  'webhook-namespace': { kind: 'text', about: 'there is no conversion webhook' },
  'manage-webhook-certs': { kind: 'boolean', about: 'there is no conversion webhook' },
  'enable-webhook': { kind: 'boolean', about: 'there is no conversion webhook' },
  'zap-devel': { kind: 'boolean', about: '--zap-encoder and --zap-log-level say what the log is like' },
  'zap-stacktrace-level': { kind: 'text', about: 'the log has no stack traces' },
  'zap-time-encoding': { kind: 'text', about: 'times are of RFC 3339' },
} as const satisfies Flags

export const CONTROLLER_FLAGS: { working: Flags; withoutEffect: Flags } = {
  working: WORKING,
  withoutEffect: WITHOUT_EFFECT,
}

export type ControllerFlags = ReturnType<typeof parseGoFlags<typeof WORKING>>

/**
 * @returns the flags that were given, and a sentence for each that has no effect
 * @throws CliError that names the flag
 */
export function parseControllerFlags(words: readonly string[]): { flags: ControllerFlags; ignored: string[] } {
  const given = parseGoFlags({ ...WORKING, ...WITHOUT_EFFECT }, words)
  const ignored = Object.entries(WITHOUT_EFFECT).flatMap(([name, { about }]) =>
    Object.hasOwn(given, name) ? [`--${name} has no effect: ${about}`] : [],
  )
  for (const [name, { kind }] of Object.entries(WORKING)) {
    if (kind !== 'integer') continue
    const value = given[name as keyof typeof given]
    if (typeof value === 'number' && !(value >= 1 && value <= 10_000))
      throw new CliError('usage', `--${name} takes a number from 1 to 10000, not ${value}`)
  }
  requireOneOf(given, 'zap-encoder', ['console', 'json'])
  requireOneOf(given, 'zap-log-level', ['debug', 'info', 'error'])
  requireOneOf(given, 'tls-min-version', ['VersionTLS12', 'VersionTLS13'])
  if (given['metrics-secure-serving'] && !given['metrics-cert-dir'])
    throw new CliError('usage', '--metrics-secure-serving needs --metrics-cert-dir, a directory of tls.crt and tls.key')
  for (const name of ['metrics-cert-dir', 'tls-min-version'] as const)
    if (given[name] !== undefined && !given['metrics-secure-serving'])
      throw new CliError('usage', `--${name} needs --metrics-secure-serving`)
  return { flags: given, ignored }
}

function requireOneOf<K extends string>(given: { [N in K]?: string }, name: K, values: readonly string[]): void {
  const value = given[name]
  if (value !== undefined && !values.includes(value))
    throw new CliError('usage', `--${name} takes ${values.join(' or ')}, not ${JSON.stringify(value)}`)
}

export function controllerHelp(): string {
  const lines = (flags: Flags): string[] =>
    Object.entries(flags).map(([name, { about }]) => `  --${name.padEnd(50)}${about}`)
  return [
    'Usage: caisson controller [flags]',
    '',
    'Run the controllers of agent-sandbox’s kinds against a Kubernetes cluster, until told to stop.',
    '',
    ...lines(WORKING),
    '',
    'Accepted without effect:',
    ...lines(WITHOUT_EFFECT),
  ].join('\n')
}
