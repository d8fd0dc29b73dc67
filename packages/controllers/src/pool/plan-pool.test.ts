import { describe, expect, test } from 'vitest'
import type { ObservedPool } from './observed-pool.ts'
import {
  aMember,
  aPolicy,
  aPool,
  aTemplate,
  conditionsOf,
  NOW,
  observe,
  plan,
  three,
  writesOf,
} from './observed-pool-fixtures.ts'

const template = aTemplate(2)
const going = { metadata: { deletionTimestamp: 'x' } }
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
      observe({ pool: aPool({ replicas: 0 }), members: three, isAssigned: ({ metadata }) => metadata.name === 'b' }),
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

  test('no more than a thousand that are not Ready, whatever the pool asks for', () => {
    const pool = aPool({ replicas: 100_000 })
    const starting = Array.from({ length: 998 }, (_, index) => aMember(`starting-${index}`, { ready: false }))
    expect(writesOf(plan(observe({ pool, members: [...starting, ...three] })))).toEqual([
      'create new-0',
      'create new-1',
    ])
    const full = [...starting, aMember('y', { ready: false }), aMember('z', { ready: false })]
    expect(writesOf(plan(observe({ pool, members: full })))).toEqual([])
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
    ['while many claims wait, whether they find enough or not', observe({ claimsCrowdUntil: NOW + 1 }), []],
    [
      'claims that go on and on, few at a time, have it made beside them',
      observe({ members: three.slice(0, 2), waitingClaims: 1, claimsGoOn: true, claimsPauseAt: NOW - 1 }),
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

  test('it is made when many claims have been answered, or nobody has come to them for long', () => {
    const crowd = observe({ waitingClaims: 9, claimsPauseAt: NOW - 1, claimsCrowdUntil: NOW + 9_000 })
    expect(plan(crowd).requeueAt).toBe(NOW + 9_000)
    expect(writesOf(plan({ ...crowd, claimsCrowdUntil: undefined }))).toHaveLength(3)
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
