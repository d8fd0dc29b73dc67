import { expect, test } from 'vitest'
import { type ClaimRun, continueRun, endOfRun, goesOn } from './waiting-claims.ts'

/** When claims that come at these times will have paused, after each of them. */
function pauses(times: number[], plenty = false): number[] {
  let run: ClaimRun | undefined
  return times.map((at) => {
    run = continueRun(run, at)
    return endOfRun(run, plenty)
  })
}

test('claims have paused when none has come for a moment', () => {
  expect(pauses([1_000, 1_150, 1_349])).toEqual([1_200, 1_350, 1_549])
})

test('those that go on are not waited for longer than a second', () => {
  const times = [1_000, 1_199, 1_398, 1_597, 1_796, 1_995, 2_001, 2_200]
  expect(pauses(times)).toEqual([1_200, 1_399, 1_598, 1_797, 1_996, 2_000, 2_000, 2_000])
})

test('unless the pool has plenty', () => {
  expect(pauses([1_000, 1_199, 1_398, 1_597, 1_796, 1_995, 2_001], true).at(-1)).toBe(2_201)
})

test('one that comes when they have paused begins anew', () => {
  expect(pauses([1_000, 1_200, 1_300])).toEqual([1_200, 1_400, 1_500])
})

test('claims go on from a second after the first one until they pause', () => {
  const run = { begunAt: 1_000, lastAt: 1_900 }
  expect([1_999, 2_000, 2_099, 2_100].map((at) => goesOn(run, at))).toEqual([false, true, true, false])
})
