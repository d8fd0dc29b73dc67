import { describe, expect, test } from 'vitest'
import {
  aMember,
  aPool,
  gated,
  NOW,
  notReady,
  observe,
  plan,
  three,
  unschedulable,
  writesOf,
} from './observed-pool-fixtures.ts'

describe('a member that is not Ready', () => {
  const two = three.slice(0, 2)
  const late = (conditions = notReady('DependenciesNotReady', 'Pod exists with phase: Pending')) => [
    ...two,
    aMember('c', { age: 300, conditions }),
  ]
  test.each<[name: string, members: ReturnType<typeof late>, writes: string[], requeueAt: number | undefined]>([
    ['is waited for', [...two, aMember('c', { ready: false, age: 299 })], [], NOW + 1_000],
    ['is replaced after the grace period', late(), ['delete c'], undefined],
    [
      'is held while there is no room for it',
      late(notReady('DependenciesNotReady', '', [unschedulable])),
      [],
      undefined,
    ],
    ['is held by scheduling gates', late(notReady('DependenciesNotReady', '', [gated])), [], undefined],
    ['is held while its snapshot is being made', late(notReady('SnapshotNotReady')), [], undefined],
    [
      'has its time from when it got its node',
      [
        ...two,
        aMember('c', {
          age: 10,
          conditions: notReady('x', '', [{ ...unschedulable, status: 'True' }]),
          metadata: { creationTimestamp: '2020-01-01T00:00:00Z' },
        }),
      ],
      [],
      NOW + 290_000,
    ],
  ])('%s', (_name, members, writes, requeueAt) => {
    const given = plan(observe({ members }))
    expect([writesOf(given), given.requeueAt]).toEqual([writes, requeueAt])
  })

  test('is replaced sooner where the pool says so', () => {
    const pool = aPool({ readinessGracePeriodSeconds: 30 })
    const given = plan(observe({ pool, members: [...two, aMember('c', { ready: false, age: 30 })] }))
    expect(given.writes).toMatchObject([
      {
        verb: 'delete',
        event: {
          type: 'Warning',
          reason: 'MemberReplaced',
          message: 'Deleted Sandbox c, which was not Ready within 30s: ',
        },
      },
    ])
  })
})
