/** A disk that is full, or becomes it in the middle, while sandboxes fall asleep and images are pulled. */
import { randomBytes } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fillDisk } from '../../packages/kubelet/src/testing/fill-disk.ts'
import { busyboxImage } from '../../packages/runtime/src/testing/busybox-archive.ts'
import { file } from '../../packages/runtime/src/testing/image-archive.ts'
import {
  first,
  type ScriptedRegistry,
  serves,
  startScriptedRegistry,
  when,
} from '../../packages/runtime/src/testing/scripted-registry.ts'
import { defaultToolsDirectory } from '../../packages/runtime/src/tools/tools.ts'
import { type Cluster, startCluster } from './fixture.ts'

const MB = 1024 * 1024
/** What is kept free beside images is 256 MiB. */
const DISK = '640m'
const LAYER = 32 * MB

let registry: ScriptedRegistry
let cluster: Cluster
const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
beforeAll(async () => {
  const image = await busyboxImage(defaultToolsDirectory(), [file('large', randomBytes(LAYER))])
  const large = image.layers.at(-1)?.digest ?? ''
  const bytes = image.blobs.get(large) ?? Buffer.alloc(0)
  const waits = when(new RegExp(`/blobs/${large}`), (response) => {
    response.setHeader('content-length', bytes.length)
    response.write(bytes.subarray(0, MB))
    begun.resolve()
    void goOn.promise.then(() => response.end(bytes.subarray(MB)))
  })
  registry = await startScriptedRegistry(first(1, waits), serves(image))
  cluster = await startCluster({ disk: DISK, images: `hosts:\n  ${registry.host}: { plainHttp: true }\n` })
})
afterAll(async () => {
  await cluster[Symbol.asyncDispose]()
  await registry[Symbol.asyncDispose]()
})

/** Counts in its memory, and says how far it is where it is asked. */
const COUNTER = `
import os, sys, time
held = os.urandom(int(sys.argv[1]))
count = 0
while True:
    count += 1
    if os.path.exists('/tmp/ask'):
        os.remove('/tmp/ask')
        with open('/tmp/count', 'w') as file: file.write(str(count))
        os.rename('/tmp/count', '/tmp/told')
    time.sleep(0.01)
`

async function startCounter(name: string, bytes: number): Promise<void> {
  await cluster.mustCaisson(['run', '--detach', '--name', name, '--', 'python3', '-c', COUNTER, String(bytes)])
  await count(name)
}

async function count(name: string): Promise<number> {
  const script = 'rm -f /tmp/told; touch /tmp/ask; until [ -e /tmp/told ]; do sleep 0.01; done; cat /tmp/told'
  return Number(await cluster.mustCaisson(['exec', name, '--', 'sh', '-c', script]))
}

test.each([
  [
    'from the beginning',
    { held: MB, left: 32 * MB },
    /^caisson: sandbox \S+ goes on running, its memory could not be kept: the disk has \d+ bytes left, expected at least 67108864 beside a snapshot: make room\n$/,
  ],
  [
    'in the middle',
    { held: 160 * MB, left: 96 * MB },
    /^caisson: sandbox \S+ goes on running, its memory could not be kept: the snapshot does not fit on the disk: .*no space left on device.*\n$/,
  ],
])('a sandbox goes on where there is no room for its memory, %s', async (_when, { held, left }, said) => {
  const name = `sleeper-${held}`
  await startCounter(name, held)
  const before = await count(name)
  {
    using _full = await fillDisk(cluster.dataDirectory, left)
    expect(await cluster.caisson(['suspend', name])).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(said),
    })
    expect(readdirSync(join(cluster.dataDirectory, 'kubelet/snapshots'))).toEqual([])
    expect(await count(name)).toBeGreaterThan(before)
  }
  expect(await cluster.mustCaisson(['suspend', name])).toBe(`${name}\n`)
  expect(await cluster.mustCaisson(['resume', name])).toBe(`${name}\n`)
  expect(await count(name)).toBeGreaterThan(before)
  const restarts = '{.status.containerStatuses[0].restartCount}'
  expect(await cluster.mustKubectl(['get', 'pod', name, '-o', `jsonpath=${restarts}`])).toBe('0')
  await cluster.mustCaisson(['rm', name])
})

/** Counts in its memory and tells in a volume, which holds more than there will be room for. */
const TELLER = `
import os, time
with open('/data/ballast', 'wb') as file: file.write(os.urandom(${8 * MB}))
count = 0
while True:
    count += 1
    if os.path.exists('/fast/ask'):
        os.remove('/fast/ask')
        with open('/fast/count', 'w') as file: file.write(str(count))
        os.rename('/fast/count', '/fast/told')
    time.sleep(0.01)
`

test('a sandbox that sleeps is woken once there is room for its volumes, and nothing of it is lost', async () => {
  const container = {
    name: 'main',
    image: 'caisson.dev/host',
    command: ['python3', '-c', TELLER],
    volumeMounts: [
      { name: 'data', mountPath: '/data' },
      { name: 'fast', mountPath: '/fast' },
    ],
  }
  const volumes = [
    { name: 'data', emptyDir: {} },
    { name: 'fast', emptyDir: { medium: 'Memory' } },
  ]
  const podTemplate = { spec: { terminationGracePeriodSeconds: 0, containers: [container], volumes } }
  const metadata = { name: 'waker' }
  await cluster.mustKubectl(['apply', '-f', '-'], {
    input: JSON.stringify({ apiVersion: 'agents.x-k8s.io/v1beta1', kind: 'Sandbox', metadata, spec: { podTemplate } }),
  })
  const asked = async (): Promise<string[]> => {
    const script =
      'rm -f /fast/told; touch /fast/ask; until [ -e /fast/told ]; do sleep 0.01; done; cat /fast/told; echo; cksum < /data/ballast'
    return (await cluster.mustCaisson(['exec', 'waker', '--', 'sh', '-c', script])).split('\n')
  }
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/waker', '--timeout=60s'])
  const [count, sum] = await asked()
  await cluster.mustCaisson(['suspend', 'waker'])
  {
    using _full = await fillDisk(cluster.dataDirectory, 4 * MB)
    await cluster.mustKubectl([
      'patch',
      'sandbox',
      'waker',
      '--type=merge',
      '-p',
      '{"spec":{"operatingMode":"Running"}}',
    ])
    const waiting = '{.status.containerStatuses[0].state.waiting.message}'
    await expect
      .poll(async () => (await cluster.kubectl(['get', 'pod', 'waker', '-o', `jsonpath=${waiting}`])).stdout)
      .toBe("the node's disk is full")
  }
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'sandbox/waker', '--timeout=60s'])
  const [after, same] = await asked()
  expect([Number(after) > Number(count), same]).toEqual([true, sum])
  await cluster.mustCaisson(['rm', 'waker'])
})

test('an image is pulled once there is room for it', async () => {
  const container = { name: 'main', image: `${registry.host}/app:v1`, command: ['sleep', '1000'] }
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'pulled' }, spec: { containers: [container] } }
  await cluster.mustKubectl(['apply', '-f', '-'], { input: JSON.stringify(pod) })
  await begun.promise
  const images = join(cluster.dataDirectory, 'runtime/images')
  {
    using _full = await fillDisk(cluster.dataDirectory, LAYER / 4)
    goOn.resolve()
    const waiting = '{.status.containerStatuses[0].state.waiting.message}'
    await expect
      .poll(() => cluster.mustKubectl(['get', 'pod', 'pulled', '-o', `jsonpath=${waiting}`]))
      .toMatch(/the disk is full: free some space, or remove images$/)
    expect(readdirSync(images).filter((each) => each.startsWith('.'))).toEqual([])
    expect(readdirSync(join(images, 'blobs'))).toEqual([])
  }
  await cluster.mustKubectl(['wait', '--for=condition=Ready', 'pod/pulled', '--timeout=60s'])
  const events = await cluster.mustKubectl(['get', 'events', '-o', 'jsonpath={range .items[*]}{.reason}{"\\n"}{end}'])
  expect(events.split('\n')).toEqual(expect.arrayContaining(['Failed', 'Pulled', 'Started']))
  await cluster.mustKubectl(['delete', 'pod', 'pulled', '--grace-period=0', '--force'])
})
