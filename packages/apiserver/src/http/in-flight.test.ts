import { expect, test } from 'vitest'
import { createInFlight, IN_FLIGHT_LIMITS } from './in-flight.ts'

const user = (username: string) => ({ username, groups: [] })

test('who takes no answers keeps nobody else from theirs, and waits until some have been taken', async () => {
  const inFlight = createInFlight({ ...IN_FLIGHT_LIMITS, unsentBytesPerUser: 10 })
  const [first, second] = [inFlight.hold(user('slow'), 6), inFlight.hold(user('slow'), 5)]
  expect(() => inFlight.enter(user('slow'), 'reading')).toThrow('Too many requests')
  inFlight.enter(user('other'), 'reading')()
  expect(inFlight.room(user('other'))).toBeUndefined()
  const rooms = [inFlight.room(user('slow')), inFlight.room(user('slow'))]
  expect(rooms).toEqual([expect.any(Promise), expect.any(Promise)])
  first()
  for (const room of rooms) await room
  expect(inFlight.room(user('slow'))).toBeUndefined()
  inFlight.enter(user('slow'), 'reading')()
  second()
})
