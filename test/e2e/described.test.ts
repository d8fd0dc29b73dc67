/** What `kubectl describe` tells of the four kinds, and what `caisson run` tells of a runtime that runs nothing. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, findKubectl, startCluster } from './fixture.ts'

const EXTENSIONS = 'extensions.agents.x-k8s.io/v1beta1'

describe.runIf(findKubectl())('what a user reads', () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startCluster({ up: ['--fake-runtime'] })
    const containers = [{ name: 'main', image: 'any' }]
    await apply('SandboxTemplate', 'web', { podTemplate: { spec: { runtimeClassName: 'fake', containers } } })
    await apply('SandboxWarmPool', 'web', { replicas: 1, sandboxTemplateRef: { name: 'web' } })
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'swp/web', '--timeout=60s'])
    await apply('SandboxClaim', 'mine', { warmPoolRef: { name: 'web' } })
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandboxclaim/mine', '--timeout=60s'])
  })
  afterAll(() => cluster?.[Symbol.asyncDispose]())

  async function apply(kind: string, name: string, spec: object): Promise<void> {
    const object = { apiVersion: EXTENSIONS, kind, metadata: { name }, spec }
    await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(object) })
  }

  /** From `Status:`, or else from `Events:`, on, without what differs from one time to the next. */
  async function described(kind: string, name: string): Promise<string[]> {
    const text = await cluster.mustKubectl(['describe', kind, name])
    const lines = text
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
      .replaceAll(/\b\d+(\.\d+){3}\b/g, 'IP')
      .replaceAll(/\bweb-[a-z0-9]{5}\b/g, 'MEMBER')
      .replaceAll(/=[0-9a-f]{8}\b/g, '=HASH')
      .split('\n')
      .map((line) => line.trim().replaceAll(/ {2,}/g, '  '))
    const from = lines.findIndex((line) => line.startsWith('Status:') && line.length < 10)
    return lines
      .slice(from < 0 ? lines.findIndex((line) => line.startsWith('Events:')) : from)
      .map((line) => line.replace(/^(Normal|Warning) {2}(\S+) {2}\S+( \(x\d+ over \S+\))? {2}/, '$1  $2  AGE  '))
      .filter((line) => line !== '' && !line.startsWith('Node Name:'))
  }
  const condition = (type: string, status: string, reason: string, message: string, generation = 1): string[] => [
    'Last Transition Time:  TIME',
    message === '' ? 'Message:' : `Message:  ${message}`,
    `Observed Generation:  ${generation}`,
    `Reason:  ${reason}`,
    `Status:  ${status}`,
    `Type:  ${type}`,
  ]
  const events = (...rows: string[]): string[] => [
    'Events:',
    'Type  Reason  Age  From  Message',
    '----  ------  ----  ----  -------',
    ...rows,
  ]

  test('of a claim', async () => {
    await expect
      .poll(() => described('sandboxclaim', 'mine'))
      .toEqual([
        'Status:',
        'Conditions:',
        ...condition('Ready', 'True', 'DependenciesReady', 'Pod is Ready'),
        'Sandbox:',
        'Name:  MEMBER',
        'Pod I Ps:',
        'IP',
        ...events('Normal  SandboxAdopted  AGE  sandboxclaim-controller  Adopted warm pool Sandbox "MEMBER"'),
      ])
  })

  test('of its Sandbox', async () => {
    const name = await cluster.mustKubectl(['get', 'sandboxclaim/mine', '-o', 'jsonpath={.status.sandbox.name}'])
    await expect
      .poll(() => described('sandbox', name))
      .toEqual([
        'Status:',
        'Conditions:',
        ...condition('Suspended', 'False', 'NotSuspended', 'Sandbox is not suspended', 2),
        ...condition('PodScheduled', 'True', 'PodScheduled', '', 2),
        ...condition('Ready', 'True', 'DependenciesReady', 'Pod is Ready', 2),
        'Pod I Ps:',
        'IP',
        'Selector:  agents.x-k8s.io/sandbox-name-hash=HASH',
        'Events:  <none>',
      ])
  })

  test('of a pool, and of one without its template', async () => {
    await expect
      .poll(() => described('sandboxwarmpool', 'web'))
      .toEqual([
        'Status:',
        'Conditions:',
        ...condition('Ready', 'True', 'Filled', 'the member is Ready'),
        ...condition('Progressing', 'False', 'Complete', 'there is nothing to do'),
        ...condition('Degraded', 'False', 'AsExpected', 'nothing is wrong'),
        'Observed Generation:  1',
        'Ready Replicas:  1',
        'Replicas:  1',
        'Selector:  agents.x-k8s.io/warm-pool-sandbox=HASH',
        'Updated Replicas:  1',
        'Events:  <none>',
      ])
    await apply('SandboxWarmPool', 'lost', { replicas: 1, sandboxTemplateRef: { name: 'nothing' } })
    const missing = 'SandboxTemplate "nothing" not found'
    await expect
      .poll(() => described('sandboxwarmpool', 'lost'))
      .toEqual([
        'Status:',
        'Conditions:',
        ...condition('Ready', 'False', 'TemplateNotFound', `0 of 1 members are Ready: ${missing}`),
        ...condition('Progressing', 'False', 'TemplateNotFound', missing),
        ...condition('Degraded', 'True', 'TemplateNotFound', missing),
        'Observed Generation:  1',
        'Ready Replicas:  0',
        'Replicas:  0',
        'Selector:  agents.x-k8s.io/warm-pool-sandbox=HASH',
        'Updated Replicas:  0',
        ...events(`Warning  TemplateNotFound  AGE  sandboxwarmpool-controller  ${missing}`),
      ])
  })

  test('of a template, and of one in whose place another’s NetworkPolicy stands', async () => {
    expect(await described('sandboxtemplate', 'web')).toEqual(['Events:  <none>'])
    const policy = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'own-network-policy' },
    }
    await cluster.mustKubectl(['apply', '-f', '-'], {
      input: JSON.stringify({ ...policy, spec: { podSelector: {} } }),
    })
    await apply('SandboxTemplate', 'own', { podTemplate: { spec: { containers: [{ name: 'main', image: 'any' }] } } })
    await expect
      .poll(() => described('sandboxtemplate', 'own'))
      .toEqual(
        events(
          'Warning  NetworkPolicyConflict  AGE  sandboxtemplate-controller  refusing to update NetworkPolicy "own-network-policy" as it is not controlled by SandboxTemplate "own": no Sandbox of the template is made until it is renamed or deleted',
        ),
      )
  })

  test('of a claim that expired', async () => {
    const shutdownTime = new Date(0).toISOString().replace('.000Z', 'Z')
    await apply('SandboxClaim', 'over', { warmPoolRef: { name: 'web' }, lifecycle: { shutdownTime } })
    await expect
      .poll(() => described('sandboxclaim', 'over'))
      .toEqual([
        'Status:',
        'Conditions:',
        ...condition('Ready', 'False', 'ClaimExpired', 'Claim expired. Sandbox cleanup initiated.'),
        ...events('Normal  ClaimExpired  AGE  sandboxclaim-controller  Claim expired'),
      ])
  })

  test('of a command that a runtime would never run', async () => {
    const { code, stdout, stderr } = await cluster.caisson(['run', '--runtime-class', 'fake', '--', 'true'])
    expect({ code, stdout, stderr }).toEqual({
      code: 64,
      stdout: '',
      stderr:
        'caisson: --runtime-class fake runs nothing: its Pods only say that they run, and never end. Leave it out, or use --detach\n',
    })
  })
})
