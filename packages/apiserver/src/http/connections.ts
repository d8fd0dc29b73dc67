/**
 * What connections may take: time for their handshake, headers and bodies, and room for those that have not shown who
 * they are. Of the latter a flood pushes out its own: the oldest of the address that has most of them, and never one that a
 * user has proved to be theirs.
 */
import { constants } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { ServerOptions } from 'node:https'
import type { Socket } from 'node:net'
import { farEnd, IDLE_CONNECTION_MS, type UserInfo } from '@caisson/api'
import { isComponent } from '../authn/component-users.ts'
import { SUPERUSERS } from '../authz/authorizer.ts'
import { createSums } from '../sums.ts'
import { shareOf, tooManyRequests } from './in-flight.ts'

export interface ConnectionLimits {
  /** Of connections on which no known user has asked for anything yet. */
  strangers: number
  /** Until the handshake is done, ms. */
  handshakeMs: number
  /** Until the first request of a known user, ms. */
  strangerMs: number
  /** Of one user at a time, or of all ServiceAccounts of one namespace. Watches have one each. */
  perUser: number
  /** Of all users; beyond it those of administrators and of the cluster's own parts alone. */
  total: number
  /** Of a request, and from the handshake to the end of those of the first one, ms. */
  headersMs: number
  /** Headers and body of a request, ms, counted in the same way. */
  requestMs: number
  /** Until a client has taken the answer that waits for it, ms. */
  stalledMs: number
  /** How often headers and bodies are looked at, ms. */
  checkEveryMs: number
}

/** Half of what this process may open: logs, runtimes and the network of the node take from the rest. */
const MOST_CONNECTIONS = Math.min(10_000, Math.floor(openFilesLimit() / 2))

export const CONNECTION_LIMITS: ConnectionLimits = {
  strangers: 256,
  handshakeMs: 20_000,
  strangerMs: IDLE_CONNECTION_MS,
  perUser: Math.min(2000, Math.floor(MOST_CONNECTIONS / 5)),
  total: MOST_CONNECTIONS,
  headersMs: IDLE_CONNECTION_MS,
  requestMs: IDLE_CONNECTION_MS,
  stalledMs: 60_000,
  checkEveryMs: 5000,
}

/** Of a request's line and headers together: long selectors are part of the first line. */
export const MAX_HEADER_BYTES = 64 << 10

/** For `createServer` of node:https. */
export function connectionOptions(limits: ConnectionLimits): ServerOptions {
  return {
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
    // A client could keep a processor busy by it with a few bytes.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    handshakeTimeout: limits.handshakeMs,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: limits.checkEveryMs,
    keepAliveTimeout: IDLE_CONNECTION_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
  }
}

export interface Strangers {
  /** A connection came. */
  add(socket: Socket): void
  /**
   * It is a known user's from now on: the TLS socket of a connection that was added. Throws TooManyRequests where the
   * user has as many as one may have, and the connection stays a stranger's.
   */
  welcome(socket: Socket, user: UserInfo): void
}

export function createStrangers({ strangers, strangerMs, perUser, total }: ConnectionLimits): Strangers {
  /** By their far end, which TLS and what is below it have in common; in the order of their arrival. */
  const waiting = new Map<string, { socket: Socket; timer: NodeJS.Timeout }>()
  const known = new WeakSet<Socket>()
  const ofUsers = createSums()

  function remove(end: string): void {
    clearTimeout(waiting.get(end)?.timer)
    waiting.delete(end)
  }

  return {
    add(socket) {
      const end = farEnd(socket)
      waiting.set(end, { socket, timer: setTimeout(() => socket.destroy(), strangerMs).unref() })
      socket.once('close', () => {
        if (waiting.get(end)?.socket === socket) remove(end)
      })
      if (waiting.size <= strangers) return
      const pushedOut = oldestOfMost(waiting)
      waiting.get(pushedOut)?.socket.destroy()
      remove(pushedOut)
    },
    welcome(socket, user) {
      if (known.has(socket)) return
      const share = shareOf(user)
      const full = ofUsers.of(share) >= perUser || (ofUsers.of(undefined) >= total && !isComponent(user))
      if (full && !user.groups.includes(SUPERUSERS)) throw tooManyRequests()
      known.add(socket)
      remove(farEnd(socket))
      ofUsers.add(share, 1)
      socket.once('close', () => ofUsers.add(share, -1))
    },
  }
}

/** Of connections by their far end, in the order of their arrival. */
function oldestOfMost(waiting: ReadonlyMap<string, unknown>): string {
  const byAddress = new Map<string, { count: number; oldest: string }>()
  let most = { count: 0, oldest: '' }
  for (const end of waiting.keys()) {
    const address = end.slice(0, end.lastIndexOf(' '))
    const known = byAddress.get(address)
    const own = { count: (known?.count ?? 0) + 1, oldest: known?.oldest ?? end }
    byAddress.set(address, own)
    if (own.count > most.count) most = own
  }
  return most.oldest
}

/** Descriptors that the kernel lets this process have. Node raises it to the most at its start. */
function openFilesLimit(): number {
  const [, limit] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
  return limit === undefined ? Infinity : Number(limit)
}
