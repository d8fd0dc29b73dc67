import type { Taint } from 'kubernetes-types/core/v1.d.ts'
import { expect, test } from 'vitest'
import { planTaints } from './condition-taints.ts'

const memory: Taint = { key: 'node.kubernetes.io/memory-pressure', effect: 'NoSchedule' }
const disk: Taint = { key: 'node.kubernetes.io/disk-pressure', effect: 'NoSchedule' }
const notReady: Taint = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }
const foreign: Taint = { key: 'dedicated', value: 'x', effect: 'NoSchedule' }

test.each<[string, { True?: string[]; taints?: Taint[] }, Taint[] | undefined]>([
  ['nothing to do for a healthy node', {}, undefined],
  ['a pressure becomes a taint', { True: ['MemoryPressure'] }, [memory]],
  [
    'two become two, behind those of others',
    { True: ['MemoryPressure', 'DiskPressure'], taints: [foreign] },
    [foreign, memory, disk],
  ],
  ['what is there already stays', { True: ['DiskPressure'], taints: [disk, foreign] }, undefined],
  ['what is over goes, and nothing else', { taints: [memory, foreign] }, [foreign]],
  ['one goes as another comes', { True: ['DiskPressure'], taints: [memory] }, [disk]],
  [
    'a taint of the same key and another effect is somebody’s own',
    { taints: [{ ...memory, effect: 'NoExecute' }] },
    undefined,
  ],
  ['a node that is ready is open to Pods', { True: ['Ready'], taints: [notReady, foreign] }, [foreign]],
  ['and not before', { taints: [notReady, foreign] }, undefined],
  ['Ready is no pressure', { True: ['Ready'] }, undefined],
])('%s', (_name, { True = [], taints }, expected) => {
  const conditions = True.map((type) => ({ type, status: 'True' }))
  expect(planTaints({ spec: taints ? { taints } : {}, status: { conditions } })).toEqual(expected)
})
