import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as apiserver from '@caisson/apiserver'
import { type PodObject, resources } from '@caisson/client'
import type { Container, EphemeralContainer } from 'kubernetes-types/core/v1.d.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'

let node: ScratchNode
beforeAll(async () => {
  node = await startScratchNode(apiserver)
})
afterAll(() => node[Symbol.asyncDispose]())

const at = { namespace: 'default' }

function container(script: string, fields: Partial<Container> = {}): Container {
  return {
    name: 'main',
    image: 'caisson.dev/host',
    imagePullPolicy: 'IfNotPresent',
    command: ['sh', '-c', script],
    ...fields,
  }
}

const isReady = ({ status }: PodObject) =>
  status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')
const isOver = ({ status }: PodObject) => status?.phase === 'Succeeded' || status?.phase === 'Failed'
const waitsFor = (reason: string) => (pod: PodObject) =>
  pod.status?.containerStatuses?.some(({ state }) => state?.waiting?.reason === reason)
const eventsOf = (name: string) =>
  node.events.filter((event) => event.startsWith(`${name}: `)).map((event) => event.slice(name.length + 2))

/** Whether anything of the Pod is left on this machine. */
async function leftovers({ metadata: { uid = '' } }: PodObject): Promise<string[]> {
  const found: string[] = []
  for (const directory of ['pods', 'logs']) {
    const names = await readdir(join(node.dataDirectory, directory))
    found.push(...names.filter((name) => name.includes(uid)))
  }
  const sandboxes = await node.runtime.list()
  found.push(...sandboxes.filter(({ spec }) => spec.id.includes(uid)).map(({ spec }) => spec.id))
  const mounts = await readFile('/proc/self/mountinfo', 'utf8')
  found.push(...mounts.split('\n').filter((line) => line.includes(uid)))
  return found
}

async function remove(name: string): Promise<void> {
  const pod = await node.client.get(resources.pods, name, at)
  await node.client.delete(resources.pods, name, { ...at, gracePeriodSeconds: 1 })
  await node.gone(name)
  await node.kubelet.idle()
  expect(await leftovers(pod)).toEqual([])
}

describe('a Pod', () => {
  test('runs, with two writes of its status at most, and leaves nothing behind', async () => {
    await node.create('web', { containers: [container('echo hello; exec sleep 1000')] })
    const pod = await node.until('web', isReady)
    expect(pod.status).toMatchObject({
      phase: 'Running',
      podIP: expect.stringMatching(/^10\./),
      qosClass: 'BestEffort',
    })
    expect(node.writes.filter((write) => write.includes('/web')).length).toBeLessThanOrEqual(2)
    expect(eventsOf('web')).toEqual([
      'Pulled Container image "caisson.dev/host" already present on machine',
      'Created Created container: main',
      'Started Started container main',
    ])
    await expect.poll(() => node.log('web')).toBe('hello\n')
    await remove('web')
    expect(eventsOf('web').at(-1)).toBe('Killing Stopping container main')
    expect(node.errors).toEqual([])
  })

  test('that ends tells how, and keeps its log', async () => {
    await node.create('once', {
      restartPolicy: 'Never',
      containers: [container('echo working; echo done > /dev/termination-log; exit 3')],
    })
    const pod = await node.until('once', isOver)
    expect(pod.status?.phase).toBe('Failed')
    expect(pod.status?.containerStatuses?.[0]?.state).toEqual({
      terminated: {
        exitCode: 3,
        reason: 'Error',
        message: 'done\n',
        startedAt: expect.any(String),
        finishedAt: expect.any(String),
        containerID: expect.stringMatching(/^caisson:\/\//),
      },
    })
    await node.kubelet.idle()
    // What it ran in is gone at once, its log only with it.
    expect(await leftovers(pod)).toEqual([`default_once_${pod.metadata.uid}`])
    expect(await node.log('once')).toBe('working\n')
    await remove('once')
  })

  test('sees its volumes, its variables and its user', async () => {
    await node.client.create(
      resources.configMaps,
      { metadata: { name: 'cfg' }, data: { 'a.txt': 'alpha\n', color: 'blue' } },
      at,
    )
    await node.client.create(
      resources.secrets,
      { metadata: { name: 'sec' }, data: { password: Buffer.from('s3cret').toString('base64') } },
      at,
    )
    const mounts = (sub: boolean) => [
      { name: 'shared', mountPath: '/e', ...(sub && { subPath: 'sub' }) },
      { name: 'memory', mountPath: '/m' },
    ]
    await node.create(
      'volumes',
      {
        restartPolicy: 'Never',
        securityContext: { fsGroup: 2000, runAsUser: 1234, runAsGroup: 1235, runAsNonRoot: true },
        volumes: [
          { name: 'shared', emptyDir: {} },
          { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
          { name: 'cfg', configMap: { name: 'cfg' } },
          { name: 'sec', secret: { secretName: 'sec', defaultMode: 0o400 } },
          { name: 'down', downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
        ],
        initContainers: [
          container('mkdir -p /e/sub; echo from-init > /e/sub/file; echo from-memory > /m/file', {
            name: 'init',
            volumeMounts: mounts(false),
          }),
        ],
        containers: [
          container(
            `cat /e/file /m/file /cfg/a.txt /one /sec/password; echo; cat /down/labels; echo
             echo $MESSAGE; id -u; id -g; id -G; stat -c '%U %g %a' -L /sec/password; stat -c %g /e/file
             echo x 2>/dev/null > /cfg/new || echo read-only; dd if=/dev/zero of=/m/big bs=1M count=2 2>/dev/null || echo full
             cat /etc/hostname; hostname; grep -c $IP /etc/hosts`,
            {
              env: [
                { name: 'COLOR', valueFrom: { configMapKeyRef: { name: 'cfg', key: 'color' } } },
                { name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'sec', key: 'password' } } },
                { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
                { name: 'MESSAGE', value: '$(COLOR)-$(PASSWORD)' },
              ],
              volumeMounts: [
                ...mounts(true),
                { name: 'cfg', mountPath: '/cfg' },
                { name: 'cfg', mountPath: '/one', subPath: 'a.txt' },
                { name: 'sec', mountPath: '/sec' },
                { name: 'down', mountPath: '/down' },
              ],
            },
          ),
        ],
      },
      { labels: { app: 'x' } },
    )
    await node.until('volumes', isOver)
    expect(await node.log('volumes')).toBe(`from-init
from-memory
alpha
alpha
s3cret
app="x"
blue-s3cret
1234
1235
1235 2000
root 2000 440
2000
read-only
full
volumes
volumes
1
`)
    await remove('volumes')
  })

  test('sees a ConfigMap change while it runs', async () => {
    await node.client.create(resources.configMaps, { metadata: { name: 'live' }, data: { key: 'before' } }, at)
    await node.create('live', {
      volumes: [{ name: 'cfg', configMap: { name: 'live' } }],
      containers: [
        container('until grep -q after /cfg/key 2>/dev/null; do sleep 0.1; done; cat /cfg/key; exec sleep 1000', {
          volumeMounts: [{ name: 'cfg', mountPath: '/cfg' }],
        }),
      ],
    })
    await node.until('live', isReady)
    await node.client.patch(resources.configMaps, 'live', { data: { key: 'after' } }, at)
    await expect.poll(() => node.log('live'), { timeout: 10_000 }).toBe('after')
    await remove('live')
  })

  test('runs its init containers, and its sidecar as long as it lives', async () => {
    await node.create('sidecar', {
      restartPolicy: 'Never',
      volumes: [{ name: 'shared', emptyDir: {} }],
      initContainers: [
        container('echo up > /shared/proxy; exec sleep 1000', {
          name: 'proxy',
          restartPolicy: 'Always',
          volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
        }),
        container('echo ready > /shared/setup', {
          name: 'setup',
          volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
        }),
      ],
      containers: [container('cat /shared/setup', { volumeMounts: [{ name: 'shared', mountPath: '/shared' }] })],
      terminationGracePeriodSeconds: 1,
    })
    const pod = await node.until('sidecar', isOver)
    expect(pod.status?.phase).toBe('Succeeded')
    expect(pod.status?.initContainerStatuses?.map(({ name, state }) => [name, state?.terminated?.exitCode])).toEqual([
      ['proxy', 143],
      ['setup', 0],
    ])
    expect(await node.log('sidecar')).toBe('ready\n')
    await remove('sidecar')
  })

  test('is stopped by the signal that it waits for', async () => {
    await node.create('polite', {
      containers: [container('trap "echo goodbye; exit 0" TERM; echo up; while :; do sleep 0.1; done')],
      terminationGracePeriodSeconds: 60,
    })
    await node.until('polite', isReady)
    await expect.poll(() => node.log('polite')).toBe('up\n')
    const pods: PodObject[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    void (async () => {
      for await (const event of node.client.watch(resources.pods, { ...at, fieldSelector: 'metadata.name=polite' })) {
        if (event.type === 'MODIFIED' || event.type === 'DELETED') pods.push(event.object)
        if (event.type === 'DELETED') return resolve()
      }
    })()
    await node.client.delete(resources.pods, 'polite', at)
    await promise
    // Its end is told before it is gone.
    expect(pods.at(-1)?.status).toMatchObject({
      phase: 'Succeeded',
      containerStatuses: [{ state: { terminated: { exitCode: 0, reason: 'Completed' } } }],
    })
  })
})

describe('a Pod with limits', () => {
  const limited = (memory: string): Partial<Container> => ({ resources: { limits: { memory, cpu: '500m' } } })

  test('that runs out of memory was OOMKilled', async () => {
    const hog = 'import sys\nheld = []\nwhile True: held.append(bytearray(1 << 20))'
    await node.create('hog', {
      restartPolicy: 'Never',
      containers: [container('', { command: ['python3', '-c', hog], ...limited('32Mi') })],
    })
    const pod = await node.until('hog', isOver)
    expect(pod.status?.containerStatuses?.[0]?.state?.terminated).toMatchObject({ exitCode: 137, reason: 'OOMKilled' })
    await remove('hog')
  })

  test('that keeps more on the disk than it may is evicted', async () => {
    await node.create('hoarder', {
      terminationGracePeriodSeconds: 1,
      containers: [
        container('dd if=/dev/zero of=/var/full bs=1M count=30; exec sleep 1000', {
          resources: { limits: { 'ephemeral-storage': '20Mi' } },
          securityContext: { runAsUser: 0 },
        }),
      ],
    })
    const pod = await node.until('hoarder', isOver)
    const message = 'Pod ephemeral local storage usage exceeds the total limit of containers 20Mi. '
    expect(pod.status).toMatchObject({ phase: 'Failed', reason: 'Evicted', message })
    await expect.poll(() => eventsOf('hoarder')).toContain(`Evicted ${message}`)
    await remove('hoarder')
  })

  test('whose volume grows beyond its size is evicted', async () => {
    await node.create('grower', {
      terminationGracePeriodSeconds: 1,
      volumes: [{ name: 'scratch', emptyDir: { sizeLimit: '5Mi' } }],
      containers: [
        container('dd if=/dev/zero of=/scratch/full bs=1M count=9; exec sleep 1000', {
          volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }],
        }),
      ],
    })
    const pod = await node.until('grower', isOver)
    const message = 'Usage of EmptyDir volume "scratch" exceeds the limit "5Mi". '
    expect(pod.status).toMatchObject({ phase: 'Failed', reason: 'Evicted', message })
    await remove('grower')
  })

  test('is held to them as a whole', async () => {
    await node.create('modest', { containers: [container('exec sleep 1000', limited('64Mi'))] })
    const { metadata, status } = await node.until('modest', isReady)
    expect(status?.qosClass).toBe('Guaranteed')
    const [sandbox] = (await node.runtime.list()).filter(({ spec }) => spec.id.includes(metadata.uid ?? ''))
    expect(sandbox?.spec.limits).toEqual({
      memoryBytes: 64 * 1024 * 1024,
      cpuMillicores: 500,
      cpuRequestMillicores: 500,
      pids: 4096,
    })
    await remove('modest')
  })
})

describe('a Pod that cannot run', () => {
  test('because its command is not there', async () => {
    await node.create('no-command', { containers: [container('', { command: ['/no/such/command'] })] })
    const pod = await node.until('no-command', waitsFor('CrashLoopBackOff'))
    expect(pod.status?.containerStatuses?.[0]).toMatchObject({
      restartCount: 1,
      lastState: {
        terminated: { exitCode: 128, reason: 'StartError', message: expect.stringContaining('/no/such/command') },
      },
    })
    const attempt = [
      'Pulled Container image "caisson.dev/host" already present on machine',
      'Created Created container: main',
      expect.stringMatching(/^Failed Error: .*\/no\/such\/command/),
    ]
    expect(eventsOf('no-command')).toEqual([
      ...attempt,
      ...attempt,
      `BackOff Back-off restarting failed container main in pod no-command_default(${pod.metadata.uid})`,
    ])
    await remove('no-command')
  })

  test('because its image is not there', async () => {
    await node.create('no-image', {
      containers: [container('', { image: 'example.org/missing:1', imagePullPolicy: 'Never' })],
    })
    await node.until('no-image', waitsFor('ErrImageNeverPull'))
    await remove('no-image')
  })

  test('because its registry is not there', async () => {
    await node.create('no-registry', { containers: [container('', { image: 'registry.invalid/missing:1' })] })
    const pod = await node.until('no-registry', waitsFor('ErrImagePull'))
    expect(pod.status?.containerStatuses?.[0]?.state?.waiting?.message).toMatch(
      /^failed to pull image "registry.invalid\/missing:1": registry.invalid cannot be reached/,
    )
    await node.until('no-registry', waitsFor('ImagePullBackOff'))
    // The reason is for the log of the node alone.
    expect(node.errors.splice(0)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^pulling image "registry.invalid\/missing:1" for pod default\/no-registry: .*ENOTFOUND/),
      ]),
    )
    await remove('no-registry')
  })

  test('because its configuration is not there, until it is', async () => {
    await node.create('no-config', {
      containers: [
        container('echo $A; exec sleep 1000', {
          env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'later', key: 'a' } } }],
        }),
      ],
    })
    const pod = await node.until('no-config', waitsFor('CreateContainerConfigError'))
    expect(pod.status?.containerStatuses?.[0]?.state?.waiting?.message).toBe('configmap "later" not found')
    expect(eventsOf('no-config')).toEqual([
      'Pulled Container image "caisson.dev/host" already present on machine',
      'Failed Error: configmap "later" not found',
    ])
    await node.client.create(resources.configMaps, { metadata: { name: 'later' }, data: { a: 'now' } }, at)
    await node.until('no-config', isReady)
    await expect.poll(() => node.log('no-config')).toBe('now\n')
    await remove('no-config')
  })

  test('because the runtime cannot make its container, and is tried again ten seconds later, always', async () => {
    const mountPath = '/proc/self/fd'
    await node.create('no-create', {
      runtimeClassName: 'runc',
      volumes: [{ name: 'v', emptyDir: {} }],
      containers: [container('exec sleep 1000', { volumeMounts: [{ name: 'v', mountPath }] })],
    })
    const pod = await node.until('no-create', waitsFor('CreateContainerError'))
    const message = pod.status?.containerStatuses?.[0]?.state?.waiting?.message ?? ''
    expect(message).toContain(mountPath)
    // Where this machine keeps things is nobody's business but its own.
    expect(message).not.toContain(node.dataDirectory.replace(/\/kubelet$/, ''))
    expect(pod.status).toMatchObject({ phase: 'Pending', containerStatuses: [{ restartCount: 0, lastState: {} }] })
    expect(eventsOf('no-create')).toEqual([
      'Pulled Container image "caisson.dev/host" already present on machine',
      `Failed Error: ${message}`,
    ])
    await remove('no-create')
  })

  test('because its volume is not there, until it is', async () => {
    await node.create('no-volume', {
      volumes: [{ name: 'sec', secret: { secretName: 'coming' } }],
      containers: [container('exec sleep 1000', { volumeMounts: [{ name: 'sec', mountPath: '/sec' }] })],
    })
    await expect
      .poll(() => eventsOf('no-volume'))
      .toContain('FailedMount MountVolume.SetUp failed for volume "sec" : secret "coming" not found')
    await node.client.create(resources.secrets, { metadata: { name: 'coming' } }, at)
    await node.until('no-volume', isReady)
    await remove('no-volume')
  })

  test('because its runtime is not there', async () => {
    await node.create('no-runtime', { runtimeClassName: 'unknown', containers: [container('true')] })
    const pod = await node.until('no-runtime', waitsFor('FailedCreatePodSandBox'))
    expect(pod.status?.containerStatuses?.[0]?.state?.waiting?.message).toBe(
      'failed to get sandbox runtime: no runtime for "no-such-runtime" is configured: this node has runsc, runc, crun, runc-v2, kata, kata-fc',
    )
    expect((await node.runtime.list()).filter(({ spec }) => spec.id.includes(pod.metadata.uid ?? ''))).toEqual([])
    await remove('no-runtime')
  })

  test('because it asks for the host', async () => {
    await node.create('host', { hostNetwork: true, containers: [container('true')] })
    const pod = await node.until('host', waitsFor('FailedCreatePodSandBox'))
    expect(pod.status?.containerStatuses?.[0]?.state?.waiting?.message).toContain('asks for hostNetwork')
    await remove('host')
  })

  test('because it has more containers than a node takes', async () => {
    const containers = Array.from({ length: 2_000 }, (_, index) => ({ name: `c-${index}`, image: 'caisson.dev/host' }))
    await node.create('crowd', { containers })
    const pod = await node.until('crowd', isOver)
    expect(pod.status).toMatchObject({
      phase: 'Failed',
      reason: 'PodTooLarge',
      message: 'Pod was rejected: it has 2000 containers, and this node takes at most 100 in one Pod',
    })
    expect(pod.status?.containerStatuses).toBeUndefined()
    await expect
      .poll(() => eventsOf('crowd'))
      .toEqual(['PodTooLarge it has 2000 containers, and this node takes at most 100 in one Pod'])
    expect(await leftovers(pod)).toEqual([])
    await remove('crowd')
  })

  test('because it has no time left', async () => {
    await node.create('deadline', {
      activeDeadlineSeconds: 1,
      terminationGracePeriodSeconds: 1,
      containers: [container('exec sleep 1000')],
    })
    const pod = await node.until('deadline', isOver)
    expect(pod.status).toMatchObject({
      phase: 'Failed',
      reason: 'DeadlineExceeded',
      message: 'Pod was active on the node longer than the specified deadline',
    })
    await remove('deadline')
  })
})

describe('a start that goes on', () => {
  const spec = {
    containers: Array.from({ length: 40 }, (_, index) => container('exec sleep 1000', { name: `c-${index}` })),
    terminationGracePeriodSeconds: 0,
  }
  const begun = async (pod: PodObject) =>
    (await node.runtime.list()).find(({ spec }) => spec.id.startsWith(pod.metadata.uid ?? ''))?.containers.length ?? 0

  test.each([['forced', 0] as const, ['in good order', 1] as const])(
    'is given up when its Pod is deleted, %s',
    async (_, gracePeriodSeconds) => {
      const pod = await node.create('train', spec)
      await expect.poll(() => begun(pod), { interval: 20, timeout: 20_000 }).toBeGreaterThan(1)
      const started = () => eventsOf('train').filter((event) => event.startsWith('Started')).length
      await node.client.delete(resources.pods, 'train', { ...at, gracePeriodSeconds })
      const atDeletion = started()
      await node.gone('train')
      await expect.poll(() => leftovers(pod), { timeout: 20_000 }).toEqual([])
      expect(started() - atDeletion).toBeLessThanOrEqual(1)
      expect(atDeletion).toBeLessThan(40)
      // A start that was given up is no failure.
      expect(eventsOf('train').filter((event) => event.startsWith('Failed'))).toEqual([])
      node.events.length = 0
    },
  )

  test('is given up when the agent ends, and goes on with the next one', async () => {
    const pod = await node.create('train', { ...spec, containers: spec.containers.slice(0, 8) })
    await expect.poll(() => begun(pod), { interval: 20, timeout: 20_000 }).toBeGreaterThan(1)
    await node.restart(async () => expect(await begun(pod)).toBeLessThan(8))
    await node.until('train', isReady)
    await remove('train')
    expect(node.errors).toEqual([])
  })
})

describe('an agent that starts again', () => {
  test('takes running Pods over as they are, and ends those that were deleted meanwhile', async () => {
    const clock = 'cut -d. -f1 /proc/uptime > /dev/termination-log; echo started; exec sleep 1000'
    await node.create('stays', { containers: [container(clock)] })
    await node.create('goes', { containers: [container(clock)] })
    const before = await node.until('stays', isReady)
    const gone = await node.until('goes', isReady)
    const processes = async () =>
      (await node.runtime.list()).flatMap(({ containers }) =>
        containers.map(({ state }) => 'pid' in state && state.pid),
      )
    const pids = await processes()
    node.writes.length = 0
    await node.restart(async () => {
      await node.client.delete(resources.pods, 'goes', { ...at, gracePeriodSeconds: 0 })
    })
    await node.kubelet.idle()
    await expect.poll(() => leftovers(gone)).toEqual([])
    expect(pids).toContain((await processes())[0])
    // Nothing has changed, so nothing is written.
    expect(node.writes).toEqual([])
    const after = await node.client.get(resources.pods, 'stays', at)
    expect(after.status).toEqual(before.status)
    expect(await node.log('stays')).toBe('started\n')
    await remove('stays')
  })

  test('reports what ended while nobody watched', async () => {
    await node.create('unseen', {
      restartPolicy: 'Never',
      volumes: [{ name: 'shared', emptyDir: {} }],
      containers: [
        container('until [ -e /shared/go ]; do sleep 0.1; done; exit 7', {
          volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
        }),
      ],
    })
    const { metadata } = await node.until('unseen', isReady)
    await node.restart(async () => {
      await writeFile(join(node.dataDirectory, 'pods', metadata.uid ?? '', 'volumes', 'shared', 'go'), '')
    })
    const pod = await node.until('unseen', isOver)
    expect(pod.status?.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(7)
    await remove('unseen')
  })

  test('after everything was stopped, tells how it ended and runs again what should run', async () => {
    const farewell = `trap 'echo bye > /dev/termination-log; exit 5' TERM; echo up; while :; do sleep 0.05; done`
    await node.create('again', { containers: [container(farewell)] })
    await node.create('never', { restartPolicy: 'Never', containers: [container(farewell)] })
    for (const name of ['again', 'never']) {
      await node.until(name, isReady)
      await expect.poll(() => node.log(name)).toBe('up\n')
    }
    const before = await node.client.get(resources.pods, 'again', at)
    const told: PodObject[] = []
    const stop = new AbortController()
    const watching = (async () => {
      for await (const { object } of node.client.watch(resources.pods, {
        ...at,
        fieldSelector: 'metadata.name=again',
        resourceVersion: before.metadata.resourceVersion ?? '',
        signal: stop.signal,
      }))
        told.push(object as PodObject)
    })()
    await node.kubelet.stopAll({ graceMs: 5_000 })
    expect(await node.runtime.list()).toEqual([])
    await node.restart()
    // Before anything else, and before anybody could ask.
    await expect.poll(() => told.length).toBeGreaterThan(0)
    const [first] = told
    expect(first?.status?.conditions?.find(({ type }) => type === 'Ready')?.status).toBe('False')
    const terminated = { exitCode: 5, reason: 'Error', message: 'bye\n' }
    expect(first?.status?.containerStatuses?.[0]).toMatchObject({ restartCount: 0, state: { terminated } })
    const { startedAt = '', finishedAt = '' } = first?.status?.containerStatuses?.[0]?.state?.terminated ?? {}
    expect(Date.parse(finishedAt)).toBeGreaterThanOrEqual(Date.parse(startedAt))
    expect((await node.client.get(resources.pods, 'never', at)).status).toMatchObject({
      phase: 'Failed',
      containerStatuses: [{ state: { terminated } }],
    })
    const pod = await node.until(
      'again',
      ({ status }) => status?.containerStatuses?.[0]?.restartCount === 1 && status.phase === 'Running',
    )
    expect(pod.status?.containerStatuses?.[0]?.lastState).toMatchObject({ terminated })
    expect(await readdir(node.dataDirectory)).not.toContain('ended.json')
    stop.abort()
    await watching.catch(() => undefined)
    await remove('again')
    await remove('never')
  })
})

describe('a container that is put into a Pod that runs', () => {
  async function put(name: string, fields: Partial<EphemeralContainer>): Promise<void> {
    const debug = { name: 'debug', image: 'caisson.dev/host', imagePullPolicy: 'IfNotPresent', ...fields }
    const { spec } = await node.client.get(resources.pods, name, at)
    const ephemeralContainers = [...(spec?.ephemeralContainers ?? []), debug]
    await node.client.patch(
      resources.pods,
      name,
      { spec: { ephemeralContainers } },
      {
        ...at,
        type: 'strategic',
        subresource: 'ephemeralcontainers',
      },
    )
  }
  const debugStatus = ({ status }: PodObject) => status?.ephemeralContainerStatuses?.[0]
  const ended = (pod: PodObject) => debugStatus(pod)?.state?.terminated !== undefined

  test('sees the processes and the network of the only one, and is not started again', async () => {
    await node.create('alone', { containers: [container('exec sleep 4321')] })
    await node.until('alone', isReady)
    const look = 'cat /proc/[0-9]*/cmdline | tr "\\0" " "; hostname; exit 3'
    await put('alone', { command: ['sh', '-c', look], targetContainerName: 'main' })
    const pod = await node.until('alone', ended)
    expect(debugStatus(pod)).toMatchObject({
      name: 'debug',
      ready: false,
      restartCount: 0,
      containerID: `caisson://${pod.metadata.uid}-e0-0`,
      state: { terminated: { exitCode: 3, reason: 'Error' } },
    })
    expect(await node.log('alone', { container: 'debug' })).toMatch(/sleep 4321 [^]*alone\n$/)
    expect(pod.status?.containerStatuses?.[0]?.restartCount).toBe(0)
    expect(isReady(pod)).toBe(true)
    expect(eventsOf('alone').slice(-3)).toEqual([
      'Pulled Container image "caisson.dev/host" already present on machine',
      'Created Created container: debug',
      'Started Started container debug',
    ])
    await node.restart()
    await node.kubelet.idle()
    expect(debugStatus(await node.client.get(resources.pods, 'alone', at))).toEqual(debugStatus(pod))
    await remove('alone')
  })

  test('works where the only one does not run', async () => {
    await node.create('crashing', { containers: [container('exit 1')] })
    await node.until('crashing', waitsFor('CrashLoopBackOff'))
    await put('crashing', { command: ['sh', '-c', 'exec sleep 1000'] })
    await node.until('crashing', (pod) => debugStatus(pod)?.state?.running !== undefined)
    // And stays when the other one is tried again.
    const pod = await node.until('crashing', ({ status }) => (status?.containerStatuses?.[0]?.restartCount ?? 0) >= 2)
    expect(debugStatus(pod)?.state?.running).toBeDefined()
    await remove('crashing')
  })

  test('says what it cannot find', async () => {
    await node.create('several', {
      containers: [container('exec sleep 1000'), container('exit 0', { name: 'other' })],
      restartPolicy: 'OnFailure',
    })
    await node.until('several', ({ status }) =>
      status?.containerStatuses?.some(({ name, state }) => name === 'other' && state?.terminated),
    )
    await put('several', { command: ['true'], targetContainerName: 'other' })
    const pod = await node.until('several', (found) => debugStatus(found)?.state?.waiting?.message !== undefined)
    expect(debugStatus(pod)?.state?.waiting).toEqual({
      reason: 'CreateContainerConfigError',
      message: 'unable to find target container other',
    })
    await remove('several')
  })
})
