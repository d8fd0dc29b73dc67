import type { PodObject } from '@caisson/client'
import { expect, test } from 'vitest'
import { createFailedDaemons } from './failed-daemons.ts'

const set = (generation: number) => ({ kind: 'DaemonSet', apiVersion: 'apps/v1', metadata: { uid: 'set', generation } })

function pod(uid: string, nodeName = 'a', phase = 'Failed'): PodObject {
  return { metadata: { uid }, spec: { nodeName }, status: { phase } } as unknown as PodObject
}

test('each that fails soon after the one before waits twice as long, on its node and while the set stays as it is', () => {
  const failed = createFailedDaemons()
  const waits = (pods: PodObject[], now: number, generation = 1): number[] =>
    [...failed.replaceableAt(set(generation), pods, now).values()].map((at) => at - now)
  expect(waits([pod('1'), pod('well', 'a', 'Running')], 0)).toEqual([0])
  // However often it is asked.
  expect(waits([pod('2')], 100)).toEqual([900])
  expect(waits([pod('2')], 600)).toEqual([400])
  expect(waits([pod('3')], 1_100)).toEqual([1_900])
  expect(waits([pod('4')], 10_000)).toEqual([0])
  expect(waits([pod('5')], 10_000)).toEqual([8_000])
  expect(waits([pod('5'), pod('1b', 'b')], 10_000)).toEqual([8_000, 0])
  expect(waits([pod('5'), pod('6')], 18_000)).toEqual([0, 16_000])
  expect(waits([pod('7')], 10_000_000)).toEqual([0])
  expect(waits([pod('8')], 10_000_100)).toEqual([900])
  expect(waits([pod('9')], 10_000_200, 2)).toEqual([0])
})
