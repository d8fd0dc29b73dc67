import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createServerClock } from './server-clock.ts'

const HOUR = 3_600_000
const START = Date.UTC(2026, 0, 1)

interface Exchange {
  /** ms since the one before it. */
  pause: number
  there: number
  back: number
}

const exchanges = fc.array(fc.record({ pause: fc.nat(10_000), there: fc.nat(3000), back: fc.nat(3000) }), {
  minLength: 1,
  maxLength: 20,
})

/** What `createServerClock` makes of a server that is `ahead` of us, and when it is there. */
function follow(ahead: number, said: readonly Exchange[]): { now: number; server: number; slowest: number } {
  let own = START
  const clock = createServerClock(() => own)
  for (const { pause, there, back } of said) {
    own += pause
    const sentAt = own
    own += there
    const date = Math.floor((own + ahead) / 1000) * 1000
    own += back
    clock.heard(date, sentAt)
  }
  return { now: clock.now(), server: own + ahead, slowest: Math.max(...said.map((each) => each.there + each.back)) }
}

test('is at most a second and the time of an answer away from the server, whatever the own clock says', () => {
  fc.assert(
    fc.property(fc.integer({ min: -HOUR, max: HOUR }), exchanges, (ahead, said) => {
      const { now, server, slowest } = follow(ahead, said)
      expect(Math.abs(now - server)).toBeLessThanOrEqual(1000 + slowest)
    }),
  )
})

test('an own clock that may be right is believed', () => {
  fc.assert(
    fc.property(exchanges, (said) => {
      const { now, server } = follow(0, said)
      expect(now).toBe(server)
    }),
  )
})

test('an own clock that is set while an answer is under way says nothing, and is followed by the next answer', () => {
  let own = START + HOUR
  const clock = createServerClock(() => own)
  clock.heard(START, own)
  expect(clock.now()).toBe(START + 1000)
  const sentAt = own
  own = START + 2000
  clock.heard(START + 2000, sentAt)
  clock.heard(START + 2000, own)
  expect(clock.now()).toBe(START + 2000)
})
