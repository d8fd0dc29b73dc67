/** The kinds that make Pods, as users of kubectl type them: two that really run, and many that only pretend to. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Cluster, findKubectl, startCluster } from './fixture.ts'

const kubectl = findKubectl()
if (!kubectl) console.log('kubectl is not installed and Go is not there to build it: the workload tests are not run')

function podTemplate(app: string, container: object, spec: object = {}): object {
  return {
    metadata: { labels: { app } },
    spec: {
      runtimeClassName: 'fake',
      terminationGracePeriodSeconds: 0,
      ...spec,
      containers: [{ name: 'main', image: 'busybox', imagePullPolicy: 'IfNotPresent', ...container }],
    },
  }
}

function workload(kind: string, name: string, spec: object = {}): string {
  return JSON.stringify({
    apiVersion: 'apps/v1',
    kind,
    metadata: { name },
    spec: { selector: { matchLabels: { app: name } }, template: podTemplate(name, {}), ...spec },
  })
}

describe.runIf(kubectl)('workloads', () => {
  let cluster: Cluster
  const run = (...args: string[]): Promise<string> => cluster.mustKubectl(args)
  const apply = (manifest: string): Promise<string> => cluster.mustKubectl(['apply', '-f', '-'], { input: manifest })
  beforeAll(async () => {
    cluster = await startCluster({ busybox: true, up: ['--fake-runtime'] })
  })
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]()
  })

  test('a Deployment is created, scaled, rolled, rolled back and restarted', async () => {
    expect(await apply(workload('Deployment', 'web', { replicas: 3 }))).toBe('deployment.apps/web created\n')
    expect(await run('rollout', 'status', 'deployment/web', '--timeout=60s')).toContain(
      'deployment "web" successfully rolled out\n',
    )
    expect(await run('scale', 'deployment/web', '--replicas=30')).toBe('deployment.apps/web scaled\n')
    await run('rollout', 'status', 'deployment/web', '--timeout=60s')
    expect((await run('get', 'deployment', 'web', '--no-headers')).split(/\s+/).slice(0, 4)).toEqual([
      'web',
      '30/30',
      '30',
      '30',
    ])
    await run('set', 'image', 'deployment/web', 'main=busybox:other')
    await run('rollout', 'status', 'deployment/web', '--timeout=60s')
    expect(await run('rollout', 'history', 'deployment/web')).toBe(
      'deployment.apps/web \nREVISION  CHANGE-CAUSE\n1         <none>\n2         <none>\n\n',
    )
    expect(await run('rollout', 'undo', 'deployment/web')).toBe('deployment.apps/web rolled back\n')
    await run('rollout', 'status', 'deployment/web', '--timeout=60s')
    const image = 'jsonpath={.spec.template.spec.containers[0].image}'
    expect(await run('get', 'deployment', 'web', '-o', image)).toBe('busybox')
    await run('rollout', 'restart', 'deployment/web')
    await run('rollout', 'status', 'deployment/web', '--timeout=60s')
    await run('rollout', 'pause', 'deployment/web')
    expect(await run('rollout', 'resume', 'deployment/web')).toBe('deployment.apps/web resumed\n')
    expect(await run('describe', 'deployment', 'web')).toContain('NewReplicaSetAvailable')
    await run('delete', 'deployment', 'web', '--wait', '--cascade=foreground', '--timeout=60s')
    expect(await run('get', 'pods,replicasets', '-l', 'app=web', '-o', 'name')).toBe('')
  }, 120_000)

  test('a Job of real sandboxes completes, one that fails says why', async () => {
    const template = podTemplate(
      'sum',
      { command: ['sh', '-c', 'echo $JOB_COMPLETION_INDEX'] },
      { restartPolicy: 'Never' },
    )
    const spec = (template as { spec: { runtimeClassName?: string } }).spec
    delete spec.runtimeClassName
    const job = (name: string, more: object): string =>
      JSON.stringify({ apiVersion: 'batch/v1', kind: 'Job', metadata: { name }, spec: { template, ...more } })
    await apply(job('sum', { completionMode: 'Indexed', completions: 2, parallelism: 2 }))
    await run('wait', '--for=condition=Complete', 'job/sum', '--timeout=60s')
    const logs = await run('logs', '-l', 'batch.kubernetes.io/job-name=sum')
    expect(logs.trim().split('\n').sort()).toEqual(['0', '1'])
    expect((await run('get', 'job', 'sum', '--no-headers')).split(/\s+/).slice(0, 3)).toEqual([
      'sum',
      'Complete',
      '2/2',
    ])
    const failing = podTemplate('bad', { command: ['false'] }, { restartPolicy: 'Never' }) as { spec: object }
    Object.assign(failing.spec, { runtimeClassName: undefined })
    const manifest = {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: 'bad' },
      spec: { backoffLimit: 0, template: failing },
    }
    await apply(JSON.stringify(manifest))
    await run('wait', '--for=condition=Failed', 'job/bad', '--timeout=60s')
    // The event follows the condition.
    await vi.waitFor(
      async () => expect(await run('describe', 'job', 'bad')).toContain('Job has reached the specified backoff limit'),
      { timeout: 10_000 },
    )
    await run('delete', 'jobs', '--all')
  }, 120_000)

  test('a CronJob makes Jobs, also when asked to', async () => {
    await run('create', 'cronjob', 'tick', '--image=busybox', '--schedule=@every 1s', '--', 'true')
    const active = ['get', 'jobs', '-o', 'jsonpath={.items[*].metadata.ownerReferences[0].name}']
    await run('wait', '--for=jsonpath={.status.lastScheduleTime}', 'cronjob/tick', '--timeout=30s')
    expect((await run(...active)).split(' ')[0]).toBe('tick')
    await run('delete', 'cronjob', 'tick')
    await run('create', 'cronjob', 'later', '--image=busybox', '--schedule=0 0 1 1 *', '--', 'true')
    expect(await run('create', 'job', 'now', '--from=cronjob/later')).toBe('job.batch/now created\n')
    await run('wait', '--for=condition=Complete', 'job/now', '--timeout=60s')
    await run('delete', 'cronjob', 'later')
  }, 120_000)

  test('a StatefulSet and a DaemonSet roll out and back', async () => {
    await apply(workload('StatefulSet', 'db', { replicas: 3, serviceName: 'db' }))
    await run('rollout', 'status', 'statefulset/db', '--timeout=60s')
    expect(await run('get', 'pods', '-l', 'app=db', '-o', 'name')).toBe('pod/db-0\npod/db-1\npod/db-2\n')
    await run('set', 'image', 'statefulset/db', 'main=busybox:other')
    await run('rollout', 'status', 'statefulset/db', '--timeout=60s')
    await run('rollout', 'undo', 'statefulset/db')
    await run('rollout', 'status', 'statefulset/db', '--timeout=60s')
    const images = 'jsonpath={.items[*].spec.containers[0].image}'
    expect(await run('get', 'pods', '-l', 'app=db', '-o', images)).toBe('busybox busybox busybox')
    await apply(workload('DaemonSet', 'agent'))
    await run('rollout', 'status', 'daemonset/agent', '--timeout=60s')
    await run('set', 'image', 'daemonset/agent', 'main=busybox:other')
    await run('rollout', 'status', 'daemonset/agent', '--timeout=60s')
    await run('rollout', 'undo', 'daemonset/agent')
    await run('rollout', 'status', 'daemonset/agent', '--timeout=60s')
    expect((await run('get', 'daemonset', 'agent', '--no-headers')).split(/\s+/).slice(0, 6)).toEqual([
      'agent',
      '1',
      '1',
      '1',
      '1',
      '1',
    ])
    expect(await run('get', 'all', '-o', 'name')).toContain('statefulset.apps/db\n')
    await run('delete', 'statefulset/db', 'daemonset/agent')
  }, 120_000)

  test('a drain waits for the budget', async () => {
    await apply(workload('Deployment', 'web', { replicas: 2 }))
    await run('rollout', 'status', 'deployment/web', '--timeout=60s')
    await run('create', 'poddisruptionbudget', 'web', '--selector=app=web', '--min-available=2')
    await run('wait', '--for=jsonpath={.status.currentHealthy}=2', 'pdb/web', '--timeout=30s')
    const node = (await run('get', 'nodes', '-o', 'name')).trim()
    const drain = ['drain', node, '--ignore-daemonsets', '--force', '--delete-emptydir-data', '--pod-selector=app=web']
    const refused = await cluster.kubectl([...drain, '--timeout=3s'])
    expect(refused.stderr).toContain("Cannot evict pod as it would violate the pod's disruption budget.")
    expect(refused.code).toBe(1)
    await run('delete', 'pdb', 'web')
    expect(await run(...drain, '--timeout=60s')).toContain('evicted')
    await run('uncordon', node)
    await run('rollout', 'status', 'deployment/web', '--timeout=60s')
    await run('delete', 'deployment', 'web')
  }, 120_000)

  // Autoscalers look every fifteen seconds: these two wait for that beside each other.
  test.concurrent('an autoscaler adds a Pod for those that are busy', async ({ expect }) => {
    const busy = { command: ['sh', '-c', 'while :; do :; done'], resources: { requests: { cpu: '10m' } } }
    const template = podTemplate('worker', busy) as { spec: { runtimeClassName?: string } }
    delete template.spec.runtimeClassName
    await apply(workload('Deployment', 'worker', { replicas: 1, template }))
    await run('rollout', 'status', 'deployment/worker', '--timeout=60s')
    await run('autoscale', 'deployment', 'worker', '--cpu-percent=50', '--min=1', '--max=2')
    await run('wait', '--for=jsonpath={.spec.replicas}=2', 'deployment/worker', '--timeout=120s')
    // An event is written after what it tells of.
    await expect.poll(() => run('describe', 'hpa', 'worker')).toContain('New size: 2; reason: cpu resource utilization')
    await run('delete', 'hpa/worker', 'deployment/worker')
  }, 240_000)

  test.concurrent('an autoscaler adds a member to a warm pool whose members are busy, and takes it when they rest', async ({
    expect,
  }) => {
    const applyObject = (object: object): Promise<string> => apply(JSON.stringify(object))
    const container = {
      name: 'main',
      image: 'busybox',
      imagePullPolicy: 'IfNotPresent',
      command: ['sh', '-c', 'while [ ! -e /tmp/rest ]; do :; done; sleep 1000'],
      // What gVisor takes by itself counts too, and was more than all that a Pod with 10m is to take.
      resources: { requests: { cpu: '400m' } },
    }
    const group = { apiVersion: 'extensions.agents.x-k8s.io/v1beta1' }
    await applyObject({
      ...group,
      kind: 'SandboxTemplate',
      metadata: { name: 'busy' },
      spec: { podTemplate: { spec: { containers: [container], terminationGracePeriodSeconds: 0 } } },
    })
    const sandboxTemplateRef = { name: 'busy' }
    await applyObject({
      ...group,
      kind: 'SandboxWarmPool',
      metadata: { name: 'busy' },
      spec: { replicas: 1, sandboxTemplateRef },
    })
    await run('wait', '--for=condition=Ready', 'sandboxwarmpool/busy', '--timeout=60s')
    const target = { type: 'Utilization', averageUtilization: 50 }
    await applyObject({
      apiVersion: 'autoscaling/v2',
      kind: 'HorizontalPodAutoscaler',
      metadata: { name: 'busy' },
      spec: {
        scaleTargetRef: { ...group, kind: 'SandboxWarmPool', name: 'busy' },
        minReplicas: 1,
        maxReplicas: 2,
        // 300 s unless said.
        behavior: { scaleDown: { stabilizationWindowSeconds: 0 } },
        metrics: [{ type: 'Resource', resource: { name: 'cpu', target } }],
      },
    })
    await run('wait', '--for=jsonpath={.spec.replicas}=2', 'sandboxwarmpool/busy', '--timeout=120s')
    await run('wait', '--for=jsonpath={.status.readyReplicas}=2', 'sandboxwarmpool/busy', '--timeout=60s')
    expect(await run('describe', 'hpa', 'busy')).toContain('New size: 2; reason: cpu resource utilization')
    const members = await run('get', 'sandboxes', '-o', 'jsonpath={.items[*].metadata.name}')
    for (const member of members.split(' ')) await run('exec', member, '--', 'touch', '/tmp/rest')
    await run('wait', '--for=jsonpath={.spec.replicas}=1', 'sandboxwarmpool/busy', '--timeout=120s').catch(
      async (cause: unknown) => {
        const state = await Promise.all([run('describe', 'hpa', 'busy'), run('top', 'pods'), run('get', 'pods')])
        throw new Error(`${members} were told to rest:\n${state.join('\n')}`, { cause })
      },
    )
    await run('wait', '--for=jsonpath={.status.replicas}=1', 'sandboxwarmpool/busy', '--timeout=60s')
    await expect.poll(() => run('describe', 'hpa', 'busy')).toContain('New size: 1; reason: All metrics below target')
    await run('delete', 'hpa/busy', 'sandboxwarmpool/busy', 'sandboxtemplate/busy')
  }, 300_000)
})
