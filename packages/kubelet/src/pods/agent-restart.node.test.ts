import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as apiserver from '@caisson/apiserver'
import { type PodObject, resources } from '@caisson/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { container, eventsOf, isOver, isReady, leftovers, remove } from '../testing/scratch-pods.ts'

let node: ScratchNode
beforeAll(async () => {
  node = await startScratchNode(apiserver)
})
afterAll(() => node[Symbol.asyncDispose]())

const at = { namespace: 'default' }

describe('a start that goes on', () => {
  const spec = {
    containers: Array.from({ length: 40 }, (_, index) => container('exec sleep 1000', { name: `c-${index}` })),
    terminationGracePeriodSeconds: 0,
  }
  const begun = async (pod: PodObject) =>
    (await node.runtime.list()).find(({ spec }) => spec.id.startsWith(pod.metadata.uid ?? ''))?.containers.length ?? 0

  test.each([['forced', 0] as const, ['in good order', 1] as const])(
    'is given up when its Pod is deleted, %s',
    async (_, gracePeriodSeconds) => {
      const pod = await node.create('train', spec)
      await expect.poll(() => begun(pod), { interval: 20, timeout: 20_000 }).toBeGreaterThan(1)
      const started = () => eventsOf(node, 'train').filter((event) => event.startsWith('Started')).length
      await node.client.delete(resources.pods, 'train', { ...at, gracePeriodSeconds })
      const atDeletion = started()
      await node.gone('train')
      await expect.poll(() => leftovers(node, pod), { timeout: 20_000 }).toEqual([])
      expect(started() - atDeletion).toBeLessThanOrEqual(1)
      expect(atDeletion).toBeLessThan(40)
      // A start that was given up is no failure.
      expect(eventsOf(node, 'train').filter((event) => event.startsWith('Failed'))).toEqual([])
      node.events.length = 0
    },
  )

  test('is given up when the agent ends, and goes on with the next one', async () => {
    const pod = await node.create('train', { ...spec, containers: spec.containers.slice(0, 8) })
    await expect.poll(() => begun(pod), { interval: 20, timeout: 20_000 }).toBeGreaterThan(1)
    await node.restart(async () => expect(await begun(pod)).toBeLessThan(8))
    await node.until('train', isReady)
    await remove(node, 'train')
    expect(node.errors).toEqual([])
  })
})

describe('an agent that starts again', () => {
  test('takes running Pods over as they are, and ends those that were deleted meanwhile', async () => {
    const clock = 'cut -d. -f1 /proc/uptime > /dev/termination-log; echo started; exec sleep 1000'
    await node.create('stays', { containers: [container(clock)] })
    await node.create('goes', { containers: [container(clock)] })
    const before = await node.until('stays', isReady)
    const gone = await node.until('goes', isReady)
    const processes = async () =>
      (await node.runtime.list()).flatMap(({ containers }) =>
        containers.map(({ state }) => 'pid' in state && state.pid),
      )
    const pids = await processes()
    node.writes.length = 0
    await node.restart(async () => {
      await node.client.delete(resources.pods, 'goes', { ...at, gracePeriodSeconds: 0 })
    })
    await node.kubelet.idle()
    await expect.poll(() => leftovers(node, gone)).toEqual([])
    expect(pids).toContain((await processes())[0])
    // Nothing has changed, so nothing is written.
    expect(node.writes).toEqual([])
    const after = await node.client.get(resources.pods, 'stays', at)
    expect(after.status).toEqual(before.status)
    expect(await node.log('stays')).toBe('started\n')
    await remove(node, 'stays')
  })

  test('reports what ended while nobody watched', async () => {
    await node.create('unseen', {
      restartPolicy: 'Never',
      volumes: [{ name: 'shared', emptyDir: {} }],
      containers: [
        container('until [ -e /shared/go ]; do sleep 0.1; done; exit 7', {
          volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
        }),
      ],
    })
    const { metadata } = await node.until('unseen', isReady)
    await node.restart(async () => {
      await writeFile(join(node.dataDirectory, 'pods', metadata.uid ?? '', 'volumes', 'shared', 'go'), '')
    })
    const pod = await node.until('unseen', isOver)
    expect(pod.status?.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(7)
    await remove(node, 'unseen')
  })

  test('after everything was stopped, tells how it ended and runs again what should run', async () => {
    const farewell = `trap 'echo bye > /dev/termination-log; exit 5' TERM; echo up; while :; do sleep 0.05; done`
    await node.create('again', { containers: [container(farewell)] })
    await node.create('never', { restartPolicy: 'Never', containers: [container(farewell)] })
    for (const name of ['again', 'never']) {
      await node.until(name, isReady)
      await expect.poll(() => node.log(name)).toBe('up\n')
    }
    const before = await node.client.get(resources.pods, 'again', at)
    const told: PodObject[] = []
    const stop = new AbortController()
    const watching = (async () => {
      for await (const { object } of node.client.watch(resources.pods, {
        ...at,
        fieldSelector: 'metadata.name=again',
        resourceVersion: before.metadata.resourceVersion ?? '',
        signal: stop.signal,
      }))
        told.push(object as PodObject)
    })()
    await node.kubelet.stopAll({ graceMs: 5_000 })
    expect(await node.runtime.list()).toEqual([])
    await node.restart()
    // Before anything else, and before anybody could ask.
    await expect.poll(() => told.length).toBeGreaterThan(0)
    const [first] = told
    expect(first?.status?.conditions?.find(({ type }) => type === 'Ready')?.status).toBe('False')
    const terminated = { exitCode: 5, reason: 'Error', message: 'bye\n' }
    expect(first?.status?.containerStatuses?.[0]).toMatchObject({ restartCount: 0, state: { terminated } })
    const { startedAt = '', finishedAt = '' } = first?.status?.containerStatuses?.[0]?.state?.terminated ?? {}
    expect(Date.parse(finishedAt)).toBeGreaterThanOrEqual(Date.parse(startedAt))
    expect((await node.client.get(resources.pods, 'never', at)).status).toMatchObject({
      phase: 'Failed',
      containerStatuses: [{ state: { terminated } }],
    })
    const pod = await node.until(
      'again',
      ({ status }) => status?.containerStatuses?.[0]?.restartCount === 1 && status.phase === 'Running',
    )
    expect(pod.status?.containerStatuses?.[0]?.lastState).toMatchObject({ terminated })
    expect(await readdir(node.dataDirectory)).not.toContain('ended.json')
    stop.abort()
    await watching.catch(() => undefined)
    await remove(node, 'again')
    await remove(node, 'never')
  })
})
