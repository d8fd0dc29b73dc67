/**
 * kill -9 of the cluster at each step of keeping a sandbox, of having one go on, of making one and of pulling its image.
 * What the cluster had begun to run goes on without it, or hangs: nothing is lost, nothing done twice, nothing left.
 *
 * CAISSON_TEST_STEPS=all has everything become of every step (`make test-crash`).
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readDaemonRecord } from '../../packages/cli/src/cluster/daemon-record.ts'
import { dataDirectory } from '../../packages/cli/src/cluster/data-directory.ts'
import { busyboxImage } from '../../packages/runtime/src/testing/busybox-archive.ts'
import {
  first,
  type ScriptedRegistry,
  serves,
  startScriptedRegistry,
  when,
} from '../../packages/runtime/src/testing/scripted-registry.ts'
import { defaultToolsDirectory } from '../../packages/runtime/src/tools/tools.ts'
import { type Cluster, startCluster } from './fixture.ts'
import { type HeldPrograms, holdPrograms, type Step } from './held-programs.ts'
import { leftovers, processesOf } from './leftovers.ts'

const ALL = process.env['CAISSON_TEST_STEPS'] === 'all'

let directory: string
let held: HeldPrograms
let registry: ScriptedRegistry
const pulling = Promise.withResolvers<void>()
let cluster: Cluster
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'caisson-held-'))
  held = await holdPrograms(directory)
  const image = await busyboxImage(defaultToolsDirectory())
  const [layer] = image.layers
  // A first part of it, and nothing more.
  const stalls = when(new RegExp(`/blobs/${layer?.digest}`), (response) => {
    response.setHeader('content-length', layer?.size ?? 0)
    response.write(image.blobs.get(layer?.digest ?? '')?.subarray(0, 100_000))
    pulling.resolve()
  })
  registry = await startScriptedRegistry(first(1, stalls), serves(image))
  const images = `hosts:\n  ${registry.host}: { plainHttp: true }\n`
  cluster = await startCluster({ env: held.env, images })
})
afterAll(async () => {
  await held.release()
  await cluster.mustCaisson(['rm', '--all'])
  await cluster.mustCaisson(['down'])
  expect(leftovers(cluster.dataDirectory)).toEqual({
    processes: [],
    mounts: [],
    namespaces: [],
    containers: [],
    groups: [],
  })
  await cluster[Symbol.asyncDispose]()
  await registry[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

/** Counts in its memory, and in a volume of its own, which has enough in it that copying it takes some time. */
const COUNTER = `
import os, time
count = 0
for number in range(1000):
    open(f'/data/{number}', 'w').close()
while True:
    count += 1
    with open('/data/count.new', 'w') as file: file.write(str(count))
    os.rename('/data/count.new', '/data/count')
    time.sleep(0.01)
`

type Volume = 'emptyDir' | 'claim'

/** Changes to a Sandbox that counts. */
interface Changes {
  fromSnapshot?: string
  /** What it counts in; a claim outlives it. */
  volume?: Volume
  image?: string
  command?: string[]
}

async function start(name: string, { fromSnapshot, volume = 'emptyDir', ...changes }: Changes = {}): Promise<void> {
  const container = {
    name: 'main',
    image: 'caisson.dev/host',
    command: ['python3', '-c', COUNTER],
    volumeMounts: [
      { name: 'data', mountPath: '/data' },
      { name: 'fast', mountPath: '/fast' },
    ],
    ...changes,
  }
  const data = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '8Mi' } } }
  const volumes = [
    ...(volume === 'claim' ? [] : [{ name: 'data', emptyDir: {} }]),
    { name: 'fast', emptyDir: { medium: 'Memory' } },
  ]
  const podTemplate = { spec: { terminationGracePeriodSeconds: 0, containers: [container], volumes } }
  const volumeClaimTemplates = volume === 'claim' ? [{ metadata: { name: 'data' }, spec: data }] : undefined
  await apply('agents.x-k8s.io/v1beta1', 'Sandbox', name, { podTemplate, fromSnapshot, volumeClaimTemplates })
}

async function apply(apiVersion: string, kind: string, name: string, spec: object): Promise<void> {
  await cluster.mustKubectl(['apply', '-f', '-'], {
    input: JSON.stringify({ apiVersion, kind, metadata: { name }, spec }),
  })
}

const comes = (condition: string, object: string): Promise<string> =>
  cluster.mustKubectl(['wait', `--for=condition=${condition}`, object, '--timeout=60s'])

/** What it has counted to once it is beyond a number. It has to have its own name. */
async function counted(name: string, beyond = 0): Promise<number> {
  const script = `until [ "$(cat /data/count 2>/dev/null || echo 0)" -gt ${beyond} ]; do sleep 0.01; done; cat /data/count; echo; hostname`
  const [count, host] = (await cluster.mustCaisson(['exec', name, '--', 'sh', '-c', script])).split(/\s+/)
  expect(host).toBe(name)
  return Number(count)
}

/** Ids of the containers whose sentries run on this machine, but for those made ahead. */
function sentries(): string[] {
  return processesOf(join(cluster.dataDirectory, 'runtime'))
    .filter((line) => /^runsc-sandbox .* boot /.test(line) && !line.endsWith('.blank'))
    .map((line) => line.slice(line.lastIndexOf(' ') + 1))
}

const snapshotFiles = (): string[] => readdirSync(join(cluster.dataDirectory, 'kubelet', 'snapshots'))

function daemon(): number {
  const record = readDaemonRecord(dataDirectory(cluster.dataDirectory))
  if (!record) throw new Error('the cluster does not run')
  return record.pid
}

function kill(): void {
  process.kill(daemon(), 'SIGKILL')
}

/** With a cluster goes what it made ahead: then nothing is done before it is asked for. */
async function restart(): Promise<void> {
  kill()
  await cluster.mustCaisson(['up', '--detach'])
}

type Then = 'goes on' | 'goes on while the next begins' | 'hangs'
/** While the program that copies volumes does it, which ends with who started it. */
const COPYING = 'copying'
type Moment = Step | typeof COPYING

/** Has the cluster killed while what it runs is at a step. That goes on, or has to be no more when the next one serves. */
async function killedAt(moment: Moment, then: Then, work: () => Promise<unknown>): Promise<void> {
  const isThere = moment === COPYING ? held.interrupted(daemon(), 'system-calls') : (held.arm(moment), undefined)
  const working = work().catch(() => undefined)
  await (isThere ?? held.reached())
  kill()
  if (then === 'goes on') await held.release()
  const up = cluster.mustCaisson(['up', '--detach'])
  if (then === 'goes on while the next begins') {
    await expect
      .poll(() => processesOf(cluster.dataDirectory), { interval: 5 })
      .toContainEqual(expect.stringMatching(/ up$/))
    await held.release()
  }
  await up
  expect(held.stopped()).toEqual([])
  await working
}

/** Both sides of each step, with one after the other of what may become of it; all of that where it is asked for. */
function steps(names: string[], ...then: Then[]): Array<[Moment, Then]> {
  const sides = names.flatMap((name) => [`${name}:before`, `${name}:after`] satisfies Step[])
  return sides.flatMap((step, index) =>
    then
      .filter((_, other) => ALL || (index + (index >> 1)) % then.length === other)
      .map((each): [Moment, Then] => [step, each]),
  )
}

function withVolumes(each: Array<[Moment, Then]>, volume: Volume): Array<[Moment, Then, Volume]> {
  return each.map(([step, then]) => [step, then, volume])
}

async function go(...names: string[]): Promise<void> {
  await cluster.mustCaisson(['rm', ...names])
  await cluster.mustKubectl(['wait', '--for=delete', 'sandboxsnapshots,pods', '--all', '--timeout=30s'])
  await expect.poll(() => [snapshotFiles(), sentries()]).toEqual([[], []])
}

let next = 0

const COPIES: Array<[Moment, Then]> = [[COPYING, 'hangs']]

const ASLEEP = [...steps(['runsc-pause', 'runsc-checkpoint', 'runsc-delete'], 'goes on', 'hangs'), ...COPIES]
test.each(ASLEEP)('a sandbox falls asleep, and the cluster is killed at %s, which %s', async (step, then) => {
  const name = `sleeper-${next++}`
  await start(name)
  await comes('Ready', `sandbox/${name}`)
  const before = await counted(name)
  await killedAt(step, then, () => cluster.caisson(['suspend', name]))
  await comes('Suspended', `sandbox/${name}`)
  await comes('Ready', `sandboxsnapshot/${name}.memory`)
  expect([sentries(), snapshotFiles()]).toEqual([[], [expect.any(String)]])
  await cluster.mustCaisson(['resume', name])
  await counted(name, before)
  await go(name)
})

// What makes and restores it is the monitor's to run, which outlives the cluster.
const WAKING = [...steps(['runsc-create', 'runsc-restore'], 'goes on', 'goes on while the next begins'), ...COPIES]
test.each(WAKING)('a sandbox wakes, and the cluster is killed at %s, which %s', async (step, then) => {
  const name = `waker-${next++}`
  await start(name)
  await comes('Ready', `sandbox/${name}`)
  const before = await counted(name)
  await cluster.mustCaisson(['suspend', name])
  await restart()
  await killedAt(step, then, () => cluster.caisson(['resume', name]))
  await comes('Ready', `sandbox/${name}`)
  await counted(name, before)
  expect(sentries()).toHaveLength(1)
  await go(name)
})

const KEPT: Array<[Moment, Then, Volume]> = [
  ...withVolumes([...steps(['runsc-resume'], 'goes on', 'hangs'), ...COPIES], 'emptyDir'),
  ...withVolumes(COPIES, 'claim'),
]
test.each(KEPT)('a sandbox is kept, and the cluster is killed at %s, which %s (%s)', async (step, then, volume) => {
  const name = `source-${next++}`
  await start(name, { volume })
  await comes('Ready', `sandbox/${name}`)
  const before = await counted(name)
  await killedAt(step, then, () =>
    apply('caisson.dev/v1alpha1', 'SandboxSnapshot', `of-${name}`, { sandboxName: name }),
  )
  await apply('caisson.dev/v1alpha1', 'SandboxSnapshot', `of-${name}`, { sandboxName: name })
  await comes('Ready', `sandboxsnapshot/of-${name}`)
  await counted(name, (await counted(name, before)) + 1)
  expect([sentries(), snapshotFiles()]).toEqual([[expect.any(String)], [expect.any(String)]])
  const restarts = '{.status.containerStatuses[0].restartCount}'
  expect(await cluster.mustKubectl(['get', 'pod', name, '-o', `jsonpath=${restarts}`])).toBe('0')
  await cluster.mustKubectl(['delete', 'sandboxsnapshot', `of-${name}`])
  await go(name)
})

const COPIED: Array<[Moment, Then, Volume]> = [
  ...withVolumes(steps(['runsc-create', 'runsc-restore'], 'goes on', 'goes on while the next begins'), 'emptyDir'),
  ...withVolumes(COPIES, 'emptyDir'),
  ...withVolumes([...COPIES, ...steps(['sync'], 'hangs', 'goes on')], 'claim'),
]
test.each(COPIED)('a copy is made, and the cluster is killed at %s, which %s (%s)', async (step, then, volume) => {
  const [name, copy] = [`original-${next}`, `copy-${next++}`]
  await start(name, { volume })
  await comes('Ready', `sandbox/${name}`)
  const before = await counted(name)
  await cluster.mustCaisson(['snapshot', name, '--name', `of-${name}`])
  await restart()
  await killedAt(step, then, () => start(copy, { volume, fromSnapshot: `of-${name}` }))
  await start(copy, { volume, fromSnapshot: `of-${name}` })
  await comes('Ready', `sandbox/${copy}`)
  await counted(copy, before)
  await counted(name, before)
  expect(sentries()).toHaveLength(2)
  await cluster.mustKubectl(['delete', 'sandboxsnapshot', `of-${name}`, '--wait=false'])
  await go(name, copy)
})

test.each([
  ...steps(['runsc-run', 'ip'], 'goes on', 'goes on while the next begins'),
  ...steps(['mount'], 'goes on', 'hangs'),
])('a sandbox is made, and the cluster is killed at %s, which %s', async (step, then) => {
  const name = `new-${next++}`
  await killedAt(step, then, () => start(name))
  await start(name)
  await comes('Ready', `sandbox/${name}`)
  await counted(name)
  expect(sentries()).toHaveLength(1)
  // Which is how one that was left over would be seen.
  expect(leftovers(cluster.dataDirectory).namespaces).not.toEqual([])
  await go(name)
})

test('an image is pulled, and the cluster is killed in the middle of a layer', async () => {
  await start('pulled', { image: `${registry.host}/app:v1`, command: ['sleep', '1000'] })
  await pulling.promise
  await restart()
  await comes('Ready', 'sandbox/pulled')
  const events = await cluster.mustKubectl([
    'get',
    'events',
    '--field-selector',
    'involvedObject.name=pulled',
    '-o',
    'name',
  ])
  expect(events).not.toBe('')
  const images = join(cluster.dataDirectory, 'runtime', 'images')
  const [blobs, whole] = [join(images, 'blobs'), /^[0-9a-f]{64}$/]
  // Configuration, manifest and two layers, all of them whole.
  expect(readdirSync(blobs).map((name) => whole.test(name))).toEqual([true, true, true, true])
  expect(readdirSync(images).filter((name) => name.startsWith('.'))).toEqual([])
  await go('pulled')
})
