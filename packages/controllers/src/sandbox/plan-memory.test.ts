import type { SandboxSnapshot, SandboxSnapshotStatus } from '@caisson/api'
import { describe, expect, test } from 'vitest'
import type { Pod } from './objects.ts'
import type { ObservedSandbox } from './observed-sandbox.ts'
import {
  aReadyPod,
  aSandbox,
  conditionsOf,
  OWNER,
  observe,
  plan,
  STRANGER,
  writesOf,
} from './observed-sandbox-fixtures.ts'

const READY = condition('True', 'Taken', 'Sandboxes can be made from the snapshot')

function condition(status: 'True' | 'False', reason: string, message: string): SandboxSnapshotStatus {
  return { conditions: [{ type: 'Ready', status, reason, message, lastTransitionTime: '2026-01-01T00:00:00Z' }] }
}

function aSnapshot(
  name: string,
  status: SandboxSnapshotStatus,
  metadata: SandboxSnapshot['metadata'] = {},
): SandboxSnapshot {
  return {
    apiVersion: 'caisson.dev/v1alpha1',
    kind: 'SandboxSnapshot',
    metadata: { name, namespace: 'ns', uid: 'snapshot-uid', resourceVersion: '50', ...metadata },
    spec: { sandboxName: 'box' },
    status,
  }
}

function memory(status: SandboxSnapshotStatus, metadata: SandboxSnapshot['metadata'] = {}): SandboxSnapshot {
  return aSnapshot(
    'box.memory',
    { nodeName: 'node-1', podUID: 'pod-uid', ...status },
    { ownerReferences: [OWNER], ...metadata },
  )
}

function aRunningPod(metadata: Pod['metadata'] = {}): Pod {
  const pod = aReadyPod(metadata)
  const main = { name: 'main', ready: true, restartCount: 0, image: '', imageID: '', state: { running: {} } }
  return { ...pod, status: { ...pod.status, containerStatuses: [main] } }
}

const anEndedPod = (): Pod => endedPod('Suspended')
const aFinishedPod = (): Pod => endedPod('Completed')

function endedPod(reason: string): Pod {
  const state = { terminated: { exitCode: 0, reason } }
  const main = { name: 'main', ready: false, restartCount: 0, image: '', imageID: '', state }
  const pod = aReadyPod()
  return { ...pod, status: { ...pod.status, phase: 'Succeeded', containerStatuses: [main] } }
}

const FROM_MEMORY = { annotations: { 'caisson.dev/snapshot': 'box.memory' }, uid: 'next' }
const sleeping = aSandbox({ spec: { operatingMode: 'Suspended', suspension: { memory: 'Keep' } } })
const awake = aSandbox({ spec: { suspension: { memory: 'Keep' } } })
const failed = condition('False', 'DiskFull', 'no room')
const notRunning = condition('False', 'SandboxNotRunning', 'Sandbox box does not run: waiting for its Pod')
const taking = condition('False', 'Taking', 'node node-1 is to keep Pod box')

describe('a Sandbox that is suspended with its memory', () => {
  test.each<[name: string, observed: ObservedSandbox, writes: string[], suspended: string]>([
    [
      'has its memory kept first',
      observe({ sandbox: sleeping, pods: [aRunningPod()] }),
      ['create SandboxSnapshot box.memory'],
      'Suspended=False/KeepingMemory: The memory of the Pod is being kept. Sandbox is suspending',
    ],
    [
      'keeps its Pod while that goes on',
      observe({ sandbox: sleeping, pods: [aRunningPod()], memory: memory(taking) }),
      [],
      'Suspended=False/KeepingMemory: The memory of the Pod is being kept. Sandbox is suspending',
    ],
    [
      'loses its Pod once that is done',
      observe({ sandbox: sleeping, pods: [anEndedPod()], memory: memory(READY) }),
      ['delete Pod box'],
      'Suspended=False/PodTerminating: Pod is terminating. Sandbox is suspending',
    ],
    [
      'is suspended then',
      observe({ sandbox: sleeping, memory: memory(READY) }),
      [],
      'Suspended=True/PodTerminated: Pod has been terminated. Sandbox is suspended',
    ],
    [
      'goes on, and says why, where it could not be kept',
      observe({ sandbox: sleeping, pods: [aRunningPod()], memory: memory(failed) }),
      [],
      'Suspended=False/MemoryNotKept: no room',
    ],
    [
      'takes away what an earlier suspension left',
      observe({ sandbox: sleeping, pods: [aRunningPod()], memory: memory({ ...READY, podUID: 'older' }) }),
      ['delete SandboxSnapshot box.memory'],
      'Suspended=False/KeepingMemory: The memory of the Pod is being kept. Sandbox is suspending',
    ],
    [
      'keeps what its Pod has yet to begin with: nothing else is left of it',
      observe({ sandbox: sleeping, pods: [aReadyPod(FROM_MEMORY)], memory: memory(READY) }),
      ['delete Pod box'],
      'Suspended=False/PodTerminating: Pod is terminating. Sandbox is suspending',
    ],
    [
      'has its memory kept anew where the Pod has begun with what was kept before',
      observe({ sandbox: sleeping, pods: [aRunningPod(FROM_MEMORY)], memory: memory(READY) }),
      ['delete SandboxSnapshot box.memory'],
      'Suspended=False/KeepingMemory: The memory of the Pod is being kept. Sandbox is suspending',
    ],
    [
      'touches nobody else’s snapshot',
      observe({ sandbox: sleeping, pods: [aRunningPod()], memory: memory(READY, { ownerReferences: [STRANGER] }) }),
      [],
      'Suspended=False/MemoryNotKept: SandboxSnapshot box.memory is not of this Sandbox: delete it so that the memory can be kept',
    ],
    [
      'has nothing to keep where nothing has run yet',
      observe({ sandbox: sleeping, pods: [aReadyPod()] }),
      ['delete Pod box'],
      'Suspended=False/PodTerminating: Pod is terminating. Sandbox is suspending',
    ],
  ])('%s', (_name, observed, writes, suspended) => {
    const given = plan(observed)
    expect(writesOf(given)).toEqual(writes)
    expect(conditionsOf(given)).toContain(suspended)
    expect(conditionsOf(given).filter((text) => text.startsWith('Finished'))).toEqual([])
  })

  test.each<[name: string, status: SandboxSnapshotStatus, writes: string[]]>([
    ['loses its Pod where nothing could be kept of it', failed, ['delete Pod box']],
    ['waits for no node to keep it', notRunning, ['delete SandboxSnapshot box.memory']],
  ])('and has ended by itself meanwhile %s', (_name, status, writes) => {
    const given = { ...memory({}), status }
    expect(writesOf(plan(observe({ sandbox: sleeping, pods: [aFinishedPod()], memory: given })))).toEqual(writes)
  })

  test('is kept at the moment that it ends, as its own', () => {
    const [write] = plan(observe({ sandbox: sleeping, pods: [aRunningPod()] })).writes
    expect(write).toMatchObject({
      object: {
        spec: { sandboxName: 'box', endSource: true },
        metadata: { ownerReferences: [{ uid: 'sandbox-uid' }] },
      },
    })
  })
})

describe('a Sandbox that runs again', () => {
  test.each<[name: string, observed: ObservedSandbox, writes: string[]]>([
    ['begins with its memory', observe({ sandbox: awake, memory: memory(READY) }), ['create Pod box']],
    ['waits for it', observe({ sandbox: awake, memory: memory(taking) }), []],
    ['begins anew where it could not be kept', observe({ sandbox: awake, memory: memory(failed) }), ['create Pod box']],
    [
      'keeps it until the Pod runs',
      observe({ sandbox: awake, memory: memory(READY), pods: [aReadyPod(FROM_MEMORY)] }),
      [],
    ],
    [
      'needs it no more once the Pod runs',
      observe({ sandbox: awake, memory: memory(READY), pods: [aRunningPod(FROM_MEMORY)] }),
      ['delete SandboxSnapshot box.memory'],
    ],
    // Nothing may be lost, whenever the wish is taken back.
    [
      'before a node was chosen: waits',
      observe({ sandbox: awake, pods: [aRunningPod()], memory: { ...memory({}), status: {} } }),
      [],
    ],
    ['while it is kept: waits', observe({ sandbox: awake, pods: [aRunningPod()], memory: memory(taking) }), []],
    [
      'after it was kept: goes on from there',
      observe({ sandbox: awake, pods: [anEndedPod()], memory: memory(READY) }),
      ['delete Pod box'],
    ],
    [
      'after it could not be kept: forgets it',
      observe({ sandbox: awake, pods: [aRunningPod()], memory: memory(failed) }),
      ['delete SandboxSnapshot box.memory'],
    ],
  ])('%s', (_name, observed, writes) => {
    expect(writesOf(plan(observed))).toEqual(writes)
  })
})

test('a Sandbox that runs again begins with no memory that goes: a Pod would wait for it for ever', () => {
  const going = memory(READY, { deletionTimestamp: '2026-01-01T00:00:00Z' })
  const [write] = plan(observe({ sandbox: awake, memory: going })).writes
  expect(write).toMatchObject({ id: 'create Pod box' })
  expect(write).not.toHaveProperty('object.metadata.annotations', expect.objectContaining(FROM_MEMORY.annotations))
})

test('a Sandbox whose memory is being kept is not Ready, although its Pod still is: it goes on from there', () => {
  const pods = [aRunningPod()]
  const ready = (observed: ObservedSandbox) => conditionsOf(plan(observed)).filter((text) => text.startsWith('Ready'))
  expect(ready(observe({ sandbox: awake, pods, memory: memory(taking) }))).toEqual([
    'Ready=False/KeepingMemory: The memory of the Pod is being kept, from which the Sandbox then goes on',
  ])
  expect(ready(observe({ sandbox: awake, pods, memory: memory(failed) }))).toEqual([
    'Ready=True/DependenciesReady: Pod is Ready',
  ])
})

describe('a Sandbox that has expired while it slept', () => {
  const shutdownTime = '2026-01-01T11:59:59Z'
  const expired = (spec = {}) => aSandbox({ spec: { ...sleeping.spec, shutdownTime, ...spec } })
  test.each<[name: string, observed: ObservedSandbox, writes: string[]]>([
    [
      'keeps its memory no longer than itself',
      observe({ sandbox: expired(), memory: memory(READY) }),
      ['delete SandboxSnapshot box.memory'],
    ],
    [
      'goes once that was told to',
      observe({
        sandbox: expired({ shutdownPolicy: 'Delete' }),
        memory: memory(READY, { deletionTimestamp: shutdownTime }),
      }),
      ['delete Sandbox box'],
    ],
    [
      "leaves another's alone",
      observe({ sandbox: expired(), memory: memory(READY, { ownerReferences: [STRANGER] }) }),
      [],
    ],
  ])('%s', (_name, observed, writes) => {
    expect(writesOf(plan(observed))).toEqual(writes)
  })
})

describe('a Sandbox from a snapshot', () => {
  const sandbox = aSandbox({ spec: { fromSnapshot: 'warm' } })
  test('waits until it is there, and says so', () => {
    expect(conditionsOf(plan(observe({ sandbox })))).toContain(
      'Ready=False/SnapshotNotReady: there is no SandboxSnapshot warm',
    )
    const waiting = plan(observe({ sandbox, source: aSnapshot('warm', taking) }))
    expect(writesOf(waiting)).toEqual([])
    expect(conditionsOf(waiting)).toContain(
      'Ready=False/SnapshotNotReady: SandboxSnapshot warm is not Ready: node node-1 is to keep Pod box',
    )
  })

  test('begins with it, on the node that has it', () => {
    const [write] = plan(observe({ sandbox, source: aSnapshot('warm', { ...READY, nodeName: 'node-1' }) })).writes
    expect(write).toMatchObject({
      id: 'create Pod box',
      object: {
        metadata: { annotations: { 'caisson.dev/snapshot': 'warm' } },
        spec: { nodeSelector: { 'kubernetes.io/hostname': 'node-1' } },
      },
    })
  })
})
