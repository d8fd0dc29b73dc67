import fc from 'fast-check'
import type { PodSpec } from 'kubernetes-types/core/v1.d.ts'
import { describe, expect, test } from 'vitest'
import type { ContainerRun, ObservedPod } from './observed-pod.ts'
import {
  aPod,
  aRun,
  exited,
  main,
  migrate,
  NOW,
  observed,
  other,
  proxy,
  running,
  second,
  setup,
} from './observed-pod-fixtures.ts'
import { planPod } from './plan-pod.ts'

describe('whatever is observed', () => {
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
