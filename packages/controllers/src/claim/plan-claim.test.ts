import { LABELS, type Sandbox } from '@caisson/api'
import { describe, expect, test } from 'vitest'
import type { WriteFailure } from '../engine/plan.ts'
import type { NetworkPolicy } from '../template/network-policy.ts'
import type { ObservedClaim } from './observed-claim.ts'
import {
  assignedTo,
  claim,
  controlledBy,
  foreign,
  idsOf,
  member,
  NOW,
  OPTIONS,
  observed,
  owned,
  plan,
  policy,
  ready,
  template,
  tracking,
  withSpec,
} from './observed-claim-fixtures.ts'
import { mayAdopt } from './plan-claim.ts'

const aLegacyPolicy = (ownerReferences: NetworkPolicy['metadata']['ownerReferences']): NetworkPolicy => ({
  ...policy,
  metadata: {
    name: 'mine-network-policy',
    namespace: 'n',
    uid: 'l',
    resourceVersion: '1',
    ...(ownerReferences && { ownerReferences }),
  },
})

describe('the way to a member', () => {
  test('first it is written down, and nothing else is done', () => {
    expect(plan({ offer: { kind: 'member', sandbox: member } }).writes).toEqual([
      {
        verb: 'patch',
        id: 'patch SandboxClaim mine assign pool-1',
        resource: expect.objectContaining({ plural: 'sandboxclaims' }),
        target: { namespace: 'n', name: 'mine' },
        patch: {
          metadata: {
            uid: 'claim',
            resourceVersion: '1',
            annotations: {
              'agents.x-k8s.io/sandbox-name': 'pool-1',
              'agents.x-k8s.io/controller-first-observed-at': 'then',
              'agents.x-k8s.io/claim-first-ready-at': '2026-01-01T00:01:00.000000Z',
            },
          },
        },
      },
    ])
  })

  test('then it changes hands, as it was seen', () => {
    const [write, ...more] = plan({ claim: assignedTo('pool-1'), assigned: member }).writes
    expect(more).toEqual([])
    expect(write).toMatchObject({
      id: 'patch Sandbox pool-1 transfer',
      patch: {
        metadata: {
          uid: 'member',
          resourceVersion: '7',
          ownerReferences: controlledBy('SandboxClaim', 'mine', 'claim'),
          labels: {
            ...tracking,
            [LABELS.warmPool]: null,
            [LABELS.templateHash]: null,
            [LABELS.podTemplateHash]: null,
            [LABELS.createdBy]: null,
            [LABELS.launchType]: 'warm',
          },
        },
        spec: {
          podTemplate: { metadata: { labels: { ...tracking, [LABELS.warmPool]: null }, annotations: null } },
        },
      },
    })
  })

  test('then the status says what the Sandbox says', () => {
    const { writes, status } = plan({ claim: assignedTo('pool-1'), assigned: owned })
    expect(writes).toEqual([])
    expect(status).toEqual({
      conditions: [{ ...ready('True'), observedGeneration: 3 }],
      sandbox: { name: 'pool-1', podIPs: ['10.0.0.1'] },
    })
  })
})

test.each<[what: string, changes: Partial<ObservedClaim>, ids: string[]]>([
  [
    'a Sandbox that only says the name of the pool is not taken',
    {
      claim: assignedTo('pool-1'),
      assigned: {
        ...member,
        metadata: { ...member.metadata, ownerReferences: controlledBy('SandboxWarmPool', 'pool', 'forged') },
      },
    },
    ['patch SandboxClaim mine forget pool-1'],
  ],
  [
    'nor one of another pool than it asks, be that gone',
    {
      claim: assignedTo('pool-1', { spec: { warmPoolRef: { name: 'other' } } }),
      assigned: member,
      assignedPool: undefined,
    },
    ['patch SandboxClaim mine forget pool-1'],
  ],
  [
    'one that was written down is taken, though the pool be gone',
    {
      claim: assignedTo('pool-1'),
      assigned: member,
      assignedPool: undefined,
      pool: { name: 'pool', found: undefined },
    },
    ['patch Sandbox pool-1 transfer'],
  ],
  [
    'with a selector too',
    {
      claim: assignedTo('pool-1', { spec: { warmPoolSelector: {} } }),
      assigned: member,
      assignedPool: undefined,
      pool: undefined,
    },
    ['patch Sandbox pool-1 transfer'],
  ],
  [
    'unless it goes with the pool already',
    {
      claim: assignedTo('pool-1'),
      assigned: { ...member, metadata: { ...member.metadata, deletionTimestamp: 'x' } },
      assignedPool: undefined,
    },
    ['patch SandboxClaim mine forget pool-1'],
  ],
  [
    'nor, with a selector, one of a pool that it does not select',
    {
      claim: assignedTo('pool-1', { spec: { warmPoolSelector: { matchLabels: { size: 'large' } } } }),
      assigned: member,
    },
    ['patch SandboxClaim mine forget pool-1'],
  ],
  [
    'a NetworkPolicy of its own, which older controllers made, goes',
    {
      bound: owned,
      claim: { ...claim, status: { sandbox: { name: 'pool-1' } } },
      legacyPolicy: aLegacyPolicy(controlledBy('SandboxClaim', 'mine', 'claim')),
    },
    ['delete NetworkPolicy mine-network-policy'],
  ],
  [
    'one of a template that is called like the claim stays',
    {
      bound: owned,
      claim: { ...claim, status: { sandbox: { name: 'pool-1' } } },
      legacyPolicy: aLegacyPolicy(controlledBy('SandboxTemplate', 'mine', 'another')),
    },
    [],
  ],
  ['what is gone is forgotten', { claim: assignedTo('pool-1') }, ['patch SandboxClaim mine forget pool-1']],
  [
    "and so is another claim's",
    { claim: assignedTo('pool-1'), assigned: foreign },
    ['patch SandboxClaim mine forget pool-1'],
  ],
  [
    "and another pool's",
    {
      claim: assignedTo('pool-1'),
      assigned: {
        ...member,
        metadata: { ...member.metadata, ownerReferences: controlledBy('SandboxWarmPool', 'other', 'x') },
      },
    },
    ['patch SandboxClaim mine forget pool-1'],
  ],
  [
    'and one that goes away',
    {
      claim: assignedTo('pool-1'),
      assigned: { ...member, metadata: { ...member.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } },
    },
    ['patch SandboxClaim mine forget pool-1'],
  ],
  ['where there is none one is made', {}, ['create Sandbox mine']],
  [
    'what the status names counts first',
    { claim: { ...assignedTo('pool-2'), status: { sandbox: { name: 'pool-1' } } }, bound: owned },
    [],
  ],
  [
    'metadata that was changed is put right',
    { claim: assignedTo('pool-1'), assigned: { ...owned, spec: member.spec } },
    ['patch Sandbox pool-1 metadata'],
  ],
  [
    'when it was first seen is written where nothing took it along',
    { claim: { ...claim, metadata: { ...claim.metadata, annotations: {} } }, namesake: owned },
    ['patch SandboxClaim mine annotate'],
  ],
])('%s', (_what, changes, ids) => {
  expect(idsOf(changes)).toEqual(ids)
})

describe('waiting and failing', () => {
  test('for a member that starts it says nothing, until two seconds after it was made', () => {
    const offer = { kind: 'starting', movedAt: 0 } as const
    expect(plan({ offer })).toMatchObject({
      writes: [],
      status: undefined,
      requeueAt: Date.parse('2026-01-01T00:01:01Z'),
    })
    expect(plan({ offer }, NOW + 1000).writes.map(({ id }) => id)).toEqual(['create Sandbox mine'])
  })

  test('as long as members come up it waits for them, ten seconds at most', () => {
    const createdAt = NOW - 1_000
    const waits = (movedAt: number, now: number) => plan({ offer: { kind: 'starting', movedAt } }, now).requeueAt
    expect(waits(NOW + 900, NOW + 1_000)).toBe(NOW + 2_900)
    expect(waits(NOW + 8_800, NOW + 8_900)).toBe(createdAt + 10_000)
    expect(waits(NOW + 8_950, createdAt + 10_000)).toBeUndefined()
  })

  test('while many wait, a Sandbox that was made for a claim is told of when it is Ready, ten seconds later at most', () => {
    const starting = { ...owned, status: {}, metadata: { ...owned.metadata, name: 'mine' } }
    const answered = { ...claim, status: { conditions: [ready('False')] } }
    const waits = (changes: Partial<ObservedClaim>) => plan({ namesake: starting, ...changes }).statusMayWait
    expect(waits({ crowded: true })).toBe(10_000)
    expect(waits({ crowded: false })).toBe(0)
    expect(waits({ crowded: true, namesake: { ...starting, status: { conditions: [ready('True')] } } })).toBe(0)
    expect(waits({ crowded: true, claim: answered })).toBe(0)
  })

  test('when it was first seen is not written while many wait, and looked for later', () => {
    const bare = { ...claim, metadata: { ...claim.metadata, annotations: {} } }
    const { writes, requeueAt } = plan({ claim: bare, namesake: owned, crowded: true })
    expect([writes, requeueAt]).toEqual([[], NOW + 5_000])
    expect(plan({ claim, namesake: owned, crowded: true }).requeueAt).toBeUndefined()
  })

  const failure = (changes: Partial<WriteFailure>): WriteFailure => ({
    id: 'create Sandbox mine',
    message: 'no',
    permanent: false,
    namespaceTerminating: false,
    ...changes,
  })
  test.each<[failure: Partial<WriteFailure>, reason: string, message: string, retry: boolean]>([
    [{}, 'ReconcilerError', 'Error seen: sandbox create error: no', true],
    [{ permanent: true }, 'InvalidConfiguration', 'sandbox create error: no', false],
  ])('a Sandbox that cannot be made: %j', (changes, reason, message, retry) => {
    const made = plan({ failures: [failure(changes)] })
    expect({ reason: made.status?.conditions?.[0]?.reason, message: made.status?.conditions?.[0]?.message }).toEqual({
      reason,
      message,
    })
    expect([made.writes, made.retry]).toEqual([[], retry])
  })

  test("before the template's NetworkPolicy is there nothing is made, and where it is another's nothing ever", () => {
    expect(plan({ policy: undefined })).toMatchObject({ writes: [], status: undefined, retry: false })
    const stranger = { ...policy, metadata: { ...policy.metadata, ownerReferences: [] } }
    expect(plan({ policy: stranger })).toMatchObject({
      writes: [],
      status: {
        conditions: [
          {
            reason: 'NetworkPolicyConflict',
            message:
              'NetworkPolicy "web-network-policy" is not of the template: no Sandbox is made until it is renamed or deleted',
          },
        ],
      },
      retry: false,
    })
  })

  test('in a namespace that goes away it waits half a minute', () => {
    expect(plan({ failures: [failure({ namespaceTerminating: true })] })).toMatchObject({
      writes: [],
      status: undefined,
      requeueAt: NOW + 30_000,
    })
  })

  test('what went wrong does not take away what the claim has', () => {
    const bound = {
      ...claim,
      status: { sandbox: { name: 'pool-1' } },
      spec: { ...claim.spec, additionalPodMetadata: { labels: { a: 'b' } } },
    }
    expect(plan({ claim: bound, bound: owned }).status).toMatchObject({
      conditions: [{ type: 'Ready', reason: 'InvalidMetadata' }],
      sandbox: { name: 'pool-1' },
    })
  })
})

test.each<[what: string, changes: Partial<ObservedClaim>, allowed: boolean]>([
  ['as it is', {}, true],
  ['without a pool', { pool: { name: 'pool', found: undefined } }, false],
  ['with environment variables', { claim: withSpec({ env: [{ name: 'A', value: 'b' }] }) }, false],
  ['with storage', { claim: withSpec({ volumeClaimTemplates: [{ spec: {} }] }) }, false],
  ['with labels that it may not have', { claim: withSpec({ additionalPodMetadata: { labels: { a: 'b' } } }) }, false],
  [
    'with annotations that the template has otherwise',
    {
      claim: withSpec({ additionalPodMetadata: { annotations: { note: 'b' } } }),
      template: {
        name: 'web',
        found: {
          ...template,
          spec: { podTemplate: { ...template.spec.podTemplate, metadata: { annotations: { note: 'a' } } } },
        },
      },
    },
    false,
  ],
  ['after its end', { claim: withSpec({ lifecycle: { shutdownTime: '2026-01-01T00:01:00Z' } }) }, false],
  ['after its deadline', { claim: withSpec({ readyDeadlineSeconds: 1 }) }, false],
  [
    'after a refusal for good',
    { failures: [{ id: 'x', message: '', permanent: true, namespaceTerminating: false }] },
    false,
  ],
])('a claim may bind a member: %s', (_what, changes, allowed) => {
  expect(mayAdopt(observed(changes), NOW, OPTIONS)).toBe(allowed)
})

describe('a plan that is settled is the same again once its status is stored', () => {
  const finished: Sandbox = {
    ...owned,
    status: { ...owned.status, conditions: [ready('True', 'PodSucceeded'), { ...ready('True'), type: 'Finished' }] },
  }
  const asleep: Sandbox = { ...owned, status: { conditions: [ready('False', 'SandboxSuspended')] } }

  test.each<[what: string, changes: Partial<ObservedClaim>]>([
    ['of a claim that is Ready', { claim: assignedTo('pool-1'), assigned: owned }],
    ['of one that has a deadline', { claim: withSpec({ readyDeadlineSeconds: 60 }), namesake: owned }],
    ['of one with a deadline that is not Ready', { claim: withSpec({ readyDeadlineSeconds: 60 }), namesake: asleep }],
    [
      'of one that has a time to live',
      { claim: withSpec({ lifecycle: { ttlSecondsAfterFinished: 600 } }), namesake: finished },
    ],
    ['of one whose Sandbox goes', { namesake: { ...owned, metadata: { ...owned.metadata, deletionTimestamp: 'x' } } }],
    ['of one whose name is taken', { namesake: foreign }],
    ['of one whose pool is gone', { pool: { name: 'pool', found: undefined } }],
  ])('%s', (_what, changes) => {
    const done = written(changes)
    const given = plan(done)
    expect([given.writes, given.settled]).toEqual([[], true])
    const status = given.status ?? {}
    const name = status.sandbox?.name
    const bound = [done.assigned, done.namesake].find((each) => each?.metadata.name === name)
    const again = plan({ ...done, bound, claim: { ...(done.claim ?? claim), status } })
    expect(again).toEqual(given)
  })

  test('which one that sends variables is not: they are forgotten then', () => {
    const env = { kind: 'known', secrets: [] } as const
    expect(plan({ claim: assignedTo('pool-1'), assigned: owned, env }).settled).toBe(false)
  })
})

/** What is observed once the claim has the annotations that its plan wants. */
function written(changes: Partial<ObservedClaim>): Partial<ObservedClaim> {
  const { claim: given = claim } = changes
  const patches = plan(changes).writes.flatMap((write) =>
    write.verb === 'patch' && write.resource.plural === 'sandboxclaims' ? [write.patch.metadata] : [],
  )
  const annotations = Object.assign({}, given.metadata.annotations, ...patches.map((patch) => patch['annotations']))
  return { ...changes, claim: { ...given, metadata: { ...given.metadata, annotations } } }
}
