import fc from 'fast-check'
import { expect, test } from 'vitest'
import { afterOutcome, hasFailed, initialState, type ProbeState } from './probe-state.ts'

const probe = { successThreshold: 2, failureThreshold: 3 }

function states(outcomes: readonly boolean[], first: ProbeState): ProbeState[] {
  return outcomes.reduce(
    (all, passed) => [...all, afterOutcome(all.at(-1) ?? first, probe, passed)],
    [] as ProbeState[],
  )
}

test('a probe changes its mind after as many equal outcomes in a row as its threshold says', () => {
  const said = states([true, true, false, false, true, false, false, false, true], initialState('readiness'))
  expect(said.map(({ passes }) => passes)).toEqual([false, true, true, true, true, true, true, false, false])
  expect(said.map((state) => hasFailed(state, probe))).toEqual([
    false,
    false,
    false,
    false,
    false,
    false,
    false,
    true,
    false,
  ])
})

test('whatever the outcomes: it passes after a run of successes, not after a run of failures, else as before', () => {
  fc.assert(
    fc.property(
      fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }),
      fc.constantFrom('readiness', 'liveness'),
      (outcomes, kind) => {
        const first = initialState(kind)
        const all = states(outcomes, first)
        const last = all.at(-1) ?? first
        const before = all.at(-2) ?? first
        const tail = (passed: boolean, length: number): boolean =>
          outcomes.length >= length && outcomes.slice(-length).every((each) => each === passed)
        if (tail(true, probe.successThreshold)) expect(last.passes).toBe(true)
        else if (tail(false, probe.failureThreshold)) expect(last.passes).toBe(false)
        else expect(last.passes).toBe(before.passes)
        expect(hasFailed(last, probe)).toBe(tail(false, probe.failureThreshold))
      },
    ),
  )
})
