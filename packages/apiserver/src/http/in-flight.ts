/**
 * How many requests are served at once. Nobody's flood keeps others out: each user has a share of the whole, and
 * administrators (system:masters) are never refused, so that somebody can end it. A write is served from when its body is
 * there: until then it counts among the bodies that are on their way. Answers that their clients are slow to read count
 * until the last byte has left.
 */
import type { UserInfo } from '@caisson/api'
import { isComponent, OWN_NAMESPACES } from '../authn/component-users.ts'
import { serviceAccountNamespace } from '../authn/service-account-identity.ts'
import { SUPERUSERS } from '../authz/authorizer.ts'
import { StatusError } from '../status-error.ts'
import { createSums, type Sums } from '../sums.ts'

/** A watch, an exec, a log that is followed: nobody knows how long it takes. */
export type RequestClass = 'reading' | 'writing' | 'long-running'

export interface InFlightLimits {
  /** Of all users together. */
  total: Readonly<Record<RequestClass, number>>
  /** Of one user, or of all ServiceAccounts of one namespace. */
  perUser: Readonly<Record<RequestClass, number>>
  /** Bodies that are on their way. Their bytes count as they come: nobody takes room by announcing them. */
  bodies: { perUser: number; bytes: number; bytesPerUser: number }
  /** Bytes of answers that wait for their clients; beyond it nothing more is begun. */
  unsentBytes: number
  unsentBytesPerUser: number
}

/** The first two totals are kube-apiserver's. Thousands of watches are a cluster's ordinary life, not one user's. */
export const IN_FLIGHT_LIMITS: InFlightLimits = {
  total: { reading: 400, writing: 200, 'long-running': 10_000 },
  perUser: { reading: 200, writing: 100, 'long-running': 1000 },
  bodies: { perUser: 100, bytes: 256 << 20, bytesPerUser: 32 << 20 },
  unsentBytes: 256 << 20,
  unsentBytesPerUser: 32 << 20,
}

export interface InFlight {
  /**
   * Counts a request until what is returned is called, once. Throws TooManyRequests.
   * @param user who has proved to be it, whomever the request acts as
   */
  enter(user: UserInfo, kind: RequestClass): () => void
  /** Counts a body until its end. Throws TooManyRequests. */
  receive(user: UserInfo): IncomingBody
  /** Counts bytes of an answer until what is returned is called, once. */
  hold(user: UserInfo, bytes: number): () => void
  /** Undefined while more of the user's may wait; else resolves once some of what waits has been taken. */
  room(user: UserInfo): Promise<void> | undefined
}

export interface IncomingBody {
  /** So many bytes of it are held, in all. Throws TooManyRequests. */
  hold(bytes: number): void
  end(): void
}

/**
 * Whose share it is. Who may make one ServiceAccount of a namespace can make a thousand: they have one together, except
 * for the cluster's own.
 */
export function shareOf({ username }: UserInfo): string {
  const namespace = serviceAccountNamespace(username)
  return namespace === undefined || OWN_NAMESPACES.has(namespace) ? username : `system:serviceaccounts:${namespace}`
}

export function createInFlight(limits: InFlightLimits = IN_FLIGHT_LIMITS): InFlight {
  const serving: Readonly<Record<RequestClass, Sums>> = {
    reading: createSums(),
    writing: createSums(),
    'long-running': createSums(),
  }
  const bodies = new Map<string, { count: number; bytes: number }>()
  const unsent = createSums()
  const waiting = new Map<string, PromiseWithResolvers<void>>()
  let received = 0

  return {
    enter(user, kind) {
      const share = shareOf(user)
      const served = serving[kind]
      const full =
        served.of(share) >= limits.perUser[kind] ||
        unsent.of(share) >= limits.unsentBytesPerUser ||
        ((served.of(undefined) >= limits.total[kind] || unsent.of(undefined) >= limits.unsentBytes) &&
          !isComponent(user))
      if (full && !user.groups.includes(SUPERUSERS)) throw tooManyRequests()
      served.add(share, 1)
      return () => served.add(share, -1)
    },
    receive(user) {
      const share = shareOf(user)
      const free = user.groups.includes(SUPERUSERS)
      const own = bodies.get(share) ?? { count: 0, bytes: 0 }
      if (own.count >= limits.bodies.perUser && !free) throw tooManyRequests()
      bodies.set(share, own)
      own.count++
      let held = 0
      const hold = (bytes: number): void => {
        own.bytes += bytes - held
        received += bytes - held
        held = bytes
      }
      return {
        hold(bytes) {
          hold(bytes)
          const full = own.bytes > limits.bodies.bytesPerUser || (received > limits.bodies.bytes && !isComponent(user))
          if (full && !free) throw tooManyRequests()
        },
        end() {
          hold(0)
          own.count--
          if (own.count === 0) bodies.delete(share)
        },
      }
    },
    hold(user, bytes) {
      const share = shareOf(user)
      unsent.add(share, bytes)
      return () => {
        unsent.add(share, -bytes)
        if (unsent.of(share) >= limits.unsentBytesPerUser) return
        waiting.get(share)?.resolve()
        waiting.delete(share)
      }
    },
    room(user) {
      const share = shareOf(user)
      if (unsent.of(share) < limits.unsentBytesPerUser) return undefined
      const others = waiting.get(share) ?? Promise.withResolvers<void>()
      waiting.set(share, others)
      return others.promise
    },
  }
}

export function tooManyRequests(): StatusError {
  return new StatusError('TooManyRequests', 'Too many requests, please try again later.', {
    details: { retryAfterSeconds: 1 },
  })
}
