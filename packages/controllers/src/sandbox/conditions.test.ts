import { describe, expect, test } from 'vitest'
import type { ObservedSandbox } from './observed-sandbox.ts'
import {
  aPod,
  aReadyPod,
  aSandbox,
  aService,
  conditionsOf,
  observe,
  POD_READY,
  plan,
  SCHEDULED,
  STRANGER,
} from './observed-sandbox-fixtures.ts'

const notSuspended = 'Suspended=False/NotSuspended: Sandbox is not suspended'
const scheduled = 'PodScheduled=True/PodScheduled: '
const unreported = 'PodScheduled=Unknown/PodSchedulingUnknown: Pod has not reported a PodScheduled condition yet'
const unknown = 'PodScheduled=Unknown/PodSchedulingUnknown: Pod state is unknown. Pod scheduling cannot be determined'
const deletionTimestamp = '2026-01-01T11:59:59Z'
const suspendedSandbox = aSandbox({ spec: { operatingMode: 'Suspended' } })
const condition = (type: string, status: 'True' | 'False', reason: string) => ({
  type,
  status,
  reason,
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
})
const failure = {
  id: 'create Pod box',
  message: 'pods "box" is forbidden: no',
  permanent: false,
  namespaceTerminating: false,
}

// Every row of the table of conditions that agent-sandbox promises, and those of our own beneath.
test.each<[name: string, observed: ObservedSandbox, expected: string[]]>([
  ['Ready', observe({ pods: [aReadyPod()] }), [notSuspended, scheduled, 'Ready=True/DependenciesReady: Pod is Ready']],
  [
    'Ready with a Service that was asked for',
    observe({ sandbox: aSandbox({ spec: { service: true } }), pods: [aReadyPod()], service: aService() }),
    [notSuspended, scheduled, 'Ready=True/DependenciesReady: Pod is Ready; Service Exists'],
  ],
  [
    'Ready with a Service that was there already',
    observe({ pods: [aReadyPod()], service: aService() }),
    [notSuspended, scheduled, 'Ready=True/DependenciesReady: Pod is Ready; Service Exists'],
  ],
  [
    'a Service is missing',
    observe({ sandbox: aSandbox({ spec: { service: true } }), pods: [aReadyPod()] }),
    [notSuspended, scheduled, 'Ready=False/DependenciesNotReady: Pod is Ready; Service does not exist'],
  ],
  ['no Pod yet', observe(), [notSuspended, 'Ready=False/DependenciesNotReady: Pod does not exist']],
  [
    'a Pod that is pending',
    observe({ pods: [aPod()] }),
    [notSuspended, unreported, 'Ready=False/DependenciesNotReady: Pod exists with phase: Pending'],
  ],
  [
    'a Pod without a status',
    observe({ pods: [{ ...aPod(), status: {} }] }),
    [notSuspended, unreported, 'Ready=False/DependenciesNotReady: Pod exists with phase: '],
  ],
  [
    'a Pod that cannot be scheduled',
    observe({
      pods: [
        aPod(
          {},
          {
            phase: 'Pending',
            conditions: [
              { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/1 nodes are available' },
            ],
          },
        ),
      ],
    }),
    [
      notSuspended,
      'PodScheduled=False/Unschedulable: 0/1 nodes are available',
      'Ready=False/DependenciesNotReady: Pod exists with phase: Pending',
    ],
  ],
  [
    'a Pod whose scheduling failed without a reason',
    observe({ pods: [aPod({}, { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False' }] })] }),
    [
      notSuspended,
      'PodScheduled=False/PodSchedulingUnknown: ',
      'Ready=False/DependenciesNotReady: Pod exists with phase: Pending',
    ],
  ],
  [
    'a Pod that runs but is not ready',
    observe({ pods: [aPod({}, { phase: 'Running', conditions: [SCHEDULED, { type: 'Ready', status: 'False' }] })] }),
    [notSuspended, scheduled, 'Ready=False/DependenciesNotReady: Pod is Running but not Ready'],
  ],
  [
    'a Pod that is ready without an address',
    observe({ pods: [aPod({}, { phase: 'Running', conditions: [SCHEDULED, POD_READY] })] }),
    [notSuspended, scheduled, 'Ready=False/DependenciesNotReady: Pod is Ready but has no podIPs yet'],
  ],
  [
    'a Pod that is ready and was to have no network',
    observe({
      pods: [
        aPod(
          { annotations: { 'caisson.dev/network': 'none' } },
          { phase: 'Running', conditions: [SCHEDULED, POD_READY] },
        ),
      ],
    }),
    [notSuspended, scheduled, 'Ready=True/DependenciesReady: Pod is Ready'],
  ],
  [
    'a Pod that is ready on a machine without a network',
    observe({
      pods: [
        aPod(
          {},
          {
            phase: 'Running',
            conditions: [SCHEDULED, POD_READY, { type: 'caisson.dev/NetworkReady', status: 'False' }],
          },
        ),
      ],
    }),
    [notSuspended, scheduled, 'Ready=True/DependenciesReady: Pod is Ready'],
  ],
  [
    'a Pod that is ready before it runs',
    observe({ pods: [aPod({}, { phase: 'Unknown', conditions: [SCHEDULED, POD_READY] })] }),
    [notSuspended, scheduled, 'Ready=False/DependenciesNotReady: Pod exists with phase: Unknown'],
  ],
  [
    'two Pods',
    observe({ pods: [aReadyPod(), aReadyPod({ name: 'other', uid: 'other-uid' })] }),
    [
      notSuspended,
      unknown,
      'Ready=False/MultiplePods: multiple Pods (2) are controlled by this Sandbox; refusing to choose or create a Pod',
    ],
  ],
  [
    'the Pod succeeded',
    observe({ pods: [aPod({}, { phase: 'Succeeded', conditions: [SCHEDULED] })] }),
    [
      notSuspended,
      'Finished=True/PodSucceeded: Pod completed successfully',
      scheduled,
      'Ready=False/PodSucceeded: Pod completed successfully',
    ],
  ],
  [
    'the Pod failed',
    observe({ pods: [aPod({}, { phase: 'Failed', conditions: [SCHEDULED] })] }),
    [notSuspended, 'Finished=True/PodFailed: Pod failed', scheduled, 'Ready=False/PodFailed: Pod failed'],
  ],
  [
    'suspending',
    observe({ sandbox: suspendedSandbox, pods: [aReadyPod({ deletionTimestamp })] }),
    [
      'Suspended=False/PodTerminating: Pod is terminating. Sandbox is suspending',
      scheduled,
      'Ready=False/SandboxSuspended: Sandbox is suspending',
    ],
  ],
  [
    'suspended',
    observe({ sandbox: suspendedSandbox }),
    [
      'Suspended=True/PodTerminated: Pod has been terminated. Sandbox is suspended',
      'Ready=False/SandboxSuspended: Sandbox is suspended',
    ],
  ],
  [
    'suspended, with a stranger in the place of its Pod',
    observe({ sandbox: suspendedSandbox, pods: [aReadyPod({ ownerReferences: [STRANGER] })] }),
    [
      'Suspended=False/PodNotOwned: Refused to delete pod because it is not owned by this sandbox',
      'Ready=False/SandboxSuspended: Sandbox is suspending',
    ],
  ],
  [
    'suspended with two Pods',
    observe({ sandbox: suspendedSandbox, pods: [aReadyPod(), aReadyPod({ name: 'other', uid: 'other-uid' })] }),
    [
      'Suspended=Unknown/PodStateUnknown: Pod state is unknown. Sandbox suspension cannot be confirmed',
      unknown,
      'Ready=False/MultiplePods: multiple Pods (2) are controlled by this Sandbox; refusing to choose or create a Pod',
    ],
  ],
  [
    'an error that may pass',
    observe({ failures: [failure] }),
    [notSuspended, unknown, 'Ready=False/ReconcilerError: Error seen: pods "box" is forbidden: no'],
  ],
  [
    'two errors',
    observe({
      sandbox: aSandbox({ spec: { service: true } }),
      failures: [failure, { ...failure, id: 'create Service box', message: 'services "box" is forbidden: no' }],
    }),
    [
      notSuspended,
      unknown,
      'Ready=False/ReconcilerError: Error seen: pods "box" is forbidden: no\nservices "box" is forbidden: no',
    ],
  ],
  [
    'an error that cannot pass',
    observe({ failures: [{ ...failure, message: 'Pod "box" is invalid: spec', permanent: true }] }),
    [notSuspended, unknown, 'Ready=False/InvalidConfiguration: Pod "box" is invalid: spec'],
  ],
  [
    'one of each: what may pass is what counts',
    observe({
      sandbox: aSandbox({ spec: { service: true } }),
      failures: [failure, { ...failure, id: 'create Service box', message: 'invalid', permanent: true }],
    }),
    [notSuspended, unknown, 'Ready=False/ReconcilerError: Error seen: pods "box" is forbidden: no\ninvalid'],
  ],
  [
    'a Pod of its own that goes',
    observe({ pods: [aReadyPod({ deletionTimestamp })] }),
    [notSuspended, scheduled, 'Ready=False/PodTerminating: Pod is terminating'],
  ],
  [
    'a Pod that is deleted while it runs does not finish the Sandbox, whatever phase it ends in',
    observe({ pods: [aPod({ deletionTimestamp }, { phase: 'Failed', conditions: [SCHEDULED] })] }),
    [notSuspended, scheduled, 'Ready=False/PodTerminating: Pod is terminating'],
  ],
  [
    'a Pod that had finished before it was deleted stays finished',
    observe({
      sandbox: aSandbox({ status: { conditions: [condition('Finished', 'True', 'PodSucceeded')] } }),
      pods: [aPod({ deletionTimestamp }, { phase: 'Succeeded', conditions: [SCHEDULED] })],
    }),
    [
      'Finished=True/PodSucceeded: Pod completed successfully',
      notSuspended,
      scheduled,
      'Ready=False/PodSucceeded: Pod completed successfully',
    ],
  ],
  [
    'resumed: Suspended stays, as False',
    observe({
      sandbox: aSandbox({ status: { conditions: [condition('Suspended', 'True', 'PodTerminated')] } }),
      pods: [aPod()],
    }),
    [notSuspended, unreported, 'Ready=False/DependenciesNotReady: Pod exists with phase: Pending'],
  ],
  [
    'Finished and PodScheduled go with their Pod, what others wrote stays',
    observe({
      sandbox: aSandbox({
        status: {
          conditions: [
            condition('Finished', 'True', 'PodFailed'),
            condition('PodScheduled', 'True', 'PodScheduled'),
            condition('example.com/Checked', 'True', 'Yes'),
          ],
        },
      }),
    }),
    ['example.com/Checked=True/Yes: ', notSuspended, 'Ready=False/DependenciesNotReady: Pod does not exist'],
  ],
])('%s', (_name, observed, expected) => {
  expect(conditionsOf(plan(observed))).toEqual(expected)
})

describe('every condition', () => {
  test('carries the generation that it was computed from', () => {
    const generations = plan(observe({ pods: [aReadyPod()] })).status?.conditions?.map((c) => c.observedGeneration)
    expect(generations).toEqual([3, 3, 3])
  })

  test('has a message that the API accepts, however long the error', () => {
    const message = 'x'.repeat(100_000)
    const ready = plan(observe({ failures: [{ ...failure, message }] })).status?.conditions?.at(-1)
    expect(ready?.message.length).toBe(32_768)
    expect(ready?.message.endsWith('x…')).toBe(true)
  })
})
