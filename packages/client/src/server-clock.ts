/** The time as the API server has it, by the dates of its answers. */
export interface ServerClock {
  /** An answer that was asked for at `sentAt` (ms since the epoch, by `ownNow`) has come, and was made in that second. */
  heard(date: number, sentAt: number): void
  /** ms since the epoch. This machine's own until an answer contradicts it. */
  now(): number
}

/**
 * Objects are dated by the server alone, and a controller compares these dates with now: one whose clock is an hour ahead
 * would take each new object for an hour old. An answer says in which second it was made, and that lies between its request
 * and its arrival: where this machine's clock agrees with that it is believed, else corrected by as little as is needed.
 */
export function createServerClock(ownNow: () => number): ServerClock {
  /** ms by which the server is ahead. */
  let ahead = 0
  return {
    heard(date, sentAt) {
      const [least, most] = [date - ownNow(), date + 1000 - sentAt]
      // Somebody has set the own clock between the two: the next answer tells.
      if (!(least <= most)) return
      ahead = least <= 0 && most >= 0 ? 0 : Math.min(most, Math.max(least, ahead))
    },
    now: () => ownNow() + ahead,
  }
}
