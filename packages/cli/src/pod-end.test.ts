import type { PodObject } from '@caisson/client'
import { expect, test } from 'vitest'
import { endOfPod, forcedEnd } from './pod-end.ts'

const ended = (exitCode: number, reason = exitCode === 0 ? 'Completed' : 'Error') => ({
  name: 'main',
  state: { terminated: { exitCode, reason } },
})
const pod = (status: object): PodObject =>
  ({
    metadata: { name: 'one' },
    spec: { containers: [{ name: 'main', resources: { limits: { memory: '64Mi' } } }, { name: 'beside' }] },
    status,
  }) as unknown as PodObject

const STORAGE = 'Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. '

test.each<[name: string, status: object, end: string | undefined, option?: string]>([
  ['runs', { phase: 'Running', containerStatuses: [{ name: 'main', state: { running: {} } }] }, undefined],
  ['starts anew', { phase: 'Running', containerStatuses: [ended(1)] }, undefined],
  ['has done its work', { phase: 'Succeeded', containerStatuses: [ended(0)] }, 'has ended (exit code 0)'],
  ['has failed', { phase: 'Failed', containerStatuses: [ended(3)] }, 'has ended (exit code 3)'],
  [
    'has failed in one of its containers',
    { phase: 'Failed', containerStatuses: [{ ...ended(0), name: 'beside' }, ended(4)] },
    'has ended (exit code 4)',
  ],
  ['never began', { phase: 'Failed', reason: 'OutOfmemory' }, 'has ended'],
  [
    'was evicted',
    { phase: 'Failed', reason: 'Evicted', message: STORAGE, containerStatuses: [ended(143)] },
    `was evicted: ${STORAGE.slice(0, -2)}`,
    '--storage',
  ],
  [
    'was evicted for another reason',
    { phase: 'Failed', reason: 'Evicted', message: 'The node was low on resource: memory. ' },
    'was evicted: The node was low on resource: memory',
  ],
  [
    'was killed for its memory',
    { phase: 'Failed', containerStatuses: [ended(137, 'OOMKilled')] },
    'was killed: over its memory limit 64Mi',
    '--memory',
  ],
  [
    'was killed for its memory without a limit of its own',
    { phase: 'Failed', containerStatuses: [{ ...ended(137, 'OOMKilled'), name: 'beside' }] },
    'was killed: over its memory limit',
    '--memory',
  ],
])('a Pod that %s', (_name, status, end, option) => {
  expect([endOfPod(pod(status)), forcedEnd(pod(status))?.option]).toEqual([end, option])
})
