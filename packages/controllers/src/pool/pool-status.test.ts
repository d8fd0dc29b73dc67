import { describe, expect, test } from 'vitest'
import type { ObservedPool } from './observed-pool.ts'
import {
  aMember,
  aPool,
  aTemplate,
  conditionsOf,
  gated,
  notReady,
  observe,
  plan,
  three,
  unschedulable,
} from './observed-pool-fixtures.ts'

const template = aTemplate(2)

describe('what it says', () => {
  test.each<[name: string, observed: ObservedPool, conditions: string[]]>([
    [
      'empty',
      observe(),
      [
        'Ready=False/Filling: 0 of 3 members are Ready',
        'Progressing=True/Filling: 0 of 3 members are Ready',
        'Degraded=False/AsExpected: nothing is wrong',
      ],
    ],
    [
      'full',
      observe({ members: three }),
      [
        'Ready=True/Filled: all 3 members are Ready',
        'Progressing=False/Complete: there is nothing to do',
        'Degraded=False/AsExpected: nothing is wrong',
      ],
    ],
    [
      'none wanted',
      observe({ pool: aPool({ replicas: 0 }) }),
      [
        'Ready=True/Filled: no members are wanted',
        'Progressing=False/Complete: there is nothing to do',
        'Degraded=False/AsExpected: nothing is wrong',
      ],
    ],
    [
      'no template',
      observe({ template: undefined }),
      [
        'Ready=False/TemplateNotFound: 0 of 3 members are Ready: SandboxTemplate "web" not found',
        'Progressing=False/TemplateNotFound: SandboxTemplate "web" not found',
        'Degraded=True/TemplateNotFound: SandboxTemplate "web" not found',
      ],
    ],
    [
      'in the middle of a rollout',
      observe({
        template,
        pool: aPool({ updateStrategy: { type: 'RollingUpdate' } }),
        members: [aMember('a', { template }), ...three.slice(1)],
      }),
      [
        'Ready=True/Filled: all 3 members are Ready',
        'Progressing=True/RollingOut: 1 of 3 members are made from the template as it is now',
        'Degraded=False/AsExpected: nothing is wrong',
      ],
    ],
    [
      'no room',
      observe({
        members: [
          aMember('a'),
          aMember('b'),
          aMember('c', { age: 300, conditions: notReady('x', '', [unschedulable]) }),
        ],
      }),
      [
        'Ready=False/MembersUnschedulable: 2 of 3 members are Ready: 1/3 sandboxes are unschedulable past the 5m0s readiness grace period; holding them instead of replacing (replacements would be equally unschedulable)',
        'Progressing=False/MembersUnschedulable: 1/3 sandboxes are unschedulable past the 5m0s readiness grace period; holding them instead of replacing (replacements would be equally unschedulable)',
        'Degraded=True/MembersUnschedulable: 1/3 sandboxes are unschedulable past the 5m0s readiness grace period; holding them instead of replacing (replacements would be equally unschedulable)',
      ],
    ],
    [
      'gated',
      observe({ members: [aMember('a'), aMember('b'), aMember('c', { conditions: notReady('x', '', [gated]) })] }),
      [
        'Ready=False/Filling: 2 of 3 members are Ready',
        'Progressing=False/SchedulingGated: 1 members are held by scheduling gates',
        'Degraded=False/AsExpected: nothing is wrong',
      ],
    ],
    [
      'members that end',
      observe({
        members: [aMember('a'), aMember('b'), aMember('c', { conditions: notReady('PodFailed', 'Pod failed') })],
      }),
      [
        'Ready=False/MembersFailing: 2 of 3 members are Ready: 1 of 3 members cannot become Ready; Sandbox c: Pod failed',
        'Progressing=False/MembersFailing: 1 of 3 members cannot become Ready; Sandbox c: Pod failed',
        'Degraded=True/MembersFailing: 1 of 3 members cannot become Ready; Sandbox c: Pod failed',
      ],
    ],
  ])('%s', (_name, observed, conditions) => {
    expect(conditionsOf(plan(observed))).toEqual(conditions)
  })

  test('counts, and how its Pods are found', () => {
    const members = [aMember('a'), aMember('b', { template }), aMember('c', { ready: false })]
    const { conditions: _, ...status } = plan(observe({ template, members })).status ?? {}
    expect(status).toEqual({
      replicas: 3,
      readyReplicas: 2,
      updatedReplicas: 1,
      observedGeneration: 2,
      selector: 'agents.x-k8s.io/warm-pool-sandbox=91dd7983',
    })
  })

  test('a member that is replaced soon is not worth a write; trouble is, and being full again', () => {
    const full = plan(observe({ members: three })).status
    const short = plan(observe({ members: three.slice(1) })).status
    const pool = (status: typeof full) => aPool({}, status)
    expect(plan(observe()).statusMayWait).toBe(0)
    expect(plan(observe({ pool: pool(full), members: three.slice(1) })).statusMayWait).toBe(1_000)
    expect(plan(observe({ pool: pool(full), template: undefined, members: three.slice(1) })).statusMayWait).toBe(0)
    expect(plan(observe({ pool: pool(short), members: three })).statusMayWait).toBe(0)
  })

  test('that it cannot go on, and that it goes on', () => {
    const stuck = observe({
      members: [...three.slice(1), aMember('c', { age: 300, conditions: notReady('x', '', [unschedulable]) })],
    })
    const { status, statusEvents } = plan(stuck)
    expect(statusEvents).toMatchObject([{ type: 'Warning', reason: 'WarmPoolNotProgressing' }])
    expect(plan({ ...stuck, pool: aPool({}, status) }).statusEvents).toEqual([])
    expect(plan(observe({ pool: aPool({}, status), members: three })).statusEvents).toEqual([
      {
        type: 'Normal',
        reason: 'WarmPoolProgressing',
        action: 'Reconciling',
        message: 'Warm pool is progressing again',
      },
    ])
    expect(plan(observe({ template: undefined })).statusEvents).toMatchObject([
      { type: 'Warning', reason: 'TemplateNotFound' },
    ])
  })
})
