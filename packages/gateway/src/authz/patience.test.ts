import { expect, test } from 'vitest'
import { createPatience } from './patience.ts'

test('in vain so often at once, then at a rate; with success for ever; nobody for another', () => {
  let now = 0
  const patience = createPatience({ burst: 3, rate: 2, now: () => now })
  const spend = (client: string, times: number): number =>
    Array.from({ length: times }, () => patience.spend(client)).filter(Boolean).length
  for (let count = 0; count < 1000; count++) {
    expect(patience.spend('honest')).toBe(true)
    patience.forgive('honest')
  }
  expect([spend('a', 10), spend('b', 10), spend('honest', 10)]).toEqual([3, 3, 3])
  now = 1000
  expect([spend('a', 10), spend('b', 1)]).toEqual([2, 1])
  now = 60_000
  expect(spend('a', 10)).toBe(3)
})

test('it remembers no more than so many', () => {
  const patience = createPatience({ burst: 1, rate: 0, now: () => 0 })
  for (let client = 0; client < 5000; client++) patience.spend(String(client))
  expect([patience.spend('0'), patience.spend('4999')]).toEqual([true, false])
})
