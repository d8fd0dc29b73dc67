import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { aPod } from '../pods/observed-pod-fixtures.ts'
import { activityState, idleAfter, idleCondition } from './activity-state.ts'

const now = Date.UTC(2026, 0, 1, 12)

describe('the state of a Pod', () => {
  test('goes from active to idle with the time, never back, and is never idle too early', () => {
    const order = ['active', 'quiet', 'idle']
    const time = fc.integer({ min: 0, max: 4_000_000 })
    fc.assert(
      fc.property(time, time, fc.integer({ min: 1, max: 3600 }), (one, other, seconds) => {
        const afterMs = seconds * 1000
        const [less, more] = [Math.min(one, other), Math.max(one, other)]
        const kinds = [less, more].map((quietMs) => activityState(quietMs, { afterMs, since: now - quietMs }).kind)
        expect(order.indexOf(kinds[0] ?? '')).toBeLessThanOrEqual(order.indexOf(kinds[1] ?? ''))
        expect(kinds[1] === 'idle').toBe(more >= afterMs)
      }),
    )
  })

  test.each([
    [
      0,
      600,
      {
        status: 'False',
        reason: 'Active',
        message: 'Idle after 600 s without exec, attach, port-forward, traffic or output',
      },
    ],
    [
      300,
      600,
      {
        status: 'False',
        reason: 'Quiet',
        message: 'Nothing has happened since 2026-01-01T11:55:00Z: idle at 2026-01-01T12:05:00Z unless something does',
      },
    ],
    [
      4,
      5,
      {
        status: 'False',
        reason: 'Active',
        message: 'Idle after 5 s without exec, attach, port-forward, traffic or output',
      },
    ],
    [600, 600, { status: 'True', reason: 'Idle', message: 'Nothing has happened since 2026-01-01T11:50:00Z' }],
  ])('after %i s of %i', (quiet, after, said) => {
    const state = activityState(quiet * 1000, { afterMs: after * 1000, since: now - quiet * 1000 })
    expect(idleCondition(state)).toEqual({ type: 'caisson.dev/Idle', ...said })
  })
})

test.each([
  ['600', 600_000],
  ['1', 1000],
  ['0', undefined],
  ['-5', undefined],
  ['1e9', undefined],
  ['600s', undefined],
  ['999999999', undefined],
  ['', undefined],
  [undefined, undefined],
])('the annotation %j', (text, afterMs) => {
  const pod = aPod()
  pod.metadata.annotations = text === undefined ? {} : { 'caisson.dev/idle-after-seconds': text }
  expect(idleAfter(pod)).toBe(afterMs)
})
