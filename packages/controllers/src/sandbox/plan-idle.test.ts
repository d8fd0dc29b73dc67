import { operatingModePatch, type Sandbox, type SandboxSnapshotStatus, type SandboxSpec } from '@caisson/api'
import { describe, expect, test } from 'vitest'
import type { Pod } from './objects.ts'
import type { ObservedSandbox } from './observed-sandbox.ts'
import {
  aPod,
  applied,
  aReadyPod,
  aSandbox,
  conditionsOf,
  OWNER,
  observe,
  POD_READY,
  plan,
  STRANGER,
  writesOf,
} from './observed-sandbox-fixtures.ts'

const idleSuspension = { afterSeconds: 600 }
const asked = (spec: Partial<SandboxSpec> = {}): Sandbox => aSandbox({ spec: { idleSuspension, ...spec } })
const pooled = aSandbox({
  metadata: {
    ownerReferences: [
      { ...OWNER, apiVersion: 'extensions.agents.x-k8s.io/v1beta1', kind: 'SandboxWarmPool', name: 'pool', uid: 'p' },
    ],
  },
  spec: { idleSuspension },
})
const asleep = (spec: Partial<SandboxSpec> = {}): Sandbox =>
  aSandbox({
    metadata: { annotations: { 'caisson.dev/suspended-by': 'Idle' } },
    spec: { idleSuspension, operatingMode: 'Suspended', ...spec },
  })

const IDLE_NOW = {
  type: 'caisson.dev/Idle',
  status: 'True',
  reason: 'Idle',
  message: '',
  lastTransitionTime: '2026-01-01T11:59:58Z',
}

/** A Pod that runs, and of which its node says so much. */
function aWatchedPod(status: 'True' | 'False', reason: string, message = '', metadata: Pod['metadata'] = {}): Pod {
  const pod = aReadyPod({ annotations: { 'caisson.dev/idle-after-seconds': '600' }, ...metadata })
  const idle = { ...IDLE_NOW, status, reason, message }
  const main = { name: 'main', ready: true, restartCount: 0, image: '', imageID: '', state: { running: {} } }
  return { ...pod, status: { ...pod.status, conditions: [POD_READY, idle], containerStatuses: [main] } }
}

function memory(reason: string): NonNullable<ObservedSandbox['memory']> {
  const status: SandboxSnapshotStatus = {
    nodeName: 'node-1',
    podUID: 'pod-uid',
    conditions: [
      { type: 'Ready', status: 'False', reason, message: 'no room', lastTransitionTime: '2026-01-01T00:00:00Z' },
    ],
  }
  return {
    apiVersion: 'caisson.dev/v1alpha1',
    kind: 'SandboxSnapshot',
    metadata: {
      name: 'box.memory',
      namespace: 'ns',
      uid: 'snapshot-uid',
      resourceVersion: '1',
      ownerReferences: [OWNER],
    },
    spec: { sandboxName: 'box', endSource: true },
    status,
  }
}

const idlePod = aWatchedPod('True', 'Idle', 'Nothing has happened since then')
const SLEEP = 'patch Sandbox box idle'

describe('a Sandbox that is to be suspended when nothing happens in it', () => {
  test.each<[name: string, observed: ObservedSandbox, writes: string[]]>([
    ['goes on while something does', observe({ sandbox: asked(), pods: [aWatchedPod('False', 'Active')] }), []],
    ['is suspended once its node calls it idle', observe({ sandbox: asked(), pods: [idlePod] }), [SLEEP]],
    ['is asked for: nobody else is', observe({ sandbox: aSandbox(), pods: [idlePod] }), ['patch Pod box']],
    [
      'is not suspended for a Pod of somebody else',
      observe({ sandbox: asked(), pods: [aWatchedPod('True', 'Idle', '', { ownerReferences: [STRANGER] })] }),
      [],
    ],
    [
      'is not suspended for a Pod that goes',
      observe({
        sandbox: asked(),
        pods: [aWatchedPod('True', 'Idle', '', { deletionTimestamp: '2026-01-01T11:59:59Z' })],
      }),
      [],
    ],
    [
      'is not suspended once it has ended',
      observe({
        sandbox: asked(),
        pods: [{ ...idlePod, status: { ...idlePod.status, phase: 'Succeeded' } }],
      }),
      [],
    ],
    ['has its Pod told after how long', observe({ sandbox: asked(), pods: [aPod()] }), ['patch Pod box']],
    [
      'has its time anew where it could not be put to sleep and something happens again',
      observe({
        sandbox: asleep({ suspension: { memory: 'Keep' } }),
        pods: [aWatchedPod('False', 'Active')],
        memory: memory('DiskFull'),
      }),
      [SLEEP],
    ],
    [
      'stays as it is where it could not be put to sleep and nothing happens',
      observe({ sandbox: asleep({ suspension: { memory: 'Keep' } }), pods: [idlePod], memory: memory('DiskFull') }),
      [],
    ],
    [
      'falls asleep although its connections end',
      observe({
        sandbox: asleep({ suspension: { memory: 'Keep' } }),
        pods: [aWatchedPod('False', 'Active')],
        memory: memory('Taking'),
      }),
      [],
    ],
    [
      'is not suspended again that was woken while its memory was being kept',
      observe({ sandbox: asked({ suspension: { memory: 'Keep' } }), pods: [idlePod], memory: memory('Taking') }),
      [],
    ],
    ['sleeps', observe({ sandbox: asleep() }), []],
    ['waits in its pool without being watched', observe({ sandbox: pooled, pods: [idlePod] }), ['patch Pod box']],
    [
      'that was told to run is no longer called suspended by itself',
      observe({ sandbox: asleep({ operatingMode: 'Running' }), pods: [aWatchedPod('False', 'Active')] }),
      [SLEEP],
    ],
    [
      'that sleeps because somebody said so goes on sleeping',
      observe({ sandbox: asked({ operatingMode: 'Suspended' }), memory: memory('DiskFull') }),
      [],
    ],
  ])('%s', (_name, observed, writes) => {
    expect(writesOf(plan(observed))).toEqual(writes)
  })

  test('is suspended as everybody can read it, unless somebody decides otherwise meanwhile', () => {
    const [write] = plan(observe({ sandbox: asked({ replicas: 1 }), pods: [idlePod] })).writes
    expect(write).toEqual({
      verb: 'patch',
      id: SLEEP,
      resource: expect.objectContaining({ kind: 'Sandbox' }),
      target: { namespace: 'ns', name: 'box' },
      patch: {
        metadata: {
          uid: 'sandbox-uid',
          resourceVersion: '10',
          annotations: {
            'caisson.dev/suspended-by': 'Idle',
            'caisson.dev/suspended-for': 'pod-uid 2026-01-01T11:59:58Z',
          },
        },
        spec: { operatingMode: 'Suspended', replicas: 0 },
      },
      event: { type: 'Normal', reason: 'Idle', action: 'Suspension', message: 'Nothing happened for 600 s' },
    })
  })

  test('that was woken where it could not be put to sleep runs on until its node calls it idle once more', () => {
    const sleeps = observe({ sandbox: asked({ suspension: { memory: 'Keep' } }), pods: [idlePod] })
    const asleep = applied(sleeps, plan(sleeps))
    const { metadata, spec } = operatingModePatch(asleep.sandbox, 'Running')
    const annotations = { ...asleep.sandbox.metadata.annotations }
    for (const [key, value] of Object.entries(metadata.annotations)) {
      if (value === null) delete annotations[key]
      else annotations[key] = value
    }
    const woken = {
      ...asleep.sandbox,
      metadata: { ...asleep.sandbox.metadata, annotations },
      spec: { ...asleep.sandbox.spec, ...spec },
    }
    const writes = (pod: Pod) => writesOf(plan(observe({ sandbox: woken, pods: [pod], memory: memory('DiskFull') })))
    expect(writes(idlePod)).toEqual(['delete SandboxSnapshot box.memory'])
    const later = { ...IDLE_NOW, lastTransitionTime: '2026-01-01T13:00:00Z' }
    const again = { ...idlePod, status: { ...idlePod.status, conditions: [POD_READY, later] } }
    expect(writes(again)).toEqual([SLEEP, 'delete SandboxSnapshot box.memory'])
  })

  test('runs again as everybody can read it', () => {
    const observed = observe({
      sandbox: asleep({ suspension: { memory: 'Keep' } }),
      pods: [aWatchedPod('False', 'Active')],
      memory: memory('DiskFull'),
    })
    expect(plan(observed).writes[0]).toMatchObject({
      patch: { metadata: { annotations: { 'caisson.dev/suspended-by': null } }, spec: { operatingMode: 'Running' } },
    })
  })

  test.each<[name: string, observed: ObservedSandbox, said: string[]]>([
    ['nobody asked', observe({ sandbox: aSandbox(), pods: [idlePod] }), []],
    ['before it runs', observe({ sandbox: asked(), pods: [aPod()] }), []],
    [
      'a node that says nothing',
      observe({ sandbox: asked(), pods: [aReadyPod()] }),
      ['caisson.dev/Idle=Unknown/ActivityUnknown: The node of the Pod has not said whether anything happens in it'],
    ],
    [
      'what its node says',
      observe({ sandbox: asked(), pods: [aWatchedPod('False', 'Quiet', 'idle at noon')] }),
      ['caisson.dev/Idle=False/Quiet: idle at noon'],
    ],
    [
      'what only looks like its node',
      observe({ sandbox: asked(), pods: [aWatchedPod('False', 'x y', 'forged')] }),
      ['caisson.dev/Idle=Unknown/ActivityUnknown: The node of the Pod has not said whether anything happens in it'],
    ],
    [
      'asleep',
      observe({ sandbox: asleep() }),
      [
        'caisson.dev/Idle=True/Idle: Sandbox was suspended because nothing happened in it. An exec, attach or port-forward wakes it',
      ],
    ],
    ['asleep by somebody’s wish', observe({ sandbox: asked({ operatingMode: 'Suspended' }) }), []],
  ])('condition: %s', (_name, observed, said) => {
    expect(conditionsOf(plan(observed)).filter((text) => text.startsWith('caisson.dev/Idle'))).toEqual(said)
  })
})
