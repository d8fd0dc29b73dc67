/** Who may reach which Sandbox. */
import type { IncomingHttpHeaders } from 'node:http'
import { RouterError } from '../router-error.ts'

/** What a request would do, after routing: the path is the one that arrives in the sandbox. */
export interface Access {
  namespace: string
  sandbox: string
  sandboxUid: string | undefined
  port: number
  method: string
  /** Without the query, as it came. */
  path: string
  /** Whether it came as a gRPC call: a request of any type over HTTP/1.1 is none. */
  isCall: boolean
  headers: IncomingHttpHeaders
  /** Where the connection comes from, or whom it is said to be of; empty for others of this machine's own sockets. */
  peer: string
}

/**
 * Resolves where the request may go on, with whom it counts for; undefined where nobody was asked. Rejects with a
 * RouterError 401, 403, or 429 for who was refused too often, or 500 where nobody could be asked.
 */
export type Authorize = (access: Access) => Promise<string | undefined>

/** No credential, or one that proves nothing. */
export function unauthenticated(): RouterError {
  return new RouterError(401, 'unauthenticated')
}

/** Somebody who is known, and may not. */
export function forbidden(): RouterError {
  return new RouterError(403, 'forbidden')
}

/** Somebody who tries what is in vain, faster than it is worth asking. */
export function tooMany(): RouterError {
  return new RouterError(429, 'Too many requests were refused: try again later.')
}

/** Everybody may: for a router that only its owner reaches, or that has an authorizing proxy in front. */
export async function allowAll(): Promise<undefined> {}

/** Of `Authorization: Bearer TOKEN`, or the password of `Basic`: all that clients can be told which set no header. */
export function bearerToken({ authorization = '' }: IncomingHttpHeaders): string | undefined {
  const basic = /^basic +(\S+) *$/i.exec(authorization)?.[1]
  if (basic !== undefined) return /^[^:]*:(\S+)$/.exec(Buffer.from(basic, 'base64').toString('utf8'))?.[1]
  return /^bearer +(\S+) *$/i.exec(authorization)?.[1]
}
