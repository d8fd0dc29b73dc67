import { describe, expect, test } from 'vitest'
import type { ObservedPod } from './observed-pod.ts'
import {
  aPod,
  aRun,
  exited,
  NOW,
  observed,
  type Planned,
  plan,
  proxy,
  running,
  second,
} from './observed-pod-fixtures.ts'

const start = '2026-01-01T11:59:00Z'

describe('a Pod that is to end', () => {
  test.each<[name: string, given: ObservedPod, expected: Planned]>([
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
})
