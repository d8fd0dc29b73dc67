/** The machine's clock is set: nothing that runs notices, and nothing waits for the time that it was. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as apiServer from '@caisson/apiserver'
import { type PodObject, resources } from '@caisson/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ScratchNode, startScratchNode } from '../testing/scratch-node.ts'
import { isReady } from '../testing/scratch-pods.ts'

const DAY_MS = 86_400_000
let node: ScratchNode
let offset = 0
beforeAll(async () => {
  node = await startScratchNode(apiServer, { now: () => Date.now() + offset })
})
afterAll(() => node[Symbol.asyncDispose]())

const restartsOf = ({ status }: PodObject): number => status?.containerStatuses?.[0]?.restartCount ?? 0
const waitsOf = ({ status }: PodObject): string | undefined => status?.containerStatuses?.[0]?.state?.waiting?.reason

/** Ready for as long as there is no file `stop` in its volume. */
const create = (name: string): Promise<PodObject> =>
  node.create(name, {
    terminationGracePeriodSeconds: 1,
    volumes: [{ name: 'v', emptyDir: {} }],
    containers: [
      {
        name: 'main',
        image: 'caisson.dev/host',
        command: ['sleep', '1000'],
        volumeMounts: [{ name: 'v', mountPath: '/v' }],
        readinessProbe: { exec: { command: ['test', '!', '-e', '/v/stop'] }, periodSeconds: 1, failureThreshold: 1 },
        lifecycle: { preStop: { exec: { command: ['true'] } } },
      },
    ],
  })

test.each([
  ['back', -DAY_MS],
  ['forward', DAY_MS],
])('a day %s', async (direction, jump) => {
  offset = 0
  const [steady, crashing] = [`steady-${direction}`, `crashing-${direction}`]
  const { metadata } = await create(steady)
  await node.create(crashing, {
    volumes: [{ name: 'v', emptyDir: {} }],
    containers: [
      {
        name: 'main',
        image: 'caisson.dev/host',
        command: ['sh', '-c', 'echo run >>/v/runs; [ $(wc -l </v/runs) -ge 3 ] || exit 1; exec sleep 1000'],
        volumeMounts: [{ name: 'v', mountPath: '/v' }],
      },
    ],
  })
  await node.until(steady, isReady)
  await node.until(crashing, (pod) => restartsOf(pod) === 1 && waitsOf(pod) === 'CrashLoopBackOff')
  const before = node.writes.length

  offset = jump
  // What waits after a failure goes on.
  await node.until(crashing, (pod) => restartsOf(pod) === 2 && isReady(pod))
  // What begins and ends does so.
  await create(`new-${direction}`)
  await node.until(`new-${direction}`, isReady)
  await node.client.delete(resources.pods, `new-${direction}`, { namespace: 'default' })
  await node.gone(`new-${direction}`)
  // What ran runs, and nothing was written about it; it is still asked how it is.
  expect(node.writes.slice(before).filter((write) => write.includes(steady))).toEqual([])
  writeFileSync(join(node.dataDirectory, 'pods', metadata.uid ?? '', 'volumes/v/stop'), '')
  expect(restartsOf(await node.until(steady, (pod) => !isReady(pod)))).toBe(0)
})
