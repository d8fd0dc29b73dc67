/** How many requests are under way: of all clients together, and of each that is known. */
import { RouterError } from '../router-error.ts'
import { createShares } from '../shares.ts'

const MOST = 2000
const MOST_OF_ONE = 500

/** A request's, until it is disposed of. */
export interface Seat extends Disposable {
  /** It counts for this client from now on. @throws RouterError 429 where that one has as many as it may */
  giveTo(client: string | undefined): void
}

/** Gives what takes a seat. @throws RouterError 503 where there is none */
export function createSeats(): () => Seat {
  const seats = createShares(MOST, MOST_OF_ONE)
  return () => {
    if (!seats.take(undefined, 1)) throw new RouterError(503, 'The router is busy: try again.')
    let held: { by: string | undefined } | undefined = { by: undefined }
    return {
      giveTo(client) {
        if (!held) return
        seats.give(held.by, 1)
        held = seats.take(client, 1) ? { by: client } : undefined
        if (!held) throw new RouterError(429, `More than ${MOST_OF_ONE} requests of one client are under way.`)
      },
      [Symbol.dispose]() {
        if (held) seats.give(held.by, 1)
        held = undefined
      },
    }
  }
}
