import { SNAPSHOT_ANNOTATION } from '@caisson/api'
import type { PodObject } from '@caisson/client'
import fc from 'fast-check'
import type { Container, PodSpec } from 'kubernetes-types/core/v1.d.ts'
import { describe, expect, test } from 'vitest'
import type { ContainerRun, ObservedPod } from './observed-pod.ts'
import { aPod, aRun, exited, NOW, observed, running, second } from './observed-pod-fixtures.ts'
import { type PodAction, planPod } from './plan-pod.ts'

const main: Container = { name: 'main', image: 'busybox' }
const other: Container = { name: 'other', image: 'busybox' }
const setup: Container = { name: 'setup', image: 'busybox' }
const migrate: Container = { name: 'migrate', image: 'busybox' }
const proxy: Container = { name: 'proxy', image: 'busybox', restartPolicy: 'Always' }

/** An action in one line. */
function said(action: PodAction): string {
  switch (action.kind) {
    case 'start-container':
      return `start ${action.container.name} #${action.restartCount} then ${action.backOffMs / second} s`
    case 'stop-container':
      return `stop ${action.container} within ${action.graceMs / second} s`
    case 'create-sandbox':
      return `create ${action.shared ? 'shared ' : ''}sandbox ${action.attempt}`
    case 'remove-container':
    case 'remove-sandbox':
      return `${action.kind} ${action.id}`
    case 'prepare':
    case 'remove-volumes':
      return action.kind
    default:
      return action satisfies never
  }
}

function plan(given: ObservedPod): { does: string[]; wakes?: number; phase?: string | undefined; is?: string } {
  const { actions, wakeAt, status, finished, forgotten } = planPod(given, NOW)
  return {
    does: actions.map(said),
    ...(wakeAt !== undefined && { wakes: (wakeAt - NOW) / second }),
    ...(status && { phase: status.phase }),
    ...((finished || forgotten) && { is: finished ? 'finished' : 'forgotten' }),
  }
}

const debug = { name: 'debug', image: 'busybox' }

function aPodFrom(snapshot: string, spec: Partial<PodSpec>): PodObject {
  const pod = aPod({ spec })
  return { ...pod, metadata: { ...pod.metadata, annotations: { [SNAPSHOT_ANNOTATION]: snapshot } } }
}

const start = '2026-01-01T11:59:00Z'

const unwell = {
  started: true,
  ready: false,
  failed: { message: 'Container main failed liveness probe, will be restarted', graceSeconds: 5, waiting: undefined },
}
const many = Array.from({ length: 15_000 }, (_, index): Container => ({ name: `c-${index}`, image: 'busybox' }))
const nothing = { prepared: false, sandbox: undefined, nextAttempt: 0, hasDirectory: false }

describe('planPod', () => {
  test.each<[name: string, given: ObservedPod, expected: ReturnType<typeof plan>]>([
    [
      'a new Pod gets its volumes',
      observed(aPod(), { prepared: false, sandbox: undefined, nextAttempt: 0 }),
      { does: ['prepare'], phase: 'Pending' },
    ],
    [
      'but one with thousands of containers is told no',
      observed(aPod({ spec: { containers: many } }), nothing),
      { does: [], phase: 'Failed' },
    ],
    [
      'which is no more work once it knows',
      observed(aPod({ spec: { containers: many }, status: { phase: 'Failed' } }), nothing),
      { does: [] },
    ],
    [
      'and goes at once',
      observed(
        aPod({ spec: { containers: many }, status: { phase: 'Failed' }, deleted: { graceSeconds: 30 } }),
        nothing,
      ),
      { does: [], is: 'finished' },
    ],
    [
      'as do thousands of init containers, volumes or mounts',
      observed(
        aPod({
          spec: { containers: [{ ...main, volumeMounts: many.map(({ name }) => ({ name, mountPath: `/${name}` })) }] },
        }),
        nothing,
      ),
      { does: [], phase: 'Failed' },
    ],
    [
      'then its sandbox',
      observed(aPod(), { sandbox: undefined, nextAttempt: 0 }),
      { does: ['create sandbox 0'], phase: 'Pending' },
    ],
    ['then its container', observed(aPod()), { does: ['start main #0 then 0 s'], phase: 'Pending' }],
    [
      'and is left alone while that runs',
      observed(aPod(), { runs: [aRun(running())] }),
      { does: [], phase: 'Running' },
    ],
    [
      'all containers at once',
      observed(aPod({ spec: { containers: [main, other] } }), { runs: [aRun(running(), { name: 'other' })] }),
      { does: ['start main #0 then 0 s'], phase: 'Pending' },
    ],
    [
      'one whose probe failed is stopped, within its own grace',
      observed(aPod(), { runs: [aRun(running())], health: new Map([['uid-1-main-0', unwell]]) }),
      { does: ['stop main within 5 s'], phase: 'Running' },
    ],
    [
      'once',
      observed(aPod(), {
        runs: [aRun(running())],
        health: new Map([['uid-1-main-0', unwell]]),
        stopping: new Map([['uid-1-main-0', NOW + 5 * second]]),
      }),
      { does: [], phase: 'Running' },
    ],
    [
      'and started again when it has ended',
      observed(aPod(), { runs: [aRun(exited(137))] }),
      { does: ['start main #1 then 10 s'], phase: 'Running' },
    ],
    [
      'what keeps it from its sandbox is waited for',
      observed(aPod(), { sandbox: undefined, setback: { retryAt: NOW + 10 * second } }),
      { does: [], wakes: 10, phase: 'Pending' },
    ],
    [
      'what keeps a container from starting is waited for, and holds up no other',
      observed(aPod({ spec: { containers: [main, other] } }), {
        failures: new Map([['main', { reason: 'ErrImagePull', message: 'x', retryAt: NOW + 7 * second }]]),
      }),
      { does: ['start other #0 then 0 s'], wakes: 7, phase: 'Pending' },
    ],

    [
      'the first end is followed by a start at once',
      observed(aPod(), { runs: [aRun(exited(1))] }),
      { does: ['start main #1 then 10 s'], phase: 'Running' },
    ],
    [
      'a later one by a wait',
      observed(aPod(), { runs: [aRun(exited(1), { restartCount: 3, backOffMs: 40 * second })] }),
      { does: [], wakes: 39, phase: 'Running' },
    ],
    [
      'which doubles each time',
      observed(aPod(), {
        runs: [aRun(exited(1, { at: NOW - 40 * second }), { restartCount: 3, backOffMs: 40 * second })],
      }),
      { does: ['start main #4 then 80 s'], phase: 'Running' },
    ],
    [
      'up to five minutes',
      observed(aPod(), {
        runs: [aRun(exited(0, { at: NOW - 400 * second }), { restartCount: 9, backOffMs: 300 * second })],
      }),
      { does: ['start main #10 then 300 s'], phase: 'Running' },
    ],
    [
      'unless the container ran for more than ten',
      observed(aPod(), {
        runs: [aRun(exited(1, { after: 601 * second }), { restartCount: 9, backOffMs: 300 * second })],
      }),
      { does: ['start main #10 then 10 s'], phase: 'Running' },
    ],
    [
      'only the last two runs are kept',
      observed(aPod(), {
        runs: [
          aRun(running(), { restartCount: 3 }),
          aRun(exited(1), { restartCount: 2 }),
          aRun(exited(1), { restartCount: 1 }),
        ],
      }),
      { does: ['remove-container uid-1-main-1'], phase: 'Running' },
    ],

    ...(['OnFailure', 'Never'] as const).map((restartPolicy): [string, ObservedPod, ReturnType<typeof plan>] => [
      `with ${restartPolicy} a success is the end`,
      observed(aPod({ spec: { restartPolicy } }), { runs: [aRun(exited(0))] }),
      { does: [], phase: 'Succeeded' },
    ]),
    [
      'with OnFailure a failure is not',
      observed(aPod({ spec: { restartPolicy: 'OnFailure' } }), { runs: [aRun(exited(1))] }),
      { does: ['start main #1 then 10 s'], phase: 'Running' },
    ],
    [
      'with Never it is',
      observed(aPod({ spec: { restartPolicy: 'Never' } }), { runs: [aRun(exited(1))] }),
      { does: [], phase: 'Failed' },
    ],
    [
      'a Pod goes on while one of its containers does',
      observed(aPod({ spec: { restartPolicy: 'Never', containers: [main, other] } }), {
        runs: [aRun(exited(0)), aRun(running(), { name: 'other' })],
      }),
      { does: [], phase: 'Running' },
    ],
    [
      'when the API knows of the end, the sandbox and the volumes go',
      observed(aPod({ spec: { restartPolicy: 'Never' }, status: { phase: 'Succeeded' } }), { runs: [aRun(exited(0))] }),
      { does: ['remove-sandbox uid-1-0', 'remove-volumes'] },
    ],
    [
      'and then nothing is left to do',
      observed(aPod({ spec: { restartPolicy: 'Never' }, status: { phase: 'Succeeded' } }), {
        sandbox: undefined,
        prepared: false,
        hasDirectory: false,
      }),
      { does: [] },
    ],

    [
      'init containers run one after the other',
      observed(aPod({ spec: { initContainers: [setup, migrate] } }), { runs: [aRun(exited(0), { name: 'setup' })] }),
      { does: ['start migrate #0 then 0 s'], phase: 'Pending' },
    ],
    [
      'and before the others',
      observed(aPod({ spec: { initContainers: [setup] } }), { runs: [aRun(running(), { name: 'setup' })] }),
      { does: [], phase: 'Pending' },
    ],
    [
      'one that failed runs again',
      observed(aPod({ spec: { initContainers: [setup] } }), { runs: [aRun(exited(1), { name: 'setup' })] }),
      { does: ['start setup #1 then 10 s'], phase: 'Pending' },
    ],
    [
      'unless the policy is Never: then the Pod has failed',
      observed(aPod({ spec: { initContainers: [setup], restartPolicy: 'Never' } }), {
        runs: [aRun(exited(1), { name: 'setup' })],
      }),
      { does: [], phase: 'Failed' },
    ],
    [
      'a sidecar with a startup probe is waited for until that passes',
      observed(aPod({ spec: { initContainers: [{ ...proxy, startupProbe: {} }, setup] } }), {
        runs: [aRun(running(), { name: 'proxy' })],
      }),
      { does: [], phase: 'Pending' },
    ],
    [
      'a sidecar is only waited for until it runs',
      observed(aPod({ spec: { initContainers: [proxy, setup] } }), { runs: [aRun(running(), { name: 'proxy' })] }),
      { does: ['start setup #0 then 0 s'], phase: 'Pending' },
    ],
    [
      'and is started again as long as the Pod lives, also with Never',
      observed(aPod({ spec: { initContainers: [proxy], restartPolicy: 'Never' } }), {
        runs: [aRun(exited(0), { name: 'proxy' }), aRun(running())],
      }),
      { does: ['start proxy #1 then 10 s'], phase: 'Running' },
    ],
    [
      'what was initialized is not initialized again, although the runs are forgotten',
      observed(aPod({ spec: { initContainers: [setup] } }), { runs: [aRun(exited(1))] }),
      { does: ['start main #1 then 10 s'], phase: 'Pending' },
    ],
    [
      'a sidecar alone does not keep a Pod alive',
      observed(aPod({ spec: { initContainers: [proxy], restartPolicy: 'Never' } }), {
        runs: [aRun(exited(0)), aRun(running(), { name: 'proxy' })],
      }),
      { does: ['stop proxy within 30 s'], phase: 'Running' },
    ],

    [
      'a container that is put into it comes beside the one that runs',
      observed(aPod({ spec: { ephemeralContainers: [debug] } }), { runs: [aRun(running())] }),
      { does: ['start debug #0 then 0 s'], phase: 'Running' },
    ],
    [
      'once',
      observed(aPod({ spec: { ephemeralContainers: [debug] } }), {
        runs: [aRun(running()), aRun(exited(1), { name: 'debug' })],
      }),
      { does: [], phase: 'Running' },
    ],
    [
      'not before its image is there',
      observed(aPod({ spec: { ephemeralContainers: [debug] } }), {
        runs: [aRun(running())],
        pulling: new Set(['debug']),
      }),
      { does: [], phase: 'Running' },
    ],
    [
      'where none runs, the sandbox gives way to one that holds itself open',
      observed(aPod({ spec: { ephemeralContainers: [debug] } }), {
        runs: [aRun(exited(1), { backOffMs: 10 * second })],
      }),
      { does: ['remove-sandbox uid-1-0'], phase: 'Running' },
    ],
    [
      'which it comes into at once',
      observed(aPod({ spec: { ephemeralContainers: [debug] } }), {
        sandbox: undefined,
        runs: [aRun(exited(1), { backOffMs: 10 * second, past: true })],
      }),
      { does: ['create shared sandbox 1'], phase: 'Running' },
    ],
    [
      'whatever the others wait for',
      observed(aPod({ spec: { initContainers: [setup], ephemeralContainers: [debug] } }), {
        sandbox: { id: 'uid-1-0', attempt: 0, shared: true, alive: true, ip: '10.1.0.2' },
        runs: [aRun(running(), { name: 'setup' })],
      }),
      { does: ['start debug #0 then 0 s'], phase: 'Pending' },
    ],
    [
      'a Pod that begins with a snapshot keeps its sandbox, which alone can take that up',
      observed(aPodFrom('kept', { ephemeralContainers: [debug] }), {
        runs: [aRun(exited(1), { backOffMs: 10 * second })],
      }),
      { does: [], phase: 'Running', wakes: 9 },
    ],
    [
      'and does not keep a Pod alive',
      observed(aPod({ spec: { restartPolicy: 'Never', ephemeralContainers: [debug] } }), {
        runs: [aRun(exited(0)), aRun(running(), { name: 'debug' })],
      }),
      { does: ['stop debug within 30 s'], phase: 'Running' },
    ],

    [
      'a sandbox that died is taken away',
      observed(aPod(), {
        sandbox: { id: 'uid-1-0', attempt: 0, shared: false, alive: false, ip: '10.1.0.2' },
        runs: [aRun(exited(137))],
      }),
      { does: ['remove-sandbox uid-1-0'], phase: 'Running' },
    ],
    [
      'and made anew',
      observed(aPod(), { sandbox: undefined, runs: [aRun(exited(137), { past: true })] }),
      { does: ['create sandbox 1'], phase: 'Running' },
    ],
    [
      'in which everything begins again',
      observed(aPod({ spec: { initContainers: [setup] } }), {
        runs: [aRun(exited(0), { name: 'setup', past: true }), aRun(exited(137), { past: true })],
      }),
      { does: ['start setup #1 then 10 s'], phase: 'Running' },
    ],
    [
      'unless nothing of it would be started again',
      observed(aPod({ spec: { restartPolicy: 'Never' } }), {
        sandbox: { id: 'uid-1-0', attempt: 0, shared: false, alive: false, ip: '10.1.0.2' },
        runs: [aRun(exited(137))],
      }),
      { does: [], phase: 'Failed' },
    ],

    [
      'a deleted Pod is stopped within its grace',
      observed(aPod({ deleted: { graceSeconds: 5 } }), { runs: [aRun(running())] }),
      { does: ['stop main within 5 s'], phase: 'Running' },
    ],
    [
      'but never at once',
      observed(aPod({ deleted: { graceSeconds: 0 } }), { runs: [aRun(running())] }),
      { does: ['stop main within 2 s'], phase: 'Running' },
    ],
    [
      'and once',
      observed(aPod({ deleted: { graceSeconds: 30 } }), {
        runs: [aRun(running())],
        stopping: new Map([['uid-1-main-0', NOW + 20 * second]]),
      }),
      { does: [], phase: 'Running' },
    ],
    [
      'unless the grace was shortened',
      observed(aPod({ deleted: { graceSeconds: 5 } }), {
        runs: [aRun(running())],
        stopping: new Map([['uid-1-main-0', NOW + 20 * second]]),
      }),
      { does: ['stop main within 5 s'], phase: 'Running' },
    ],
    [
      'sidecars go last, in reverse',
      observed(aPod({ spec: { initContainers: [proxy, { ...proxy, name: 'log' }] }, deleted: { graceSeconds: 30 } }), {
        runs: [aRun(running(), { name: 'proxy' }), aRun(running(), { name: 'log' }), aRun(exited(0))],
      }),
      { does: ['stop log within 30 s'], phase: 'Running' },
    ],
    [
      'a deleted Pod is not started again, and the API is told how it ended',
      observed(aPod({ deleted: { graceSeconds: 30 } }), { runs: [aRun(exited(143))] }),
      { does: [], phase: 'Failed' },
    ],
    [
      'then it is cleaned up',
      observed(aPod({ deleted: { graceSeconds: 30 }, status: { phase: 'Failed' } }), { runs: [aRun(exited(143))] }),
      { does: ['remove-sandbox uid-1-0', 'remove-volumes'] },
    ],
    [
      'then its object is',
      observed(aPod({ deleted: { graceSeconds: 30 }, status: { phase: 'Failed' } }), {
        sandbox: undefined,
        prepared: false,
        hasDirectory: false,
      }),
      { does: [], is: 'finished' },
    ],
    [
      'one that had not begun has failed',
      observed(aPod({ deleted: { graceSeconds: 30 } }), { sandbox: undefined, prepared: false, hasDirectory: false }),
      { does: [], phase: 'Failed' },
    ],
    [
      'a Pod that the API has forgotten is stopped',
      observed(aPod(), { orphaned: true, runs: [aRun(running())] }),
      { does: ['stop main within 2 s'] },
    ],
    [
      'cleaned up without a word',
      observed(aPod(), { orphaned: true, runs: [aRun(exited(137))] }),
      { does: ['remove-sandbox uid-1-0', 'remove-volumes'] },
    ],
    [
      'and forgotten',
      observed(aPod(), { orphaned: true, sandbox: undefined, prepared: false, hasDirectory: false }),
      { does: [], is: 'forgotten' },
    ],

    [
      'a deadline ahead is waited for',
      observed(aPod({ spec: { activeDeadlineSeconds: 90 }, status: { startTime: start } }), {
        runs: [aRun(running())],
      }),
      { does: [], wakes: 30, phase: 'Running' },
    ],
    [
      'one that has passed stops the Pod',
      observed(aPod({ spec: { activeDeadlineSeconds: 60 }, status: { startTime: start, phase: 'Running' } }), {
        runs: [aRun(running())],
      }),
      { does: ['stop main within 30 s'], phase: 'Running' },
    ],
    [
      'and lets it fail',
      observed(aPod({ spec: { activeDeadlineSeconds: 60 }, status: { startTime: start, phase: 'Running' } }), {
        runs: [aRun(exited(0))],
      }),
      { does: [], phase: 'Failed' },
    ],
  ])('%s', (_name, given, expected) => {
    expect(plan(given)).toEqual(expected)
  })

  const state = fc.oneof(
    fc.integer({ min: 1, max: 5000 }).map((ago) => running(NOW - ago * second)),
    fc
      .tuple(fc.constantFrom(0, 1, 137), fc.integer({ min: 0, max: 2000 }), fc.integer({ min: 0, max: 2000 }))
      .map(([code, ago, after]) => exited(code, { at: NOW - ago * second, after: after * second })),
  )
  const spec: fc.Arbitrary<Partial<PodSpec>> = fc.record({
    restartPolicy: fc.constantFrom('Always', 'OnFailure', 'Never'),
    containers: fc.constantFrom([main], [main, other]),
    initContainers: fc.constantFrom([], [setup], [proxy], [setup, proxy], [proxy, migrate]),
  })
  const anything: fc.Arbitrary<ObservedPod> = fc
    .record({
      spec,
      deleted: fc.option(fc.constantFrom({ graceSeconds: 0 }, { graceSeconds: 30 }), { nil: undefined }),
      orphaned: fc.boolean(),
      prepared: fc.boolean(),
      alive: fc.option(fc.boolean(), { nil: undefined }),
      states: fc.dictionary(fc.constantFrom('main', 'other', 'setup', 'migrate', 'proxy'), state),
      phase: fc.constantFrom(undefined, 'Pending', 'Running', 'Succeeded', 'Failed'),
      backOffMs: fc.constantFrom(0, 10 * second, 300 * second),
    })
    .map(({ spec, deleted, orphaned, prepared, alive, states, phase, backOffMs }) =>
      observed(aPod({ spec, ...(deleted && { deleted }), ...(phase && { status: { phase } }) }), {
        orphaned,
        prepared,
        sandbox: alive === undefined ? undefined : { id: 'uid-1-0', attempt: 0, shared: false, alive, ip: undefined },
        // Nothing runs without a sandbox.
        runs: Object.entries(states).map(
          ([name, state]): ContainerRun =>
            alive ? aRun(state, { name, backOffMs }) : aRun(exited(1), { name, backOffMs, past: true }),
        ),
      }),
    )

  test('planning changes nothing and depends on nothing else', () => {
    fc.assert(
      fc.property(anything, (given) => {
        const before = structuredClone(given)
        expect(planPod(given, NOW)).toEqual(planPod(given, NOW))
        expect(given).toEqual(before)
      }),
    )
  })

  test('a Pod that is to end starts nothing, and its phase never goes back', () => {
    fc.assert(
      fc.property(anything, (given) => {
        const { actions, status } = planPod(given, NOW)
        const ending = given.orphaned || given.pod.metadata.deletionTimestamp !== undefined
        if (ending)
          expect(actions.filter(({ kind }) => kind.startsWith('start') || kind.startsWith('create'))).toEqual([])
        const phase = given.pod.status?.phase
        if (status && (phase === 'Succeeded' || phase === 'Failed')) expect(status.phase).toBe(phase)
      }),
    )
  })

  test('a container is started once at a time, and only where it does not run', () => {
    fc.assert(
      fc.property(anything, (given) => {
        const started = planPod(given, NOW).actions.flatMap((action) =>
          action.kind === 'start-container' ? [action.container.name] : [],
        )
        expect(new Set(started).size).toBe(started.length)
        const runningNow = given.runs.filter(({ state }) => state.phase === 'running').map(({ name }) => name)
        expect(started.filter((name) => runningNow.includes(name))).toEqual([])
      }),
    )
  })

  test('a Pod that has to wait knows for what: an event, or a moment ahead', () => {
    fc.assert(
      fc.property(anything, (given) => {
        const { actions, wakeAt } = planPod(given, NOW)
        if (wakeAt !== undefined && actions.length === 0) expect(wakeAt).toBeGreaterThan(NOW)
      }),
    )
  })
})
