import { expect, test } from 'vitest'
import type { ObservedSandbox } from './observed-sandbox.ts'
import {
  aClaim,
  aPod,
  aSandbox,
  conditionsOf,
  HASH,
  OWNER,
  observe,
  plan,
  STRANGER,
  writesOf,
} from './observed-sandbox-fixtures.ts'

const template = {
  metadata: { name: 'data', labels: { tier: 'fast' }, annotations: { note: 'n' } },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
}
const sandbox = aSandbox({ spec: { volumeClaimTemplates: [template] } })
const suspended = aSandbox({ spec: { volumeClaimTemplates: [template], operatingMode: 'Suspended' } })
const pods = [aPod()]

test.each<[name: string, observed: ObservedSandbox, writes: string[]]>([
  ['missing: made, and no Pod before it is there', observe({ sandbox }), ['create PersistentVolumeClaim data-box']],
  [
    "nobody's, with the hash: adopted, and no Pod before that",
    observe({ sandbox, claims: [aClaim({ ownerReferences: [] })] }),
    ['patch PersistentVolumeClaim data-box'],
  ],
  ['there: the Pod that mounts it', observe({ sandbox, claims: [aClaim()] }), ['create Pod box']],
  ['there and mounted: nothing', observe({ sandbox, pods, claims: [aClaim()] }), []],
  ['missing while suspended: made', observe({ sandbox: suspended }), ['create PersistentVolumeClaim data-box']],
  [
    "nobody's, with the hash: adopted",
    observe({ sandbox, pods, claims: [aClaim({ ownerReferences: [] })] }),
    ['patch PersistentVolumeClaim data-box'],
  ],
  [
    "nobody's, unmarked: refused",
    observe({ sandbox, pods, claims: [aClaim({ ownerReferences: [], labels: {} })] }),
    [],
  ],
  ["another's: refused", observe({ sandbox, pods, claims: [aClaim({ ownerReferences: [STRANGER] })] }), []],
  [
    'one refused, one missing: the missing one is made',
    observe({
      sandbox: aSandbox({ spec: { volumeClaimTemplates: [template, { metadata: { name: 'logs' }, spec: {} }] } }),
      pods,
      claims: [aClaim({ ownerReferences: [STRANGER] })],
    }),
    ['create PersistentVolumeClaim logs-box'],
  ],
])('%s', (_name, observed, writes) => {
  expect(writesOf(plan(observed))).toEqual(writes)
})

test.each<[what: string, claim: ReturnType<typeof aClaim>]>([
  ["another's", aClaim({ ownerReferences: [STRANGER] })],
  ["nobody's and unmarked", aClaim({ ownerReferences: [], labels: {} })],
])('no Pod is made that would mount a claim that is %s, until that is gone', (_what, claim) => {
  const given = plan(observe({ sandbox, claims: [claim] }))
  expect(writesOf(given)).toEqual([])
  expect(given.retry).toBe(true)
  expect(writesOf(plan(observe({ sandbox, claims: [aClaim()] })))).toEqual(['create Pod box'])
})

test('no Pod is made while a claim cannot be', () => {
  const failures = [
    { id: 'create PersistentVolumeClaim data-box', message: 'no', permanent: false, namespaceTerminating: false },
  ]
  expect(writesOf(plan(observe({ sandbox, failures })))).toEqual([])
})

test('a new claim is the template, named and owned', () => {
  expect(plan(observe({ sandbox })).writes[0]).toMatchObject({
    object: {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: {
        name: 'data-box',
        namespace: 'ns',
        labels: { tier: 'fast', 'agents.x-k8s.io/sandbox-name-hash': HASH },
        annotations: { note: 'n' },
        ownerReferences: [OWNER],
      },
      spec: template.spec,
    },
  })
})

test("another's claim is said", () => {
  const given = plan(observe({ sandbox, pods, claims: [aClaim({ ownerReferences: [STRANGER] })] }))
  expect(conditionsOf(given).at(-1)).toBe(
    'Ready=False/ReconcilerError: Error seen: PVC "data-box" is owned by ReplicaSet/web (UID: web-uid), not by sandbox "box"',
  )
})
