/**
 * How many requests are served at once. Nobody's flood keeps others out: each user has a share of the whole, and
 * administrators (system:masters) are never refused, so that somebody can end it. Answers that their clients are slow to
 * read count until the last byte has left.
 */
import type { UserInfo } from '@caisson/api'
import { StatusError } from '../status-error.ts'

/** A watch, an exec, a log that is followed: nobody knows how long it takes. */
export type RequestClass = 'reading' | 'writing' | 'long-running'

export interface InFlightLimits {
  /** Of all users together. */
  total: Readonly<Record<RequestClass, number>>
  /** Of one user. */
  perUser: Readonly<Record<RequestClass, number>>
  /** Bytes of answers that wait for their clients; beyond it nothing more is begun. */
  unsentBytes: number
}

/** The first two totals are kube-apiserver's. Thousands of watches are a cluster's ordinary life, not one user's. */
export const IN_FLIGHT_LIMITS: InFlightLimits = {
  total: { reading: 400, writing: 200, 'long-running': 10_000 },
  perUser: { reading: 200, writing: 100, 'long-running': 1000 },
  unsentBytes: 256 << 20,
}

export interface InFlight {
  /** Counts a request until what is returned is called, once. Throws TooManyRequests. */
  enter(user: UserInfo, kind: RequestClass): () => void
  /** Counts bytes of an answer until what is returned is called, once. */
  hold(bytes: number): () => void
}

export function createInFlight(limits: InFlightLimits = IN_FLIGHT_LIMITS): InFlight {
  const total: Record<RequestClass, number> = { reading: 0, writing: 0, 'long-running': 0 }
  const byUser: Readonly<Record<RequestClass, Map<string, number>>> = {
    reading: new Map(),
    writing: new Map(),
    'long-running': new Map(),
  }
  let unsent = 0

  return {
    enter(user, kind) {
      const { username } = user
      const users = byUser[kind]
      const own = users.get(username) ?? 0
      const full = total[kind] >= limits.total[kind] || own >= limits.perUser[kind] || unsent >= limits.unsentBytes
      if (full && !user.groups.includes('system:masters')) throw tooManyRequests()
      total[kind]++
      users.set(username, own + 1)
      return () => {
        total[kind]--
        const left = (users.get(username) ?? 1) - 1
        if (left === 0) users.delete(username)
        else users.set(username, left)
      }
    },
    hold(bytes) {
      unsent += bytes
      return () => {
        unsent -= bytes
      }
    },
  }
}

export function tooManyRequests(): StatusError {
  return new StatusError('TooManyRequests', 'Too many requests, please try again later.', {
    details: { retryAfterSeconds: 1 },
  })
}
