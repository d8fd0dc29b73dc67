import { describe, expect, test } from 'vitest'
import { mergeConditions } from './condition.ts'

const then = '2026-01-01T00:00:00Z'
const now = Date.parse('2026-01-01T00:01:00.750Z')
const state = { type: 'Ready', status: 'True', reason: 'A', message: 'a' } as const

describe('mergeConditions', () => {
  test('a new condition changed now, in whole seconds', () => {
    expect(mergeConditions(undefined, [state], { now })).toEqual([
      { ...state, lastTransitionTime: '2026-01-01T00:01:00Z' },
    ])
  })

  test('the same status keeps the time, whatever else changes', () => {
    const current = [{ ...state, lastTransitionTime: then }]
    expect(mergeConditions(current, [{ ...state, reason: 'B', message: 'b' }], { now })).toEqual([
      { ...state, reason: 'B', message: 'b', lastTransitionTime: then },
    ])
  })

  test('another status changes the time; conditions that are not ours stay where they are', () => {
    const other = { type: 'Other', status: 'True', reason: 'X', message: '', lastTransitionTime: then } as const
    const current = [{ ...state, lastTransitionTime: then }, other]
    expect(mergeConditions(current, [{ ...state, status: 'False' }], { now })).toEqual([
      { ...state, status: 'False', lastTransitionTime: '2026-01-01T00:01:00Z' },
      other,
    ])
  })

  test('what is dropped goes, unless it is stated', () => {
    const current = [{ ...state, lastTransitionTime: then }]
    expect(mergeConditions(current, [], { now, dropped: ['Ready'] })).toEqual([])
  })
})
