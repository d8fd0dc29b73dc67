import type { SandboxSnapshot, SandboxSnapshotStatus } from '@caisson/api'
import { describe, expect, test } from 'vitest'
import { aPod, aReadyPod, aSandbox, NOW } from '../sandbox/observed-sandbox-fixtures.ts'
import { type ObservedSnapshot, planSnapshot } from './plan-snapshot.ts'

const FINALIZERS = ['caisson.dev/snapshot-in-use', 'caisson.dev/snapshot-files']

function observe(
  changes: Partial<ObservedSnapshot> = {},
  metadata: SandboxSnapshot['metadata'] = {},
): ObservedSnapshot {
  const snapshot: SandboxSnapshot = {
    apiVersion: 'caisson.dev/v1alpha1',
    kind: 'SandboxSnapshot',
    metadata: { name: 'warm', namespace: 'ns', uid: 's', resourceVersion: '1', finalizers: FINALIZERS, ...metadata },
    spec: { sandboxName: 'box' },
  }
  return { snapshot, sandbox: undefined, pods: [], users: [], nodeExists: true, ...changes }
}

function aRunningPod() {
  const pod = aReadyPod()
  const main = { name: 'main', ready: true, restartCount: 0, image: '', imageID: '', state: { running: {} } }
  return { ...pod, status: { ...pod.status, containerStatuses: [main] } }
}

function said(observed: ObservedSnapshot): string {
  const [ready] = planSnapshot(observed, NOW).status?.conditions ?? []
  return `${ready?.status}/${ready?.reason}: ${ready?.message}`
}

test('its files are guarded before any node begins', () => {
  const given = planSnapshot(observe({}, { finalizers: ['other'] }), NOW)
  expect(given.writes).toMatchObject([
    { verb: 'patch', patch: { metadata: { resourceVersion: '1', finalizers: ['other', ...FINALIZERS] } } },
  ])
  expect(given.status).toBeUndefined()
})

test('it is given to the node on which its Sandbox runs', () => {
  const given = planSnapshot(observe({ sandbox: aSandbox(), pods: [aRunningPod()] }), NOW)
  expect(given.status).toMatchObject({
    nodeName: 'node-1',
    sandboxUID: 'sandbox-uid',
    podUID: 'pod-uid',
    podTemplate: aSandbox().spec.podTemplate,
    conditions: [{ status: 'False', reason: 'Taking' }],
  })
})

test.each([
  ['False/SandboxNotFound: there is no Sandbox box', observe()],
  ['False/SandboxNotRunning: Sandbox box does not run: waiting for its Pod', observe({ sandbox: aSandbox() })],
  [
    'False/SandboxNotRunning: Sandbox box does not run: waiting for its Pod',
    observe({ sandbox: aSandbox(), pods: [aPod()] }),
  ],
  [
    'False/SandboxGone: Sandbox box is being deleted',
    observe({ sandbox: aSandbox({ metadata: { deletionTimestamp: 'x' } }), pods: [aRunningPod()] }),
  ],
])('%s', (expected, observed) => {
  expect(said(observed)).toBe(expected)
})

test.each<[name: string, users: string[], nodeExists: boolean, assigned: boolean, kept: string[] | undefined]>([
  ['while a Sandbox is to be made from it: nothing', ['copy'], true, true, undefined],
  ['then: the node is to take its files away', [], true, true, ['caisson.dev/snapshot-files']],
  ['without its node: nobody can', [], false, true, []],
  ['before a node began: nobody has to', [], true, false, []],
])('deleted, %s', (_name, users, nodeExists, assigned, kept) => {
  const observed = observe({ users, nodeExists }, { deletionTimestamp: '2026-01-01T00:00:00Z' })
  if (assigned) {
    observed.snapshot.status = {
      nodeName: 'node-1',
      conditions: [
        { type: 'Ready', status: 'True', reason: 'Taken', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
      ],
    }
  }
  const finalizers = planSnapshot(observed, NOW).writes.map((write) =>
    write.verb === 'patch' ? write.patch.metadata['finalizers'] : write,
  )
  expect(finalizers).toEqual(kept === undefined ? [] : [kept])
})

describe('one that a node is to make', () => {
  const taking: SandboxSnapshotStatus = {
    nodeName: 'node-1',
    podUID: 'pod-uid',
    conditions: [
      { type: 'Ready', status: 'False', reason: 'Taking', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
    ],
  }
  const given = (changes: Partial<ObservedSnapshot>) => {
    const observed = observe({ sandbox: aSandbox(), ...changes })
    return planSnapshot({ ...observed, snapshot: { ...observed.snapshot, status: taking } }, NOW).status
  }

  test.each<[what: string, changes: Partial<ObservedSnapshot>]>([
    ['is there', {}],
    ['is gone, and its Pod is not yet', { nodeExists: false, pods: [aRunningPod()] }],
  ])('is left to it while it %s', (_what, changes) => {
    expect(given(changes)).toBeUndefined()
  })

  test('has failed once the node and the Pod are gone: nobody would ever say so', () => {
    expect(given({ nodeExists: false })).toMatchObject({
      nodeName: 'node-1',
      conditions: [{ status: 'False', reason: 'SandboxGone', message: 'node node-1, which was to keep it, is gone' }],
    })
  })
})
