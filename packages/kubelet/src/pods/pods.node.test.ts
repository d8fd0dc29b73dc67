import * as apiserver from '@caisson/apiserver'
import { type PodObject, resources } from '@caisson/client'
import type { Container, PodSpec } from 'kubernetes-types/core/v1.d.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { container, eventsOf, isOver, isReady, leftovers, remove, waitsFor } from '../testing/scratch-pods.ts'

let node: ScratchNode
beforeAll(async () => {
  node = await startScratchNode(apiserver, { allowedSysctls: ['kernel.msg*'] })
})
afterAll(() => node[Symbol.asyncDispose]())

const at = { namespace: 'default' }

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
    expect(eventsOf(node, 'web')).toEqual([
      'Pulled Container image "caisson.dev/host" already present on machine',
      'Created Created container: main',
      'Started Started container main',
    ])
    await expect.poll(() => node.log('web')).toBe('hello\n')
    await remove(node, 'web')
    expect(eventsOf(node, 'web').at(-1)).toBe('Killing Stopping container main')
    expect(node.errors).toEqual([])
  })

  test('has the kernel parameters that it asks for and the node allows, and is told where it has not', async () => {
    const spec: Partial<PodSpec> = {
      securityContext: {
        sysctls: [
          { name: 'net/ipv4/tcp_syncookies', value: '2' },
          { name: 'kernel.msgmax', value: '65536' },
        ],
      },
      containers: [container('cat /proc/sys/net/ipv4/tcp_syncookies /proc/sys/kernel/msgmax; exec sleep 1000')],
    }
    const applied = ({ status }: PodObject) =>
      status?.conditions?.find(({ type }) => type === 'caisson.dev/SysctlsApplied')
    await node.create('tuned', { ...spec, runtimeClassName: 'runc' })
    expect(applied(await node.until('tuned', isReady))).toBeUndefined()
    await expect.poll(() => node.log('tuned')).toBe('2\n65536\n')
    await remove(node, 'tuned')
    await node.create('untuned', spec)
    expect(applied(await node.until('untuned', isReady))).toMatchObject({
      status: 'False',
      reason: 'SysctlsNotSupported',
      message: expect.stringContaining('not applied: net.ipv4.tcp_syncookies, kernel.msgmax. '),
    })
    await remove(node, 'untuned')
  })

  test('has under gVisor the kernel parameters that its network goes by, before its first container', async () => {
    const looks = `import socket
served = socket.socket(); served.bind(("127.0.0.1", 0)); served.listen()
client = socket.socket(); client.connect(served.getsockname())
print(40000 <= client.getsockname()[1] <= 40010, client.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), client.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF), flush=True)
import time; time.sleep(1000)`
    const sysctls = [
      { name: 'net.ipv4.ip_local_port_range', value: '40000 40010' },
      { name: 'net/ipv4/tcp_rmem', value: '4096 65536 200000' },
      { name: 'net.ipv4.tcp_wmem', value: '4096 32768 300000' },
    ]
    const looking = { name: 'main', image: 'caisson.dev/host', command: ['python3', '-c', looks] }
    await node.create('network', {
      securityContext: { sysctls, runAsUser: 1000 },
      containers: [{ ...looking, securityContext: { allowPrivilegeEscalation: false } }],
    })
    const { status } = await node.until('network', isReady)
    expect(status?.conditions?.map(({ type }) => type)).not.toContain('caisson.dev/SysctlsApplied')
    await expect.poll(() => node.log('network'), { timeout: 20_000 }).toBe('True 65536 32768\n')
    await remove(node, 'network')

    const refused = [{ name: 'net.ipv4.tcp_rmem', value: 'much' }]
    await node.create('refused', { securityContext: { sysctls: refused }, containers: [looking] })
    await node.until('refused', waitsFor('FailedCreatePodSandBox'))
    expect(eventsOf(node, 'refused')[0]).toBe(
      'FailedCreatePodSandBox Failed to create pod sandbox: the sandbox does not take net.ipv4.tcp_rmem="much"',
    )
    await remove(node, 'refused')
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
    expect(await leftovers(node, pod)).toEqual([`default_once_${pod.metadata.uid}`])
    expect(await node.log('once')).toBe('working\n')
    await remove(node, 'once')
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
    await remove(node, 'volumes')
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
    await remove(node, 'live')
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
    await remove(node, 'sidecar')
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
    await remove(node, 'hog')
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
    await expect.poll(() => eventsOf(node, 'hoarder')).toContain(`Evicted ${message}`)
    await remove(node, 'hoarder')
  })

  test('that keeps it in files that every Pod has is evicted, and so is one without limits', async () => {
    const growing = (file: string, more: Partial<Container>): Partial<PodSpec> => ({
      terminationGracePeriodSeconds: 1,
      containers: [
        container(`dd if=/dev/urandom of=${file} bs=1M count=30; exec sleep 1000`, {
          securityContext: { runAsUser: 0 },
          ...more,
        }),
      ],
    })
    const limits = { 'ephemeral-storage': '5Mi' }
    await node.create('talker', growing('/dev/termination-log', { resources: { limits } }))
    await node.create('listener', growing('/etc/hosts', {}))
    const message =
      'Pod keeps more than 8Mi in /etc/hosts, /etc/hostname, /etc/resolv.conf and its termination messages together: write to a volume instead. '
    for (const name of ['talker', 'listener']) {
      const { status } = await node.until(name, isOver)
      expect(status).toMatchObject({ phase: 'Failed', reason: 'Evicted', message })
      await remove(node, name)
    }
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
    await remove(node, 'grower')
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
    await remove(node, 'modest')
  })
})
