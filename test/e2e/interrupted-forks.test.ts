/** What is left of copies whose command, or whose cluster, ends before their names are known: nothing. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { readDaemonRecord } from '../../packages/cli/src/cluster/daemon-record.ts'
import { dataDirectory } from '../../packages/cli/src/cluster/data-directory.ts'
import { sandboxes } from '../../packages/cli/src/sandboxes.ts'
import {
  type Client,
  createClient,
  createHttpTransport,
  findConnection,
  sandboxSnapshots,
} from '../../packages/client/src/index.ts'
import { type Cluster, startCluster } from './fixture.ts'

const CAISSON = join(import.meta.dirname, '../../bin/caisson')
const NOTHING = { sandboxes: ['source'], snapshots: [], attended: [] }

let cluster: Cluster
let resources: AsyncDisposableStack
let client: Client
beforeAll(async () => {
  cluster = await startCluster()
  await cluster.mustCaisson(['run', '--detach', '--name', 'source', '--', 'sleep', 'infinity'])
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/source', '--timeout=60s'])
})
afterAll(() => cluster[Symbol.asyncDispose]())

beforeEach(async () => {
  resources = new AsyncDisposableStack()
  client = await connect()
  return () => resources.disposeAsync()
})

/** The cluster's port is another one after each start. */
async function connect(): Promise<Client> {
  const connection = await findConnection({ kubeconfig: join(cluster.dataDirectory, 'kubeconfig') })
  return createClient(resources.use(createHttpTransport(connection)))
}

async function present(): Promise<typeof NOTHING> {
  const at = { namespace: 'default' }
  const [boxes, snapshots] = await Promise.all([client.list(sandboxes, at), client.list(sandboxSnapshots, at)])
  return {
    sandboxes: boxes.items.map(({ metadata }) => metadata.name ?? ''),
    snapshots: snapshots.items.map(({ metadata }) => metadata.name ?? '') as [],
    attended: readdirSync(join(cluster.dataDirectory, 'attended')) as [],
  }
}

interface Begun {
  process: ChildProcess
  /** Exit code, signal and what was printed. */
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null; stdout: string }>
}

/** A command that makes sandboxes, until the first of them is there. */
async function begin(...args: string[]): Promise<Begun> {
  const child = spawn(CAISSON, args, {
    env: { ...process.env, ...cluster.env },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const stdout = text(child.stdout)
  const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  const ended = Promise.all([exit, stdout]).then(([[code, signal], said]) => ({ code, signal, stdout: said }))
  await expect.poll(present, { interval: 5 }).not.toMatchObject({ sandboxes: NOTHING.sandboxes })
  return { process: child, ended }
}

test('a fork that is interrupted leaves no copy and no snapshot', async () => {
  const fork = await begin('fork', 'source', '--count', '8')
  fork.process.kill('SIGINT')
  expect(await fork.ended).toEqual({ code: 130, signal: null, stdout: '' })
  await expect.poll(present).toEqual(NOTHING)
})

test('a fork that is killed leaves none either', async () => {
  const fork = await begin('fork', 'source', '--count', '8')
  fork.process.kill('SIGKILL')
  expect(await fork.ended).toEqual({ code: null, signal: 'SIGKILL', stdout: '' })
  await expect.poll(present).toEqual(NOTHING)
})

test.each([
  ['nobody reads', 'true', 141],
  ['there is no room', undefined, 1],
])('nor does one whose names cannot be said because %s', async (_why, reader, code) => {
  const fork = `"${CAISSON}" fork source --count 2`
  const script = reader === undefined ? `${fork} >/dev/full` : `${fork} | ${reader}; exit "\${PIPESTATUS[0]}"`
  const child = spawn('bash', ['-c', script], { env: { ...process.env, ...cluster.env }, stdio: 'ignore' })
  expect(await once(child, 'exit')).toEqual([code, null])
  await expect.poll(present).toEqual(NOTHING)
})

test('nor does one whose copies may not be made, and it says why', async () => {
  await cluster.mustKubectl(['create', 'quota', 'full', '--hard=pods=1'])
  const { code, stdout, stderr } = await cluster.caisson(['fork', 'source'])
  expect({ code, stdout, stderr }).toEqual({
    code: 77,
    stdout: '',
    stderr: expect.stringMatching(
      /^caisson: sandbox (source-\w+) cannot start: pods "\1" is forbidden: exceeded quota: full, /,
    ),
  })
  await expect.poll(present).toEqual(NOTHING)
  await cluster.mustKubectl(['delete', 'quota', 'full'])
})

test('nor does one whose cluster is killed, once there is a cluster again', async () => {
  const fork = await begin('fork', 'source', '--count', '8')
  const { pid } = readDaemonRecord(dataDirectory(cluster.dataDirectory)) ?? expect.fail('no cluster runs')
  process.kill(pid, 'SIGKILL')
  expect(await fork.ended).toEqual({ code: 69, signal: null, stdout: '' })
  await cluster.mustCaisson(['up', '--detach'])
  client = await connect()
  await expect.poll(present).toEqual(NOTHING)
})

test('copies whose names were said stay, and are nobody’s', async () => {
  const names = (await cluster.mustCaisson(['fork', 'source', '--count', '2'])).trim().split('\n')
  await expect.poll(async () => (await present()).attended).toEqual([])
  const { items } = await client.list(sandboxes, { namespace: 'default' })
  expect(new Set(items.map(({ metadata }) => metadata.name))).toEqual(new Set(['source', ...names]))
  expect(items.filter(({ metadata }) => metadata.annotations?.['caisson.dev/attended'] !== undefined)).toEqual([])
  await cluster.mustCaisson(['rm', ...names])
  await expect.poll(present).toEqual(NOTHING)
})

test('a sandbox that a killed command began from a snapshot goes, and one that was to stay does not', async () => {
  await cluster.mustCaisson(['snapshot', 'source', '--name', 'picture'])
  const run = await begin('run', '--snapshot', 'picture', '--name', 'brief', '--', 'sleep', 'infinity')
  run.process.kill('SIGTERM')
  expect(await run.ended).toEqual({ code: 143, signal: null, stdout: '' })
  await expect.poll(present).toEqual({ ...NOTHING, snapshots: ['picture'] })
  const other = await begin('run', '--snapshot', 'picture', '--name', 'brief', '--', 'sleep', 'infinity')
  other.process.kill('SIGKILL')
  await expect.poll(present).toEqual({ ...NOTHING, snapshots: ['picture'] })
  expect(await cluster.mustCaisson(['run', '--snapshot', 'picture', '--name', 'lasting', '--detach'])).toBe('lasting\n')
  await expect.poll(async () => (await present()).attended).toEqual([])
  expect((await present()).sandboxes).toEqual(['lasting', 'source'])
  await cluster.mustCaisson(['rm', 'lasting'])
})
