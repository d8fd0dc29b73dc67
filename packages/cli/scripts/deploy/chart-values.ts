/** What the Helm chart can be told: one description, from which its values.yaml and values.schema.json are made. */
import { CONTROLLER_FLAGS } from '../../src/controller/controller-flags.ts'
import { CONTAINER_SECURITY, IMAGE_REPOSITORY, POD_SECURITY, RESOURCES } from './workload.ts'

/** A part of a JSON schema, draft 7. */
type Schema = Readonly<Record<string, unknown>>

interface Value {
  about: string
  schema: Schema
  /** Undefined leaves it out of values.yaml: then the controller's own counts. */
  value?: unknown
  /** Taken, for values that were written for agent-sandbox's chart, and not shown. */
  hidden?: boolean
}

interface Group {
  about?: string
  values: Readonly<Record<string, Value | Group>>
}

const text = (about: string, value = ''): Value => ({ about, schema: { type: 'string' }, value })
const choice = (about: string, value: boolean): Value => ({ about, schema: { type: 'boolean' }, value })
const count = (about: string, value: number, minimum = 0): Value => ({
  about,
  schema: { type: 'integer', minimum },
  value,
})
/** What the API server knows better. */
const object = (about: string, value: object | null = {}): Value => ({
  about,
  schema: { type: ['object', 'null'] },
  value,
})
const list = (about: string, items: Schema = { type: 'object' }, value: unknown[] = []): Value => ({
  about,
  schema: { type: 'array', items },
  value,
})
const words = (about: string): Value => ({
  about,
  schema: { type: 'object', additionalProperties: { type: 'string' } },
  value: {},
})

/** Of the process and not of what it does; the chart sets what it needs of them itself. */
const NOT_OF_THE_CHART = new Set([
  'kubeconfig',
  'context',
  'namespaces',
  'shard',
  'flat-group',
  'version',
  'help',
  'h',
  'metrics-bind-address',
  'metrics-secure-serving',
  'metrics-cert-dir',
  'health-probe-bind-address',
])

const FLAG_SCHEMAS = {
  boolean: { type: 'boolean' },
  integer: { type: 'integer', minimum: 0 },
  // Beyond it Helm writes an exponent.
  number: { type: 'number', maximum: 999_999 },
  duration: { type: 'string', pattern: '^([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$' },
  text: { type: 'string' },
} as const satisfies Record<string, Schema>

interface ChartFlag {
  flag: string
  /** `--kube-api-qps` is `kubeApiQps`, as in agent-sandbox's chart. */
  value: string
  about: string
  kind: keyof typeof FLAG_SCHEMAS
  works: boolean
}

export function chartFlags(): ChartFlag[] {
  const { working, withoutEffect } = CONTROLLER_FLAGS
  return Object.entries({ ...working, ...withoutEffect })
    .filter(([flag]) => !NOT_OF_THE_CHART.has(flag))
    .map(([flag, { kind, about }]) => ({
      flag,
      value: flag.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase()),
      about,
      kind,
      works: Object.hasOwn(working, flag),
    }))
}

const DEFAULT_FLAGS: Readonly<Record<string, unknown>> = { leaderElect: true, extensions: true }

function controllerValues(): Record<string, Value> {
  const flags = chartFlags().map(({ flag, value, about, kind, works }): [string, Value] => [
    value,
    {
      about: works ? `--${flag}: ${about}` : `--${flag} has no effect: ${about}`,
      schema: FLAG_SCHEMAS[kind],
      ...(value in DEFAULT_FLAGS && { value: DEFAULT_FLAGS[value] }),
      ...(!works && { hidden: true }),
    },
  ])
  return {
    ...Object.fromEntries(flags),
    namespaces: list('work in these namespaces alone, with Roles there in place of a ClusterRole; none for all', {
      type: 'string',
      pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$',
    }),
    shards: {
      about: 'Deployments that share the namespaces among them, by a hash of their names',
      schema: { type: 'integer', minimum: 1, maximum: 32 },
      value: 1,
    },
    extraArgs: list('further flags', { type: 'string' }),
  }
}

const CHART_VALUES: Group = {
  values: {
    namespace: {
      about: 'Where everything is installed.',
      values: {
        create: choice('have the release make its namespace; `helm install --create-namespace` does it besides', false),
        name: text('default: the namespace of the release'),
      },
    },
    image: {
      about: 'Made by deploy/images; there is no public one yet.',
      values: {
        repository: text('without a tag', IMAGE_REPOSITORY),
        tag: text('default: the chart’s appVersion'),
        pullPolicy: {
          about: 'as of a container',
          schema: { enum: ['Always', 'IfNotPresent', 'Never'] },
          value: 'IfNotPresent',
        },
      },
    },
    imagePullSecrets: list('such as [{name: registry}]'),
    replicaCount: count('one works, the others wait for its Lease', 1),
    podAnnotations: words('of the Pods'),
    podLabels: words('of the Pods, beside the chart’s own'),
    controller: { about: 'The flags of the process. Those without a value are not given.', values: controllerValues() },
    compat: {
      about: 'What agent-sandbox does not serve.',
      values: {
        v1alpha1: choice('serve Sandboxes in agents.x-k8s.io/v1alpha1 too', true),
        flatGroup: choice(
          'serve templates, claims and pools in agents.x-k8s.io too; kubectl’s short names then mean those',
          false,
        ),
      },
    },
    rbac: {
      about: 'What the account may do beside what every claim needs.',
      values: {
        warmEnv: choice(
          'for templates with envVarsDelivery: Warm: read single Secrets and ConfigMaps, and make and delete Secrets, in the namespaces that are worked in',
          false,
        ),
      },
    },
    crds: {
      values: {
        install: choice('with the release, and upgraded with it', true),
        keep: choice('when the release is uninstalled, and with them all their objects', true),
      },
    },
    serviceAccount: { values: { annotations: words('of the account') } },
    resources: object('of the container', RESOURCES),
    nodeSelector: words('of the Pods'),
    tolerations: list('of the Pods'),
    affinity: object('of the Pods'),
    podSecurityContext: object('of the Pods', POD_SECURITY),
    containerSecurityContext: object('of the container', CONTAINER_SECURITY),
    priorityClass: {
      about: 'Which Pods make room for the controllers.',
      values: {
        create: choice('make one', false),
        name: text('of it, or of one that is there', ''),
        value: {
          about: 'of the one that is made',
          schema: { type: 'integer', maximum: 1_000_000_000 },
          value: 1_000_000,
        },
      },
    },
    podDisruptionBudget: {
      values: {
        enabled: choice('make one for each shard; of use with two replicas or more', false),
        maxUnavailable: { about: 'number or percentage', schema: { type: ['integer', 'string'] }, value: 1 },
      },
    },
    networkPolicy: {
      about: 'What the controllers reach, and who reaches them: their probes, their metrics, the API server and DNS.',
      values: {
        enabled: choice('make one', false),
        metricsFrom: list('peers that may scrape; none for everybody of the cluster'),
        apiServerPorts: list(
          'where the API server listens',
          { type: 'integer', minimum: 1, maximum: 65_535 },
          [443, 6443],
        ),
      },
    },
    apf: {
      about: 'API Priority and Fairness: seats of the API server for the controllers, as of agent-sandbox’s overlay.',
      values: {
        enabled: choice('make FlowSchemas and PriorityLevelConfigurations', false),
        criticalShares: count('of what claims wait for, lent to nobody', 40, 1),
        bulkShares: count('of everything else, 75 % of them lendable', 25, 1),
      },
    },
    service: { values: { name: text('of the Service of the metrics', 'agent-sandbox-controller') } },
    metrics: {
      values: {
        tls: {
          about: 'Serve them over TLS, on port 8443.',
          values: {
            enabled: choice('serve them so', false),
            secretName: text('Secret with tls.crt and tls.key', 'agent-sandbox-metrics-tls'),
          },
        },
        serviceMonitor: {
          about: 'For the Prometheus operator.',
          values: {
            enabled: choice('make one', false),
            additionalLabels: words('by which Prometheus selects it'),
            interval: text('of scrapes', '30s'),
            scrapeTimeout: text('Prometheus’ unless said'),
          },
        },
        prometheusRule: {
          about: 'For the Prometheus operator.',
          values: {
            enabled: choice('make one', false),
            additionalLabels: words('by which Prometheus selects it'),
            additionalGroups: list('of rules, beside the chart’s own'),
          },
        },
      },
    },
  },
}

/** values.schema.json: what is not described is an error, which Helm reports with its path. */
export function valuesSchema(): object {
  return { $schema: 'http://json-schema.org/draft-07/schema#', title: 'caisson', ...schemaOf(CHART_VALUES) }
}

function schemaOf(described: Value | Group): object {
  if (!('values' in described)) return { description: described.about, ...described.schema }
  const properties = Object.entries(described.values).map(([name, inner]) => [name, schemaOf(inner)])
  return {
    ...(described.about !== undefined && { description: described.about }),
    type: 'object',
    additionalProperties: false,
    properties: {
      ...Object.fromEntries(properties),
      ...(described === CHART_VALUES && { global: { type: 'object' } }),
    },
  }
}

/** values.yaml, each value below what it is. */
export function valuesYaml(stringify: (value: unknown) => string): string {
  return yamlOf(CHART_VALUES, '', stringify)
}

function yamlOf(group: Group, indent: string, stringify: (value: unknown) => string): string {
  let text = ''
  for (const [name, described] of Object.entries(group.values)) {
    if ('hidden' in described) continue
    if (indent === '') text += '\n'
    if (described.about) text += `${indent}# ${described.about}\n`
    if ('values' in described) text += `${indent}${name}:\n${yamlOf(described, `${indent}  `, stringify)}`
    else if (described.value === undefined) text += `${indent}# ${name}:\n`
    else text += stringify({ [name]: described.value }).replace(/^(?=.)/gm, indent)
  }
  return text
}
