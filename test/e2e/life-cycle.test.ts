/** How a cluster and its sandboxes end, in good order or not, and what they are when they come back. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type DaemonRecord, isAlive, readDaemonRecord } from '../../packages/cli/src/cluster/daemon-record.ts'
import { dataDirectory } from '../../packages/cli/src/cluster/data-directory.ts'
import { tryLock } from '../../packages/cli/src/cluster/directory-lock.ts'
import { sandboxes } from '../../packages/cli/src/sandboxes.ts'
import { createClient, createHttpTransport, findConnection } from '../../packages/client/src/index.ts'
import { freePort } from '../cluster/real-cluster.ts'
import { type Cluster, startCluster } from './fixture.ts'
import { commandLine, leftovers } from './leftovers.ts'

const CAISSON = join(import.meta.dirname, '../../bin/caisson')
const NOTHING = { processes: [], mounts: [], namespaces: [], containers: [], groups: [] }

interface PodStatus {
  phase: string
  conditions: { type: string; status: string }[]
  containerStatuses: {
    restartCount: number
    state: { running?: object; terminated?: object }
    lastState: { terminated?: object }
  }[]
}

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(async () => {
  await cluster[Symbol.asyncDispose]()
})

const record = () => readDaemonRecord(dataDirectory(cluster.dataDirectory))

function daemonPid(): number {
  const running = record()
  if (!running) throw new Error('the cluster does not run')
  return running.pid
}

const statusOf = async (name: string): Promise<PodStatus> =>
  (JSON.parse(await cluster.mustKubectl(['get', 'pod', name, '-o', 'json'])) as { status: PodStatus }).status

async function apply(name: string, container: object, spec: object = {}): Promise<void> {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { ...spec, containers: [{ name: 'main', image: 'caisson.dev/host', ...container }] },
  }
  await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(pod) })
}

/** `caisson`, to be killed. */
function begin(args: string[]): ChildProcess {
  return spawn(CAISSON, args, {
    env: { ...process.env, ...cluster.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

describe('down', () => {
  test('also comes as soon as the cluster runs, and leaves nothing', async () => {
    await cluster.mustCaisson(['down'])
    const up = begin(['up'])
    const ended = once(up, 'exit')
    if (up.stdout) await once(up.stdout, 'data')
    up.kill('SIGINT')
    expect(await ended).toEqual([0, null])
    expect(leftovers(cluster.dataDirectory)).toEqual(NOTHING)
    await cluster.mustCaisson(['up', '--detach'])
  })

  test('ends a cluster that is starting too, and does not say that none runs', async () => {
    await cluster.mustCaisson(['down'])
    const directory = dataDirectory(cluster.dataDirectory)
    const isFree = (): boolean => {
      using lock = tryLock(directory)
      return lock !== undefined
    }
    const up = begin(['up'])
    const ended = once(up, 'exit')
    await expect.poll(isFree, { interval: 10 }).toBe(false)
    expect([record(), await cluster.mustCaisson(['down'])]).toEqual([undefined, 'stopped\n'])
    expect(await ended).toEqual([0, null])
    expect([leftovers(cluster.dataDirectory), isFree()]).toEqual([NOTHING, true])
    await cluster.mustCaisson(['up', '--detach'])
  })

  test('lets containers end, and up tells truly how they did', async () => {
    await apply('polite', { command: ['sh', '-c', 'trap "exit 7" TERM; echo up; while :; do sleep 0.1; done'] })
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/polite', '--timeout=30s'])
    await expect.poll(() => cluster.mustKubectl(['logs', 'polite'])).toBe('up\n')
    await cluster.mustCaisson(['down'])
    expect(leftovers(cluster.dataDirectory)).toEqual(NOTHING)
    await cluster.mustCaisson(['up', '--detach'])
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/polite', '--timeout=30s'])
    const { containerStatuses } = await statusOf('polite')
    expect(containerStatuses[0]).toMatchObject({
      restartCount: 1,
      state: { running: {} },
      lastState: { terminated: { exitCode: 7, reason: 'Error' } },
    })
    await cluster.mustKubectl(['delete', 'pod', 'polite', '--grace-period=1'])
  })

  test('ends a cluster whose process does not answer any more, with everything that it ran', async () => {
    await apply('left', { command: ['sleep', '1000'] })
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/left', '--timeout=30s'])
    const pid = daemonPid()
    process.kill(pid, 'SIGSTOP')
    const down = await cluster.caisson(['down', '--timeout', '1s'])
    expect(down).toEqual({
      code: 0,
      stdout: 'stopped\n',
      stderr: `caisson: process ${pid} has not stopped within 1s and is killed\n`,
    })
    expect(leftovers(cluster.dataDirectory)).toEqual(NOTHING)
    await cluster.mustCaisson(['up', '--detach'])
    await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/left', '--timeout=30s'])
    // Stopped by `down` itself, which told the next cluster how that went.
    expect((await statusOf('left')).containerStatuses[0]?.lastState.terminated).toMatchObject({ reason: 'Error' })
    await cluster.mustKubectl(['delete', 'pod', 'left', '--grace-period=1'])
  })

  test('is what up names where the process of the cluster lives and does not answer', async () => {
    const { pid, server } = record() ?? expect.fail('the cluster does not run')
    process.kill(pid, 'SIGSTOP')
    const outcome = await cluster.caisson(['up', '--detach'])
    process.kill(pid, 'SIGCONT')
    expect(outcome).toEqual({
      code: 69,
      stdout: '',
      stderr: `caisson: the cluster is not ready at ${server}, although its process ${pid} lives: 'caisson down' ends it\n`,
    })
    expect(await cluster.mustCaisson(['up', '--detach'])).toBe(`already running: ${server}, process ${pid}\n`)
  })

  test('ends at once while a Pod of many containers starts', async () => {
    const containers = Array.from({ length: 60 }, (_, index) => ({
      name: `c-${index}`,
      image: 'caisson.dev/host',
      command: ['sleep', '1000'],
    }))
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'crowd' }, spec: { containers } }
    await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(pod) })
    await expect
      .poll(() => readdirSync(join(cluster.dataDirectory, 'runtime', 'containers')).length, { timeout: 20_000 })
      .toBeGreaterThan(3)
    expect(await cluster.caisson(['down', '--timeout', '30s'])).toEqual({ code: 0, stdout: 'stopped\n', stderr: '' })
    expect(leftovers(cluster.dataDirectory)).toEqual(NOTHING)
    await cluster.mustCaisson(['up', '--detach'])
    await cluster.mustKubectl(['delete', 'pod', 'crowd', '--grace-period=0', '--force'])
    await expect
      .poll(() => leftovers(cluster.dataDirectory).containers.filter((name) => !name.startsWith('.')), {
        timeout: 20_000,
      })
      .toEqual([])
  })
})

describe('the sandbox of a run whose process is killed', () => {
  const names = () => cluster.mustCaisson(['ls', '-o', 'name'])

  async function started(...args: string[]): Promise<ChildProcess> {
    const client = begin(['run', ...args, '--', 'sh', '-c', 'echo up; exec sleep 1000'])
    const [chunk] = (await once(client.stdout ?? client, 'data')) as [Buffer]
    expect(chunk.toString()).toBe('up\n')
    return client
  }

  test('is removed', async () => {
    const client = await started('--name', 'lonely')
    expect(await names()).toContain('lonely')
    client.kill('SIGKILL')
    await expect.poll(names).not.toContain('lonely')
    expect(readdirSync(join(cluster.dataDirectory, 'attended'))).toEqual([])
  })

  test('is removed by the next cluster where the first one was killed too', async () => {
    const client = await started('--name', 'orphan')
    process.kill(daemonPid(), 'SIGKILL')
    client.kill('SIGKILL')
    await once(client, 'exit')
    await cluster.mustCaisson(['up', '--detach'])
    await expect.poll(names).not.toContain('orphan')
  })

  test('stays while its process lives but is stopped, also when another cluster takes over', async () => {
    const client = await started('--name', 'patient')
    client.kill('SIGSTOP')
    process.kill(daemonPid(), 'SIGKILL')
    await cluster.mustCaisson(['up', '--detach'])
    // Something else has come and gone: the new cluster has looked at every sandbox by then.
    expect(await cluster.mustCaisson(['run', '--', 'echo', 'other'])).toBe('other\n')
    expect(await names()).toContain('patient')
    client.kill('SIGKILL')
    await expect.poll(names).not.toContain('patient')
  })

  test('stays where that was asked for', async () => {
    const client = await started('--name', 'kept', '--keep')
    client.kill('SIGKILL')
    await once(client, 'exit')
    expect(await cluster.mustCaisson(['run', '--', 'echo', 'other'])).toBe('other\n')
    expect(await names()).toContain('kept')
    await cluster.mustCaisson(['rm', 'kept'])
  })
})

describe('kill -9 of what a container depends on', () => {
  const forever = ['sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done']

  /** Of its first process's sentry, or what stands for it. */
  async function pidOf(name: string): Promise<number> {
    const uid = await cluster.mustKubectl(['get', 'pod', name, '-o', 'jsonpath={.metadata.uid}'])
    return Number(readFileSync(join(cluster.dataDirectory, 'runtime', 'containers', `${uid}-m0-0`, 'container.pid')))
  }

  function monitorPid(): number {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      const line = commandLine(pid)
      if (line.includes('monitor-main') && line.includes(cluster.dataDirectory)) return Number(pid)
    }
    throw new Error('no monitor runs')
  }

  const run = async (name: string, command: string[], restartPolicy = 'Always'): Promise<void> => {
    await apply(name, { command }, { restartPolicy, terminationGracePeriodSeconds: 0 })
    await cluster.mustKubectl(['wait', '--for=condition=Ready', `pod/${name}`, '--timeout=30s'])
  }

  const restarted = async (name: string): Promise<object | undefined> => {
    await expect
      .poll(async () => (await statusOf(name)).containerStatuses[0], { timeout: 20_000 })
      .toMatchObject({ restartCount: 1, state: { running: {} } })
    return (await statusOf(name)).containerStatuses[0]?.lastState.terminated
  }

  test('its monitor: it goes on, with its log and its exit code', async () => {
    await run(
      'watched',
      ['sh', '-c', 'i=0; until [ -e /tmp/go ]; do i=$((i+1)); echo $i; sleep 0.05; done; exit 6'],
      'Never',
    )
    await expect.poll(() => cluster.mustKubectl(['logs', 'watched'])).toContain('1\n')
    process.kill(monitorPid(), 'SIGKILL')
    await cluster.mustKubectl(['exec', 'watched', '--', 'touch', '/tmp/go'])
    await cluster.mustKubectl(['wait', '--for=jsonpath={.status.phase}=Failed', 'pod/watched', '--timeout=30s'])
    expect((await statusOf('watched')).containerStatuses[0]).toMatchObject({
      restartCount: 0,
      state: { terminated: { exitCode: 6, reason: 'Error' } },
    })
    const lines = (await cluster.mustKubectl(['logs', 'watched'])).trimEnd().split('\n')
    expect(lines).toEqual(lines.map((_, index) => String(index + 1)))
    await cluster.mustKubectl(['delete', 'pod', 'watched'])
  })

  test('its sentry: the Pod says so and the container starts again', async () => {
    await run('sentry', forever)
    process.kill(await pidOf('sentry'), 'SIGKILL')
    expect(await restarted('sentry')).toMatchObject({
      exitCode: 137,
      reason: 'Error',
      message: 'the sandbox was ended by signal 9',
    })
    await cluster.mustKubectl(['delete', 'pod', 'sentry'])
  })

  test('its sentry, where nothing starts again: the Pod has failed', async () => {
    await run('once', forever, 'Never')
    process.kill(await pidOf('once'), 'SIGKILL')
    await cluster.mustKubectl(['wait', '--for=jsonpath={.status.phase}=Failed', 'pod/once', '--timeout=30s'])
    expect((await statusOf('once')).containerStatuses[0]?.state.terminated).toMatchObject({
      exitCode: 137,
      message: 'the sandbox was ended by signal 9',
    })
    await cluster.mustKubectl(['delete', 'pod', 'once'])
  })

  test('its reaper: nobody knows its exit any more, so that it is ended, reported and started again', async () => {
    await run('reaper', forever)
    const stat = readFileSync(`/proc/${await pidOf('reaper')}/stat`, 'utf8')
    process.kill(Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]), 'SIGKILL')
    expect(await restarted('reaper')).toMatchObject({ exitCode: 137, reason: 'ContainerStatusUnknown' })
    await cluster.mustKubectl(['delete', 'pod', 'reaper'])
  })
})

test('a Sandbox takes a Pod over that is there already, as it runs, and lets go of one that was not meant for it', async () => {
  const pod = (name: string, labels: object) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels },
    spec: { containers: [{ name: 'main', image: 'caisson.dev/host', command: ['sleep', '1000'] }] },
  })
  const sandbox = (name: string) => ({
    apiVersion: 'agents.x-k8s.io/v1beta1',
    kind: 'Sandbox',
    metadata: { name },
    spec: { podTemplate: { spec: pod(name, {}).spec } },
  })
  const objects = [pod('taken', { 'agents.x-k8s.io/adoptable': 'true' }), pod('foreign', {})]
  await cluster.mustKubectl(['apply', '-f', '-'], {
    input: objects.map((each) => JSON.stringify(each)).join('\n---\n'),
  })
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/taken', 'pod/foreign', '--timeout=30s'])
  const field = (kind: string, name: string, path: string) =>
    cluster.mustKubectl(['get', kind, name, '-o', `jsonpath={${path}}`])
  const before = await field('pod', 'taken', '.metadata.uid')
  const sandboxes = [sandbox('taken'), sandbox('foreign')].map((each) => JSON.stringify(each)).join('\n---\n')
  await cluster.mustKubectl(['apply', '-f', '-'], { input: sandboxes })
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/taken', '--timeout=30s'])
  expect(await field('pod', 'taken', '.metadata.uid')).toBe(before)
  expect(await field('pod', 'taken', '.metadata.ownerReferences[0].name')).toBe('taken')
  expect((await statusOf('taken')).containerStatuses[0]?.restartCount).toBe(0)
  await expect
    .poll(() => field('sandbox', 'foreign', '.status.conditions[?(@.type=="Ready")].message'))
    .toContain('cannot adopt unowned pod "foreign"')
  expect(await field('pod', 'foreign', '.metadata.ownerReferences')).toBe('')
  await cluster.mustKubectl(['delete', 'sandbox', 'taken', 'foreign'])
  await cluster.mustKubectl(['wait', '--for=delete', 'pod/taken', '--timeout=60s'])
  await cluster.mustKubectl(['delete', 'pod', 'foreign', '--grace-period=1'])
})

test('a run that comes too late for its command has its output and its exit code all the same', async () => {
  await using transport = createHttpTransport(await findConnection({ kubeconfig: cluster.env['KUBECONFIG'] ?? '' }))
  const client = createClient(transport, { fieldManager: 'test' })
  const args = ['run', '--name', 'late', '--', 'sh', '-c', 'seq 1 5000; echo err >&2; printf end; exit 3']
  const late = spawn(CAISSON, args, { env: { ...process.env, ...cluster.env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const output = Promise.all([text(late.stdout), text(late.stderr), once(late, 'exit')])
  for await (const event of client.watch(sandboxes, { namespace: 'default', fieldSelector: 'metadata.name=late' })) {
    if (event.type !== 'ADDED') continue
    // Before there is a Pod that it could attach to.
    process.kill(late.pid ?? 0, 'SIGSTOP')
    break
  }
  const containers = () => readdirSync(join(cluster.dataDirectory, 'runtime', 'containers'))
  await expect.poll(containers, { timeout: 20_000 }).not.toEqual([])
  // Until what it ran in is kept no longer.
  await expect.poll(containers, { timeout: 40_000, interval: 100 }).toEqual([])
  late.kill('SIGCONT')
  const [stdout, stderr, [code]] = await output
  const numbers = Array.from({ length: 5000 }, (_, index) => `${index + 1}\n`).join('')
  expect({ code: code as number, stdout, stderr }).toEqual({ code: 3, stdout: `${numbers}end`, stderr: 'err\n' })
})

describe('a cluster that ends when it is idle', () => {
  async function up(): Promise<DaemonRecord> {
    await cluster.mustCaisson(['down'])
    await cluster.mustCaisson(['up', '--detach', '--stop-when-idle', '1s'])
    const running = record()
    if (!running) throw new Error('the cluster does not run')
    return running
  }
  const waitForEnd = async (running: DaemonRecord): Promise<void> =>
    await expect.poll(() => isAlive(running), { timeout: 20_000 }).toBe(false)

  test('does so although objects and finished Pods are there', async () => {
    const running = await up()
    await apply('finished', { command: ['true'] }, { restartPolicy: 'Never' })
    await cluster.mustKubectl(['wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/finished', '--timeout=30s'])
    await waitForEnd(running)
    expect(leftovers(cluster.dataDirectory)).toEqual(NOTHING)
  })

  test('does not while a client is connected, nor while a Pod runs', async () => {
    const running = await up()
    await apply('short', { command: ['sleep', '4'] }, { restartPolicy: 'Never' })
    await cluster.mustKubectl(['wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/short', '--timeout=30s'])
    expect(isAlive(running)).toBe(true)
    const watcher = begin(['run', '--', 'sleep', '3'])
    const [code] = (await once(watcher, 'exit')) as [number]
    expect([code, isAlive(running)]).toEqual([0, true])
    await waitForEnd(running)
  })
  test('stays where up asks for it meanwhile', async () => {
    const running = await up()
    await cluster.mustCaisson(['up', '--detach'])
    // It is three times as long idle as it may be.
    await delay(3_000)
    expect(isAlive(running)).toBe(true)
    await cluster.mustCaisson(['down'])
    await waitForEnd(await up())
  })

  test('does not while a Sandbox sleeps behind a port that wakes it', async () => {
    const running = await up()
    const port = await freePort()
    const made = ['run', '--detach', '--name', 'door', '--publish', `${port}:8080`, '--idle-timeout', '1s']
    await cluster.mustCaisson([...made, '--', 'python3', '-m', 'http.server', '8080'])
    const namespace = ['-n', 'caisson-host-volumes']
    await cluster.mustKubectl([...namespace, 'wait', '--for=condition=Suspended', 'sandbox/door', '--timeout=60s'])
    // As long as it would take to end.
    await delay(2_000)
    expect(isAlive(running)).toBe(true)
    expect((await fetch(`http://127.0.0.1:${port}/etc/hostname`)).status).toBe(200)
    await cluster.mustCaisson([...namespace, 'rm', 'door'])
    await waitForEnd(running)
  })
})
