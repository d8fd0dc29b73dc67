/** What a Pod can make the node keep in memory by its volumes, and of objects of the API. */
import { readFile, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import * as apiserver from '@caisson/apiserver'
import { type PodObject, resources } from '@caisson/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { container, eventsOf, isOver, isReady, remove } from '../testing/scratch-pods.ts'

let node: ScratchNode
beforeAll(async () => {
  node = await startScratchNode(apiserver)
})
afterAll(() => node[Symbol.asyncDispose]())

const at = { namespace: 'default' }
const memory = (name: string, sizeLimit?: string) => ({
  name,
  emptyDir: { medium: 'Memory', ...(sizeLimit !== undefined && { sizeLimit }) },
})
const limits = (bytes: string) => ({ resources: { limits: { memory: bytes } } })

/** Of the Pod's file systems in memory, as the machine has them mounted: `NAME SIZE`. */
async function mounted({ metadata: { uid = '' } }: PodObject): Promise<string[]> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter((line) => line.includes(uid))
  return lines.flatMap((line) => {
    const [, name] = new RegExp(`${uid}\\S*/([^/ ]+) `).exec(line) ?? []
    const [, size] = /size=(\d+k)/.exec(line) ?? []
    return size === undefined ? [] : [`${name} ${size}`]
  })
}

/** Bytes that its volume `one` holds. */
async function usedInMemory({ metadata: { uid = '' } }: PodObject): Promise<number> {
  const { blocks, bfree, bsize } = await statfs(join(node.dataDirectory, 'pods', uid, 'volumes', 'one'))
  return (blocks - bfree) * bsize
}

test('a volume in memory is as large as its limit or the Pod’s, whichever is less', async () => {
  await node.create('bounded', {
    volumes: [memory('small', '1Mi'), memory('large', '1Gi'), memory('any')],
    containers: [container('exec sleep 1000', limits('64Mi'))],
  })
  const pod = await node.until('bounded', isReady)
  expect((await mounted(pod)).sort()).toEqual(['any 65536k', 'large 65536k', 'small 1024k'])
  await remove(node, 'bounded')
})

describe.each(['gvisor', 'runc'])('under %s', (runtimeClassName) => {
  test('who fills a volume in memory has no more of it than his limit', async () => {
    const name = `filled-${runtimeClassName}`
    await node.create(name, {
      runtimeClassName,
      restartPolicy: 'Never',
      volumes: [memory('one'), memory('two')],
      containers: [
        container('dd if=/dev/zero of=/one/fill bs=1M count=60 && exec dd if=/dev/zero of=/two/fill bs=1M count=60', {
          volumeMounts: ['one', 'two'].map((each) => ({ name: each, mountPath: `/${each}` })),
          ...limits('64Mi'),
        }),
      ],
    })
    const pod = await node.until(name, isOver)
    expect(pod.status?.containerStatuses?.[0]?.state?.terminated).toMatchObject({ exitCode: 137, reason: 'OOMKilled' })
    await remove(node, name)
  })
})

test('what an earlier sandbox of the Pod left in memory counts as well', async () => {
  const volumeMounts = ['one', 'two'].map((each) => ({ name: each, mountPath: `/${each}` }))
  const fill = 'test -e /one/fill && at=two || at=one; dd if=/dev/zero of=/$at/fill bs=1M count=40; exec sleep 1000'
  await node.create('again', {
    volumes: [memory('one'), memory('two')],
    containers: [
      container(fill, { volumeMounts, ...limits('48Mi') }),
      container('exec sleep 1000', { name: 'other', ...limits('16Mi') }),
    ],
  })
  const before = await node.until('again', isReady)
  const [sandbox] = (await node.runtime.list()).filter(({ spec }) => spec.id.includes(before.metadata.uid ?? ''))
  await expect.poll(async () => (await usedInMemory(before)) >= 40 * 2 ** 20, { timeout: 30_000 }).toBe(true)
  const state = sandbox?.containers[0]?.state
  if (state?.phase === 'running') process.kill(state.pid, 'SIGKILL')
  const pod = await node.until('again', isOver)
  expect(pod.status).toMatchObject({
    phase: 'Failed',
    reason: 'Evicted',
    message: 'Pod keeps more in its volumes in memory than its memory limit 67108864. ',
  })
  await remove(node, 'again')
})

test('files of objects of the API are bounded for a Pod, however often it refers to them', async () => {
  const data = { large: 'x'.repeat(1_000_000) }
  await node.client.create(resources.configMaps, { metadata: { name: 'large' }, data }, at)
  const items = Array.from({ length: 1_000 }, (_, index) => ({ key: 'large', path: String(index) }))
  await node.create('copies', {
    volumes: [{ name: 'all', projected: { sources: [{ configMap: { name: 'large', items } }] } }],
    containers: [container('exec sleep 1000', { volumeMounts: [{ name: 'all', mountPath: '/all' }] })],
  })
  const message =
    'FailedMount MountVolume.SetUp failed for volume "all" : the files of the Pod\'s configMap, secret, downwardAPI and projected volumes take more than 64Mi together: refer to fewer or smaller objects'
  await expect.poll(() => eventsOf(node, 'copies'), { timeout: 30_000 }).toContain(message)
  await remove(node, 'copies')
})
