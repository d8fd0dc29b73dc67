/**
 * Pages in a browser on this machine must not drive the API: a browser may hold the administrator's client certificate
 * and would show it to whatever page asks. What a browser sends says so, and is answered only where the page came from
 * this server itself, under a name that is this server's (a name that was bound anew to 127.0.0.1 is not).
 */
import type { IncomingMessage } from 'node:http'
import { StatusError } from '../status-error.ts'

/** Throws Forbidden for a request that a page of another origin makes. `isOwnHost` judges `HOST[:PORT]`. */
export function refuseCrossSite({ headers }: IncomingMessage, isOwnHost: (host: string) => boolean): void {
  const { origin } = headers
  const site = headers['sec-fetch-site']
  if (origin === undefined && site === undefined) return
  const host = headers.host ?? ''
  // Clients that are no browsers (Python's websocket-client) name the server itself as the origin.
  const sameOrigin = origin === undefined || origin === `https://${host}` || origin === `http://${host}`
  const sameSite = site === undefined || site === 'same-origin' || site === 'none'
  if (sameOrigin && sameSite && isOwnHost(host)) return
  throw new StatusError(
    'Forbidden',
    `requests of pages of another origin are not served (Origin ${JSON.stringify(origin ?? '')}, Host ${JSON.stringify(host)})`,
    { details: {} },
  )
}
