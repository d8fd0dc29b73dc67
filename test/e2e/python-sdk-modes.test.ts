/** The published Python SDK by a Gateway, and within the cluster: by the router's Service, and at Pods that serve themselves. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, run, startCluster } from './fixture.ts'
import { hasPython, pythonWithSdk } from './python-sdk/environment.ts'
import { ROUTED, SINCE, seenAsynchronously, VERSIONS } from './python-sdk/expected.ts'

const CAISSON = join(import.meta.dirname, '../../bin/caisson')
const SCRIPTS = join(import.meta.dirname, 'python-sdk')
/** Installing the SDK for the first time takes most of it. */
const SETUP_MS = 400_000
/** A port that plain HTTP has without saying so, at an address that nobody else has. */
const GATEWAY = '127.80.80.80'

function pool(name: string, command: string[], template: object = {}): object[] {
  const containers = [{ name: 'main', image: 'caisson.dev/host', command, workingDir: '/tmp' }]
  const extensions = { apiVersion: 'extensions.agents.x-k8s.io/v1beta1', metadata: { name } }
  return [
    { ...extensions, kind: 'SandboxTemplate', spec: { podTemplate: { spec: { containers } }, ...template } },
    { ...extensions, kind: 'SandboxWarmPool', spec: { replicas: 2, sandboxTemplateRef: { name } } },
  ]
}

/** As much of the Gateway API as the SDK reads. */
const GATEWAYS = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: {
    name: 'gateways.gateway.networking.k8s.io',
    annotations: { 'api-approved.kubernetes.io': 'unapproved, a test' },
  },
  spec: {
    group: 'gateway.networking.k8s.io',
    scope: 'Namespaced',
    names: { kind: 'Gateway', plural: 'gateways', singular: 'gateway', listKind: 'GatewayList' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
}

/** A Pod that runs the SDK, as a user who may claim sandboxes and execute in them. */
function workload(pythons: readonly string[]): object[] {
  const at = { name: 'sdk', namespace: 'work' }
  const rbac = 'rbac.authorization.k8s.io'
  const rule = (apiGroups: string[], resources: string[], verbs: string[]) => ({ apiGroups, resources, verbs })
  const rules = [
    rule(['extensions.agents.x-k8s.io'], ['sandboxclaims'], ['create', 'get', 'list', 'watch', 'delete']),
    rule(['extensions.agents.x-k8s.io'], ['sandboxwarmpools', 'sandboxtemplates'], ['get', 'list']),
    rule(['agents.x-k8s.io'], ['sandboxes'], ['get', 'list', 'watch']),
    rule([''], ['pods'], ['get', 'list']),
    rule([''], ['pods/exec', 'pods/portforward'], ['create']),
  ]
  // The environments, and what they stand on where that is not the image's own.
  const real = pythons.map((python) => dirname(dirname(realpathSync(python))))
  const mounted = [
    ...pythons.map((python) => dirname(dirname(python))),
    ...real.filter((path) => path !== '/usr'),
    SCRIPTS,
  ]
  const paths = [...new Set(mounted)].map((path, index) => ({ name: `path-${index}`, path }))
  const client = (name: string, more: object = {}) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: at.namespace, labels: { app: name } },
    spec: {
      containers: [
        {
          name: 'main',
          image: 'caisson.dev/host',
          volumeMounts: paths.map(({ name, path }) => ({ name, mountPath: path, readOnly: true })),
        },
      ],
      volumes: paths.map(({ name, path }) => ({ name, hostPath: { path } })),
      ...more,
    },
  })
  return [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: at.namespace, labels: { 'pod-security.kubernetes.io/enforce': 'privileged' } },
    },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: at },
    { apiVersion: `${rbac}/v1`, kind: 'Role', metadata: { name: 'sdk' }, rules },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata: { name: 'sdk' },
      roleRef: { apiGroup: rbac, kind: 'Role', name: 'sdk' },
      subjects: [{ kind: 'ServiceAccount', ...at }],
    },
    client('sdk', { serviceAccountName: 'sdk' }),
    client('stranger'),
    client('closed', { serviceAccountName: 'sdk' }),
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'closed', namespace: at.namespace },
      spec: { podSelector: { matchLabels: { app: 'closed' } }, policyTypes: ['Egress'] },
    },
  ]
}

describe.skipIf(!hasPython())('the published Python SDK', () => {
  let cluster: Cluster
  const pythons = new Map<string, string>()
  const stack = new AsyncDisposableStack()
  beforeAll(async () => {
    for (const version of VERSIONS) pythons.set(version, await pythonWithSdk(version))
    cluster = stack.use(await startCluster())
    const runtime = ['python3', '-c', readFileSync(join(SCRIPTS, 'runtime.py'), 'utf8')]
    const items = [
      GATEWAYS,
      ...pool('pool', ['sleep', '100000']),
      ...pool('served', runtime, { networkPolicyManagement: 'Unmanaged', service: true }),
      ...workload([...pythons.values()]),
    ]
    await cluster.mustKubectl(['apply', '-f', '-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    })
    await cluster.mustKubectl(['wait', '--for=condition=Established', 'crd/gateways.gateway.networking.k8s.io'])
    for (const name of ['pool', 'served'])
      await cluster.mustKubectl(['wait', '--for=jsonpath={.status.readyReplicas}=2', `swp/${name}`, '--timeout=90s'])
    await cluster.mustKubectl(['-n', 'work', 'wait', '--for=condition=Ready', 'pod', '--all', '--timeout=90s'])
  }, SETUP_MS)
  afterAll(() => stack.disposeAsync())

  const inPod = (pod: string, ...command: string[]) => cluster.kubectl(['-n', 'work', 'exec', pod, '--', ...command])

  async function seen(version: string, script: string, ...args: string[]): Promise<unknown> {
    const { code, stdout, stderr } = await inPod('sdk', pythons.get(version) ?? '', join(SCRIPTS, script), ...args)
    if (code !== 0) throw new Error(`${script} with ${version} exited with ${code}\n${stdout}\n${stderr}`)
    return JSON.parse(stdout)
  }

  test.each(VERSIONS)('%s in a Pod, by the router’s Service and with the Pod’s token', async (version) => {
    expect(await seen(version, 'sync.py', 'pod')).toEqual({ ...ROUTED, ...SINCE[version]?.every })
  })

  test.each(VERSIONS)('%s in a Pod, asynchronously, with the token as a password', async (version) => {
    const url = 'http://pod:TOKEN@sandbox-router-svc.agent-sandbox-system.svc.cluster.local:8080'
    expect(await seen(version, 'asynchronous.py', url)).toEqual(seenAsynchronously(version))
  })

  test.each(VERSIONS)('%s in a Pod, at the Pod of a sandbox that serves itself', async (version) => {
    expect(await seen(version, 'in_cluster.py', 'legacy')).toEqual({ output: 'the image ran hello', read: 'content' })
  })

  test.each(['in-cluster-service', 'in-cluster-pod-ip'])('1.0.8 in a Pod, with sandboxd’s API: %s', async (mode) => {
    expect(await seen('1.0.8', 'in_cluster.py', mode)).toEqual({ read: 'content' })
  })

  test('the router asks Pods who they are, and policies whether they may come', async () => {
    const ask = (token: string) => `
import urllib.request, urllib.error
headers = {"X-Sandbox-ID": "none", ${token}}
request = urllib.request.Request("http://sandbox-router-svc.agent-sandbox-system.svc.cluster.local:8080/", headers=headers)
try:
    urllib.request.urlopen(request, timeout=10)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError:
    print("closed")
`
    const own = '"Authorization": "Bearer " + open("/var/run/secrets/kubernetes.io/serviceaccount/token").read()'
    const said = async (pod: string, token: string): Promise<string> =>
      (await inPod(pod, 'python3', '-c', ask(token))).stdout.trim()
    expect({
      'may execute': await said('sdk', own),
      'shows nothing': await said('sdk', ''),
      'may nothing': await said('stranger', own),
      'may not go out': await said('closed', own),
    }).toEqual({ 'may execute': '502', 'shows nothing': '401', 'may nothing': '403', 'may not go out': 'closed' })
  })

  test.each(VERSIONS)('%s by a Gateway', async (version) => {
    await using gateway = new AsyncDisposableStack()
    const child = spawn(CAISSON, ['router', '--listen', `${GATEWAY}:80`], { env: { ...process.env, ...cluster.env } })
    gateway.defer(async () => {
      const ended = once(child, 'exit')
      child.kill()
      await ended
    })
    const ended = once(child, 'exit').then(async () => {
      throw new Error(`the router ended: ${await text(child.stderr)}`)
    })
    ended.catch(() => {})
    await Promise.race([once(createInterface(child.stdout), 'line'), ended])
    const object = {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      metadata: { name: 'router' },
      status: { addresses: [{ type: 'IPAddress', value: GATEWAY }] },
    }
    await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(object) })
    const { code, stdout, stderr } = await run(pythons.get(version) ?? '', [join(SCRIPTS, 'sync.py'), 'gateway'], {
      env: cluster.env,
    })
    expect([code, stderr === '' || code === 0 ? '' : stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toEqual({ ...ROUTED, ...SINCE[version]?.every })
  })
})
