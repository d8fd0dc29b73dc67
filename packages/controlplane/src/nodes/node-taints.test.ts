import type { Taint } from 'kubernetes-types/core/v1.d.ts'
import { expect, test } from 'vitest'
import { planTaints } from './node-taints.ts'

const memory: Taint = { key: 'node.kubernetes.io/memory-pressure', effect: 'NoSchedule' }
const disk: Taint = { key: 'node.kubernetes.io/disk-pressure', effect: 'NoSchedule' }
const notReady: Taint = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }
const foreign: Taint = { key: 'dedicated', value: 'x', effect: 'NoSchedule' }

const out: Taint = { ...notReady, effect: 'NoExecute', timeAdded: '2026-01-01T00:00:00Z' }
const cordoned: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }
const unreachable: Taint[] = [
  { key: 'node.kubernetes.io/unreachable', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute', timeAdded: '2026-01-01T00:00:00Z' },
]

interface Case {
  True?: string[]
  ready?: 'False' | 'Unknown'
  unschedulable?: boolean
  taints?: Taint[]
}

test.each<[string, Case, Taint[] | undefined]>([
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
  ['a node that is ready is open to Pods', { True: ['Ready'], taints: [notReady, foreign, out] }, [foreign]],
  ['and not before', { taints: [notReady, foreign] }, undefined],
  ['Ready is no pressure', { True: ['Ready'] }, undefined],
  ['who says that it is not ready loses its Pods', { ready: 'False', taints: [notReady] }, [notReady, out]],
  ['and who says nothing any more', { ready: 'Unknown' }, unreachable],
  [
    'who is not ready and falls silent is no longer not ready',
    { ready: 'Unknown', taints: [notReady, out] },
    unreachable,
  ],
  ['who is cordoned gets no more', { unschedulable: true }, [cordoned]],
  ['until it is no longer', { True: ['Ready'], taints: [cordoned] }, []],
])('%s', (_name, { True = [], ready, unschedulable, taints }, expected) => {
  const conditions = [
    ...True.map((type) => ({ type, status: 'True' })),
    ...(ready ? [{ type: 'Ready', status: ready }] : []),
  ]
  const spec = { ...(taints && { taints }), ...(unschedulable && { unschedulable }) }
  expect(planTaints({ spec, status: { conditions } }, Date.parse('2026-01-01T00:00:00Z'))).toEqual(expected)
})
