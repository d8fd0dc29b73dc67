/** Sandboxes that sleep, wake and fork, as a user makes them do it. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readDaemonRecord } from '../../packages/cli/src/cluster/daemon-record.ts'
import { dataDirectory } from '../../packages/cli/src/cluster/data-directory.ts'
import { freePort } from '../cluster/real-cluster.ts'
import { type Cluster, findKubectl, startCluster } from './fixture.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster[Symbol.asyncDispose]())

/** A line of its own memory, one more with each request that comes by a file. */
const COUNTER = `
import os, time
count = 0
while True:
    count += 1
    with open('/tmp/count.new', 'w') as file: file.write(str(count))
    os.rename('/tmp/count.new', '/tmp/count')
    time.sleep(0.01)
`

async function startCounter(name: string): Promise<void> {
  await cluster.mustCaisson(['run', '--detach', '--name', name, '--', 'python3', '-c', COUNTER])
  await cluster.mustKubectl(['wait', '--for=condition=Ready', `sandbox/${name}`, '--timeout=60s'])
}

async function count(name: string): Promise<number> {
  const text = await cluster.mustCaisson([
    'exec',
    name,
    '--',
    'sh',
    '-c',
    'until [ -s /tmp/count ]; do sleep 0.01; done; cat /tmp/count',
  ])
  return Number(text)
}

test('a sandbox sleeps with its memory and goes on where it was', async () => {
  await startCounter('sleeper')
  const before = await count('sleeper')
  expect(await cluster.mustCaisson(['suspend', 'sleeper'])).toBe('sleeper\n')
  const pods = await cluster.mustKubectl(['get', 'pods', '-o', 'name'])
  expect(pods).not.toContain('pod/sleeper')
  expect(await cluster.mustKubectl(['get', 'sandboxsnapshots', 'sleeper.memory'])).toMatch(
    /^NAME +SANDBOX +READY +REASON +BYTES +AGE\nsleeper.memory +sleeper +True +Taken +\d+ +/,
  )
  expect(await cluster.mustCaisson(['resume', 'sleeper'])).toBe('sleeper\n')
  expect(await count('sleeper')).toBeGreaterThan(before)
  await cluster.mustKubectl(['wait', '--for=delete', 'sandboxsnapshot/sleeper.memory', '--timeout=30s'])
  // Whoever wants something of it wakes it.
  await cluster.mustCaisson(['suspend', 'sleeper'])
  expect(await count('sleeper')).toBeGreaterThan(before)
  await cluster.mustCaisson(['rm', 'sleeper'])
})

test.runIf(findKubectl())(
  'a sandbox that is told to sleep again before it has gone on goes on where it was',
  async () => {
    await startCounter('hasty')
    const before = await count('hasty')
    await cluster.mustCaisson(['suspend', 'hasty'])
    const [, node = ''] = (await cluster.mustKubectl(['get', 'nodes', '-o', 'name'])).trim().split('/')
    await cluster.mustKubectl(['cordon', node])
    await cluster.mustKubectl([
      'patch',
      'sandbox',
      'hasty',
      '--type=merge',
      '-p',
      '{"spec":{"operatingMode":"Running"}}',
    ])
    await expect.poll(() => cluster.mustKubectl(['get', 'pods', '-o', 'name'])).toContain('pod/hasty')
    await cluster.mustCaisson(['suspend', 'hasty'])
    await cluster.mustKubectl(['uncordon', node])
    await cluster.mustCaisson(['resume', 'hasty'])
    expect(await count('hasty')).toBeGreaterThan(before)
    await cluster.mustCaisson(['rm', 'hasty'])
  },
)

/** Resolves when the sandbox sleeps because nothing happened in it. */
async function fallsAsleep(name: string): Promise<void> {
  await cluster.mustKubectl(['wait', '--for=condition=Suspended', `sandbox/${name}`, '--timeout=60s'])
  const { spec, metadata, status } = JSON.parse(await cluster.mustKubectl(['get', 'sandbox', name, '-o', 'json'])) as {
    metadata: { annotations: Record<string, string> }
    spec: { operatingMode: string }
    status: { conditions: Array<{ type: string; status: string; reason: string }> }
  }
  const idle = status.conditions.find(({ type }) => type === 'caisson.dev/Idle')
  expect([spec.operatingMode, metadata.annotations['caisson.dev/suspended-by'], idle?.status, idle?.reason]).toEqual([
    'Suspended',
    'Idle',
    'True',
    'Idle',
  ])
}

test.runIf(findKubectl())('a sandbox in which nothing happens sleeps, and whoever knocks wakes it', async () => {
  const run = ['run', '--detach', '--name', 'idler', '--idle-timeout', '2s', '--', 'python3', '-c', COUNTER]
  await cluster.mustCaisson(run)
  await fallsAsleep('idler')
  const read = ['sh', '-c', 'until [ -s /tmp/count ]; do sleep 0.01; done; cat /tmp/count']
  // kubectl looks for the Pod before it executes anything in it.
  const first = Number(await cluster.mustKubectl(['exec', 'idler', '--', ...read]))
  expect(first).toBeGreaterThan(0)
  await fallsAsleep('idler')
  const second = Number(await cluster.mustCaisson(['exec', 'idler', '--', ...read]))
  expect(second).toBeGreaterThan(first)
  // Over what is connected for longer than the sandbox may be idle it stays awake.
  expect(await cluster.mustKubectl(['exec', 'idler', '--', 'sh', '-c', 'sleep 4; echo awake'])).toBe('awake\n')
  await fallsAsleep('idler')
  // A new cluster process wakes it as well.
  await crash()
  expect(Number(await cluster.mustKubectl(['exec', 'idler', '--', ...read]))).toBeGreaterThan(second)
  // Looking wakes nobody, and who was told to sleep is woken by nobody who only has a Pod's name.
  await fallsAsleep('idler')
  await cluster.mustKubectl(['describe', 'sandbox', 'idler'])
  expect((await cluster.kubectl(['get', 'pod', 'idler'])).stderr).toContain('pods "idler" not found')
  await cluster.mustKubectl(['annotate', 'sandbox', 'idler', 'caisson.dev/suspended-by-'])
  expect((await cluster.kubectl(['exec', 'idler', '--', 'true'])).stderr).toContain('pods "idler" not found')
  await cluster.mustCaisson(['rm', 'idler'])
  expect((await cluster.caisson(['run', '--idle-timeout', '5s', '--', 'true'])).stderr).toContain(
    '--idle-timeout needs --detach',
  )
})

test('a running sandbox is forked, and its copies part', async () => {
  await startCounter('parent')
  const before = await count('parent')
  const names = (await cluster.mustCaisson(['fork', 'parent', '--count', '3'])).trim().split('\n')
  expect(names).toHaveLength(3)
  for (const name of names) {
    expect(await count(name)).toBeGreaterThan(before)
    expect(await cluster.mustCaisson(['exec', name, '--', 'hostname'])).toBe(`${name}\n`)
  }
  await cluster.mustCaisson(['rm', 'parent', ...names])
  // With the last one that needs it the snapshot goes.
  await cluster.mustKubectl(['wait', '--for=delete', 'sandboxsnapshots', '--all', '--timeout=30s'])
})

test('copies of a sandbox that publishes a port are reached otherwise, which is said', async () => {
  const port = await freePort()
  const here = ['-n', 'caisson-host-volumes']
  const serve = ['python3', '-m', 'http.server', '--directory', '/etc', '8000']
  await cluster.mustCaisson(['run', '--detach', '--name', 'open', '--publish', `${port}:8000`, '--', ...serve])
  const forked = await cluster.caisson(['fork', 'open'])
  expect(forked).toMatchObject({
    code: 0,
    stderr: `caisson: ports that open publishes lead to no copy of it: 'caisson port-forward NAME ${port}:8000' does\n`,
  })
  await cluster.mustCaisson([...here, 'snapshot', 'open', '--name', 'opened'])
  const get = ['python3', '-c', 'import urllib.request as u; print(u.urlopen("http://127.0.0.1:8000/hostname").read())']
  const begun = await cluster.caisson([...here, 'run', '--name', 'third', '--snapshot', 'opened', '--', ...get])
  expect(begun).toMatchObject({ code: 0, stdout: "b'third\\n'\n" })
  await cluster.mustCaisson([...here, 'rm', 'open', forked.stdout.trim()])
  await cluster.mustKubectl([...here, 'delete', 'sandboxsnapshot', 'opened', '--timeout=30s'])
})

/** Goes on counting in an open file of its volume. */
const WRITER = `
import time
file = open('/data/count', 'w+')
count = 0
while True:
    count += 1
    file.seek(0); file.write(str(count)); file.truncate(); file.flush()
    time.sleep(0.01)
`

test('a copy has copies of the claims that are its source’s own, and shares those that are not', async () => {
  const claim = (name: string): object => ({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '64Mi' } } },
  })
  const container = {
    name: 'main',
    image: 'caisson.dev/host',
    command: ['python3', '-c', WRITER],
    volumeMounts: [
      { name: 'data', mountPath: '/data' },
      { name: 'shared', mountPath: '/shared' },
    ],
  }
  const volumes = [{ name: 'shared', persistentVolumeClaim: { claimName: 'shared' } }]
  const sandbox = {
    apiVersion: 'agents.x-k8s.io/v1beta1',
    kind: 'Sandbox',
    metadata: { name: 'writer' },
    spec: {
      podTemplate: { spec: { containers: [container], volumes } },
      volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: (claim('') as { spec: object }).spec }],
    },
  }
  await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(claim('shared')) })
  await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(sandbox) })
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/writer', '--timeout=60s'])
  const sh = (name: string, script: string) => cluster.mustCaisson(['exec', name, '--', 'sh', '-c', script])
  await sh('writer', 'until [ -s /data/count ]; do sleep 0.01; done; echo old > /data/note; echo all > /shared/note')
  const names = (await cluster.mustCaisson(['fork', 'writer', '--count', '2'])).trim().split('\n')
  const [one = '', other = ''] = names
  const before = Number(await sh(one, 'cat /data/count'))
  expect(before).toBeGreaterThan(0)
  await sh(one, `until [ "$(cat /data/count)" -gt ${before} ]; do sleep 0.01; done; echo new > /data/note`)
  await sh(one, 'echo theirs > /shared/note')
  const notes = await Promise.all(['writer', one, other].map((name) => sh(name, 'cat /data/note /shared/note')))
  expect(notes).toEqual(['old\ntheirs\n', 'new\ntheirs\n', 'old\ntheirs\n'])
  const claims = (await cluster.mustKubectl(['get', 'pvc', '-o', 'name'])).trim().split('\n')
  expect(claims.sort()).toEqual(
    ['shared', 'data-writer', ...names.map((name) => `data-${name}`)]
      .map((name) => `persistentvolumeclaim/${name}`)
      .sort(),
  )
  // What a copy has written is not undone when its Pod has to be made again.
  await cluster.mustCaisson(['suspend', one])
  await cluster.mustCaisson(['resume', one])
  expect(await sh(one, 'cat /data/note')).toBe('new\n')
  await cluster.mustCaisson(['rm', 'writer', ...names])
  await cluster.mustKubectl(['wait', '--for=delete', 'sandboxsnapshots', '--all', '--timeout=30s'])
  await cluster.mustKubectl(['delete', 'pvc', 'shared'])
})

test('all containers of a Pod sleep, wake and fork together', async () => {
  const container = (name: string): object => ({
    name,
    image: 'caisson.dev/host',
    command: ['python3', '-c', COUNTER.replaceAll('/tmp/', `/all/${name}-`)],
    volumeMounts: [{ name: 'all', mountPath: '/all' }],
  })
  const sandbox = {
    apiVersion: 'agents.x-k8s.io/v1beta1',
    kind: 'Sandbox',
    metadata: { name: 'pair' },
    spec: {
      podTemplate: {
        spec: { containers: [container('one'), container('two')], volumes: [{ name: 'all', emptyDir: {} }] },
      },
    },
  }
  await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(sandbox) })
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/pair', '--timeout=60s'])
  /** What both have counted to, once both have counted on. */
  const counts = async (name: string, from: number[] = [0, 0]): Promise<number[]> => {
    const read = (container: string, least = 0): Promise<string> => {
      const wait = `until [ "$(cat /all/${container}-count 2>/dev/null || echo 0)" -gt ${least} ]; do sleep 0.01; done`
      return cluster.mustCaisson([
        'exec',
        '-c',
        container,
        name,
        '--',
        'sh',
        '-c',
        `${wait}; cat /all/${container}-count`,
      ])
    }
    return (await Promise.all([read('one', from[0]), read('two', from[1])])).map(Number)
  }
  const before = await counts('pair')
  await cluster.mustCaisson(['suspend', 'pair'])
  await cluster.mustCaisson(['resume', 'pair'])
  const after = await counts('pair', before)
  const names = (await cluster.mustCaisson(['fork', 'pair', '--count', '2'])).trim().split('\n')
  for (const name of names) {
    await counts(name, after)
    expect(await cluster.mustCaisson(['exec', '-c', 'two', name, '--', 'hostname'])).toBe(`${name}\n`)
    const pod = JSON.parse(await cluster.mustKubectl(['get', 'pod', name, '-o', 'json'])) as {
      status: { containerStatuses: Array<{ name: string; restartCount: number; ready: boolean }> }
    }
    expect(pod.status.containerStatuses.map(({ name, restartCount, ready }) => [name, restartCount, ready])).toEqual([
      ['one', 0, true],
      ['two', 0, true],
    ])
  }
  await cluster.mustCaisson(['rm', 'pair', ...names])
  await cluster.mustKubectl(['wait', '--for=delete', 'sandboxsnapshots', '--all', '--timeout=30s'])
})

test('kernel parameters that a sandbox asks for are in force when it has slept, and in its forks', async () => {
  const container = { name: 'main', image: 'caisson.dev/host', command: ['sleep', '1000'] }
  const sysctls = [{ name: 'net.ipv4.ip_local_port_range', value: '40000 40010' }]
  const sandbox = {
    apiVersion: 'agents.x-k8s.io/v1beta1',
    kind: 'Sandbox',
    metadata: { name: 'tuned' },
    spec: { podTemplate: { spec: { securityContext: { sysctls }, containers: [container] } } },
  }
  await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(sandbox) })
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/tuned', '--timeout=60s'])
  await cluster.mustCaisson(['suspend', 'tuned'])
  await cluster.mustCaisson(['resume', 'tuned'])
  const [fork = ''] = (await cluster.mustCaisson(['fork', 'tuned', '--count', '1'])).trim().split('\n')
  const range = (name: string): Promise<string> =>
    cluster.mustCaisson(['exec', name, '--', 'cat', '/proc/sys/net/ipv4/ip_local_port_range'])
  expect([await range('tuned'), await range(fork)]).toEqual(['40000 40010\n', '40000 40010\n'])
  await cluster.mustCaisson(['rm', 'tuned', fork])
  await cluster.mustKubectl(['wait', '--for=delete', 'sandboxsnapshots', '--all', '--timeout=30s'])
})

test('what has init containers is not kept, says why, and goes on', async () => {
  const container = { image: 'caisson.dev/host', command: ['sleep', '1000'] }
  const sandbox = (name: string, init: object): object => ({
    apiVersion: 'agents.x-k8s.io/v1beta1',
    kind: 'Sandbox',
    metadata: { name },
    spec: {
      suspension: { memory: 'Keep' },
      podTemplate: {
        spec: {
          terminationGracePeriodSeconds: 0,
          initContainers: [{ ...container, name: 'before', ...init }],
          containers: [{ ...container, name: 'main' }],
        },
      },
    },
  })
  const items = [sandbox('with-init', { command: ['true'] }), sandbox('with-sidecar', { restartPolicy: 'Always' })]
  await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) })
  for (const name of ['with-init', 'with-sidecar']) {
    await cluster.mustKubectl(['wait', '--for=condition=Ready', `sandbox/${name}`, '--timeout=60s'])
    const why = 'has init containers, which would run again before what is kept'
    const kept = await cluster.caisson(['snapshot', name, '--name', `of-${name}`])
    expect(kept).toMatchObject({ code: 1, stderr: expect.stringContaining(why) })
    const asleep = await cluster.caisson(['suspend', name])
    expect(asleep).toMatchObject({ code: 1, stderr: expect.stringContaining(why) })
    await cluster.mustCaisson(['resume', name])
    const path = '{.status.containerStatuses[0].restartCount} {.status.phase}'
    expect(await cluster.mustKubectl(['get', 'pod', name, '-o', `jsonpath=${path}`])).toBe('0 Running')
  }
  await cluster.mustCaisson(['rm', 'with-init', 'with-sidecar'])
  await cluster.mustKubectl(['delete', 'sandboxsnapshots', 'of-with-init', 'of-with-sidecar'])
})

test('a command is run beside what a snapshot holds', async () => {
  await startCounter('warm')
  expect(await cluster.mustCaisson(['snapshot', 'warm', '--name', 'warm-python'])).toBe('warm-python\n')
  await cluster.mustCaisson(['rm', 'warm'])
  const outcome = await cluster.caisson([
    'run',
    '--snapshot',
    'warm-python',
    '--',
    'sh',
    '-c',
    'cat /tmp/count; exit 7',
  ])
  expect(outcome.code).toBe(7)
  expect(Number(outcome.stdout)).toBeGreaterThan(0)
  expect((await cluster.caisson(['run', '--snapshot', 'no-such', '--', 'true'])).code).toBe(66)
  const late = await cluster.caisson(['run', '--snapshot', 'warm-python', '--timeout', '2s', '--', 'sleep', '60'])
  expect(late).toMatchObject({
    code: 124,
    stderr: expect.stringContaining('the command did not end within 2s and was stopped'),
  })
  const other = await cluster.caisson(['run', '--snapshot', 'warm-python', '-e', 'A=b', '--', 'env'])
  expect(other).toMatchObject({
    code: 64,
    stderr:
      'caisson: --env says what a new sandbox is like, and one that begins with a snapshot goes on as what was kept: leave out --env or --snapshot\n',
  })
  await cluster.mustKubectl(['delete', 'sandboxsnapshot', 'warm-python', '--timeout=30s'])
})

/** kill -9 of the cluster's process, and another one that takes over. */
async function crash(): Promise<void> {
  const record = readDaemonRecord(dataDirectory(cluster.dataDirectory))
  if (!record) throw new Error('the cluster does not run')
  process.kill(record.pid, 'SIGKILL')
  await cluster.mustCaisson(['up', '--detach'])
}

/** Resolves once a file below the kubelet's snapshots, or a container that is being restored, is there: files have no event. */
async function seen(directory: string, name: RegExp): Promise<void> {
  while (!files(directory).some((path) => name.test(path) && sizeOf(join(directory, path)) > 0)) await delay(1)
}

function files(directory: string): string[] {
  try {
    return readdirSync(directory, { recursive: true, encoding: 'utf8' })
  } catch {
    // A directory was removed while it was read.
    return []
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

test('a cluster that is killed while a sandbox falls asleep, and again while it wakes, loses nothing of it', async () => {
  await startCounter('restless')
  const before = await count('restless')
  const suspending = cluster.caisson(['suspend', 'restless'])
  await seen(join(cluster.dataDirectory, 'kubelet', 'snapshots'), /\/memory\/checkpoint\.img$/)
  await crash()
  await suspending
  await cluster.mustKubectl(['wait', '--for=condition=Suspended', 'sandbox/restless', '--timeout=60s'])
  const resuming = cluster.caisson(['resume', 'restless'])
  // What it is restored from, which is laid when its restore goes on.
  await seen(join(cluster.dataDirectory, 'runtime', 'containers'), /^[^/]+\/image$/)
  await crash()
  await resuming
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/restless', '--timeout=60s'])
  expect(await count('restless')).toBeGreaterThan(before)
  await cluster.mustCaisson(['rm', 'restless'])
  await cluster.mustKubectl(['wait', '--for=delete', 'sandboxsnapshots', '--all', '--timeout=30s'])
  expect(readdirSync(join(cluster.dataDirectory, 'kubelet', 'snapshots'))).toEqual([])
})
