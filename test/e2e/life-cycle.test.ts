/** How a cluster and its sandboxes end, in good order or not, and what they are when they come back. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type DaemonRecord, isAlive, readDaemonRecord } from '../../packages/cli/src/cluster/daemon-record.ts'
import { dataDirectory } from '../../packages/cli/src/cluster/data-directory.ts'
import { sandboxes } from '../../packages/cli/src/sandboxes.ts'
import { createClient, createHttpTransport, findConnection } from '../../packages/client/src/index.ts'
import { type Cluster, startCluster } from './fixture.ts'
import { leftovers } from './leftovers.ts'

const CAISSON = join(import.meta.dirname, '../../bin/caisson')
const NOTHING = { processes: [], mounts: [], namespaces: [], containers: [] }

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
})
