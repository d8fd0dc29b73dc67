import { describe, expect, test } from 'vitest'
import { aPod } from '../pods/observed-pod-fixtures.ts'
import {
  type Candidate,
  evictionFor,
  type NodeReadings,
  type Shortage,
  shortagesOf,
  victimOf,
} from './node-pressure.ts'

const GIB = 2 ** 30
const plenty: NodeReadings = {
  memory: { available: 8 * GIB, capacity: 16 * GIB },
  disk: { available: 50 * GIB, capacity: 100 * GIB },
  inodes: { available: 1e6, capacity: 2e6 },
  tasks: { available: 30_000, capacity: 32_768 },
}

test.each<[string, Partial<NodeReadings>, string[]]>([
  ['plenty of all', {}, []],
  ['just enough memory', { memory: { available: 100 * 2 ** 20, capacity: GIB } }, []],
  ['too little memory', { memory: { available: 100 * 2 ** 20 - 1, capacity: GIB } }, ['MemoryPressure memory']],
  [
    'a disk of which less than a tenth is free',
    { disk: { available: 9, capacity: 100 } },
    ['DiskPressure ephemeral-storage'],
  ],
  ['few inodes', { inodes: { available: 4, capacity: 100 } }, ['DiskPressure inodes']],
  ['a file system that counts none', { inodes: { available: 0, capacity: 0 } }, []],
  ['few tasks', { tasks: { available: 300, capacity: 32_768 } }, ['PIDPressure pids']],
])('%s', (_name, readings, expected) => {
  const found = shortagesOf({ ...plenty, ...readings })
  expect(found.map(({ pressure, resource }) => `${pressure} ${resource}`)).toEqual(expected)
})

const memory: Shortage = {
  pressure: 'MemoryPressure',
  resource: 'memory',
  available: 50 * 2 ** 20,
  threshold: 100 * 2 ** 20,
}

function candidate(name: string, usage: number, request?: string, priority?: number): Candidate {
  const resources = request === undefined ? {} : { requests: { memory: request } }
  const pod = aPod({
    spec: { containers: [{ name: 'main', image: 'busybox', resources }], ...(priority !== undefined && { priority }) },
  })
  return { pod: { ...pod, metadata: { ...pod.metadata, name } }, usage }
}

describe('who has to go', () => {
  test.each<[string, Candidate[], string | undefined]>([
    ['nobody where nobody is there', [], undefined],
    [
      'who asked for nothing before who keeps to what it asked for',
      [candidate('kept', 900, '1Ki'), candidate('best effort', 10)],
      'best effort',
    ],
    [
      'who is above what it asked for, however much the other uses',
      [candidate('kept', 2 ** 30, '1Gi'), candidate('above', 2048, '1Ki')],
      'above',
    ],
    [
      'of those above the one with the lowest priority',
      [candidate('high', 9000, undefined, 10), candidate('low', 10, undefined, 1)],
      'low',
    ],
    ['of the same priority the one that is furthest above', [candidate('little', 10), candidate('much', 20)], 'much'],
    ['none of the system’s own', [candidate('critical', 9000, undefined, 2_000_001_000)], undefined],
    ['nobody who uses nothing', [candidate('idle', 0)], undefined],
  ])('%s', (_name, candidates, expected) => {
    expect(victimOf(memory, candidates)?.pod.metadata.name).toBe(expected)
    expect(victimOf(memory, candidates.toReversed())?.pod.metadata.name).toBe(expected)
  })

  test('is told in the kubelet’s words', () => {
    expect(evictionFor(memory, candidate('a', 3 * 2 ** 20, '1Mi'))).toEqual({
      reason: 'Evicted',
      message:
        'The node was low on resource: memory. Threshold quantity: 102400Ki, available: 51200Ki. Container main was using 3072Ki, request is 1024Ki, has larger consumption of memory. ',
    })
    expect(evictionFor(memory, candidate('a', Number.POSITIVE_INFINITY)).message).toMatch(
      /Container main was using more than the node can measure, request is 0, /,
    )
    expect(evictionFor(memory, candidate('a', 1024, '1Mi')).message).toBe(
      'The node was low on resource: memory. Threshold quantity: 102400Ki, available: 51200Ki. ',
    )
  })
})
