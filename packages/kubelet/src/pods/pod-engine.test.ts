import { availableParallelism } from 'node:os'
import { SNAPSHOT_ANNOTATION } from '@caisson/api'
import * as apiserver from '@caisson/apiserver'
import { type Client, resources, sandboxSnapshots } from '@caisson/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MODEL_NODE, type ModelCluster, type ModelNode, podSpec, startModelCluster } from '../testing/model-node.ts'
import { BOX } from '../testing/scratch-snapshots.ts'

const namespace = 'default'
let cluster: ModelCluster
let client: Client
beforeAll(async () => {
  cluster = await startModelCluster(apiserver)
  client = cluster.client
})
afterAll(() => cluster[Symbol.asyncDispose]())

test('what it says of a beginning does not follow what it said of the end', async () => {
  await using play = await cluster.startNode({ answerAfter: 400 })
  await play.happen({ kind: 'create', policy: 'Always', shape: 'one' })
  await play.rest()
  const [pod] = await play.pods()
  expect(pod?.status?.containerStatuses?.map(({ state }) => Object.keys(state ?? {}))).toEqual([['running']])
  expect(pod?.status?.phase).toBe('Running')
  expect(play.errors).toEqual([])
})

test('that nobody knows when a container ended is told once, and not again and again', async () => {
  await cluster.removePods()
  await using play = await cluster.startNode()
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

describe('where a sandbox dies under its containers, each of them has ended', () => {
  const ended = { exitCode: 137, reason: 'Error' }
  const all = async (play: ModelNode): Promise<unknown> =>
    (await play.pods())[0]?.status?.containerStatuses?.map(({ name, restartCount, state, lastState }) => ({
      name,
      restartCount,
      state,
      lastState,
    }))
  async function withDeadSandbox(policy: 'Always' | 'Never'): Promise<ModelNode> {
    await cluster.removePods()
    const play = await cluster.startNode()
    await play.happen({ kind: 'create', policy, shape: 'two' })
    await play.rest()
    await play.happen({ kind: 'kill', which: 0 })
    await play.rest()
    return play
  }

  test('and is started anew, which the next agent tells as well', async () => {
    await using play = await withDeadSandbox('Always')
    const again = { restartCount: 1, state: { running: expect.any(Object) }, lastState: { terminated: ended } }
    const told = ['main', 'other'].map((name) => ({ name, ...again }))
    expect(await all(play)).toMatchObject(told)
    await play.happen({ kind: 'restart' })
    await play.rest()
    expect(await all(play)).toMatchObject(told)
    expect(play.errors).toEqual([])
  })

  test('and does not run twice where it is to run once', async () => {
    await using play = await withDeadSandbox('Never')
    expect(await all(play)).toMatchObject(
      ['main', 'other'].map((name) => ({ name, restartCount: 0, state: { terminated: ended } })),
    )
    expect((await play.pods())[0]?.status?.phase).toBe('Failed')
    expect(play.errors).toEqual([])
  })
})

test('a container that cannot be stopped is asked again after a while, and not at once for ever', async () => {
  await cluster.removePods()
  await using play = await cluster.startNode()
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
  await cluster.removePods()
  await using play = await cluster.startNode()
  const { machine, network } = play
  const fail = async (): Promise<void> => {
    network.refusals = 1
    machine.removals.failures = 1
    await play.happen({ kind: 'create', policy: 'Always', shape: 'one' })
    await play.rest()
    expect([machine.sandboxes().length, machine.running()]).toEqual([1, []])
  }
  await fail()
  // Each moment is a second by the node's clock, in which nothing ends: what runs by now is what is looked for.
  const passes = async (): Promise<string[]> => {
    if (machine.running().length === 0) await play.happen({ kind: 'exit', which: 0, code: 0 })
    await play.rest()
    return machine.running().map((id) => id.replace(/^.*-m/, 'm'))
  }
  await expect.poll(passes, { interval: 500, timeout: 20_000 }).toEqual(['m0-0'])
  await cluster.removePods()
  await play.rest()
  await fail()
  await cluster.removePods()
  await play.rest()
  expect(machine.sandboxes()).toEqual([])
  expect(play.errors).toEqual([])
})

test('a Pod of which not all containers could be restored begins with its snapshot again where its sandbox has gone', async () => {
  await cluster.removePods()
  await using play = await cluster.startNode()
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
    { status: { nodeName: MODEL_NODE, conditions: [ready] } },
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
  await cluster.removePods()
  await using play = await cluster.startNode()
  const spec = podSpec({ kind: 'create', policy: 'Never', shape: 'two' })
  const metadata = { name: 'halved', ownerReferences: [BOX] }
  await client.create(resources.pods, { metadata, spec }, { namespace })
  await play.rest()
  expect(play.machine.running()).toHaveLength(2)
  await play.happen({ kind: 'exit', which: 1, code: 0 })
  await play.rest()
  const pod = await client.get(resources.pods, 'halved', { namespace })
  await client.create(sandboxSnapshots, { metadata: { name: 'half' }, spec: { sandboxName: BOX.name } }, { namespace })
  const status = { nodeName: MODEL_NODE, podUID: pod.metadata.uid ?? '' }
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
  await cluster.removePods()
  await using play = await cluster.startNode()
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
  await cluster.removePods()
  await using play = await cluster.startNode()
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
