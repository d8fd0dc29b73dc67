import type { Container } from 'kubernetes-types/core/v1.d.ts'
import { describe, expect, test } from 'vitest'
import type { ObservedPod } from './observed-pod.ts'
import {
  aPod,
  aRun,
  exited,
  main,
  migrate,
  NOW,
  observed,
  other,
  type Planned,
  plan,
  proxy,
  running,
  second,
  setup,
} from './observed-pod-fixtures.ts'

const unwell = {
  started: true,
  ready: false,
  failed: { message: 'Container main failed liveness probe, will be restarted', graceSeconds: 5, waiting: undefined },
}
const many = Array.from({ length: 15_000 }, (_, index): Container => ({ name: `c-${index}`, image: 'busybox' }))
const nothing = { prepared: false, sandbox: undefined, nextAttempt: 0, hasDirectory: false }
describe('a Pod that is to run', () => {
  test.each<[name: string, given: ObservedPod, expected: Planned]>([
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
  ])('%s', (_name, given, expected) => {
    expect(plan(given)).toEqual(expected)
  })
})
