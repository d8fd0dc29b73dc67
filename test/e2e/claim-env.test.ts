/** `SandboxTemplate.spec.envVarsDelivery: Warm`: variables for a sandbox that runs already. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Cluster, startCluster } from './fixture.ts'

let cluster: Cluster

beforeAll(async () => {
  cluster = await startCluster()
  await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(template) })
  await cluster.mustCaisson(['pool', 'create', 'warm', '--template', 'warm', '--replicas', '2'])
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandboxwarmpool/warm', '--timeout=60s'])
})
afterAll(() => cluster[Symbol.asyncDispose]())

const container = (name: string) => ({
  name,
  image: 'caisson.dev/host',
  imagePullPolicy: 'IfNotPresent',
  env: [{ name: 'MODE', value: 'template' }],
  command: ['sh', '-c', 'sleep infinity & wait'],
  securityContext: { runAsUser: 65534, allowPrivilegeEscalation: false },
})
const template = {
  apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
  kind: 'SandboxTemplate',
  metadata: { name: 'warm' },
  spec: {
    envVarsInjectionPolicy: 'Overrides',
    envVarsSources: { secrets: ['keys', 'none'] },
    envVarsDelivery: 'Warm',
    podTemplate: { spec: { runtimeClassName: 'gvisor', containers: [container('main'), container('side')] } },
  },
}
const claim = (name: string, env: object[]) => ({
  apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
  kind: 'SandboxClaim',
  metadata: { name },
  spec: { warmPoolRef: { name: 'warm' }, env },
})

async function members(): Promise<string[]> {
  return (await cluster.mustKubectl(['get', 'sandboxes', '-o', 'name'])).trim().split('\n')
}

test('reach what is started in a member of a pool once it is claimed, and nothing that ran before', async () => {
  const before = await members()
  await cluster.mustKubectl(['create', 'secret', 'generic', 'keys', '--from-literal=token=t0ken'])
  const env = [
    { name: 'MODE', value: 'claim' },
    { name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'keys', key: 'token' } } },
    { name: 'ASIDE', value: 'yes', containerName: 'side' },
  ]
  await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(claim('mine', env)) })
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandboxclaim/mine', '--timeout=60s'])
  const name = await cluster.mustKubectl(['get', 'sandboxclaim', 'mine', '-o', 'jsonpath={.status.sandbox.name}'])
  expect(before).toContain(`sandbox.agents.x-k8s.io/${name}`)

  const inContainer = (container: string, script: string) =>
    cluster.mustKubectl(['exec', name, '-c', container, '--', 'sh', '-c', script])
  const show = 'echo "$MODE [$TOKEN] [$ASIDE]"'
  expect(await inContainer('main', show)).toBe('claim [t0ken] []\n')
  expect(await inContainer('side', show)).toBe('template [] [yes]\n')
  expect(await cluster.mustCaisson(['exec', '-c', 'main', name, '--', 'sh', '-c', show])).toBe('claim [t0ken] []\n')
  const ranBefore = await inContainer('main', 'tr "\\0" "\\n" < /proc/1/environ')
  expect(ranBefore.split('\n')).toContain('MODE=template')
  expect(ranBefore).not.toContain('TOKEN')
  await expect.poll(() => inContainer('main', 'cat /run/caisson/env/TOKEN 2>/dev/null || true')).toBe('t0ken')

  const shown = await cluster.mustKubectl(['get', 'pods,sandboxes,sandboxclaims,events', '-o', 'yaml'])
  expect(shown).not.toMatch(/t0ken|dDBrZW4/)
  await cluster.mustKubectl(['delete', 'sandboxclaim', 'mine'])
  await cluster.mustKubectl(['wait', '--for=delete', `secret/${name}.env.main`, '--timeout=60s'])
})

test('are what caisson claim --env gives the command', async () => {
  await cluster.mustCaisson(['template', 'create', '--claim-env', 'alone'])
  await cluster.mustCaisson(['pool', 'create', 'alone', '--template', 'alone', '--replicas', '1'])
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandboxwarmpool/alone', '--timeout=60s'])
  const command = ['sh', '-c', 'hostname; echo "$A"']
  const [host, value] = (await cluster.mustCaisson(['claim', '--env', 'A=b c', 'alone', '--', ...command])).split('\n')
  expect([host?.startsWith('alone-'), value]).toEqual([true, 'b c'])
})

test('whose source is not there end the claim with what is missing, and leave the pool as it is', async () => {
  const env = [{ name: 'A', valueFrom: { secretKeyRef: { name: 'none', key: 'k' } } }]
  await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(claim('wrong', env)) })
  await cluster.mustKubectl([
    'wait',
    '--for=jsonpath={.status.conditions[0].reason}=EnvVarsInjectionRejected',
    'sandboxclaim/wrong',
    '--timeout=60s',
  ])
  const path = 'jsonpath={.status.conditions[0].message}'
  expect(await cluster.mustKubectl(['get', 'sandboxclaim', 'wrong', '-o', path])).toBe(
    'environment variable injection rejected: there is no Secret "none" for environment variable "A"',
  )
})
