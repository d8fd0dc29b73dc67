import type { ObjectMeta, OwnerReference } from '@caisson/api'
import { describe, expect, test } from 'vitest'
import type { ObservedSandbox } from './observed-sandbox.ts'
import {
  aClaim,
  aPod,
  aReadyPod,
  aSandbox,
  conditionsOf,
  HASH,
  OWNER,
  observe,
  plan,
  STRANGER,
  writesOf,
} from './observed-sandbox-fixtures.ts'

const hashLabel = { 'agents.x-k8s.io/sandbox-name-hash': HASH }
const claimOwner: OwnerReference = {
  apiVersion: 'extensions.agents.x-k8s.io/v1beta1',
  kind: 'SandboxClaim',
  name: 'mine',
  uid: 'c-1',
  controller: true,
}
const poolOwner = { ...claimOwner, kind: 'SandboxWarmPool', name: 'pool', uid: 'p-1' }
const named = (name: string) => aSandbox({ metadata: { annotations: { 'agents.x-k8s.io/pod-name': name } } })
const suspended = (metadata: ObjectMeta = {}) => aSandbox({ metadata, spec: { operatingMode: 'Suspended' } })

describe('which Pod', () => {
  test.each<[name: string, observed: ObservedSandbox, writes: string[]]>([
    ['none: one is made', observe(), ['create Pod box']],
    ['its own: nothing', observe({ pods: [aReadyPod()] }), []],
    ['its own, finished: nothing', observe({ pods: [aPod({}, { phase: 'Succeeded' })] }), []],
    ['its own, being deleted: nothing', observe({ pods: [aReadyPod({ deletionTimestamp: 'x', labels: {} })] }), []],
    ['its own under another name: nothing', observe({ pods: [aReadyPod({ name: 'older' })] }), []],
    ['two of its own: nothing', observe({ pods: [aReadyPod(), aReadyPod({ name: 'b', uid: 'b' })] }), []],
    ['its own without its label: the label', observe({ pods: [aReadyPod({ labels: {} })] }), ['patch Pod box']],
    ['a stranger: nothing', observe({ pods: [aReadyPod({ ownerReferences: [STRANGER] })] }), []],
    [
      'a Pod of a Sandbox that had the name before: nothing',
      observe({ pods: [aReadyPod({ ownerReferences: [{ ...OWNER, uid: 'older' }] })] }),
      [],
    ],
    ["nobody's, with the hash: adopted", observe({ pods: [aReadyPod({ ownerReferences: [] })] }), ['patch Pod box']],
    [
      "nobody's, adoptable: adopted",
      observe({ pods: [aReadyPod({ ownerReferences: [], labels: { 'agents.x-k8s.io/adoptable': 'true' } })] }),
      ['patch Pod box'],
    ],
    ["nobody's, unmarked: nothing", observe({ pods: [aReadyPod({ ownerReferences: [], labels: {} })] }), []],
    [
      "nobody's, with another's hash: nothing",
      observe({
        pods: [aReadyPod({ ownerReferences: [], labels: { 'agents.x-k8s.io/sandbox-name-hash': '00000000' } })],
      }),
      [],
    ],
    [
      'the one that an older controller named',
      observe({ sandbox: named('older'), pods: [aReadyPod({ name: 'older' })] }),
      [],
    ],
    [
      'an empty older name: the record goes, a Pod is made',
      observe({ sandbox: named('') }),
      ['patch Sandbox box annotation', 'create Pod box'],
    ],
    [
      'an older name without a Pod: the record goes, a Pod is made',
      observe({ sandbox: named('older') }),
      ['patch Sandbox box annotation', 'create Pod box'],
    ],
    [
      'an older name beside an owned Pod: the owner decides, the record goes',
      observe({ sandbox: named('older'), pods: [aReadyPod()] }),
      ['patch Sandbox box annotation'],
    ],
    [
      "an older name of another's Pod: the record goes",
      observe({ sandbox: named('older'), pods: [aReadyPod({ name: 'older', ownerReferences: [STRANGER] })] }),
      ['patch Sandbox box annotation'],
    ],
    ['suspended, none: nothing', observe({ sandbox: suspended() }), []],
    ['suspended: deleted', observe({ sandbox: suspended(), pods: [aReadyPod()] }), ['delete Pod box']],
    [
      'suspended, under another name: deleted all the same',
      observe({ sandbox: suspended(), pods: [aReadyPod({ name: 'older' })] }),
      ['delete Pod older'],
    ],
    [
      'suspended, going already: nothing',
      observe({ sandbox: suspended(), pods: [aPod({ deletionTimestamp: 'x' })] }),
      [],
    ],
    [
      'suspended, a stranger: nothing',
      observe({ sandbox: suspended(), pods: [aPod({ ownerReferences: [STRANGER] })] }),
      [],
    ],
    ["suspended, nobody's: nothing", observe({ sandbox: suspended(), pods: [aPod({ ownerReferences: [] })] }), []],
    ['suspended, two: nothing', observe({ sandbox: suspended(), pods: [aPod(), aPod({ name: 'b', uid: 'b' })] }), []],
    [
      'suspended, an older record: it goes once the Pod is gone',
      observe({ sandbox: suspended({ annotations: { 'agents.x-k8s.io/pod-name': 'older' } }) }),
      ['patch Sandbox box annotation'],
    ],
    [
      'the Sandbox is being deleted: nothing',
      observe({ sandbox: aSandbox({ metadata: { deletionTimestamp: 'x' } }) }),
      [],
    ],
  ])('%s', (_name, observed, writes) => {
    expect(writesOf(plan(observed))).toEqual(writes)
  })

  test.each([
    [
      'a stranger',
      aReadyPod({ ownerReferences: [STRANGER] }),
      'Error seen: pod "box" is owned by ReplicaSet/web (UID: web-uid), not by sandbox "box"',
    ],
    [
      "nobody's",
      aReadyPod({ ownerReferences: [], labels: {} }),
      'Error seen: cannot adopt unowned pod "box": missing required pool authorization label ("agents.x-k8s.io/adoptable") or sandbox tracking label ("agents.x-k8s.io/sandbox-name-hash")',
    ],
  ])('%s in its place is said, and looked at again', (_name, pod, message) => {
    const given = plan(observe({ pods: [pod] }))
    expect(conditionsOf(given).at(-1)).toBe(`Ready=False/ReconcilerError: ${message}`)
    expect(given.retry).toBe(true)
    expect(given.status).toEqual({ conditions: given.status?.conditions })
  })

  test('only the very Pod that was seen is deleted', () => {
    expect(plan(observe({ sandbox: suspended(), pods: [aReadyPod()] })).writes).toMatchObject([
      { verb: 'delete', target: { namespace: 'ns', name: 'box' }, uid: 'pod-uid' },
    ])
  })
})

describe('a new Pod', () => {
  const created = (sandbox = aSandbox(), claims = [] as readonly ReturnType<typeof aClaim>[]) => {
    const write = plan(observe({ sandbox, claims: [...claims] })).writes.find(({ id }) => id === 'create Pod box')
    return write?.verb === 'create' ? write.object : undefined
  }

  test('is the template, named and owned', () => {
    expect(created()).toEqual({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'box', namespace: 'ns', labels: hashLabel, annotations: {}, ownerReferences: [OWNER] },
      spec: { containers: [{ name: 'main', image: 'busybox' }] },
    })
  })

  test("has the template's labels and annotations, less what is reserved, and a record of them", () => {
    const sandbox = aSandbox({
      spec: {
        podTemplate: {
          metadata: {
            labels: {
              zone: 'a',
              app: 'x',
              constructor: 'y',
              'agents.x-k8s.io/sandbox-name-hash': 'stolen',
              'agents.x-k8s.io/claim-uid': 'stolen',
              'extensions.agents.x-k8s.io/any': 'stolen',
            },
            annotations: {
              note: 'n',
              'opentelemetry.io/trace-context': '{}',
              'agents.x-k8s.io/propagated-labels': 'agents.x-k8s.io/sandbox-name-hash',
            },
          },
          spec: { containers: [] },
        },
      },
    })
    expect(created(sandbox)?.metadata).toMatchObject({
      labels: { zone: 'a', app: 'x', constructor: 'y', ...hashLabel },
      annotations: {
        note: 'n',
        'agents.x-k8s.io/propagated-labels': 'app,constructor,zone',
        'agents.x-k8s.io/propagated-annotations': 'note',
      },
    })
    expect(Object.keys(created(sandbox)?.metadata.labels ?? {})).toHaveLength(4)
  })

  test.each<[name: string, metadata: ObjectMeta, labels: Record<string, string>]>([
    ['a plain Sandbox passes none of them on', {}, {}],
    [
      'a claimed one: the claim and the template',
      { ownerReferences: [claimOwner] },
      { 'agents.x-k8s.io/claim-uid': 'c-1', 'agents.x-k8s.io/sandbox-template-ref-hash': 'abc' },
    ],
    [
      "a pool's: the pool and the template",
      { ownerReferences: [poolOwner] },
      { 'agents.x-k8s.io/warm-pool-sandbox': 'def', 'agents.x-k8s.io/sandbox-template-ref-hash': 'abc' },
    ],
    [
      'one of a kind that is only called so',
      { ownerReferences: [{ ...claimOwner, apiVersion: 'example.com/v1' }] },
      {},
    ],
    ['one that a claim owns without controlling it', { ownerReferences: [{ ...claimOwner, controller: false }] }, {}],
  ])('%s', (_name, metadata, expected) => {
    const labels = {
      'agents.x-k8s.io/claim-uid': 'c-1',
      'agents.x-k8s.io/warm-pool-sandbox': 'def',
      'agents.x-k8s.io/sandbox-template-ref-hash': 'abc',
      'agents.x-k8s.io/created-by': 'somebody',
    }
    const object = created(aSandbox({ metadata: { labels, ...metadata } }))
    expect(object?.metadata.labels).toEqual({ ...hashLabel, 'agents.x-k8s.io/created-by': 'unknown', ...expected })
  })

  test('mounts its claims, in the place of volumes of the same name', () => {
    const sandbox = aSandbox({
      spec: {
        podTemplate: {
          spec: {
            containers: [],
            volumes: [
              { name: 'tmp', emptyDir: {} },
              { name: 'data', emptyDir: {} },
            ],
          },
        },
        volumeClaimTemplates: [
          { metadata: { name: 'data' }, spec: {} },
          { metadata: { name: 'logs' }, spec: {} },
        ],
      },
    })
    expect(created(sandbox, [aClaim(), aClaim({ name: 'logs-box' })])?.spec).toEqual({
      containers: [],
      volumes: [
        { name: 'tmp', emptyDir: {} },
        { name: 'data', persistentVolumeClaim: { claimName: 'data-box' } },
        { name: 'logs', persistentVolumeClaim: { claimName: 'logs-box' } },
      ],
    })
  })

  test('is announced, and so is a refusal', () => {
    expect(plan(observe()).writes[0]).toMatchObject({
      event: { type: 'Normal', reason: 'SandboxPodCreated', action: 'PodCreation', message: 'Created Pod box' },
      failureEvent: { type: 'Warning', reason: 'SandboxPodCreateFailed', message: 'Failed to create Pod box: ' },
    })
  })
})

describe('metadata of an existing Pod', () => {
  const patchOf = (observed: ObservedSandbox) => {
    const write = plan(observed).writes.find(({ id }) => id === 'patch Pod box')
    return write?.verb === 'patch' ? write.patch : undefined
  }
  const template = (metadata: object) => ({ podTemplate: { metadata, spec: { containers: [] } } })

  test('a new label and a new annotation, with the record of both', () => {
    const sandbox = aSandbox({ spec: template({ labels: { app: 'x' }, annotations: { note: 'n' } }) })
    expect(patchOf(observe({ sandbox, pods: [aReadyPod()] }))).toEqual({
      metadata: {
        uid: 'pod-uid',
        labels: { app: 'x' },
        annotations: {
          note: 'n',
          'agents.x-k8s.io/propagated-labels': 'app',
          'agents.x-k8s.io/propagated-annotations': 'note',
        },
      },
    })
  })

  test('what the template no longer has goes, what others set stays', () => {
    const pod = aReadyPod({
      labels: { ...hashLabel, app: 'x', others: 'stay' },
      annotations: {
        note: 'n',
        others: 'stay',
        'agents.x-k8s.io/propagated-labels': 'app',
        'agents.x-k8s.io/propagated-annotations': 'note',
      },
    })
    expect(patchOf(observe({ pods: [pod] }))).toEqual({
      metadata: {
        uid: 'pod-uid',
        labels: { app: null },
        annotations: {
          note: null,
          'agents.x-k8s.io/propagated-labels': '',
          'agents.x-k8s.io/propagated-annotations': '',
        },
      },
    })
  })

  test('reserved keys that an older controller let through go, its own never', () => {
    const pod = aReadyPod({
      labels: { ...hashLabel, 'agents.x-k8s.io/evil': 'x' },
      annotations: {
        'agents.x-k8s.io/evil': 'x',
        'agents.x-k8s.io/propagated-labels': 'agents.x-k8s.io/evil,agents.x-k8s.io/sandbox-name-hash',
        'agents.x-k8s.io/propagated-annotations': 'agents.x-k8s.io/evil,agents.x-k8s.io/propagated-annotations',
      },
    })
    expect(patchOf(observe({ pods: [pod] }))?.metadata).toMatchObject({
      labels: { 'agents.x-k8s.io/evil': null },
      annotations: {
        'agents.x-k8s.io/evil': null,
        'agents.x-k8s.io/propagated-labels': '',
        'agents.x-k8s.io/propagated-annotations': '',
      },
    })
  })

  test('a Sandbox that goes from its pool to a claim takes its Pod along', () => {
    const sandbox = aSandbox({
      metadata: { ownerReferences: [claimOwner], labels: { 'agents.x-k8s.io/claim-uid': 'c-1' } },
    })
    const pod = aReadyPod({ labels: { ...hashLabel, 'agents.x-k8s.io/warm-pool-sandbox': 'def' } })
    expect(patchOf(observe({ sandbox, pods: [pod] }))?.metadata).toEqual({
      uid: 'pod-uid',
      labels: { 'agents.x-k8s.io/claim-uid': 'c-1', 'agents.x-k8s.io/warm-pool-sandbox': null },
    })
  })

  test('an adoption needs that nothing happened meanwhile, and keeps other owners', () => {
    const other = { ...STRANGER, controller: false }
    const given = patchOf(observe({ pods: [aReadyPod({ ownerReferences: [other] })] }))
    expect(given?.metadata).toEqual({ uid: 'pod-uid', resourceVersion: '20', ownerReferences: [other, OWNER] })
  })

  test('labels called like what every object inherits are labels', () => {
    const sandbox = aSandbox({ spec: template({ labels: { constructor: 'x', toString: 'y' } }) })
    expect(patchOf(observe({ sandbox, pods: [aReadyPod()] }))?.metadata).toMatchObject({
      labels: { constructor: 'x', toString: 'y' },
    })
    const kept = aReadyPod({
      labels: { ...hashLabel, constructor: 'x', toString: 'y' },
      annotations: { 'agents.x-k8s.io/propagated-labels': 'constructor,toString' },
    })
    expect(patchOf(observe({ sandbox, pods: [kept] }))).toBeUndefined()
  })
})
