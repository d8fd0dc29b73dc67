import type { Container, PodStatus } from 'kubernetes-types/core/v1.d.ts'
import { describe, expect, test } from 'vitest'
import type { ObservedPod } from './observed-pod.ts'
import { aPod, aRun, exited, NOW, observed, running, second } from './observed-pod-fixtures.ts'
import { podStatus } from './pod-status.ts'

const setup: Container = { name: 'setup', image: 'busybox' }
const proxy: Container = { name: 'proxy', image: 'busybox', restartPolicy: 'Always' }

function status(given: ObservedPod, options: { ending?: boolean } = {}): PodStatus {
  return podStatus(given, { now: NOW, ending: options.ending ?? false, eviction: undefined })
}

/** The states of the containers, and the conditions that do not hold. */
function brief(given: ObservedPod, options: { ending?: boolean } = {}) {
  const { phase, conditions, containerStatuses = [], initContainerStatuses = [] } = status(given, options)
  return {
    phase,
    not: (conditions ?? [])
      .filter((condition) => condition.status !== 'True')
      .map(({ type, reason, message }) => [type, reason, message].filter(Boolean).join(': ')),
    containers: Object.fromEntries(
      [...initContainerStatuses, ...containerStatuses].map(
        ({ name, state = {}, lastState = {}, ready, restartCount }) => [
          name,
          [
            describeState(state),
            ready ? 'ready' : 'unready',
            `#${restartCount}`,
            ...(lastState.terminated ? [`after ${describeState(lastState)}`] : []),
          ].join(' '),
        ],
      ),
    ),
  }
}

function describeState({
  waiting,
  running,
  terminated,
}: NonNullable<NonNullable<PodStatus['containerStatuses']>[number]['state']>): string {
  if (waiting) return waiting.message ? `${waiting.reason} (${waiting.message})` : (waiting.reason ?? '')
  if (running) return 'running'
  return `${terminated?.reason} ${terminated?.exitCode}${terminated?.message ? ` (${terminated.message})` : ''}`
}

describe('a resize', () => {
  const resources = { requests: { cpu: '2' }, limits: { cpu: '2' } }
  const before = { requests: { cpu: '1' }, limits: { cpu: '1' } }
  const pod = aPod({
    spec: { containers: [{ name: 'main', image: 'busybox', resources }] },
    status: { containerStatuses: [{ name: 'main', resources: before }] } as unknown as PodStatus,
  })
  const run = aRun(running())
  const brief = (fields: Partial<ObservedPod>) => {
    const { conditions, containerStatuses } = status(observed(pod, { runs: [run], ...fields }))
    const [main] = containerStatuses as unknown as Array<{ allocatedResources: object; resources: object }>
    return {
      conditions: conditions
        ?.filter(({ type }) => type.startsWith('PodResize'))
        .map(({ type, status, reason, message }) => [type, status, reason, message].filter(Boolean).join(' ')),
      allocated: main?.allocatedResources,
      resources: main?.resources,
    }
  }
  const due = { limits: {}, containers: new Map([[run.id ?? '', {}]]), restarts: [] }

  test('that is done leaves nothing to be said', () => {
    expect(brief({})).toEqual({ conditions: [], allocated: { cpu: '2' }, resources })
  })

  test('that is granted shows what is in force', () => {
    const expected = { conditions: ['PodResizeInProgress True'], allocated: { cpu: '2' }, resources: before }
    expect(brief({ limitsDue: due })).toEqual(expected)
    expect(brief({ limitsDue: { ...due, containers: new Map(), restarts: [run] } })).toEqual(expected)
  })

  test('that fails says why', () => {
    expect(brief({ limitsDue: due, resizeFailure: { message: 'in use', retryAt: NOW } }).conditions).toEqual([
      'PodResizeInProgress True Error in use',
    ])
  })

  test('that is not granted says why', () => {
    expect(brief({ pendingResize: { reason: 'Deferred', message: 'no room' } }).conditions).toEqual([
      'PodResizePending True Deferred no room',
    ])
  })
})

describe('podStatus', () => {
  test('of a Pod that runs', () => {
    const pod = aPod({
      generation: 1,
      spec: {
        containers: [
          {
            name: 'main',
            image: 'busybox',
            resources: { requests: { cpu: '100m' } },
            volumeMounts: [
              { name: 'data', mountPath: '/data' },
              { name: 'token', mountPath: '/token', readOnly: true },
            ],
          },
        ],
      },
      status: {
        startTime: '2026-01-01T11:00:00Z',
        conditions: [
          { type: 'PodScheduled', status: 'True', lastTransitionTime: '2026-01-01T11:00:00Z' },
          { type: 'Ready', status: 'False', lastTransitionTime: '2026-01-01T11:00:00Z' },
          { type: 'example.com/gate', status: 'True', lastTransitionTime: '2026-01-01T10:00:00Z' },
        ],
      },
    })
    const user = { uid: 1000, gid: 1000, supplementalGroups: [2000] }
    expect(status(observed(pod, { runs: [aRun(running(), { user })] }))).toEqual({
      observedGeneration: 1,
      phase: 'Running',
      conditions: [
        { type: 'example.com/gate', status: 'True', lastTransitionTime: '2026-01-01T10:00:00Z' },
        {
          type: 'PodReadyToStartContainers',
          status: 'True',
          observedGeneration: 1,
          lastTransitionTime: '2026-01-01T12:00:00Z',
        },
        { type: 'Initialized', status: 'True', observedGeneration: 1, lastTransitionTime: '2026-01-01T12:00:00Z' },
        { type: 'Ready', status: 'True', observedGeneration: 1, lastTransitionTime: '2026-01-01T12:00:00Z' },
        { type: 'ContainersReady', status: 'True', observedGeneration: 1, lastTransitionTime: '2026-01-01T12:00:00Z' },
        { type: 'PodScheduled', status: 'True', observedGeneration: 1, lastTransitionTime: '2026-01-01T11:00:00Z' },
      ],
      hostIP: '192.0.2.1',
      hostIPs: [{ ip: '192.0.2.1' }],
      podIP: '10.1.0.2',
      podIPs: [{ ip: '10.1.0.2' }],
      startTime: '2026-01-01T11:00:00Z',
      containerStatuses: [
        {
          name: 'main',
          state: { running: { startedAt: '2026-01-01T11:59:00Z' } },
          lastState: {},
          ready: true,
          restartCount: 0,
          image: 'docker.io/library/busybox:latest',
          imageID: 'sha256:1234',
          containerID: 'caisson://uid-1-main-0',
          started: true,
          allocatedResources: { cpu: '100m' },
          resources: { requests: { cpu: '100m' } },
          volumeMounts: [
            { name: 'data', mountPath: '/data' },
            { name: 'token', mountPath: '/token', readOnly: true, recursiveReadOnly: 'Disabled' },
          ],
          user: { linux: { uid: 1000, gid: 1000, supplementalGroups: [2000] } },
        },
      ],
      qosClass: 'Burstable',
    })
  })

  const unready = (name = 'main') => [
    `Ready: ContainersNotReady: containers with unready status: [${name}]`,
    `ContainersReady: ContainersNotReady: containers with unready status: [${name}]`,
  ]

  test.each<[name: string, given: ObservedPod, options: { ending?: boolean }, expected: ReturnType<typeof brief>]>([
    [
      'before its sandbox',
      observed(aPod(), { sandbox: undefined }),
      {},
      {
        phase: 'Pending',
        not: ['PodReadyToStartContainers', ...unready()],
        containers: { main: 'ContainerCreating unready #0' },
      },
    ],
    [
      'whose runtime is missing',
      observed(aPod(), {
        sandbox: undefined,
        setback: { retryAt: NOW, waiting: { reason: 'FailedCreatePodSandBox', message: 'no runtime' } },
      }),
      {},
      {
        phase: 'Pending',
        not: ['PodReadyToStartContainers', ...unready()],
        containers: { main: 'FailedCreatePodSandBox (no runtime) unready #0' },
      },
    ],
    [
      'that is being initialized',
      observed(aPod({ spec: { initContainers: [setup, proxy] } }), { runs: [aRun(running(), { name: 'setup' })] }),
      {},
      {
        phase: 'Pending',
        not: [
          'Initialized: ContainersNotInitialized: containers with incomplete status: [setup proxy]',
          ...unready('proxy main'),
        ],
        containers: {
          setup: 'running unready #0',
          proxy: 'PodInitializing unready #0',
          main: 'PodInitializing unready #0',
        },
      },
    ],
    [
      'whose init container waits to be started again',
      observed(aPod({ spec: { initContainers: [setup] } }), {
        runs: [aRun(exited(1), { name: 'setup', restartCount: 2, backOffMs: 20 * second })],
      }),
      {},
      {
        phase: 'Pending',
        not: ['Initialized: ContainersNotInitialized: containers with incomplete status: [setup]', ...unready()],
        containers: {
          setup:
            'CrashLoopBackOff (back-off 20s restarting failed container=setup pod=web_default(uid-1)) unready #2 after Error 1',
          main: 'PodInitializing unready #0',
        },
      },
    ],
    [
      'with a sidecar that is being started again',
      observed(aPod({ spec: { initContainers: [proxy] } }), {
        runs: [aRun(exited(1), { name: 'proxy', backOffMs: 10 * second }), aRun(running())],
      }),
      {},
      {
        phase: 'Running',
        not: unready('proxy'),
        containers: {
          proxy:
            'CrashLoopBackOff (back-off 10s restarting failed container=proxy pod=web_default(uid-1)) unready #0 after Error 1',
          main: 'running ready #0',
        },
      },
    ],
    [
      'whose container crashes',
      observed(aPod(), {
        runs: [aRun(exited(137), { restartCount: 5, backOffMs: 160 * second }), aRun(exited(1), { restartCount: 4 })],
      }),
      {},
      {
        phase: 'Running',
        not: unready(),
        containers: {
          main: 'CrashLoopBackOff (back-off 2m40s restarting failed container=main pod=web_default(uid-1)) unready #5 after Error 137',
        },
      },
    ],
    [
      'whose container runs again',
      observed(aPod(), {
        runs: [aRun(running(), { restartCount: 1 }), aRun(exited(2), { terminationMessage: 'no luck' })],
      }),
      {},
      { phase: 'Running', not: [], containers: { main: 'running ready #1 after Error 2 (no luck)' } },
    ],
    [
      'whose image is missing',
      observed(aPod(), {
        failures: new Map([['main', { reason: 'ErrImagePull', message: 'not there', retryAt: NOW }]]),
      }),
      {},
      { phase: 'Pending', not: unready(), containers: { main: 'ErrImagePull (not there) unready #0' } },
    ],
    [
      'whose image went missing between two runs',
      observed(aPod(), {
        runs: [aRun(exited(1))],
        failures: new Map([['main', { reason: 'ErrImagePull', message: 'not there', retryAt: NOW }]]),
      }),
      {},
      { phase: 'Running', not: unready(), containers: { main: 'ErrImagePull (not there) unready #0 after Error 1' } },
    ],
    [
      'whose command is not there',
      observed(aPod(), {
        runs: [
          aRun(
            { phase: 'exited', exitCode: 128, startedAt: 0, finishedAt: NOW, reason: 'start-failed' },
            { terminationMessage: 'no such file', restartCount: 1, backOffMs: 10 * second },
          ),
        ],
      }),
      {},
      {
        phase: 'Running',
        not: unready(),
        containers: {
          main: 'CrashLoopBackOff (back-off 10s restarting failed container=main pod=web_default(uid-1)) unready #1 after StartError 128 (no such file)',
        },
      },
    ],
    [
      'that has succeeded',
      observed(aPod({ spec: { restartPolicy: 'Never' } }), { runs: [aRun(exited(0))] }),
      {},
      {
        phase: 'Succeeded',
        not: ['Ready: PodCompleted', 'ContainersReady: PodCompleted'],
        containers: { main: 'Completed 0 unready #0' },
      },
    ],
    [
      'that has failed',
      observed(aPod({ spec: { restartPolicy: 'Never' } }), {
        runs: [aRun({ phase: 'exited', exitCode: 137, startedAt: NOW, finishedAt: NOW, reason: 'oom-killed' })],
      }),
      {},
      {
        phase: 'Failed',
        not: ['Ready: PodFailed', 'ContainersReady: PodFailed'],
        containers: { main: 'OOMKilled 137 unready #0' },
      },
    ],
    [
      'that was deleted while it waited to be started again',
      observed(aPod({ deleted: { graceSeconds: 30 } }), { runs: [aRun(exited(1), { backOffMs: 300 * second })] }),
      { ending: true },
      {
        phase: 'Failed',
        not: ['Ready: PodFailed', 'ContainersReady: PodFailed'],
        containers: { main: 'Error 1 unready #0' },
      },
    ],
    [
      'whose readiness gates are not passed',
      observed(
        aPod({
          spec: {
            readinessGates: [{ conditionType: 'a/one' }, { conditionType: 'a/two' }, { conditionType: 'a/three' }],
          },
          status: {
            conditions: [
              { type: 'a/one', status: 'True' },
              { type: 'a/two', status: 'False' },
            ],
          },
        }),
        { runs: [aRun(running())] },
      ),
      {},
      {
        phase: 'Running',
        not: [
          'a/two',
          'Ready: ReadinessGatesNotReady: the status of pod readiness gate "a/two" is not "True", but False, corresponding condition of pod readiness gate "a/three" does not exist.',
        ],
        containers: { main: 'running ready #0' },
      },
    ],
    [
      'of whose container nobody knows what became of it',
      observed(aPod({ spec: { restartPolicy: 'Never' } }), {
        runs: [
          aRun(
            { phase: 'exited', exitCode: 137, startedAt: NOW, finishedAt: NOW, reason: 'monitor-died' },
            { past: true, terminationMessage: 'The container could not be located when the pod was terminated' },
          ),
        ],
      }),
      {},
      {
        phase: 'Failed',
        not: ['Ready: PodFailed', 'ContainersReady: PodFailed'],
        containers: {
          main: 'ContainerStatusUnknown 137 (The container could not be located when the pod was terminated) unready #0',
        },
      },
    ],
  ])('of a Pod %s', (_name, given, options, expected) => {
    expect(brief(given, options)).toEqual(expected)
  })

  test('of a container that was put into it, which is never ready and says nothing of having started', () => {
    const pod = aPod({ spec: { ephemeralContainers: [{ name: 'debug', image: 'busybox' }] } })
    const seen = (given: ObservedPod) => status(given).ephemeralContainerStatuses
    const entry = {
      name: 'debug',
      lastState: {},
      ready: false,
      restartCount: 0,
      image: 'docker.io/library/busybox:latest',
      imageID: 'sha256:1234',
      containerID: 'caisson://uid-1-debug-0',
    }
    expect(seen(observed(pod, { runs: [aRun(running()), aRun(running(), { name: 'debug' })] }))).toEqual([
      { ...entry, state: { running: { startedAt: '2026-01-01T11:59:00Z' } } },
    ])
    expect(seen(observed(pod, { runs: [aRun(running()), aRun(exited(1), { name: 'debug' })] }))).toMatchObject([
      { ...entry, state: { terminated: { exitCode: 1, reason: 'Error' } } },
    ])
    expect(seen(observed(pod, { runs: [aRun(running())] }))).toMatchObject([
      { state: { waiting: { reason: 'ContainerCreating' } } },
    ])
  })

  test('last words are cut to their share, between two characters', () => {
    const words = 'é'.repeat(10_000)
    const given = observed(aPod({ spec: { containers: [{ name: 'main' }, { name: 'other' }] } }), {
      runs: [aRun(exited(1), { terminationMessage: words, backOffMs: 10 * second })],
    })
    const message = status(given).containerStatuses?.[0]?.lastState?.terminated?.message ?? ''
    expect([Buffer.byteLength(message), message]).toEqual([6144, words.slice(0, 3072)])
  })

  test('why a Pod failed stays while it is failed', () => {
    const given = observed(aPod({ status: { phase: 'Failed', reason: 'DeadlineExceeded', message: 'too long' } }), {
      runs: [aRun(exited(0))],
    })
    expect(status(given, { ending: true })).toMatchObject({
      phase: 'Failed',
      reason: 'DeadlineExceeded',
      message: 'too long',
    })
  })
})
