import type { Condition, SandboxSpec } from '@caisson/api'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ObservedSandbox } from './observed-sandbox.ts'
import {
  aClaim,
  aPod,
  applied,
  aReadyPod,
  aSandbox,
  aService,
  conditionsOf,
  NOW,
  observe,
  plan,
  STRANGER,
  writesOf,
} from './observed-sandbox-fixtures.ts'
import { endOf } from './plan-expiry.ts'

const past = '2026-01-01T11:59:59Z'
const expired = (spec: Partial<SandboxSpec> = {}, conditions: Condition[] = []) =>
  aSandbox({
    spec: { shutdownTime: past, ...spec },
    status: { service: 'box', podIPs: ['10.0.0.5'], nodeName: 'n', selector: 's', conditions },
  })
const condition = (type: string, status: 'True' | 'False', reason: string): Condition => ({
  type,
  status,
  reason,
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
})

describe('a Sandbox that has expired', () => {
  test.each<[name: string, observed: ObservedSandbox, writes: string[]]>([
    [
      'loses its Pod and its Service, keeps its claims',
      observe({ sandbox: expired(), pods: [aReadyPod()], service: aService(), claims: [aClaim()] }),
      ['delete Pod box', 'delete Service box'],
    ],
    [
      'loses a Pod of another name',
      observe({ sandbox: expired(), pods: [aReadyPod({ name: 'older' })] }),
      ['delete Pod older'],
    ],
    [
      'loses every Pod of its own',
      observe({ sandbox: expired(), pods: [aPod(), aPod({ name: 'b', uid: 'b' })] }),
      ['delete Pod box', 'delete Pod b'],
    ],
    [
      "leaves others' alone",
      observe({
        sandbox: expired(),
        pods: [aPod({ ownerReferences: [STRANGER] })],
        service: aService({ ownerReferences: [] }),
      }),
      [],
    ],
    ['does not delete twice', observe({ sandbox: expired(), pods: [aPod({ deletionTimestamp: past })] }), []],
    ['with Retain stays', observe({ sandbox: expired() }), []],
    [
      'with Delete goes, but not before its Pod and its Service were told to',
      observe({ sandbox: expired({ shutdownPolicy: 'Delete' }), pods: [aReadyPod()], service: aService() }),
      ['delete Pod box', 'delete Service box'],
    ],
    [
      'with Delete does not wait for its Pod to end',
      observe({ sandbox: expired({ shutdownPolicy: 'Delete' }), pods: [aPod({ deletionTimestamp: past })] }),
      ['delete Sandbox box'],
    ],
    [
      'with Delete stays while its Pod cannot be deleted',
      observe({
        sandbox: expired({ shutdownPolicy: 'Delete' }),
        pods: [aReadyPod()],
        failures: [{ id: 'delete Pod box', message: 'no', permanent: false, namespaceTerminating: false }],
      }),
      [],
    ],
    [
      'without a policy is kept',
      observe({ sandbox: { ...expired(), spec: { podTemplate: expired().spec.podTemplate, shutdownTime: past } } }),
      [],
    ],
  ])('%s', (_name, observed, writes) => {
    expect(writesOf(plan(observed))).toEqual(writes)
  })

  test('with Retain says so, keeps Finished, and forgets what ran', () => {
    const conditions = [
      condition('Suspended', 'False', 'NotSuspended'),
      condition('Finished', 'True', 'PodFailed'),
      condition('PodScheduled', 'True', 'PodScheduled'),
      condition('Ready', 'False', 'PodFailed'),
    ]
    const given = plan(observe({ sandbox: expired({}, conditions), pods: [aReadyPod()] }))
    expect(given.status).toEqual({
      conditions: [
        conditions[0],
        conditions[1],
        { ...conditions[3], reason: 'SandboxExpired', message: 'Sandbox has expired', observedGeneration: 3 },
      ],
    })
    expect(given.statusEvents).toEqual([
      { type: 'Normal', reason: 'SandboxExpired', action: 'Expiry', message: 'Sandbox has expired' },
    ])
  })

  test('is announced once', () => {
    const sandbox = expired({}, [condition('Ready', 'False', 'SandboxExpired')])
    expect(plan(observe({ sandbox })).statusEvents).toEqual([])
  })

  test('with Delete leaves no word behind: it is gone', () => {
    const given = plan(observe({ sandbox: expired({ shutdownPolicy: 'Delete' }) }))
    expect([given.status, given.statusEvents]).toEqual([undefined, []])
  })

  test('keeps saying what ran while something cannot be deleted, and tries again', () => {
    const failures = [{ id: 'delete Pod box', message: 'no', permanent: false, namespaceTerminating: false }]
    const given = plan(observe({ sandbox: expired(), pods: [aReadyPod()], failures }))
    expect(given.status).toMatchObject({ service: 'box', podIPs: ['10.0.0.5'] })
    expect(conditionsOf(given)).toEqual(['Ready=False/SandboxExpired: Sandbox has expired'])
    expect(given.retry).toBe(true)
  })

  test('whose end is moved runs again', () => {
    const sandbox = expired({ shutdownTime: '2026-01-01T13:00:00Z' }, [condition('Ready', 'False', 'SandboxExpired')])
    expect(writesOf(plan(observe({ sandbox })))).toEqual(['create Pod box'])
  })
})

describe('the end of a Sandbox', () => {
  test.each([
    ['2026-01-01T12:00:00Z', Date.UTC(2026, 0, 1, 12)],
    ['2026-01-01T12:00:00.250Z', Date.UTC(2026, 0, 1, 12) + 250],
    ['2026-01-01t12:00:00z', Date.UTC(2026, 0, 1, 12)],
    ['2026-01-01T14:00:00+02:00', Date.UTC(2026, 0, 1, 12)],
    ['2016-12-31T23:59:60Z', Date.UTC(2016, 11, 31, 23, 59, 59)],
    [undefined, undefined],
    ['tomorrow', undefined],
  ])('%s is %s', (shutdownTime, end) => {
    expect(endOf(aSandbox({ spec: shutdownTime === undefined ? {} : { shutdownTime } }))).toBe(end)
  })

  test('is looked at in its very moment, not before and not after', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000_000 }), fc.nat(3), (end, ahead) => {
        const shutdownTime = new Date(NOW + end).toISOString()
        const observed = observe({ sandbox: aSandbox({ spec: { shutdownTime } }), pods: [aReadyPod()] })
        const given = plan(observed, NOW + end - ahead)
        expect(writesOf(given)).toEqual(ahead === 0 ? ['delete Pod box'] : [])
        expect(given.requeueAt).toBe(ahead === 0 ? undefined : NOW + end)
      }),
    )
  })

  test.each(['Retain', 'Delete'] as const)('is reached in two rounds with %s', (shutdownPolicy) => {
    const observed = observe({ sandbox: expired({ shutdownPolicy }), pods: [aReadyPod()], service: aService() })
    const second = applied(observed, plan(observed))
    const rest = shutdownPolicy === 'Delete' ? ['delete Sandbox box'] : []
    expect(writesOf(plan(second))).toEqual(rest)
  })
})
