/** What users of kubectl do all day with objects, whatever runs. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, findKubectl, startCluster } from './fixture.ts'

describe.runIf(findKubectl())('kubectl', () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster[Symbol.asyncDispose]())

  test('looks after objects as on any cluster', async () => {
    const must = (...args: string[]) => cluster.mustKubectl(args)
    await must('create', 'configmap', 'care', '--from-literal=a=1')
    expect(await must('label', 'configmap', 'care', 'tier=one')).toBe('configmap/care labeled\n')
    expect((await cluster.kubectl(['label', 'configmap', 'care', 'tier=two'])).stderr).toContain('--overwrite is false')
    expect(await must('annotate', 'configmap', 'care', 'note=yes')).toBe('configmap/care annotated\n')
    const patches = [
      ['strategic', '{"data": {"b": "2"}}'],
      ['merge', '{"data": {"a": null}}'],
      ['json', '[{"op": "add", "path": "/data/c", "value": "3"}]'],
    ] as const
    for (const [type, patch] of patches) await must('patch', 'configmap', 'care', `--type=${type}`, '-p', patch)
    expect(JSON.parse(await must('get', 'configmap', 'care', '-o', 'jsonpath={.data}'))).toEqual({ b: '2', c: '3' })
    const wrong = ['patch', 'configmap', 'care', '--type=json', '-p', '[{"op": "remove", "path": "/data/none"}]']
    expect(await cluster.kubectl(wrong)).toEqual({
      code: 1,
      stdout: '',
      stderr: 'The request is invalid: patch[0]: remove operation does not apply: doc is missing path: "/data/none"\n',
    })
    const edited = await cluster.mustKubectl(['edit', 'configmap', 'care'], {
      env: { KUBE_EDITOR: 'sed -i s/one/three/' },
    })
    expect(edited).toBe('configmap/care edited\n')
    expect(await must('get', 'configmap', '-l', 'tier=three', '-o', 'name')).toBe('configmap/care\n')
    expect(await must('delete', 'configmap', 'care')).toMatch(/^configmap "care" deleted/)

    const node = (await must('get', 'nodes', '-o', 'name')).trim()
    expect(await must('cordon', node)).toBe(`${node} cordoned\n`)
    expect(await must('get', node, '--no-headers')).toMatch(/ Ready,SchedulingDisabled /)
    expect(await must('uncordon', node)).toBe(`${node} uncordoned\n`)
    const taint = (change: string) => must('taint', 'nodes', node.replace('node/', ''), change)
    expect(await taint('care=yes:NoSchedule')).toBe(`${node} tainted\n`)
    expect(await taint('care-')).toBe(`${node} untainted\n`)

    await must('create', 'serviceaccount', 'robot')
    expect((await must('create', 'token', 'robot', '--duration=10m')).split('.')).toHaveLength(3)
    const rules = await must('auth', 'can-i', '--list', '--as=system:serviceaccount:default:robot')
    expect(rules).toContain('selfsubjectreviews.authentication.k8s.io')
    expect(await must('cluster-info')).toContain('is running at')
    expect(await must('explain', 'sandbox.spec', '--recursive')).toMatch(/podTemplate\s+<Object> -required-/)
    expect(await must('events', '-A', '--types=Normal')).toContain('SuccessfulCreate')
  })

  test('deletes owners with what they own, before it, and without', async () => {
    const template = { metadata: { labels: { app: 'own' } }, spec: { containers: [{ name: 'a', image: 'busybox' }] } }
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'own' },
      spec: { replicas: 0, selector: { matchLabels: { app: 'own' } }, template },
    }
    const sets = () => cluster.mustKubectl(['get', 'replicasets', '-l', 'app=own', '-o', 'name'])
    for (const [cascade, left] of [
      ['foreground', ''],
      ['orphan', expect.stringMatching(/^replicaset\.apps\/own-/)],
      ['background', ''],
    ] as const) {
      await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(deployment) })
      await cluster.mustKubectl(['rollout', 'status', 'deployment/own', '--timeout=30s'])
      await cluster.mustKubectl(['delete', 'deployment', 'own', `--cascade=${cascade}`])
      // A deletion in the background is told before what is owned is gone.
      if (cascade === 'foreground') expect(await sets()).toEqual(left)
      else await expect.poll(sets).toEqual(left)
    }
  })

  test.each([
    [
      'command',
      { image: 'caisson.dev/host', command: ['/no/such/command'] },
      /^container "main": .*\/no\/such\/command/,
    ],
    ['image', { image: 'localhost:1/nosuch:1' }, /^container "main": .*localhost:1\/nosuch:1/],
  ])('a Sandbox whose %s is not there says so, and where', async (what, container, message) => {
    const name = `no-${what}`
    const sandbox = {
      apiVersion: 'agents.x-k8s.io/v1beta1',
      kind: 'Sandbox',
      metadata: { name },
      spec: { podTemplate: { spec: { containers: [{ name: 'main', ...container }] } } },
    }
    await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(sandbox) })
    await cluster.mustKubectl([
      'wait',
      '--for=condition=caisson.dev/ContainerError',
      `sandbox/${name}`,
      '--timeout=60s',
    ])
    const status = JSON.parse(await cluster.mustKubectl(['get', 'sandbox', name, '-o', 'jsonpath={.status}']))
    const { conditions } = status as { conditions: { type: string; status: string; message: string }[] }
    const said = (type: string) => conditions.find((condition) => condition.type === type)
    expect(said('caisson.dev/ContainerError')?.message).toMatch(message)
    expect(said('Ready')?.status).toBe('False')
    await cluster.mustKubectl(['delete', 'sandbox', name])
  })
})
