import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as apiserver from '@caisson/apiserver'
import type { PodObject } from '@caisson/client'
import fc from 'fast-check'
import type { ContainerStatus } from 'kubernetes-types/core/v1.d.ts'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Happening, type ModelCluster, startModelCluster } from '../testing/model-node.ts'
import { isTerminalPhase } from './observed-pod.ts'

let cluster: ModelCluster
beforeAll(async () => {
  cluster = await startModelCluster(apiserver)
})
afterAll(() => cluster[Symbol.asyncDispose]())

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

/** It runs, or has ended and is not to be started again. */
function isAsWanted(pod: PodObject, { name, state }: ContainerStatus): boolean {
  if (state?.running) return true
  const init = pod.spec?.initContainers?.find((container) => container.name === name)
  if (!state?.terminated || init?.restartPolicy === 'Always') return false
  const policy = pod.spec?.restartPolicy
  return policy === 'Never' || ((policy === 'OnFailure' || init !== undefined) && state.terminated.exitCode === 0)
}

test('whatever happens in whatever order, the node comes to what the Pods ask for', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 14 }), async (history) => {
      await cluster.removePods()
      await using play = await cluster.startNode()
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
