import { expect, test } from 'vitest'
import { expectRefused } from '../isolation/controlled.ts'

const probe = 'reading'

test('a probe that gets what it wants where it is allowed, and nowhere else, has shown something', () => {
  expect(() => expectRefused({ probe, control: true, attack: false })).not.toThrow()
})

test('a probe whose control is dead is inconclusive', () => {
  for (const attack of [false, true])
    expect(() => expectRefused({ probe, control: false, attack })).toThrow(/^inconclusive: reading/)
})

test('a probe that gets what it must not is a breach', () => {
  expect(() => expectRefused({ probe, control: true, attack: true })).toThrow(/^breached: reading/)
})
