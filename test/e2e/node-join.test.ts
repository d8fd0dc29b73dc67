/** This machine as a node of a real control plane: what runs there, who may ask it for what, and what it leaves. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readDaemonRecord } from '../../packages/cli/src/cluster/daemon-record.ts'
import { dataDirectory } from '../../packages/cli/src/cluster/data-directory.ts'
import { type PodObject, resources } from '../../packages/client/src/index.ts'
import { connectCluster, type TestCluster, until } from '../../packages/controllers/src/testing/test-cluster.ts'
import { hasGo } from '../cluster/build-control-plane.ts'
import { type RealCluster, startRealCluster } from '../cluster/real-cluster.ts'
import { findKubectl, type Outcome, type RunOptions, run } from './fixture.ts'
import { leftovers } from './leftovers.ts'

const ROOT = join(import.meta.dirname, '../..')
const CAISSON = join(ROOT, 'bin/caisson')
const NAME = 'sandbox-node'
const SERVER_HTML = 'mkdir -p /www && echo served > /www/index.html && echo started && exec httpd -f -p 8080 -h /www'

describe.runIf(hasGo() && findKubectl())('a node of a real cluster', () => {
  const work = mkdtempSync(join(tmpdir(), 'caisson-join-'))
  const data = join(work, 'node')
  const joinWords = ['node', 'join', '--name', NAME, '--port', '0', '--detach']
  let plane: RealCluster
  let cluster: TestCluster
  let env: Record<string, string>

  const caisson = (words: string[], options: RunOptions = {}): Promise<Outcome> =>
    run(CAISSON, words, { ...options, env: { ...env, ...options.env } })
  const kubectl = (words: string[], options: RunOptions = {}): Promise<Outcome> =>
    run(findKubectl() ?? 'kubectl', words, { ...options, env: { ...env, ...options.env } })
  const must = async (outcome: Promise<Outcome>): Promise<string> => {
    const { code, stdout, stderr } = await outcome
    expect(code, `${stdout}\n${stderr}`).toBe(0)
    return stdout
  }
  const node = () => cluster.client.get(resources.nodes, NAME)
  const podUntil = (name: string, holds: (pod: PodObject | undefined) => boolean) =>
    until(cluster.client, resources.pods, { namespace: 'default', name }, holds)
  const ready = (name: string) => must(kubectl(['wait', '--for=condition=Ready', `pod/${name}`, '--timeout=60s']))
  const runPod = async (name: string, script: string, more: string[] = []): Promise<void> => {
    const image = ['--image=busybox', '--image-pull-policy=Never', '--restart=Never']
    await must(kubectl(['run', name, ...image, ...more, '--', 'sh', '-c', script]))
  }

  beforeAll(async () => {
    plane = await startRealCluster({ controllers: true, nodes: true })
    cluster = await connectCluster(plane.kubeconfig)
    env = {
      KUBECONFIG: plane.kubeconfig,
      KUBECACHEDIR: join(work, 'kubectl-cache'),
      CAISSON_DATA_DIR: data,
      CAISSON_TOOLS_DIR: process.env['CAISSON_TOOLS_DIR'] ?? join(homedir(), '.cache', 'caisson', 'tools'),
    }
    const archive = join(work, 'busybox.tar')
    await must(run('bash', [join(ROOT, 'examples/busybox-image.sh'), archive], { env }))
    await must(caisson(['image', 'import', archive]))
    await until(cluster.client, resources.serviceAccounts, { namespace: 'default', name: 'default' }, Boolean)
  })
  afterAll(async () => {
    if (env) await caisson(['node', 'leave'])
    await cluster?.[Symbol.asyncDispose]()
    await plane?.[Symbol.asyncDispose]()
    rmSync(work, { recursive: true, force: true })
  })

  test('what is missing is said before the cluster hears of it', async () => {
    const joined = async (more: string[], variables: Record<string, string> = {}): Promise<[number | null, string]> => {
      const { code, stderr } = await caisson([...joinWords, ...more], { env: variables })
      return [code, stderr]
    }
    const nowhere = kubeconfigWith('nowhere', { cluster: { server: 'https://127.0.0.1:1' } })
    const nobody = kubeconfigWith('nobody', { user: { as: 'nobody' } })
    expect(await joined(['--kubeconfig', nowhere])).toEqual([
      69,
      expect.stringContaining('the cluster at https://127.0.0.1:1 does not answer: '),
    ])
    expect(await joined(['--kubeconfig', nobody])).toEqual([
      77,
      expect.stringContaining(
        'a node is joined with the rights of a cluster\'s administrator, and you lack one: nodes "sandbox-node" is forbidden: User "nobody" cannot get resource "nodes"',
      ),
    ])
    const empty = mkdtempSync(join(work, 'no-tools-'))
    expect(await joined([], { CAISSON_TOOLS_DIR: empty, PATH: pathWithoutRunsc() })).toEqual([
      69,
      "caisson: runsc (gVisor) is not on this machine: 'caisson doctor --fix' fetches it\n",
    ])
    expect(await joined(['--taints', 'gvisor'])).toEqual([
      64,
      'caisson: --taints takes taints such as gvisor=only:NoSchedule (NoSchedule, PreferNoSchedule, NoExecute), not "gvisor"\n',
    ])
    expect((await cluster.client.list(resources.nodes)).items).toEqual([])
    expect((await cluster.client.list(resources.certificateSigningRequests)).items).toEqual([])
  })

  test('joins, and is Ready with what it was given', async () => {
    await must(caisson([...joinWords, '--labels', 'tier=sandboxes', '--taints', 'sandboxes=only:PreferNoSchedule']))
    const { metadata, spec, status } = await until(
      cluster.client,
      resources.nodes,
      { name: NAME },
      (object) => object?.spec?.podCIDR !== undefined,
    )
    expect(metadata.labels).toEqual({
      'beta.kubernetes.io/arch': status?.nodeInfo?.architecture,
      'beta.kubernetes.io/os': 'linux',
      'gvisor.enabled': 'true',
      'kubernetes.io/arch': status?.nodeInfo?.architecture,
      'kubernetes.io/hostname': NAME,
      'kubernetes.io/os': 'linux',
      tier: 'sandboxes',
    })
    expect(spec?.taints?.filter(({ key }) => !key.startsWith('node.kubernetes.io/'))).toEqual([
      { key: 'sandboxes', value: 'only', effect: 'PreferNoSchedule' },
    ])
    expect(status?.conditions?.map(({ type, status: is }) => `${type} ${is}`)).toEqual([
      'MemoryPressure False',
      'DiskPressure False',
      'PIDPressure False',
      'Ready True',
    ])
    expect(status?.daemonEndpoints?.kubeletEndpoint?.Port).toBeGreaterThan(0)
    const lease = await cluster.client.get(resources.leases, NAME, { namespace: 'kube-node-lease' })
    expect(lease.spec).toMatchObject({ holderIdentity: NAME, leaseDurationSeconds: 40 })
    expect(lease.metadata.ownerReferences).toEqual([{ apiVersion: 'v1', kind: 'Node', name: NAME, uid: metadata.uid }])
    for (const file of ['client.pem', 'serving.pem'])
      expect((statSync(join(data, 'credentials', file)).mode & 0o777).toString(8)).toBe('600')
  })

  test('kubectl run, logs, exec, cp, port-forward and debug work as on any node, under gVisor', async () => {
    await runPod('web', SERVER_HTML, ['--port', '8080'])
    await ready('web')
    const { spec, status } = await podUntil('web', Boolean)
    expect(spec?.nodeName).toBe(NAME)
    const { podCIDR = '' } = (await node()).spec ?? {}
    expect(status?.podIP?.split('.').slice(0, 3)).toEqual(podCIDR.split('.').slice(0, 3))
    expect(await must(kubectl(['logs', 'web']))).toBe('started\n')
    expect(await must(kubectl(['exec', 'web', '--', 'dmesg']))).toContain('Starting gVisor')
    expect(await kubectl(['exec', '-i', 'web', '--', 'sh', '-c', 'cat; exit 3'], { input: 'echoed' })).toMatchObject({
      code: 3,
      stdout: 'echoed',
    })
    const file = join(work, 'copied')
    writeFileSync(file, 'content\n')
    await must(kubectl(['cp', file, 'web:/copied']))
    await must(kubectl(['cp', 'web:/copied', `${file}.back`]))
    expect(readFileSync(`${file}.back`, 'utf8')).toBe('content\n')
    await must(
      kubectl([
        'debug',
        'web',
        '--image=busybox',
        '--image-pull-policy=Never',
        '-c',
        'look',
        '--',
        'sh',
        '-c',
        'id -u',
      ]),
    )
    await podUntil('web', (pod) =>
      Boolean(pod?.status?.ephemeralContainerStatuses?.some(({ state }) => state?.terminated)),
    )
    expect(await must(kubectl(['logs', 'web', '-c', 'look']))).toBe('0\n')
  })

  test('a node that was killed goes on with its Pods, and needs no administrator for it', async () => {
    const before = (await podUntil('web', Boolean)).status?.containerStatuses?.[0]
    process.kill(readDaemonRecord(dataDirectory(data))?.pid ?? 0, 'SIGKILL')
    const outcome = await caisson(['node', 'join', '--detach'], { env: { KUBECONFIG: '/nonexistent' } })
    expect(outcome).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`running: node ${NAME} of ${plane.server}`),
    })
    expect(await must(kubectl(['exec', 'web', '--', 'cat', '/copied']))).toBe('content\n')
    expect((await podUntil('web', Boolean)).status?.containerStatuses?.[0]).toEqual(before)
  })

  test('its name is nobody else’s', async () => {
    const other = { env: { CAISSON_DATA_DIR: join(work, 'other') } }
    expect(await caisson(joinWords, other)).toMatchObject({
      code: 64,
      stderr: expect.stringContaining(`the cluster has a node ${NAME} that is not this one (v1.34.0, `),
    })
    expect(await caisson(['up', '--detach'])).toMatchObject({
      code: 64,
      stderr: expect.stringContaining(`${data} is node ${NAME} of ${plane.server}`),
    })
  })

  test('leaves nothing on the machine, and is gone from the cluster', async () => {
    expect(await must(caisson(['node', 'leave', '--delete-node']))).toBe(`node ${NAME} has left ${plane.server}\n`)
    expect(leftovers(data)).toEqual({ processes: [], mounts: [], namespaces: [], containers: [], groups: [] })
    expect(() => statSync(data)).toThrow('ENOENT')
    expect((await cluster.client.list(resources.nodes)).items).toEqual([])
    const bindings = (await cluster.client.list(resources.clusterRoleBindings)).items.map(
      ({ metadata }) => metadata.name,
    )
    expect(bindings.filter((name) => name?.startsWith('caisson:'))).toEqual([])
    expect((await cluster.client.list(resources.leases, { namespace: 'kube-node-lease' })).items).toEqual([])
  })

  /** The kubeconfig of the test's cluster, which is JSON, with another server or user. */
  function kubeconfigWith(
    name: string,
    { cluster: place = {}, user = {} }: { cluster?: object; user?: object },
  ): string {
    const config = JSON.parse(readFileSync(plane.kubeconfig, 'utf8'))
    Object.assign(config.clusters[0].cluster, place)
    Object.assign(config.users[0].user, user)
    const file = join(work, `kubeconfig-${name}`)
    writeFileSync(file, JSON.stringify(config), { mode: 0o600 })
    return file
  }

  /** The launcher needs a Node, and nothing else. */
  function pathWithoutRunsc(): string {
    return `${join(ROOT, 'node_modules/.bin')}:/usr/bin:/bin`
  }
})
