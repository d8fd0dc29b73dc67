/** Image policies, pull secrets and sharing, with a real store and a registry on loopback. */
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ImageStore, openImageStore } from '@caisson/runtime'
import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { SecretObject } from '../pod-sources.ts'
import { aPod } from '../pods/observed-pod-fixtures.ts'
import { createPodEvents } from '../pods/pod-events.ts'
import { startTinyRegistry, type TinyRegistry } from '../testing/tiny-registry.ts'
import { type ContainerImages, createContainerImages, type ImageOutcome, type ImageState } from './container-images.ts'
import { createImagePuller } from './image-puller.ts'

let directory: string
let registry: TinyRegistry
let store: ImageStore
let images: ContainerImages
let said: string[]
let now: number
let secrets: Map<string, SecretObject>
const waiting = new Map<string, () => void>()

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'caisson-pod-images-'))
  registry = await startTinyRegistry()
  store = await openImageStore(directory, { registries: { hosts: { [registry.host]: {} } } })
  said = []
  now = Date.UTC(2026, 0, 1)
  secrets = new Map()
  images = createContainerImages({
    images: store,
    sources: { secret: async (namespace, name) => secrets.get(`${namespace}/${name}`) },
    events: createPodEvents({
      record: (_about, { type, reason, message }) =>
        said.push(`${type} ${reason} ${message}`.replaceAll(registry.host, 'R').replaceAll(/[\d.]+m?s\b/g, 'TIME')),
    }),
    now: () => now,
    onPulled: (uid) => waiting.get(uid)?.(),
    onError: (error, where) => said.push(`log ${where}: ${String(error)}`.replaceAll(registry.host, 'R')),
  })
})
afterEach(async () => {
  await images[Symbol.asyncDispose]()
  await registry[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
})

interface Asker {
  find(): Promise<ImageOutcome>
  states: Map<string, ImageState>
}

/** A container of a Pod of its own, which asks until there is something else than to wait. */
function asker(image: string, options: { policy?: string; namespace?: string; pullSecrets?: string[] } = {}): Asker {
  const { policy = 'IfNotPresent', namespace = 'default', pullSecrets = [] } = options
  const uid = `uid-${Math.random()}`
  const container = { name: 'main', image, imagePullPolicy: policy } as Container
  const pod = aPod({ spec: { containers: [container], imagePullSecrets: pullSecrets.map((name) => ({ name })) } })
  Object.assign(pod.metadata, { namespace, uid })
  const states = new Map<string, ImageState>()
  return {
    states,
    async find() {
      for (;;) {
        const pulled = new Promise<void>((resolve) => waiting.set(uid, resolve))
        const outcome = await images.find({ pod, container, states, quiet: false })
        if (outcome.kind !== 'pulling') return outcome
        await pulled
      }
    },
  }
}

function pullSecret(name: string, password: string, namespace = 'default'): void {
  const auths = { [registry.host]: { auth: Buffer.from(`user:${password}`).toString('base64') } }
  secrets.set(`${namespace}/${name}`, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace, uid: `uid-of-${namespace}-${name}` },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') },
  })
}

const cmdOf = (outcome: ImageOutcome): string | undefined =>
  outcome.kind === 'present' ? outcome.image.cmd[0] : outcome.kind

test('the view of the machine is an image where that is wanted alone', async () => {
  for (const image of ['caisson.dev/host', 'caisson.dev/host:latest'])
    expect(await asker(image, { policy: 'Never' }).find()).toEqual({
      kind: 'missing',
      reason: 'InvalidImageName',
      message: `Image "${image}" is a view of the machine itself, which only a machine's own cluster has`,
    })
})

describe('imagePullPolicy', () => {
  test('IfNotPresent pulls once', async () => {
    registry.serve('app', { text: 'one' })
    expect(cmdOf(await asker(`${registry.host}/app`).find())).toBe('one')
    registry.serve('app', { text: 'two' })
    expect(cmdOf(await asker(`${registry.host}/app`).find())).toBe('one')
    expect(said).toEqual([
      'Normal Pulling Pulling image "R/app"',
      'Normal Pulled Successfully pulled image "R/app" in TIME (TIME including waiting). Image size: 0 bytes.',
      'Normal Pulled Container image "R/app" already present on machine',
    ])
  })

  test('Always asks each time, and gets what has changed', async () => {
    registry.serve('app', { text: 'one' })
    const always = { policy: 'Always' }
    expect(cmdOf(await asker(`${registry.host}/app`, always).find())).toBe('one')
    registry.asked.length = 0
    expect(cmdOf(await asker(`${registry.host}/app`, always).find())).toBe('one')
    expect(registry.asked).toEqual(['HEAD manifests latest'])
    registry.serve('app', { text: 'two' })
    expect(cmdOf(await asker(`${registry.host}/app`, always).find())).toBe('two')
  })

  test('Always is content with what is here where the registry is not there, and does not ask it again at once', async () => {
    registry.serve('app', { text: 'one' })
    const name = `${registry.host}/app`
    await asker(name).find()
    await registry.stop()
    said.length = 0
    const began = performance.now()
    expect(cmdOf(await asker(name, { policy: 'Always' }).find())).toBe('one')
    expect(performance.now() - began).toBeLessThan(4_000)
    const warning =
      'Warning ImageNotRefreshed Container image "R/app" was not pulled again, as imagePullPolicy Always asks: R cannot be reached; the image already present on machine is used'
    expect(said).toEqual(['Normal Pulling Pulling image "R/app"', warning])
    expect(cmdOf(await asker(name, { policy: 'Always' }).find())).toBe('one')
    expect(said).toEqual(['Normal Pulling Pulling image "R/app"', warning, warning])
  })

  test('Always is not content with what is here where the registry answers that it has none', async () => {
    registry.serve('app', { text: 'one' })
    await asker(`${registry.host}/app`).find()
    registry.serve('app', { text: 'one', password: 'now private' })
    expect(await asker(`${registry.host}/app`, { policy: 'Always' }).find()).toMatchObject({ reason: 'ErrImagePull' })
  })

  test('Always is content with what was brought here while it waits for a registry that was not there', async () => {
    registry.serve('app', { text: 'one' })
    const name = `${registry.host}/app`
    const archive = join(directory, 'app.tar')
    const elsewhere = await openImageStore(join(directory, 'elsewhere'), {
      registries: { hosts: { [registry.host]: {} } },
    })
    await elsewhere.pull(name)
    await elsewhere.export([name], createWriteStream(archive))
    await registry.stop()
    const always = asker(name, { policy: 'Always' })
    expect(await always.find()).toMatchObject({ reason: 'ErrImagePull' })
    // As after six failures: others take the registry for not there for less long than this one waits for it.
    const failed = always.states.get('main')
    if (failed?.kind === 'failed') failed.pullAt = now + 300_000
    now += 100_000
    expect(await always.find()).toMatchObject({ reason: 'ImagePullBackOff' })
    await store.import(archive)
    expect(cmdOf(await always.find())).toBe('one')
  })

  test('Never takes what is here alone', async () => {
    registry.serve('app', { text: 'one' })
    const never = asker(`${registry.host}/app`, { policy: 'Never' })
    const message = `Container image "${registry.host}/app" is not present with pull policy of Never`
    expect(await never.find()).toEqual({ kind: 'missing', reason: 'ErrImageNeverPull', message })
    expect(registry.asked).toEqual([])
    expect(said).toEqual([
      'Warning ErrImageNeverPull Container image "R/app" is not present with pull policy of Never',
      'Warning Failed Error: ErrImageNeverPull',
    ])
    await asker(`${registry.host}/app`).find()
    expect(cmdOf(await never.find())).toBe('one')
  })

  test('a name that no image can have', async () => {
    expect(await asker('UPPER').find()).toMatchObject({ kind: 'missing', reason: 'InvalidImageName' })
    expect(said[0]).toMatch(/^Warning InspectFailed Failed to apply default image tag "UPPER": /)
  })
})

test('what fails is told, waited for, and tried again later', async () => {
  const name = `${registry.host}/app`
  const waits = asker(name)
  expect(await waits.find()).toEqual({
    kind: 'missing',
    reason: 'ErrImagePull',
    message: `failed to pull image "${name}": ${registry.host} has no image app:latest`,
  })
  const backOff = `Back-off pulling image "${name}": ErrImagePull: failed to pull image "${name}": ${registry.host} has no image app:latest`
  expect(await waits.find()).toEqual({ kind: 'missing', reason: 'ImagePullBackOff', message: backOff })
  expect(await waits.find()).toMatchObject({ reason: 'ImagePullBackOff' })
  expect(said).toEqual([
    'Normal Pulling Pulling image "R/app"',
    'Warning Failed Failed to pull image "R/app": R has no image app:latest',
    'Warning Failed Error: ErrImagePull',
    'Normal BackOff Back-off pulling image "R/app"',
    'Warning Failed Error: ImagePullBackOff',
  ])
  registry.serve('app', { text: 'one' })
  now += 9_000
  expect(await waits.find()).toMatchObject({ reason: 'ImagePullBackOff' })
  now += 2_000
  expect(cmdOf(await waits.find())).toBe('one')
})

test('what the machine says of its own files is for the log alone', async () => {
  registry.serve('app', { text: 'one' })
  await rm(directory, { recursive: true })
  expect(await asker(`${registry.host}/app`).find()).toEqual({
    kind: 'missing',
    reason: 'ErrImagePull',
    message: `failed to pull image "${registry.host}/app": the node cannot store it (ENOENT)`,
  })
  expect(said).toEqual([
    'Normal Pulling Pulling image "R/app"',
    expect.stringMatching(`^log pulling image "R/app" for pod default/\\S+: Error: ENOENT: .*'${directory}/`),
    'Warning Failed Failed to pull image "R/app": the node cannot store it (ENOENT)',
    'Warning Failed Error: ErrImagePull',
  ])
})

test('why there is no connection to a host that nobody has configured is for the log alone', async () => {
  const hidden = await asker('registry.invalid/app').find()
  const message =
    "failed to pull image \"registry.invalid/app\": registry.invalid cannot be reached: the log that 'caisson status' names says why; 'caisson image import FILE' brings an image without it"
  expect(hidden).toEqual({ kind: 'missing', reason: 'ErrImagePull', message })
  expect(said.find((each) => each.startsWith('log'))).toMatch(
    /^log pulling image "registry.invalid\/app" for pod default\/[^:]+: Error: getaddrinfo /,
  )
  expect(said.filter((each) => !each.startsWith('log')).join()).not.toMatch(/getaddrinfo/)
  await registry.stop()
  expect(await asker(`${registry.host}/app`).find()).toMatchObject({
    message: expect.stringContaining('ECONNREFUSED'),
  })
}, 30_000)

describe('pull secrets', () => {
  const secretName = 'app'
  beforeEach(() => registry.serve(secretName, { text: 'private', password: 'right' }))

  test('open what is private, to whoever has them', async () => {
    const name = `${registry.host}/app`
    pullSecret('wrong', 'wrong')
    pullSecret('right', 'right')
    expect(await asker(name, { pullSecrets: ['wrong'] }).find()).toMatchObject({ reason: 'ErrImagePull' })
    expect(cmdOf(await asker(name, { pullSecrets: ['wrong', 'right'] }).find())).toBe('private')
    registry.asked.length = 0
    expect(cmdOf(await asker(name, { pullSecrets: ['right'] }).find())).toBe('private')
    expect(registry.asked).toEqual([])
  })

  test.each(['IfNotPresent', 'Always', 'Never'])(
    'with one of another namespace nobody gets at the image (%s)',
    async (policy) => {
      const name = `${registry.host}/app`
      pullSecret('right', 'right')
      await asker(name, { pullSecrets: ['right'] }).find()
      const reason = policy === 'Never' ? 'ErrImageNeverPull' : 'ErrImagePull'
      expect(await asker(name, { policy, namespace: 'other' }).find()).toMatchObject({ kind: 'missing', reason })
      pullSecret('wrong', 'wrong', 'other')
      const guess = { policy, namespace: 'other', pullSecrets: ['wrong'] }
      expect(await asker(name, guess).find()).toMatchObject({ kind: 'missing', reason })
      // Not even while the registry cannot be asked.
      await registry.stop()
      expect(await asker(name, { policy, namespace: 'other' }).find()).toMatchObject({ kind: 'missing' })
      // The same password is the same right.
      pullSecret('also-right', 'right', 'other')
      if (policy !== 'Always')
        expect(cmdOf(await asker(name, { policy, namespace: 'other', pullSecrets: ['also-right'] }).find())).toBe(
          'private',
        )
    },
  )

  test('that are not there are told', async () => {
    await asker(`${registry.host}/app`, { pullSecrets: ['absent'] }).find()
    expect(said[0]).toBe(
      'Warning FailedToRetrieveImagePullSecret Unable to retrieve some image pull secrets (absent); attempting to pull the image may not succeed.',
    )
  })
})

describe('pulls', () => {
  test('of the same image are shared', async () => {
    registry.serve('app', { text: 'one' })
    registry.hold()
    const all = Array.from({ length: 5 }, () => asker(`${registry.host}/app`).find())
    await expect.poll(() => registry.asked.filter((each) => each.startsWith('GET blobs')).length).toBe(1)
    registry.release()
    expect((await Promise.all(all)).map(cmdOf)).toEqual(['one', 'one', 'one', 'one', 'one'])
    expect(registry.asked.filter((each) => each === 'GET blobs')).toHaveLength(2)
  })

  test('go on for the others when one gives up, and end with the last', async () => {
    registry.serve('app', { text: 'one' })
    registry.hold()
    const [first, second] = [asker(`${registry.host}/app`), asker(`${registry.host}/app`)]
    void first.find()
    const outcome = second.find()
    await expect.poll(() => registry.asked.includes('GET blobs')).toBe(true)
    images.cancel(first.states)
    registry.release()
    expect(cmdOf(await outcome)).toBe('one')
    registry.serve('other', { text: 'two' })
    registry.hold()
    const third = asker(`${registry.host}/other`)
    void third.find()
    await expect.poll(() => registry.asked.filter((each) => each === 'GET blobs').length).toBe(3)
    images.cancel(third.states)
    registry.release()
    expect(await store.get(`${registry.host}/other`)).toBeUndefined()
  })

  test('that wait behind those of one namespace hold back nobody in another', async () => {
    for (const name of ['endless-1', 'endless-2', 'app']) registry.serve(name, { text: name })
    const blobs = (): number => registry.asked.filter((each) => each === 'GET blobs').length
    registry.hold()
    const byGreedy = (name: string): Asker => asker(`${registry.host}/${name}`, { namespace: 'greedy' })
    const endless = ['endless-1', 'endless-2'].map((name) => byGreedy(name).find())
    await expect.poll(blobs).toBe(2)
    const waits = byGreedy('app')
    const greedy = [...endless, waits.find()]
    await expect.poll(() => waits.states.size).toBe(1)
    const others = Array.from({ length: 2 }, () => asker(`${registry.host}/app`, { namespace: 'other' }).find())
    await expect.poll(blobs).toBe(3)
    registry.release()
    expect((await Promise.all([...greedy, ...others])).map(cmdOf)).toEqual([
      'endless-1',
      'endless-2',
      'app',
      'app',
      'app',
    ])
    // Got once, for all who waited.
    expect(registry.asked.filter((each) => each === 'HEAD manifests latest')).toHaveLength(3)
  })

  test('that never end, of several namespaces together, hold back nobody for long', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `endless-${index}`)
    for (const name of [...names, 'app']) registry.serve(name, { text: name })
    const blobs = (): number => registry.asked.filter((each) => each === 'GET blobs').length
    await using puller = createImagePuller(store, { placeMs: 300 })
    const { signal } = new AbortController()
    const pull = (name: string, namespace: string) =>
      puller.pull({ name: `${registry.host}/${name}`, namespace, fingerprint: '', signal })
    registry.hold()
    const greedy = names.map((name, index) => pull(name, `greedy-${index >> 1}`))
    await expect.poll(blobs).toBe(8)
    const other = pull('app', 'other')
    await expect.poll(blobs, { timeout: 5_000 }).toBe(9)
    registry.release()
    const pulled = await Promise.all([...greedy, other])
    expect(pulled.map(({ image }) => image.cmd)).toEqual([...names, 'app'].map((name) => [name]))
  })

  test('that wait for a place end with the last who wants them', async () => {
    for (const name of ['endless-1', 'endless-2', 'app']) registry.serve(name, { text: name })
    registry.hold()
    const busy = ['endless-1', 'endless-2'].map((name) => asker(`${registry.host}/${name}`).find())
    await expect.poll(() => registry.asked.filter((each) => each === 'GET blobs').length).toBe(2)
    const waits = asker(`${registry.host}/app`)
    void waits.find()
    await expect.poll(() => waits.states.size).toBe(1)
    images.cancel(waits.states)
    registry.release()
    await Promise.all(busy)
    expect(await store.get(`${registry.host}/app`)).toBeUndefined()
    expect(cmdOf(await asker(`${registry.host}/app`).find())).toBe('app')
  })
})
