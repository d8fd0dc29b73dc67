/** deploy/helm/caisson with a Helm that was built from its Go module, against a real control plane. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import type { Rule } from '../../packages/cli/scripts/deploy/permissions.ts'
import { buildBeside, hasGo } from '../cluster/build-control-plane.ts'
import { type RealCluster, startRealCluster } from '../cluster/real-cluster.ts'
import { findKubectl, must, run } from './fixture.ts'

const ROOT = join(import.meta.dirname, '../..')
const CHART = join(ROOT, 'deploy/helm/caisson')
const SYSTEM = 'agent-sandbox-system'
const LIMIT_MS = 300_000

const possible = hasGo()
if (!possible) console.log('not run: Helm is built from its Go module, and Go is not there')

let plane: RealCluster
let helmPath: string
let home: string

beforeAll(async () => {
  if (!possible) return
  helmPath = await buildBeside('helm')
  home = mkdtempSync(join(tmpdir(), 'caisson-helm-'))
  plane = await startRealCluster({ controllers: false })
}, LIMIT_MS)

afterAll(async () => {
  await plane?.[Symbol.asyncDispose]()
  if (home) rmSync(home, { recursive: true, force: true })
})

const kubectlPath = () => findKubectl() ?? expect.fail('kubectl was not built with the control plane')
const environment = () => ({ KUBECONFIG: plane.kubeconfig, HOME: home, HELM_CACHE_HOME: home, HELM_CONFIG_HOME: home })
const helm = (...args: string[]) => run(helmPath, args, { env: environment() })
const kubectl = (args: string[], input?: string) =>
  run(kubectlPath(), args, { env: environment(), ...(input !== undefined && { input }) })

/** Names of what the cluster has of a resource. */
const names = async (...args: string[]) =>
  (await must(kubectl(['get', ...args, '-o', 'name']))).trim().split('\n').filter(Boolean).sort()

const EVERYTHING = {
  replicaCount: 2,
  controller: {
    shards: 2,
    namespaces: ['default', 'kube-public'],
    sandboxConcurrentWorkers: 2000,
    kubeApiBurst: 2_000_000,
    kubeApiQps: -1,
    // Without effect, as in values that were written for agent-sandbox's chart.
    enablePprof: false,
    zapEncoder: 'json',
    extraArgs: ['--api-connections=16'],
  },
  compat: { flatGroup: true },
  rbac: { warmEnv: true },
  imagePullSecrets: [{ name: 'registry' }],
  podAnnotations: { 'example.com/note': '1' },
  podLabels: { team: 'platform' },
  serviceAccount: { annotations: { 'example.com/role': 'a' } },
  nodeSelector: { 'kubernetes.io/os': 'linux' },
  tolerations: [{ key: 'control', operator: 'Exists' }],
  affinity: { nodeAffinity: {} },
  priorityClass: { create: true },
  podDisruptionBudget: { enabled: true },
  networkPolicy: { enabled: true, metricsFrom: [{ namespaceSelector: { matchLabels: { monitoring: 'yes' } } }] },
  apf: { enabled: true },
}

const VALUES: readonly (readonly [string, object])[] = [
  ['none', {}],
  ['core alone', { controller: { extensions: false }, compat: { v1alpha1: false } }],
  ['namespaced', { controller: { namespaces: ['default'] } }],
  ['TLS', { metrics: { tls: { enabled: true } }, networkPolicy: { enabled: true } }],
  ['everything', EVERYTHING],
]

function valuesFile(name: string, values: object): string {
  const file = join(home, `${name.replaceAll(' ', '-')}.json`)
  writeFileSync(file, JSON.stringify(values))
  return file
}

test.skipIf(!possible)('has nothing that helm lint objects to', async () => {
  const version = ['--kube-version', 'v1.34.0']
  for (const [name, values] of VALUES)
    expect(await must(helm('lint', '--strict', CHART, ...version, '-f', valuesFile(name, values)))).toContain(
      '1 chart(s) linted, 0 chart(s) failed',
    )
})

test.skipIf(!possible)('refuses values that there are not, and says where', async () => {
  const wrong = { controller: { sandboxConcurentWorkers: 3, leaderElect: 'yes' } }
  const { code, stderr } = await helm('template', 'caisson', CHART, '-f', valuesFile('wrong', wrong))
  expect(code).toBe(1)
  expect(stderr).toContain("at '/controller': additional properties 'sandboxConcurentWorkers' not allowed")
  expect(stderr).toContain("at '/controller/leaderElect': got string, want boolean")
})

/** `VERB RESOURCE` of a group that the account may with these values. */
async function granted(name: string, values: object, group: string): Promise<Set<string>> {
  const args = ['--kube-version', 'v1.34.0', '-f', valuesFile(name, values), '-s', 'templates/rbac.yaml']
  const roles = parseAllDocuments(await must(helm('template', 'caisson', CHART, ...args))).map((each) => each.toJS())
  const rules = roles.flatMap(({ rules = [] }) => rules as Rule[]).filter(({ apiGroups }) => apiGroups.includes(group))
  return new Set(
    rules.flatMap(({ verbs, resources }) => resources.flatMap((each) => verbs.map((verb) => `${verb} ${each}`))),
  )
}

test.skipIf(!possible)('lets the account do no more than it does with the values', async () => {
  const canonical = 'extensions.agents.x-k8s.io'
  const kinds = ['sandboxclaims', 'sandboxtemplates', 'sandboxwarmpools']
  const followed = kinds.flatMap((kind) => ['get', 'list', 'watch'].map((verb) => `${verb} ${kind}`))
  const own = ['patch sandboxclaims', 'delete sandboxclaims', 'patch sandboxtemplates']
  const statuses = ['patch sandboxclaims/status', 'patch sandboxwarmpools/status']
  const least = new Set([...followed, ...own, ...statuses, ...kinds.map((kind) => `update ${kind}/finalizers`)])
  const made = kinds.flatMap((kind) => ['create', 'patch', 'delete'].map((verb) => `${verb} ${kind}`))
  expect(await granted('none', {}, canonical)).toEqual(least)
  expect(await granted('flat', { compat: { flatGroup: true } }, canonical)).toEqual(new Set([...least, ...made]))
  const ofSecrets = async (name: string, values: object) =>
    [...(await granted(name, values, ''))].filter((each) => each.endsWith(' secrets'))
  expect(await ofSecrets('none', {})).toEqual([])
  expect(await ofSecrets('warm', { rbac: { warmEnv: true } })).toEqual([
    'get secrets',
    'create secrets',
    'delete secrets',
  ])
})

test.skipIf(!possible).each(VALUES)('with values: %s: is taken strictly by kube-apiserver', async (name, values) => {
  const args = ['--kube-version', 'v1.34.0', '-n', 'default', '-f', valuesFile(name, values)]
  const rendered = await must(helm('template', 'caisson', CHART, ...args))
  const { code, stdout, stderr } = await kubectl(
    ['apply', '--dry-run=server', '--validate=strict', '-f', '-'],
    rendered,
  )
  expect([code, stderr]).toEqual([0, ''])
  expect(stdout.trim().split('\n').length).toBe(rendered.match(/^kind: /gm)?.length)
})

test.skipIf(!possible)('has a ServiceMonitor and rules for the Prometheus operator', async () => {
  const metrics = {
    tls: { enabled: true },
    serviceMonitor: { enabled: true, additionalLabels: { release: 'prometheus' }, scrapeTimeout: '10s' },
    prometheusRule: { enabled: true, additionalGroups: [{ name: 'mine', rules: [{ record: 'one', expr: '1' }] }] },
  }
  const templates = ['servicemonitor', 'prometheusrule'].flatMap((name) => ['-s', `templates/${name}.yaml`])
  const args = ['--kube-version', 'v1.34.0', '-n', SYSTEM, '-f', valuesFile('metrics', { metrics }), ...templates]
  const rendered = parseAllDocuments(await must(helm('template', 'caisson', CHART, ...args))).map((each) => each.toJS())
  const [rule, monitor] = rendered.sort((one, two) => one.kind.localeCompare(two.kind))
  expect(monitor.metadata.labels).toMatchObject({ release: 'prometheus', app: 'agent-sandbox-controller' })
  expect(monitor.spec).toEqual({
    selector: { matchLabels: { 'app.kubernetes.io/name': 'agent-sandbox', 'app.kubernetes.io/instance': 'caisson' } },
    endpoints: [
      {
        port: 'metrics',
        path: '/metrics',
        scheme: 'https',
        tlsConfig: {
          ca: { secret: { name: 'agent-sandbox-metrics-tls', key: 'ca.crt' } },
          serverName: `agent-sandbox-controller.${SYSTEM}.svc`,
        },
        interval: '30s',
        scrapeTimeout: '10s',
      },
    ],
  })
  const [own, mine] = rule.spec.groups
  expect(mine).toEqual({ name: 'mine', rules: [{ record: 'one', expr: '1' }] })
  const of = `namespace="${SYSTEM}", service="agent-sandbox-controller"`
  expect(own.rules.map((each: { alert: string; expr: string }) => `${each.alert}: ${each.expr}`)).toEqual([
    `AgentSandboxControllerMetricsTargetsDown: absent(up{${of}} == 1)`,
    `AgentSandboxControllerNoLeader: sum(leader_election_master_status{${of}}) < 1`,
    `AgentSandboxControllerErrors: sum by (controller) (rate(controller_runtime_reconcile_errors_total{${of}}[10m])) > 0.1`,
    `AgentSandboxClaimsSlow: histogram_quantile(0.9, sum by (le, launch_type) (rate(agent_sandbox_claim_controller_startup_latency_ms_bucket{${of}}[10m]))) > 5000`,
  ])
})

test.skipIf(!possible)('is installed, upgraded without drift, and uninstalled without a loss', async () => {
  const [, install = ''] = /^helm (install .*)$/m.exec(readFileSync(join(ROOT, 'README.md'), 'utf8')) ?? []
  await must(run(helmPath, install.split(' '), { env: environment(), cwd: ROOT }))
  expect(
    await names('deployments,services,serviceaccounts', '-n', SYSTEM, '-l', 'app=agent-sandbox-controller'),
  ).toEqual([
    'deployment.apps/agent-sandbox-controller',
    'service/agent-sandbox-controller',
    'serviceaccount/agent-sandbox-controller',
  ])
  const manifest = await must(helm('get', 'manifest', 'caisson', '-n', SYSTEM))
  expect(await kubectl(['diff', '-f', '-'], manifest)).toEqual({ code: 0, stdout: '', stderr: '' })
  const sandbox = {
    apiVersion: 'agents.x-k8s.io/v1alpha1',
    kind: 'Sandbox',
    metadata: { name: 'kept' },
    spec: { podTemplate: { spec: { containers: [{ name: 'main', image: 'example.com/main' }] } } },
  }
  await must(kubectl(['apply', '-f', '-'], JSON.stringify(sandbox)))

  await must(helm('upgrade', 'caisson', CHART, '-n', SYSTEM, '-f', valuesFile('everything', EVERYTHING)))
  expect(await names('deployments', '-n', SYSTEM)).toEqual([
    'deployment.apps/agent-sandbox-controller',
    'deployment.apps/agent-sandbox-controller-1',
  ])
  expect(await names('roles', '-n', 'kube-public', '-l', 'app=agent-sandbox-controller')).toEqual([
    'role.rbac.authorization.k8s.io/agent-sandbox-controller',
  ])
  expect(await names('crds', '-l', 'app=agent-sandbox-controller')).toHaveLength(8)
  const upgraded = await must(helm('get', 'manifest', 'caisson', '-n', SYSTEM))
  expect(await kubectl(['diff', '-f', '-'], upgraded)).toEqual({ code: 0, stdout: '', stderr: '' })
  // Older clients of the first version are not served any more, and what they made is still there.
  await must(helm('upgrade', 'caisson', CHART, '-n', SYSTEM, '--set', 'compat.v1alpha1=false'))
  const versions = ['get', 'crd', 'sandboxes.agents.x-k8s.io', '-o', 'jsonpath={.spec.versions[*].name}']
  expect(await must(kubectl(versions))).toBe('v1beta1')

  await must(helm('uninstall', 'caisson', '-n', SYSTEM))
  expect(await names('deployments,services,roles', '-n', SYSTEM)).toEqual([])
  expect(await names('clusterroles,flowschemas,priorityclasses', '-l', 'app=agent-sandbox-controller')).toEqual([])
  expect(await names('sandboxes.v1beta1.agents.x-k8s.io', '-n', 'default')).toEqual(['sandbox.agents.x-k8s.io/kept'])
})
