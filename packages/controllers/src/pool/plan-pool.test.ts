import { describe, expect, test } from 'vitest'
import type { ObservedPool } from './observed-pool.ts'
import {
  aMember,
  aPolicy,
  aPool,
  aTemplate,
  conditionsOf,
  NOW,
  notReady,
  observe,
  plan,
  writesOf,
} from './observed-pool-fixtures.ts'

const three = [aMember('a'), aMember('b'), aMember('c')]
const strategy = (type: 'Recreate' | 'OnReplenish' | 'RollingUpdate', rollingUpdate: object = {}) =>
  aPool({ updateStrategy: { type, rollingUpdate } })
const template = aTemplate(2)
const going = { metadata: { deletionTimestamp: 'x' } }
const unschedulable = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'no room' } as const
const gated = { ...unschedulable, reason: 'SchedulingGated' } as const
const failure = { message: 'exceeded quota', permanent: false, namespaceTerminating: false }

describe('how many', () => {
  test.each<[name: string, observed: ObservedPool, writes: string[]]>([
    ['none there: all are made', observe(), ['create new-0', 'create new-1', 'create new-2']],
    ['all there: nothing', observe({ members: three }), []],
    [
      'no number: one',
      observe({ pool: { ...aPool(), spec: { sandboxTemplateRef: { name: 'web' } } } }),
      ['create new-0'],
    ],
    ['some missing: those are made', observe({ members: three.slice(0, 2) }), ['create new-0']],
    [
      'members that go take up their place until they are gone',
      observe({
        members: [...three.slice(0, 2), { ...aMember('z'), metadata: { ...aMember('z').metadata, ...going.metadata } }],
      }),
      [],
    ],
    [
      'too many: those that are not Ready go first, then the newest',
      observe({
        pool: aPool({ replicas: 1 }),
        members: [
          aMember('old', { age: 90 }),
          aMember('new', { age: 10 }),
          aMember('unready', { ready: false, age: 99 }),
        ],
      }),
      ['delete unready', 'delete new'],
    ],
    [
      'what a claim has been given already is not deleted',
      observe({ pool: aPool({ replicas: 0 }), members: three, isAssigned: (name) => name === 'b' }),
      ['delete c', 'delete a'],
    ],
    ["another's is left alone", observe({ members: [...three, aMember('d', { owner: 'other' })] }), []],
    [
      'a pool that is being deleted does nothing',
      observe({ pool: { ...aPool(), metadata: { ...aPool().metadata, ...going.metadata } } }),
      [],
    ],
    [
      'as many as demand asks for',
      observe({ pool: aPool({ minReplicas: 1, maxReplicas: 9 }), demand: [NOW - 2, NOW - 1] }),
      ['create new-0', 'create new-1'],
    ],
  ])('%s', (_name, observed, writes) => {
    expect(writesOf(plan(observed))).toEqual(writes)
  })

  test('never more in one go than allowed', () => {
    expect(writesOf(plan(observe({ pool: aPool({ replicas: 1000 }) }), { maxBatchSize: 2 }))).toEqual([
      'create new-0',
      'create new-1',
    ])
    const members = ['a', 'b', 'c'].map((name) => aMember(name))
    expect(writesOf(plan(observe({ pool: aPool({ replicas: 0 }), members }), { maxBatchSize: 2 }))).toHaveLength(2)
  })

  test('a member goes only as it was seen', () => {
    const { writes } = plan(observe({ pool: aPool({ replicas: 0 }), members: [aMember('a')] }))
    expect(writes).toMatchObject([{ verb: 'delete', uid: 'a-uid', resourceVersion: '10' }])
  })
})

describe('when none is made', () => {
  test.each<[name: string, observed: ObservedPool, writes: string[]]>([
    ['without the template', observe({ template: undefined }), []],
    [
      'while the template is being deleted',
      observe({ template: { ...aTemplate(), metadata: { ...aTemplate().metadata, ...going.metadata } } }),
      [],
    ],
    ['before its NetworkPolicy is there', observe({ policy: undefined }), []],
    ["where another's NetworkPolicy has its name", observe({ policy: aPolicy(aTemplate(), 'other') }), []],
    ['while claims wait that find enough', observe({ members: three.slice(0, 2), waitingClaims: 2 }), []],
    [
      'claims that do not find enough wait for nothing else',
      observe({ members: three.slice(0, 2), waitingClaims: 3 }),
      ['create new-0'],
    ],
    ['while claims come that find more', observe({ members: three.slice(0, 2), claimsPauseAt: NOW + 1 }), []],
    [
      'claims that have paused hold nothing up',
      observe({ members: three.slice(0, 2), claimsPauseAt: NOW }),
      ['create new-0'],
    ],
    [
      'nor do those that would find nothing',
      observe({ members: three.slice(0, 2), isAssigned: () => true, claimsPauseAt: NOW + 1 }),
      ['create new-0'],
    ],
  ])('%s', (_name, observed, writes) => {
    expect(writesOf(plan(observed))).toEqual(writes)
  })

  test('it is made when claims have paused', () => {
    expect(plan(observe({ members: three.slice(0, 2), claimsPauseAt: NOW + 150 })).requeueAt).toBe(NOW + 150)
  })

  test('it is made when claims that wait have been answered, and no moment is waited for until then', () => {
    const waiting = { members: three.slice(0, 2), waitingClaims: 1 }
    for (const claimsPauseAt of [NOW - 50, NOW + 150]) {
      const { writes, requeueAt } = plan(observe({ ...waiting, claimsPauseAt }))
      expect([writes, requeueAt]).toEqual([[], undefined])
    }
  })

  test('after a refusal: all would be refused', () => {
    const [write] = plan(observe()).writes
    const given = plan(observe({ failures: [{ ...failure, id: write?.id ?? '' }] }))
    expect([writesOf(given), given.retry]).toEqual([[], true])
    expect(conditionsOf(given)[2]).toBe('Degraded=True/MemberCreationFailed: failed to create a member: exceeded quota')
  })

  test('a refusal for good holds until the template is another', () => {
    const [write] = plan(observe()).writes
    const failures = [{ ...failure, permanent: true, id: write?.id ?? '' }]
    expect(writesOf(plan(observe({ failures })))).toEqual([])
    expect(writesOf(plan(observe({ template, failures })))).toHaveLength(3)
  })
})

describe('orphans', () => {
  const orphan = (name: string, version = 1) => aMember(name, { owner: null, template: aTemplate(version) })
  test.each<[name: string, observed: ObservedPool, writes: string[]]>([
    ['fill gaps', observe({ members: [orphan('a'), aMember('b')] }), ['adopt a', 'create new-0']],
    ['that are too many go', observe({ members: [...three, orphan('d')] }), ['delete d']],
    [
      'of another template go, whatever the strategy',
      observe({ members: [...three.slice(0, 2), orphan('d', 2)] }),
      ['delete d', 'create new-0'],
    ],
    [
      'that a claim has been given stay',
      observe({ members: [...three, orphan('d')], isAssigned: (name) => name === 'd' }),
      [],
    ],
    ['are left alone without a template', observe({ template: undefined, members: [orphan('a')] }), []],
  ])('%s', (_name, observed, writes) => {
    expect(writesOf(plan(observed))).toEqual(writes)
  })

  test('whose labels only say that they are of the template go', () => {
    const real = aMember('d', { owner: null })
    const forged = { ...real, spec: { podTemplate: { spec: { containers: [{ name: 'main', image: 'other' }] } } } }
    expect(writesOf(plan(observe({ members: [...three.slice(0, 2), forged] })))).toEqual(['delete d', 'create new-0'])
  })
})

describe('a new template', () => {
  const half = [aMember('a'), aMember('b', { template }), aMember('c', { ready: false })]
  test.each<[name: string, observed: ObservedPool, writes: string[]]>([
    ['OnReplenish: the old ones stay', observe({ template, pool: strategy('OnReplenish'), members: three }), []],
    ['nothing said: the same', observe({ template, members: three }), []],
    [
      'Recreate: all old ones go at once',
      observe({ template, pool: strategy('Recreate'), members: half }),
      ['delete a', 'delete c'],
    ],
    [
      'RollingUpdate: one more is made first',
      observe({ template, pool: strategy('RollingUpdate'), members: three }),
      ['create new-0'],
    ],
    [
      'and one old one goes once that is Ready',
      observe({ template, pool: strategy('RollingUpdate'), members: [...three, aMember('d', { template })] }),
      ['delete a'],
    ],
    [
      'but not before',
      observe({
        template,
        pool: strategy('RollingUpdate'),
        members: [...three, aMember('d', { template, ready: false })],
      }),
      [],
    ],
    [
      'old ones that are not Ready go at once',
      observe({ template, pool: strategy('RollingUpdate'), members: half }),
      ['delete c', 'create new-0'],
    ],
    [
      'no surge: one goes first',
      observe({ template, pool: strategy('RollingUpdate', { maxSurge: 0 }), members: three }),
      ['delete a'],
    ],
    [
      'as many may be missing as it says',
      observe({ template, pool: strategy('RollingUpdate', { maxSurge: 0, maxUnavailable: '67%' }), members: three }),
      ['delete a', 'delete b'],
    ],
    [
      'as many may be too many as it says',
      observe({ template, pool: strategy('RollingUpdate', { maxSurge: 2 }), members: three }),
      ['create new-0', 'create new-1'],
    ],
    [
      'never more new ones than are wanted',
      observe({
        template,
        pool: strategy('RollingUpdate', { maxSurge: 5 }),
        members: [...three, aMember('d', { template })],
      }),
      ['delete a', 'create new-0', 'create new-1'],
    ],
    [
      'old ones that claims have been given stay',
      observe({ template, pool: strategy('Recreate'), members: three, isAssigned: () => true }),
      [],
    ],
  ])('%s', (_name, observed, writes) => {
    expect(writesOf(plan(observed))).toEqual(writes)
  })

  test.each([
    [
      'labels of the Pod',
      { podTemplate: { ...aTemplate().spec.podTemplate, metadata: { labels: { a: 'b' } } } },
      false,
    ],
    ['a claim of the same name', { volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: {} }] }, true],
    ['a Service', { service: true }, true],
    ['another snapshot', { fromSnapshot: 'warm' }, true],
    ['how it is suspended', { suspension: { memory: 'Keep' as const } }, true],
    ['a policy, which changes the resolvers', { networkPolicy: {} }, true],
    ['who may set variables', { envVarsInjectionPolicy: 'Allowed' as const }, false],
  ])('with %s counts as another: %s', (_name, spec, other) => {
    const changed = aTemplate(1, spec)
    const given = plan(observe({ template: changed, pool: strategy('Recreate'), members: three }))
    expect(given.writes.some(({ verb }) => verb === 'delete')).toBe(other)
  })

  test('of another name counts as another, even if it says the same', () => {
    const renamed = { ...aTemplate(), metadata: { ...aTemplate().metadata, name: 'other' } }
    const pool = aPool({ sandboxTemplateRef: { name: 'other' }, updateStrategy: { type: 'Recreate' } })
    const given = plan(observe({ template: renamed, policy: { ...aPolicy(renamed) }, pool, members: three }))
    expect(writesOf(given)).toEqual(['delete a', 'delete b', 'delete c'])
  })
})

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
      observe({ template, pool: strategy('RollingUpdate'), members: [aMember('a', { template }), ...three.slice(1)] }),
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

test('a member as it is made', () => {
  const { writes } = plan(observe({ pool: aPool({ replicas: 1 }) }))
  expect(writes.map((write) => (write.verb === 'create' ? write.object : undefined))).toMatchInlineSnapshot(`
    [
      {
        "apiVersion": "agents.x-k8s.io/v1beta1",
        "kind": "Sandbox",
        "metadata": {
          "annotations": {
            "agents.x-k8s.io/sandbox-template-ref": "web",
          },
          "generateName": "pool-",
          "labels": {
            "agents.x-k8s.io/created-by": "controller",
            "agents.x-k8s.io/launch-type": "warm",
            "agents.x-k8s.io/sandbox-pod-template-hash": "98e5b88a",
            "agents.x-k8s.io/sandbox-template-hash": "abe54fd8",
            "agents.x-k8s.io/sandbox-template-ref-hash": "0fd9bc91",
            "agents.x-k8s.io/warm-pool-sandbox": "91dd7983",
          },
          "name": "new-0",
          "namespace": "ns",
          "ownerReferences": [
            {
              "apiVersion": "extensions.agents.x-k8s.io/v1beta1",
              "blockOwnerDeletion": true,
              "controller": true,
              "kind": "SandboxWarmPool",
              "name": "pool",
              "uid": "pool-uid",
            },
          ],
        },
        "spec": {
          "podTemplate": {
            "metadata": {
              "annotations": {
                "cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
              },
              "labels": {
                "agents.x-k8s.io/sandbox-pod-template-hash": "98e5b88a",
                "agents.x-k8s.io/sandbox-template-hash": "abe54fd8",
                "agents.x-k8s.io/sandbox-template-ref-hash": "0fd9bc91",
                "agents.x-k8s.io/warm-pool-sandbox": "91dd7983",
              },
            },
            "spec": {
              "automountServiceAccountToken": false,
              "containers": [
                {
                  "image": "web:1",
                  "name": "main",
                },
              ],
              "dnsConfig": {
                "nameservers": [
                  "8.8.8.8",
                  "1.1.1.1",
                ],
              },
              "dnsPolicy": "None",
            },
          },
        },
      },
    ]
  `)
})
