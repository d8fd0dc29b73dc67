/** Volumes that hold themselves. Kubernetes refuses none of them, so they run: bounded, and with nothing left or lost. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as apiserver from '@caisson/apiserver'
import { readMountTable } from '@caisson/runtime'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { container, isOver, remove } from '../testing/scratch-pods.ts'

/** Were each mount of a directory that holds the mounts before it to take these along, these would be a million. */
const MOUNTS = 20

let node: ScratchNode
beforeAll(async () => {
  node = await startScratchNode(apiserver)
})
afterAll(() => node[Symbol.asyncDispose]())

const mountsOfNode = async (): Promise<number> =>
  (await readMountTable()).filter(({ point }) => point.startsWith(node.dataDirectory)).length

describe.each(['gvisor', 'runc'])('under %s a Pod', (runtimeClassName) => {
  test('is given the directory that its own volumes are made in, whole and by parts', async () => {
    const name = `own-${runtimeClassName}`
    await writeFile(join(node.dataDirectory, 'kept'), 'kept')
    const before = await mountsOfNode()
    const parts = Array.from({ length: MOUNTS }, (_, at) => ({
      name: 'own',
      mountPath: `/parts/${at}`,
      subPath: at % 2 === 0 ? '.' : 'pods',
    }))
    await node.create(name, {
      runtimeClassName,
      volumes: [{ name: 'own', hostPath: { path: node.dataDirectory } }],
      containers: [
        container('cat /own/kept /parts/0/kept; ls /parts/1; exec sleep 1000', {
          volumeMounts: [{ name: 'own', mountPath: '/own' }, ...parts],
        }),
      ],
    })
    const { metadata } = await node.until(name, ({ status }) => status?.containerStatuses?.[0]?.started)
    await expect.poll(() => node.log(name)).toBe(`keptkept${metadata.uid}\n`)
    expect((await mountsOfNode()) - before).toBeLessThanOrEqual(MOUNTS)
    await node.restart()
    await remove(node, name)
    expect(await mountsOfNode()).toBe(before)
    await node.create(`${name}-after`, {
      runtimeClassName,
      restartPolicy: 'Never',
      volumes: [{ name: 'own', hostPath: { path: node.dataDirectory } }],
      containers: [container('cat /own/kept', { volumeMounts: [{ name: 'own', mountPath: '/own' }] })],
    })
    await node.until(`${name}-after`, isOver)
    expect(await node.log(`${name}-after`)).toBe('kept')
    await remove(node, `${name}-after`)
  })

  test('has a volume mounted within itself', async () => {
    const name = `within-${runtimeClassName}`
    const volumeMounts = ['/v', '/v/v', '/v/v/v'].map((mountPath) => ({ name: 'v', mountPath }))
    await node.create(name, {
      runtimeClassName,
      restartPolicy: 'Never',
      volumes: [{ name: 'v', emptyDir: {} }],
      containers: [container('echo deep >/v/v/v/file; cat /v/file /v/v/file; ls /v/v/v', { volumeMounts })],
    })
    await node.until(name, isOver)
    expect(await node.log(name)).toBe('deep\ndeep\nfile\nv\n')
    await remove(node, name)
  })
})
