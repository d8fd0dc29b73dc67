import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Eviction } from '../pods/observed-pod.ts'
import { aPod } from '../pods/observed-pod-fixtures.ts'
import { fillDisk } from '../testing/fill-disk.ts'
import { mountTmpfs, unmountBelow } from '../volumes/mounts.ts'
import { startPressureWatch } from './pressure-watch.ts'

const MI = 1024 * 1024

test('that the use of one Pod cannot be measured keeps no other from having to go', async () => {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(tmpdir(), 'caisson-pressure-'))
  stack.defer(() => rm(directory, { recursive: true }))
  await mountTmpfs(directory, { sizeBytes: 4 * MI, mode: 0o700 })
  stack.defer(() => unmountBelow(directory))
  await fillDisk(directory, 64 * 1024)
  const [unmeasurable, greedy] = ['unmeasurable', 'greedy'].map((uid) => {
    const { metadata, ...pod } = aPod()
    return { ...pod, metadata: { ...metadata, uid } }
  })
  const evictions = new Map<string, Eviction>()
  const errors: unknown[] = []
  const evicted = Promise.withResolvers<string>()
  stack.use(
    startPressureWatch({
      directory,
      pods: () => [unmeasurable, greedy].filter((pod) => pod !== undefined),
      async usageOf({ metadata: { uid } }) {
        if (uid === 'unmeasurable') throw new Error('it cannot be measured')
        return MI
      },
      keeps: () => true,
      reclaimDisk: async () => {},
      onChanged() {},
      evictions,
      onEvict: evicted.resolve,
      now: Date.now,
      onError: (error) => errors.push(error),
      intervalMs: 10,
    }),
  )
  expect(await evicted.promise).toBe('greedy')
  expect(errors).toEqual([new Error('it cannot be measured')])
})
