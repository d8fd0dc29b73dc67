import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SNAPSHOT_ANNOTATION } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import {
  type Client,
  createClient,
  createInformers,
  type InProcessServer,
  inProcessTransport,
  isNotFound,
  type PodObject,
  resources,
  sandboxSnapshots,
} from '@caisson/client'
import fc from 'fast-check'
import type { ContainerStatus } from 'kubernetes-types/core/v1.d.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Kubelet, startKubelet } from '../start-kubelet.ts'
import { createModelMachine, type ModelMachine } from '../testing/model-runtime.ts'
import { BOX, serveSnapshots } from '../testing/scratch-snapshots.ts'
import { isTerminalPhase } from './observed-pod.ts'

const NODE_NAME = 'model'
const namespace = 'default'
let directory: string
let api: AsyncDisposable & { server: { connect(user: object): InProcessServer } }
let client: Client
beforeAll(async () => {
  // In memory: the API answers no write before the disk has it, and another's work on a disk would decide how long that is.
  directory = await mkdtemp('/dev/shm/caisson-engine-')
  api = await apiserver.startApiServer({
    directory: join(directory, 'objects'),
    certificates: join(directory, 'pki'),
    host: '127.0.0.1',
    port: 0,
  })
  const administrator = { username: 'admin', groups: ['system:masters', 'system:authenticated'] }
  client = createClient(inProcessTransport(api.server.connect(administrator)))
  await serveSnapshots({ client })
  await client.create(resources.serviceAccounts, { metadata: { name: 'default' } }, { namespace })
})
afterAll(async () => {
  await api[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

/** What can happen to a node. Numbers choose among what there is. */
type Happening =
  | { kind: 'create'; policy: 'Always' | 'OnFailure' | 'Never'; shape: 'one' | 'two' | 'init' | 'sidecar' }
  | { kind: 'exit'; which: number; code: number }
  | { kind: 'kill'; which: number }
  | { kind: 'delete'; which: number; force: boolean }
  /** The agent ends, between any two passes, and another one begins. */
  | { kind: 'restart' }
  /** The same, and the machine begins anew between the two. */
  | { kind: 'reboot' }
  /** Nothing happens for so long that every back-off is over. */
  | { kind: 'wait' }

const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('create' as const),
      policy: fc.constantFrom('Always' as const, 'OnFailure' as const, 'Never' as const),
      shape: fc.constantFrom('one' as const, 'two' as const, 'init' as const, 'sidecar' as const),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('exit' as const), which: fc.nat(9), code: fc.constantFrom(0, 0, 1) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('kill' as const), which: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), which: fc.nat(9), force: fc.boolean() }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'restart' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'reboot' as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'wait' as const }) },
)

const byText = (a: string | undefined, b: string | undefined) => ((a ?? '') < (b ?? '') ? -1 : 1)

let counter = 0

function podSpec({ policy, shape }: Extract<Happening, { kind: 'create' }>): NonNullable<PodObject['spec']> {
  const container = (name: string) => ({ name, image: 'image' })
  return {
    nodeName: NODE_NAME,
    automountServiceAccountToken: false,
    restartPolicy: policy,
    containers: shape === 'two' ? [container('main'), container('other')] : [container('main')],
    ...(shape === 'init' && { initContainers: [container('setup')] }),
    ...(shape === 'sidecar' && { initContainers: [{ ...container('proxy'), restartPolicy: 'Always' }] }),
  }
}

/** What others left behind is no part of a test. */
async function removePods(): Promise<void> {
  for (const { metadata } of (await client.list(resources.pods, { namespace })).items)
    await client.delete(resources.pods, metadata.name ?? '', { namespace, gracePeriodSeconds: 0 })
}

interface Play extends AsyncDisposable {
  machine: ModelMachine
  /** How many sandboxes are still to be refused a network. */
  network: { refusals: number }
  errors: string[]
  dataDirectory: string
  happen(happening: Happening): Promise<void>
  /** Until the agent knows what the API knows, and has nothing to do. */
  rest(): Promise<void>
  /** Lets everything come to rest, as it does where nothing more goes wrong. */
  settle(): Promise<void>
  pods(): Promise<PodObject[]>
}

/** `answerAfter`: how long the API takes to say that it has written a status, in ms. */
async function startPlay({ answerAfter = 0 } = {}): Promise<Play> {
  let clock = Date.UTC(2026, 0, 1)
  const now = () => clock
  const machine = createModelMachine(now)
  const network = { refusals: 0 }
  const dataDirectory = await mkdtemp(join(directory, 'node-'))
  const errors: string[] = []
  const direct = createClient(inProcessTransport(api.server.connect(apiserver.componentUsers.node(NODE_NAME))))
  const node: Client = answerAfter
    ? {
        ...direct,
        async patchStatus(...args) {
          const answer = await direct.patchStatus(...args)
          await sleep(answerAfter)
          return answer
        },
      }
    : direct
  let parts: AsyncDisposableStack
  let kubelet: Kubelet

  async function start(): Promise<void> {
    parts = new AsyncDisposableStack()
    const informers = parts.use(createInformers(node))
    kubelet = parts.use(
      await startKubelet({
        client: node,
        informers,
        network: {
          adopt: async () => {},
          async admit() {
            if (network.refusals-- > 0) throw new Error('no network')
          },
          leave: () => {},
        },
        runtime: parts.use(machine.open()),
        recorder: { record() {} },
        dataDir: dataDirectory,
        nodeName: NODE_NAME,
        fake: false,
        hostImage: true,
        signal: new AbortController().signal,
        onError: (error, where) => errors.push(`${where}: ${(error as Error).stack}`),
        now,
      }),
    )
  }
  await start()

  const pods = async () => (await client.list(resources.pods, { namespace })).items

  async function rest(): Promise<void> {
    for (let round = 0; round < 5; round++) {
      await new Promise((resolve) => setImmediate(resolve))
      await kubelet.idle()
    }
  }

  async function wait(): Promise<void> {
    await rest()
    clock += 400_000
    // Timers run on the real clock: what is due by ours is looked at by the next agent.
    await parts.disposeAsync()
    await start()
    await rest()
  }

  async function happen(what: Happening): Promise<void> {
    clock += 1_000
    switch (what.kind) {
      case 'create': {
        await client.create(resources.pods, { metadata: { name: `p${++counter}` }, spec: podSpec(what) }, { namespace })
        return
      }
      case 'exit': {
        const running = machine.running()
        const id = running[what.which % running.length]
        if (id !== undefined) machine.exit(id, what.code)
        return
      }
      case 'kill': {
        // Only what several containers share can die under them.
        const shared = machine.sandboxes().filter((spec) => spec.shared)
        const spec = shared[what.which % shared.length]
        if (spec) machine.kill(spec.id)
        return
      }
      case 'delete': {
        const all = await pods()
        const name = all[what.which % all.length]?.metadata.name
        if (name === undefined) return
        try {
          await client.delete(resources.pods, name, { namespace, ...(what.force && { gracePeriodSeconds: 0 }) })
        } catch (error) {
          if (!isNotFound(error)) throw error
        }
        return
      }
      case 'restart':
      case 'reboot':
        await parts.disposeAsync()
        if (what.kind === 'reboot') machine.reboot()
        return await start()
      case 'wait':
        return await wait()
    }
  }

  return {
    machine,
    network,
    errors,
    dataDirectory,
    happen,
    rest,
    pods,
    async settle() {
      // Init containers, then the others: each may have a back-off of its own to wait for.
      for (let round = 0; round < 4; round++) {
        await wait()
        for (const id of machine.running()) if (id.includes('-i0-') && !(await isSidecar(id))) machine.exit(id, 0)
      }
      await wait()
    },
    async [Symbol.asyncDispose]() {
      await parts.disposeAsync()
    },
  }

  async function isSidecar(id: string): Promise<boolean> {
    const pod = (await pods()).find(({ metadata }) => id.startsWith(`${metadata.uid}-`))
    return pod?.spec?.initContainers?.[0]?.restartPolicy === 'Always'
  }
}

/** It runs, or has ended and is not to be started again. */
function isAsWanted(pod: PodObject, { name, state }: ContainerStatus): boolean {
  if (state?.running) return true
  const init = pod.spec?.initContainers?.find((container) => container.name === name)
  if (!state?.terminated || init?.restartPolicy === 'Always') return false
  const policy = pod.spec?.restartPolicy
  return policy === 'Never' || ((policy === 'OnFailure' || init !== undefined) && state.terminated.exitCode === 0)
}

test('what it says of a beginning does not follow what it said of the end', async () => {
  await using play = await startPlay({ answerAfter: 400 })
  await play.happen({ kind: 'create', policy: 'Always', shape: 'one' })
  await play.rest()
  const [pod] = await play.pods()
  expect(pod?.status?.containerStatuses?.map(({ state }) => Object.keys(state ?? {}))).toEqual([['running']])
  expect(pod?.status?.phase).toBe('Running')
  expect(play.errors).toEqual([])
})

test('that nobody knows when a container ended is told once, and not again and again', async () => {
  await removePods()
  await using play = await startPlay()
  await play.happen({ kind: 'create', policy: 'Always', shape: 'one' })
  await play.rest()
  await play.happen({ kind: 'reboot' })
  await play.rest()
  const [pod] = await play.pods()
  expect(pod?.status?.containerStatuses?.[0]).toMatchObject({
    restartCount: 1,
    state: { running: {} },
    lastState: { terminated: { reason: 'ContainerStatusUnknown', finishedAt: null } },
  })
  expect(play.errors).toEqual([])
})

test('a container that cannot be stopped is asked again after a while, and not at once for ever', async () => {
  await removePods()
  await using play = await startPlay()
  const { stops } = play.machine
  await play.happen({ kind: 'create', policy: 'Always', shape: 'one' })
  await play.rest()
  stops.failures = 100
  await play.happen({ kind: 'delete', which: 0, force: false })
  await play.rest()
  expect(stops.asked).toBe(1)
  expect(play.errors).toEqual([expect.stringContaining('it cannot be asked')])
  stops.failures = 0
  await expect.poll(() => play.pods(), { timeout: 10_000 }).toEqual([])
  expect(stops.asked).toBe(2)
})

test('what is left of a sandbox that could not be finished is taken away before it is made again, and where its Pod goes', async () => {
  await removePods()
  await using play = await startPlay()
  const { machine, network } = play
  const fail = async (): Promise<void> => {
    network.refusals = 1
    machine.removals.failures = 1
    await play.happen({ kind: 'create', policy: 'Always', shape: 'one' })
    await play.rest()
    expect([machine.sandboxes().length, machine.running()]).toEqual([1, []])
  }
  await fail()
  // Each moment is a second by the node's clock.
  const passes = async (): Promise<string[]> => {
    await play.happen({ kind: 'exit', which: 0, code: 0 })
    await play.rest()
    return machine.running().map((id) => id.replace(/^.*-m/, 'm'))
  }
  await expect.poll(passes, { interval: 500, timeout: 20_000 }).toEqual(['m0-0'])
  await removePods()
  await play.rest()
  await fail()
  await removePods()
  await play.rest()
  expect(machine.sandboxes()).toEqual([])
  expect(play.errors).toEqual([])
})

test('a Pod of which not all containers could be restored begins with its snapshot again where its sandbox has gone', async () => {
  await removePods()
  await using play = await startPlay()
  const { machine } = play
  await client.create(sandboxSnapshots, { metadata: { name: 'kept' }, spec: { sandboxName: 'box' } }, { namespace })
  const ready = {
    type: 'Ready',
    status: 'True',
    reason: 'Taken',
    message: '',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  }
  await client.patchStatus(
    sandboxSnapshots,
    'kept',
    { status: { nodeName: NODE_NAME, conditions: [ready] } },
    { namespace },
  )
  machine.unrestorable.add('other')
  const spec = podSpec({ kind: 'create', policy: 'Always', shape: 'two' })
  const annotations = { [SNAPSHOT_ANNOTATION]: 'kept' }
  await client.create(resources.pods, { metadata: { name: 'restored', annotations }, spec }, { namespace })
  const states = async (): Promise<unknown> => {
    await play.rest()
    const [pod] = await play.pods()
    return pod?.status?.containerStatuses?.map(({ name, restartCount, state }) => [
      name,
      restartCount,
      Object.keys(state ?? {}),
    ])
  }
  await expect.poll(states).toEqual([
    ['main', 0, ['waiting']],
    ['other', 0, ['waiting']],
  ])
  expect(machine.sandboxes()).toEqual([expect.objectContaining({ snapshot: expect.any(String) })])
  machine.unrestorable.clear()
  await play.happen({ kind: 'reboot' })
  await expect.poll(states).toEqual([
    ['main', 0, ['running']],
    ['other', 0, ['running']],
  ])
  expect(machine.sandboxes()).toEqual([expect.objectContaining({ snapshot: expect.any(String) })])
  expect(play.errors).toEqual([])
})

test('a Pod of which one container has ended is not kept without it: nothing could begin with that', async () => {
  await removePods()
  await using play = await startPlay()
  const spec = podSpec({ kind: 'create', policy: 'Never', shape: 'two' })
  const metadata = { name: 'halved', ownerReferences: [BOX] }
  await client.create(resources.pods, { metadata, spec }, { namespace })
  await play.rest()
  expect(play.machine.running()).toHaveLength(2)
  await play.happen({ kind: 'exit', which: 1, code: 0 })
  await play.rest()
  const pod = await client.get(resources.pods, 'halved', { namespace })
  await client.create(sandboxSnapshots, { metadata: { name: 'half' }, spec: { sandboxName: BOX.name } }, { namespace })
  const status = { nodeName: NODE_NAME, podUID: pod.metadata.uid ?? '' }
  await client.patchStatus(sandboxSnapshots, 'half', { status }, { namespace })
  const said = async (): Promise<unknown> =>
    (await client.get(sandboxSnapshots, 'half', { namespace })).status?.conditions
  await expect.poll(said).toEqual([
    expect.objectContaining({
      reason: 'NotSupported',
      message: expect.stringMatching(/^container (main|other) of Pod halved does not run/),
    }),
  ])
  expect(play.errors).toEqual([])
})

test('a Pod for which there is no room is refused, also by the next agent, and one that is gone leaves its room at once', async () => {
  await removePods()
  await using play = await startPlay()
  const cpu = String(availableParallelism())
  const asking = async (name: string): Promise<void> => {
    const container = { name: 'main', image: 'image', resources: { requests: { cpu } } }
    const spec = { ...podSpec({ kind: 'create', policy: 'Always', shape: 'one' }), containers: [container] }
    await client.create(resources.pods, { metadata: { name }, spec }, { namespace })
    await play.rest()
  }
  const phases = async (): Promise<string[]> =>
    (await play.pods())
      .map(({ metadata, status }) => `${metadata.name} ${status?.phase} ${status?.reason ?? ''}`.trim())
      .sort()
  await asking('first')
  await asking('second')
  expect(await phases()).toEqual(['first Running', 'second Failed OutOfcpu'])
  await play.happen({ kind: 'restart' })
  await play.rest()
  expect(await phases()).toEqual(['first Running', 'second Failed OutOfcpu'])
  await client.delete(resources.pods, 'first', { namespace, gracePeriodSeconds: 0 })
  await asking('third')
  expect(await phases()).toEqual(['second Failed OutOfcpu', 'third Running'])
  expect(play.errors).toEqual([])
})

test('a Pod that runs is given more where there is room, waits for it where there is not, and keeps what it has where there never is', async () => {
  await removePods()
  await using play = await startPlay()
  const whole = availableParallelism()
  const create = async (name: string, cpu: number): Promise<void> => {
    const container = { name: 'main', image: 'image', resources: { requests: { cpu: String(cpu) } } }
    const spec = { ...podSpec({ kind: 'create', policy: 'Always', shape: 'one' }), containers: [container] }
    await client.create(resources.pods, { metadata: { name }, spec }, { namespace })
    await play.rest()
  }
  const resize = async (name: string, cpu: number): Promise<void> => {
    const body = { spec: { containers: [{ name: 'main', resources: { requests: { cpu: String(cpu) } } }] } }
    await client.patch(resources.pods, name, body, { namespace, type: 'strategic', subresource: 'resize' })
    await play.rest()
  }
  /** What the Pod is granted, what its sandbox is held to, and why that is not what it asks for. */
  const told = async (name: string): Promise<string> => {
    const pod = (await play.pods()).find(({ metadata }) => metadata.name === name)
    const [main] = (pod?.status?.containerStatuses ?? []) as unknown as Array<{
      allocatedResources?: { cpu: string }
    }>
    const sandbox = play.machine.sandboxes().find(({ labels }) => labels['pod-uid'] === pod?.metadata.uid)
    const pending = pod?.status?.conditions?.find(({ type }) => type === 'PodResizePending')
    return [main?.allocatedResources?.cpu, (sandbox?.limits.cpuRequestMillicores ?? 0) / 1000, pending?.reason]
      .filter((each) => each !== undefined)
      .join(' ')
  }
  await create('first', whole / 4)
  await create('second', whole / 2)
  await resize('first', whole / 2)
  expect(await told('first')).toBe(`${whole / 2} ${whole / 2}`)
  await resize('first', whole)
  expect(await told('first')).toBe(`${whole / 2} ${whole / 2} Deferred`)
  await resize('second', whole * 1000)
  expect(await told('second')).toBe(`${whole / 2} ${whole / 2} Infeasible`)
  await play.happen({ kind: 'restart' })
  await play.rest()
  expect([await told('first'), await told('second')]).toEqual([
    `${whole / 2} ${whole / 2} Deferred`,
    `${whole / 2} ${whole / 2} Infeasible`,
  ])
  await client.delete(resources.pods, 'second', { namespace, gracePeriodSeconds: 0 })
  await play.rest()
  expect(await told('first')).toBe(`${whole} ${whole}`)
  expect(play.errors).toEqual([])
})

test('whatever happens in whatever order, the node comes to what the Pods ask for', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 14 }), async (history) => {
      await removePods()
      await using play = await startPlay()
      for (const what of history) await play.happen(what)
      await play.rest()
      // Pods that are gone do not wait for another agent to be cleaned up.
      const present = new Set((await play.pods()).map(({ metadata }) => metadata.uid))
      expect(play.machine.sandboxes().filter(({ labels }) => !present.has(labels['pod-uid']))).toEqual([])
      await play.settle()

      const pods = await play.pods()
      const running = play.machine.running()
      for (const pod of pods) {
        const own = running.filter((id) => id.startsWith(`${pod.metadata.uid}-`))
        expect(pod.metadata.deletionTimestamp).toBeUndefined()
        if (isTerminalPhase(pod.status?.phase)) {
          expect(own).toEqual([])
          continue
        }
        const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])]
        const runningNow = statuses.filter(({ state }) => state?.running)
        expect(runningNow.map(({ containerID }) => containerID?.replace('caisson://', '')).toSorted(byText)).toEqual(
          own.toSorted(byText),
        )
        expect(pod.status?.phase).toBe('Running')
        expect(statuses.filter((each) => !isAsWanted(pod, each))).toEqual([])
      }
      // Nothing is left of Pods that are gone.
      const uids = new Set(pods.map(({ metadata }) => metadata.uid))
      const alive = pods.filter(({ status }) => !isTerminalPhase(status?.phase)).map(({ metadata }) => metadata.uid)
      expect((await readdir(join(play.dataDirectory, 'pods'))).toSorted(byText)).toEqual(alive.toSorted(byText))
      expect(
        play.machine
          .sandboxes()
          .map(({ labels }) => labels['pod-uid'])
          .toSorted(byText),
      ).toEqual(alive.toSorted(byText))
      for (const name of await readdir(join(play.dataDirectory, 'logs'))) {
        expect(uids).toContain(name.slice(name.lastIndexOf('_') + 1))
      }
      expect(play.machine.doubles).toEqual([])
      expect(play.errors).toEqual([])
    }),
    { numRuns: 60 },
  )
})
