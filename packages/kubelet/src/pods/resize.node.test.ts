/** Processors and memory of Pods that run, against real runtimes. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as apiserver from '@caisson/apiserver'
import { type PodObject, resources } from '@caisson/client'
import type { Container, ContainerStatus, PodSpec } from 'kubernetes-types/core/v1.d.ts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { container, eventsOf, isReady, remove } from '../testing/scratch-pods.ts'

let node: ScratchNode
beforeAll(async () => {
  node = await startScratchNode(apiserver)
})
afterAll(() => node[Symbol.asyncDispose]())

const at = { namespace: 'default' }
const sized = (memory: string): Pick<Container, 'resources'> => ({
  resources: { requests: { cpu: '100m', memory: '32Mi' }, limits: { cpu: '1', memory } },
})

async function resize(name: string, memory: string): Promise<void> {
  const body = { spec: { containers: [{ name: 'main', resources: { limits: { memory } } }] } }
  await node.client.patch(resources.pods, name, body, { ...at, type: 'strategic', subresource: 'resize' })
}

const main = ({ status }: PodObject): ContainerStatus | undefined => status?.containerStatuses?.[0]
const limitOf = (pod: PodObject): unknown =>
  (main(pod) as { resources?: { limits?: { memory?: string } } } | undefined)?.resources?.limits?.memory
const isHeldTo = (memory: string) => (pod: PodObject) => isReady(pod) && limitOf(pod) === memory
const conditionsOf = ({ status }: PodObject): string[] =>
  (status?.conditions ?? [])
    .filter(({ type }) => type.startsWith('PodResize'))
    .map(({ type, reason, message }) => [type, reason, message].filter(Boolean).join(' '))

/** Takes 90 MiB once it is told to, and holds on to it. */
function hungry(fields: Partial<Container> = {}): Partial<PodSpec> {
  const take = 'b = b"x" * (90 << 20); print("has it", flush=True); import time; time.sleep(1000)'
  const script = `until test -e /told/go; do sleep 0.05; done; exec python3 -c '${take}'`
  return {
    volumes: [{ name: 'told', emptyDir: {} }],
    containers: [
      container(script, { volumeMounts: [{ name: 'told', mountPath: '/told' }], ...sized('64Mi'), ...fields }),
    ],
  }
}

async function tell(pod: PodObject): Promise<void> {
  const volume = join(node.dataDirectory, 'pods', pod.metadata.uid ?? '', 'volumes/told')
  await mkdir(volume, { recursive: true })
  await writeFile(join(volume, 'go'), '')
}

describe.each(['gvisor', 'runc'])('under %s', (runtimeClassName) => {
  test('a container gets more memory while it runs, and not less than it uses', async () => {
    const name = `grows-${runtimeClassName}`
    await node.create(name, { ...hungry(), runtimeClassName })
    const before = await node.until(name, isReady)
    await resize(name, '256Mi')
    const after = await node.until(name, isHeldTo('256Mi'))
    expect(main(after)).toMatchObject({ restartCount: 0, containerID: main(before)?.containerID })
    expect(eventsOf(node, name).at(-1)).toBe(
      'ResizeCompleted Pod resize completed: {"containers":[{"name":"main","resources":{"limits":{"cpu":"1","memory":"256Mi"},"requests":{"cpu":"100m","memory":"32Mi"}}}]}',
    )
    await tell(after)
    await expect.poll(() => node.log(name), { timeout: 30_000 }).toBe('has it\n')

    await resize(name, '48Mi')
    const refused = await node.until(name, (pod) => conditionsOf(pod).length > 0)
    expect(conditionsOf(refused)).toEqual([
      expect.stringMatching(
        /^PodResizeInProgress Error attempting to set memory limit \(\d+\) below current usage \(\d+\)$/,
      ),
    ])
    expect(limitOf(refused)).toBe('256Mi')
    await resize(name, '192Mi')
    const settled = await node.until(name, isHeldTo('192Mi'))
    expect([conditionsOf(settled), main(settled)?.restartCount]).toEqual([[], 0])
    // Another agent finds all of it as it is.
    await node.restart()
    await node.kubelet.idle()
    expect(limitOf(await node.until(name, isReady))).toBe('192Mi')
    expect(main(await node.until(name, isReady))?.containerID).toBe(main(before)?.containerID)
    await remove(node, name)
  })
})

test('a container begins again where its policy says so', async () => {
  const resizePolicy = [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }]
  await node.create('again', { ...hungry({ resizePolicy }), terminationGracePeriodSeconds: 1 })
  await node.until('again', isReady)
  await resize('again', '256Mi')
  const after = await node.until('again', isHeldTo('256Mi'))
  expect(main(after)?.restartCount).toBe(1)
  expect(eventsOf(node, 'again')).toContain('Killing Container main resize requires restart')
  await tell(after)
  await expect.poll(() => node.log('again'), { timeout: 30_000 }).toBe('has it\n')
  await remove(node, 'again')
})
