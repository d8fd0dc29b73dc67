/** Manifests in the flat group, as they were written elsewhere, and the commands that belong to them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, findKubectl, startCluster } from './fixture.ts'

const REFERENCE = 'test/e2e/seeds/crd-reference.yaml'
const EXAMPLES = 'examples/kubectl-ai'

describe.runIf(findKubectl())('flat manifests', () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startCluster({ up: ['--fake-runtime'] })
  })
  afterAll(() => cluster[Symbol.asyncDispose]())

  const until = (condition: string, ...object: string[]): Promise<string> =>
    cluster.mustKubectl(['wait', `--for=${condition}`, ...object, '--timeout=60s'])
  const names = async (kind: string): Promise<string[]> =>
    (await cluster.mustKubectl(['get', kind, '-o', 'name'])).split('\n').filter((line) => line !== '')

  test('a reference of every kind applies as written, and what cannot run says what is missing', async () => {
    await cluster.mustKubectl(['delete', 'runtimeclass', 'kata-fc'])
    expect(await cluster.mustKubectl(['apply', '-f', REFERENCE])).toBe(
      [
        'sandbox.agents.x-k8s.io/my-agent created',
        'sandboxtemplate.agents.x-k8s.io/python-agent created',
        'sandboxclaim.agents.x-k8s.io/my-session created',
        '',
      ].join('\n'),
    )
    await until('jsonpath={.status.conditions[?(@.type=="Ready")].reason}=ReconcilerError', 'sandbox/my-agent')
    expect(await cluster.mustKubectl(['describe', 'sandbox', 'my-agent'])).toContain('RuntimeClass "kata-fc" not found')
    await until('condition=caisson.dev/Translated', 'sandboxclaims.v1alpha1.agents.x-k8s.io/my-session')
    expect(await names('sandboxclaims')).toEqual(['sandboxclaim.extensions.agents.x-k8s.io/my-session'])
    expect(await names('sandboxtemplates')).toEqual(['sandboxtemplate.extensions.agents.x-k8s.io/python-agent'])
  })

  test('it runs once the class is there', async () => {
    const runtimeClass = { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass', metadata: { name: 'kata-fc' } }
    await cluster.mustKubectl(['create', 'secret', 'generic', 'agent-secrets', '--from-literal=openai-key=none'])
    await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify({ ...runtimeClass, handler: 'fake' }) })
    await until('condition=Ready', 'sandbox/my-agent')
    await until('condition=Ready', 'sandboxclaim/my-session')
    await until('condition=Ready', 'sandboxclaims.v1alpha1.agents.x-k8s.io/my-session')
    const claim = JSON.parse(await cluster.mustKubectl(['get', 'sandboxclaim', 'my-session', '-o', 'json'])) as {
      metadata: { creationTimestamp: string }
      spec: { lifecycle: { shutdownTime: string; shutdownPolicy: string } }
    }
    const { lifecycle } = claim.spec
    expect(Date.parse(lifecycle.shutdownTime) - Date.parse(claim.metadata.creationTimestamp)).toBeLessThanOrEqual(
      3_600_000,
    )
    expect(lifecycle.shutdownPolicy).toBe('Delete')
  })

  test('deleting either of the two deletes the other', async () => {
    const flat = 'sandboxclaims.v1alpha1.agents.x-k8s.io'
    await cluster.mustKubectl(['delete', 'sandboxclaim', 'my-session'])
    await until('delete', `${flat}/my-session`)
    await cluster.mustKubectl(['delete', 'sandboxtemplates.v1alpha1.agents.x-k8s.io', 'python-agent'])
    await until('delete', 'sandboxtemplate/python-agent')
    expect(await names(flat)).toEqual([])
  })

  test('the files of kubectl-ai apply in their order, and again', async () => {
    // This test's own, which cannot become another handler's.
    await cluster.mustKubectl(['delete', 'runtimeclass', 'kata-fc'])
    const files = ['rbac', 'runtime-classes', 'example-deployment', 'web-ui-deployment', 'warm-pool']
    for (const file of [...files, 'web-ui-with-warm-pool']) {
      await cluster.mustKubectl(['apply', '-f', `${EXAMPLES}/${file}.yaml`])
      await cluster.mustKubectl(['apply', '--dry-run=server', '-f', `${EXAMPLES}/${file}.yaml`])
    }
    const classes = await cluster.mustKubectl(['get', 'runtimeclass', '--no-headers'])
    expect(classes.split('\n').map((line) => line.split(/\s+/).slice(0, 2).join(' '))).toEqual([
      'fake fake',
      'gvisor runsc',
      'kata kata',
      'kata-fc kata-fc',
      'runc runc',
      '',
    ])
  })

  test('who may do what', async () => {
    const as = '--as=system:serviceaccount:kubectl-ai:kubectl-ai'
    const can = async (...question: string[]): Promise<string> =>
      (await cluster.kubectl(['auth', 'can-i', ...question])).stdout.trim()
    expect(await can('create', 'sandboxes.agents.x-k8s.io', as, '-n', 'computer')).toBe('yes')
    expect(await can('create', 'pods', '--subresource=exec', as, '-n', 'computer')).toBe('yes')
    expect(await can('create', 'sandboxes.agents.x-k8s.io', as, '-n', 'default')).toBe('no')
    const user = '--as=system:serviceaccount:computer:normal-user'
    expect(await can('list', 'pods', user, '-n', 'kubectl-ai')).toBe('yes')
    expect(await can('get', 'secrets', user, '-n', 'kubectl-ai')).toBe('no')
    expect(await can('create', 'pods', user, '-n', 'computer')).toBe('no')
  })

  test('a class that no node has is named where its Sandbox is described', async () => {
    const sandbox = {
      apiVersion: 'agents.x-k8s.io/v1alpha1',
      kind: 'Sandbox',
      metadata: { name: 'vm' },
      spec: { podTemplate: { spec: { runtimeClassName: 'kata', containers: [{ name: 'main', image: 'any' }] } } },
    }
    await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(sandbox) })
    await until('jsonpath={.status.conditions[?(@.type=="PodScheduled")].status}=False', 'sandbox/vm')
    expect(await cluster.mustKubectl(['describe', 'sandbox', 'vm'])).toContain(
      'RuntimeClass "kata" cannot run here: no node has the label kata.enabled=true',
    )
  })

  test('the warm pool becomes ready, and is scaled and shown in either group', async () => {
    // Of the file before, whose members wait for an image that is nowhere.
    const pools = 'sandboxwarmpools.v1alpha1.agents.x-k8s.io/kubectl-ai-warm-pool'
    await cluster.mustKubectl(['delete', '-n', 'computer', pools])
    await until('delete', '-n', 'computer', 'sandboxwarmpool/kubectl-ai-warm-pool')
    await until('delete', '-n', 'computer', 'sandboxtemplate/kubectl-ai-warm-pool')
    // The class of the file, with what this test's cluster can run in no time.
    const text = readFileSync(join(import.meta.dirname, '../..', EXAMPLES, 'warm-pool.yaml'), 'utf8')
    const input = text.replace('runtimeClassName: gvisor', 'runtimeClassName: fake')
    await cluster.mustKubectl(['apply', '-f', '-'], { input })
    await cluster.mustKubectl([
      'wait',
      '--for=condition=ready',
      'sandboxwarmpool/kubectl-ai-warm-pool',
      '-n',
      'computer',
      '--timeout=60s',
    ])
    const table = await cluster.mustKubectl(['get', 'sandboxwarmpools', '-n', 'computer', '--no-headers'])
    expect(table.trim().split(/\s+/)[0]).toBe('kubectl-ai-warm-pool')
    const flat = ['-n', 'computer', pools]
    await until('condition=Ready', ...flat)
    await cluster.mustKubectl([
      'patch',
      'sandboxwarmpool',
      'kubectl-ai-warm-pool',
      '-n',
      'computer',
      '--type=merge',
      '-p',
      '{"spec":{"minReplicas":4}}',
    ])
    await until('jsonpath={.spec.minSize}=4', ...flat)
    await until('jsonpath={.status.readyReplicas}=4', ...flat)
  })

  test('can be switched off', async () => {
    await using other = await startCluster({ up: ['--no-flat-group', '--fake-runtime'] })
    const kinds = await other.mustKubectl(['api-resources', '--api-group=agents.x-k8s.io', '-o', 'name'])
    expect(kinds).toBe('sandboxes.agents.x-k8s.io\n')
  })
})
