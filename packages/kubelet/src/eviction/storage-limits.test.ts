import { describe, expect, test } from 'vitest'
import { aPod } from '../pods/observed-pod-fixtures.ts'
import {
  filesExcess,
  hasStorageLimits,
  type StorageUse,
  storageExcess,
  storageLeft,
  totalUse,
} from './storage-limits.ts'

const MI = 1024 * 1024
const limited = (name: string, limit?: string) => ({
  name,
  image: 'busybox',
  ...(limit !== undefined && { resources: { limits: { 'ephemeral-storage': limit } } }),
})
const use = (
  written: number,
  logs: Record<string, number> = {},
  emptyDirs: Record<string, number> = {},
  files = 0,
  inMemory = 0,
): StorageUse => ({
  written: written * MI,
  logs: new Map(Object.entries(logs).map(([name, size]) => [name, size * MI])),
  emptyDirs: new Map(Object.entries(emptyDirs).map(([name, size]) => [name, size * MI])),
  inMemory: inMemory * MI,
  files: files * MI,
})
const one = aPod({ spec: { containers: [limited('main', '10Mi')] } })
const two = aPod({ spec: { containers: [limited('a', '10Mi'), limited('b', '5Mi')] } })
const scratch = aPod({
  spec: {
    volumes: [
      { name: 'scratch', emptyDir: { sizeLimit: '2Mi' } },
      { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
    ],
  },
})

const inMemory = aPod({
  spec: {
    containers: [{ name: 'main', image: 'busybox', resources: { limits: { memory: '4Mi' } } }],
    volumes: [
      { name: 'one', emptyDir: { medium: 'Memory' } },
      { name: 'two', emptyDir: { medium: 'Memory' } },
    ],
  },
})

describe('storage', () => {
  test.each([
    ['within its limit', one, use(10), undefined],
    [
      'more than its limit',
      one,
      use(11),
      'Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. ',
    ],
    [
      'logs count',
      one,
      use(8, { main: 3 }),
      'Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. ',
    ],
    [
      'volumes count for the Pod',
      one,
      use(8, {}, { scratch: 3 }),
      'Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. ',
    ],
    [
      'the files that every Pod has count for it',
      one,
      use(8, {}, {}, 3),
      'Pod ephemeral local storage usage exceeds the total limit of containers 10Mi. ',
    ],
    [
      'of one container of several, what is known to be its own',
      two,
      use(0, { b: 6 }),
      'Container b exceeded its local ephemeral storage limit "5Mi". ',
    ],
    ["what the sandbox as a whole has written is nobody's own", two, use(14), undefined],
    [
      'a volume has its own limit',
      scratch,
      use(0, {}, { scratch: 3 }),
      'Usage of EmptyDir volume "scratch" exceeds the limit "2Mi". ',
    ],
    ['memory is not storage', scratch, use(0, {}, { memory: 3 }), undefined],
    ['volumes in memory may be as full as the Pod may have memory', inMemory, use(0, {}, {}, 0, 4), undefined],
    [
      'volumes in memory hold more than the Pod may have of it',
      inMemory,
      use(0, {}, {}, 0, 5),
      'Pod keeps more in its volumes in memory than its memory limit 4194304. ',
    ],
    [
      'volumes in memory of a Pod without such a limit are the node’s concern',
      scratch,
      use(0, {}, {}, 0, 5),
      undefined,
    ],
  ])('%s', (_name, pod, given, message) => {
    expect(storageExcess(pod, given)).toEqual(message && { reason: 'Evicted', message })
  })

  test('the files that every Pod has are bounded, whatever its limits are', () => {
    const message =
      'Pod keeps more than 8Mi in /etc/hosts, /etc/hostname, /etc/resolv.conf and its termination messages together: write to a volume instead. '
    expect(filesExcess({ files: 8 * MI })).toBeUndefined()
    expect(filesExcess({ files: 8 * MI + 1 })).toEqual({ reason: 'Evicted', message })
    expect(storageExcess(one, use(0, {}, {}, 9))).toEqual({ reason: 'Evicted', message })
  })

  test('what every Pod has counts for who has to go', () => {
    expect(totalUse(use(1, { main: 2 }, { scratch: 3 }, 4)) / MI).toBe(10)
  })

  test('a volume that cannot be counted is too much', () => {
    const uncountable = new Set(['scratch'])
    expect(storageExcess(scratch, { ...use(0), uncountable })).toEqual({
      reason: 'Evicted',
      message: 'EmptyDir volume "scratch" holds more files than the node can measure. ',
    })
    // Of a Pod without limits too, which else would be taken for one that keeps nothing.
    expect(totalUse({ ...use(1), uncountable })).toBe(Number.POSITIVE_INFINITY)
  })

  test('only Pods with limits are measured as a whole', () => {
    expect([one, two, scratch, inMemory, aPod()].map(hasStorageLimits)).toEqual([true, true, true, true, false])
  })

  test('what is left is told from the nearest limit', () => {
    expect(storageLeft(one, use(3, { main: 1 })) / MI).toBe(6)
    expect(storageLeft(scratch, use(3, {}, { scratch: 1 })) / MI).toBe(1)
    expect(storageLeft(two, use(0, { b: 4 })) / MI).toBe(1)
    expect(storageLeft(inMemory, use(9, {}, {}, 0, 1)) / MI).toBe(3)
  })
})
