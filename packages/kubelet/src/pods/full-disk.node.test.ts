/** Pods on a node whose disk is full: they wait, say why, leave nothing over, and start when there is room. */
import { readdirSync } from 'node:fs'
import * as apiServer from '@caisson/apiserver'
import { type PodObject, resources } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fillDisk } from '../testing/fill-disk.ts'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { isReady } from '../testing/scratch-pods.ts'

const DISK = 24 * 1024 * 1024
let node: ScratchNode
beforeAll(async () => {
  // Whom the node evicts for want of room is another test's.
  node = await startScratchNode(apiServer, { dataBytes: DISK, runtimeBytes: DISK, pressureIntervalMs: 3_600_000 })
  await node.client.create(
    resources.configMaps,
    { metadata: { name: 'content' }, data: { content: 'x'.repeat(100_000) } },
    { namespace: 'default' },
  )
  // What the runtime needs to be asked anything is there before.
  await create('first')
  await node.until('first', isReady)
})
afterAll(() => node[Symbol.asyncDispose]())

const create = (name: string, volumes: object[] = []): Promise<PodObject> =>
  node.create(name, {
    terminationGracePeriodSeconds: 0,
    volumes: volumes as never,
    containers: [
      {
        name: 'main',
        image: 'caisson.dev/host',
        command: ['sh', '-c', 'echo runs; exec sleep 1000'],
        volumeMounts: volumes.length > 0 ? [{ name: 'content', mountPath: '/content' }] : [],
      },
    ],
  })

const waiting = ({ status }: PodObject) => status?.containerStatuses?.[0]?.state?.waiting

async function goes(pod: PodObject): Promise<void> {
  const { name = '', uid = '' } = pod.metadata
  await node.client.delete(resources.pods, name, { namespace: 'default', gracePeriodSeconds: 0 })
  await node.gone(name)
  const left = (): string[] =>
    [node.dataDirectory, node.stateDirectory].flatMap((directory) =>
      readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((path) => path.includes(uid)),
    )
  await expect.poll(left).toEqual([])
}

test('a volume waits for room', async () => {
  let pod: PodObject
  {
    using _full = await fillDisk(node.dataDirectory)
    pod = await create('volume', [{ name: 'content', configMap: { name: 'content' } }])
    await expect
      .poll(() => [...new Set(node.events.filter((event) => event.startsWith('volume: ')))], { timeout: 10_000 })
      .toEqual(['volume: FailedMount MountVolume.SetUp failed for volume "content" : the node\'s disk is full'])
  }
  await node.until('volume', isReady)
  await goes(pod)
})

test.each([
  ['dataDirectory', 'CreateContainerError'],
  ['stateDirectory', 'FailedCreatePodSandBox'],
] as const)('a container waits for room (%s)', async (disk, reason) => {
  const name = `container-${disk.toLowerCase()}`
  let pod: PodObject
  {
    using _full = await fillDisk(node[disk])
    await create(name)
    pod = await node.until(name, (each) => waiting(each)?.reason === reason)
    expect(waiting(pod)?.message).toBe("the node's disk is full")
  }
  await node.until(name, isReady)
  await expect.poll(() => node.log(name)).toBe('runs\n')
  await goes(pod)
})

test('one that is removed before there is room leaves nothing', async () => {
  using _full = await fillDisk(node.stateDirectory)
  await create('removed')
  await goes(await node.until('removed', (each) => waiting(each)?.reason === 'FailedCreatePodSandBox'))
})
