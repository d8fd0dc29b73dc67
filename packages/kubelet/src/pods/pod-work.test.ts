import type { PodObject } from '@caisson/client'
import { expect, test } from 'vitest'
import { createPodWork, WorkGoesOn, type WorkStates } from './pod-work.ts'

const pod = (namespace: string, uid: string): PodObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace, name: uid, uid },
})
const never = (signal: AbortSignal): Promise<void> =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))

test('is done once for a Pod, which waits for it without a pass, and what failed is said once and tried again', async () => {
  const ended: string[] = []
  await using work = createPodWork((uid) => ended.push(uid))
  const states: WorkStates = new Map()
  let times = 0
  const require = () =>
    work.require({
      pod: pod('n', 'one'),
      states,
      name: 'it',
      work: async () => {
        if (++times === 1) throw new Error('no room')
      },
    })
  const both = [require(), require()]
  for (const each of both) await expect(each).rejects.toThrow(WorkGoesOn)
  await expect.poll(() => ended).toEqual(['one'])
  await expect(require()).rejects.toThrow('no room')
  await expect(require()).rejects.toThrow(WorkGoesOn)
  await expect.poll(() => ended).toEqual(['one', 'one'])
  await require()
  await require()
  expect(times).toBe(2)
})

test('a namespace whose work never ends keeps no other from its own, and what goes with its Pod makes room', async () => {
  const ended: string[] = []
  await using work = createPodWork((uid) => ended.push(uid))
  const greedy = Array.from({ length: 40 }, (): WorkStates => new Map())
  let begun = 0
  const hold = (signal: AbortSignal): Promise<void> => {
    begun++
    return never(signal)
  }
  for (const [index, states] of greedy.entries())
    await expect(
      work.require({ pod: pod('greedy', `greedy ${index}`), states, name: 'it', work: hold }),
    ).rejects.toThrow(WorkGoesOn)
  const states: WorkStates = new Map()
  const require = () => work.require({ pod: pod('other', 'other'), states, name: 'it', work: async () => {} })
  await expect(require()).rejects.toThrow(WorkGoesOn)
  await expect.poll(() => ended).toEqual(['other'])
  await require()
  expect(begun).toBe(2)
  await work.cancel(greedy[0]!)
  await expect.poll(() => begun).toBe(3)
  expect([greedy[0]!.size, ended]).toEqual([0, ['other']])
})
