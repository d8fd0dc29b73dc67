/** The image of the controllers: built without a container engine, and run under gVisor by the embedded cluster. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseAllDocuments, stringify } from 'yaml'
import { type Cluster, run, startCluster } from './fixture.ts'

const ROOT = join(import.meta.dirname, '../..')
const NAMESPACE = 'operator-image'
const LEASE = 'a3317529.agent-sandbox.x-k8s.io'
const IMAGE = 'caisson.dev/agent-sandbox-controller:0.1.0'

let cluster: Cluster

beforeAll(async () => {
  cluster = await startCluster()
})

afterAll(() => cluster?.[Symbol.asyncDispose]())

/** deploy/manifests/manifest.yaml in another namespace: in its own one the embedded cluster shows its own controllers. */
function manifest(): string {
  const text = readFileSync(join(ROOT, 'deploy/manifests/manifest.yaml'), 'utf8')
  const objects = parseAllDocuments(text).map((document) => document.toJS())
  const [deployment] = objects.filter(({ kind }) => kind === 'Deployment')
  deployment.spec.template.spec.containers[0].args.push(`--namespaces=${NAMESPACE}`)
  return objects
    .filter(({ kind }) => kind !== 'CustomResourceDefinition' && kind !== 'Namespace')
    .map((object) => stringify(object).replaceAll('agent-sandbox-system', NAMESPACE))
    .join('---\n')
}

const holder = () =>
  cluster.mustKubectl(['get', 'lease', LEASE, '-n', NAMESPACE, '-o', 'jsonpath={.spec.holderIdentity}'])

test('runs as the manifest says, under the strictest Pod Security, and lets go of its Lease when it is stopped', async () => {
  const built = await run(process.execPath, ['packages/cli/scripts/build-image.ts'])
  expect([built.code, built.stderr]).toEqual([0, ''])
  await cluster.mustCaisson(['image', 'import', built.stdout.trim()])
  const [image] = JSON.parse(await cluster.mustCaisson(['image', 'inspect', IMAGE, '-o', 'json']))
  const room = /--min-semi-space-size=\d+/.exec(readFileSync(join(ROOT, 'bin/caisson'), 'utf8'))?.[0]
  expect(image).toMatchObject({
    user: '65532:65532',
    entrypoint: ['/usr/local/bin/node', room, '/opt/caisson/dist/caisson.mjs', 'controller'],
    cmd: [],
  })
  await cluster.mustKubectl(['create', 'namespace', NAMESPACE])
  await cluster.mustKubectl(['label', 'namespace', NAMESPACE, 'pod-security.kubernetes.io/enforce=restricted'])
  await cluster.mustKubectl(['apply', '-f', '-'], { input: manifest() })

  const deployment = ['deployment/agent-sandbox-controller', '-n', NAMESPACE]
  await cluster.mustKubectl(['rollout', 'status', ...deployment, '--timeout=60s'])
  const pod = await cluster.mustKubectl(['get', 'pods', '-n', NAMESPACE, '-o', 'jsonpath={.items[*].metadata.name}'])
  await cluster.mustKubectl(['wait', '--for=create', `lease/${LEASE}`, '-n', NAMESPACE, '--timeout=30s'])
  const held = `jsonpath={.spec.holderIdentity}`
  await cluster.mustKubectl(['wait', `lease/${LEASE}`, '-n', NAMESPACE, `--for=${held}`, '--timeout=30s'])
  expect((await holder()).startsWith(`${pod}_`)).toBe(true)
  expect(await cluster.mustKubectl(['logs', pod, '-n', NAMESPACE])).toContain('This process leads')

  // It works here beside the embedded cluster's own controllers, and says what it has done itself.
  const sandbox = {
    apiVersion: 'agents.x-k8s.io/v1beta1',
    kind: 'Sandbox',
    metadata: { name: 'box', namespace: NAMESPACE },
    spec: { operatingMode: 'Suspended', podTemplate: { spec: { containers: [{ name: 'main', image: 'main' }] } } },
  }
  const metrics = ['get', '--raw', `/api/v1/namespaces/${NAMESPACE}/pods/${pod}:8080/proxy/metrics`]
  expect(await cluster.mustKubectl(metrics)).toContain(`leader_election_master_status{name="${LEASE}"} 1\n`)
  await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(sandbox) })
  const reconciled = /^controller_runtime_reconcile_total\{controller="sandbox",result="success"\} [1-9]/m
  await expect.poll(() => cluster.mustKubectl(metrics)).toMatch(reconciled)

  await cluster.mustKubectl(['scale', ...deployment, '--replicas=0'])
  await cluster.mustKubectl(['wait', '--for=delete', `pod/${pod}`, '-n', NAMESPACE, '--timeout=60s'])
  expect(await holder()).toBe('')
}, 240_000)
