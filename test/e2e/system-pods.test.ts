/** The controllers, which are part of the cluster's process, as the Pod that they are on other clusters. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Cluster, findKubectl, startCluster } from './fixture.ts'

const SYSTEM = ['-n', 'agent-sandbox-system']
const CONTROLLER = 'deployment/agent-sandbox-controller'

describe.runIf(findKubectl())('the Pod of the controllers', () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startCluster({ up: ['--fake-runtime'] })
  })
  afterAll(() => cluster[Symbol.asyncDispose]())

  const untilReady = (): Promise<string> =>
    cluster.mustKubectl([
      'wait',
      '--for=condition=Ready',
      'pod',
      '-l',
      'app=agent-sandbox-controller',
      ...SYSTEM,
      '--timeout=120s',
    ])

  test('is Ready when they work, and shows the process that they are', async () => {
    await cluster.mustKubectl(['rollout', 'status', ...SYSTEM, CONTROLLER, '--timeout=60s'])
    expect(await untilReady()).toMatch(/^pod\/agent-sandbox-controller-\S+ condition met\n$/)
    const table = await cluster.mustKubectl(['get', 'pods', ...SYSTEM, '--no-headers'])
    expect(table.trim().split(/\s+/).slice(0, 4)).toEqual([
      expect.stringMatching(/^agent-sandbox-controller-/),
      '1/1',
      'Running',
      '0',
    ])
    const daemon = JSON.parse(await cluster.mustCaisson(['status', '-o', 'json'])) as { pid: number }
    const log = await cluster.mustKubectl(['logs', ...SYSTEM, CONTROLLER])
    expect(log.split('\n')[0]).toMatch(new RegExp(`\tINFO\tcaisson \\S+, process ${daemon.pid}\t\\{\\}$`))
    expect(log).toContain('\tINFO\tStarting workers\t{"controller":"sandbox","worker count":100}\n')
  })

  test('logs what they do, and what fails', async () => {
    const sandbox = {
      apiVersion: 'agents.x-k8s.io/v1beta1',
      kind: 'Sandbox',
      metadata: { name: 'logged' },
      spec: { podTemplate: { spec: { runtimeClassName: 'fake', containers: [{ name: 'main', image: 'any' }] } } },
    }
    await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(sandbox) })
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/logged', '--timeout=60s'])
    const log = await cluster.mustKubectl(['logs', ...SYSTEM, '-l', 'app=agent-sandbox-controller', '--tail=-1'])
    expect(log).toMatch(
      /\tINFO\tReconciled\t\{"controller":"sandbox","object":"default\/logged","did":\["create Pod logged"/,
    )
  })

  test('nothing is executed in a Pod without a container, nor attached to it, and nobody waits for it', async () => {
    for (const command of [
      ['exec', 'logged', '--', 'id'],
      ['attach', 'logged'],
    ]) {
      const { code, stderr } = await cluster.kubectl(command)
      expect([code !== 0, stderr]).toEqual([true, expect.stringContaining('pod logged has the handler fake')])
    }
  })

  test('is nothing that somebody else can have, nor a place to execute anything in', async () => {
    const exec = await cluster.kubectl(['exec', ...SYSTEM, CONTROLLER, '--', 'id'])
    expect(exec.code).not.toBe(0)
    expect(exec.stderr).toContain('is a process of the cluster itself')
    const mine = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'mine', labels: { app: 'agent-sandbox-controller' } },
      spec: { containers: [{ name: 'main', image: 'caisson.dev/process', imagePullPolicy: 'Never' }] },
    }
    await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(mine) })
    await cluster.mustKubectl([
      'wait',
      '--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImageNeverPull',
      'pod/mine',
      '--timeout=60s',
    ])
  })

  test('takes the arguments that upstream’s tests give it, and goes on', async () => {
    const args = ['--extensions', '--sandbox-concurrent-workers=400', '--kube-api-qps=-1.000000']
    const patch = [{ op: 'add', path: '/spec/template/spec/containers/0/args', value: args }]
    await cluster.mustKubectl(['patch', ...SYSTEM, CONTROLLER, '--type=json', '-p', JSON.stringify(patch)])
    await cluster.mustKubectl(['rollout', 'status', ...SYSTEM, CONTROLLER, '--timeout=60s'])
    expect(await untilReady()).toContain('condition met')
  })

  test('was restarted with the cluster, and has the log of the run before', async () => {
    await cluster.mustCaisson(['down'])
    await cluster.mustCaisson(['up', '--detach', '--fake-runtime'])
    await cluster.mustKubectl([
      'wait',
      '--for=jsonpath={.status.containerStatuses[0].restartCount}=1',
      'pod',
      '-l',
      'app=agent-sandbox-controller',
      ...SYSTEM,
      '--timeout=60s',
    ])
    await untilReady()
    const previous = await cluster.mustKubectl(['logs', ...SYSTEM, CONTROLLER, '--previous'])
    expect(previous).toMatch(/\tINFO\tStopping workers\t\{\}\n$/)
  })
})
