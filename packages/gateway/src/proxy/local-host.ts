/**
 * Which names lead to a router that lets everybody in. A page in a browser can have a name of its own lead to this machine:
 * it then is of the same origin, sets every header, and its reads say of no page that they come from one. Its name is what
 * it cannot hide.
 */
import { isIP } from 'node:net'
import { RouterError } from '../router-error.ts'

/** Names that nobody can have on the internet: `localhost`, those of one part, and those of a cluster. */
const LOCAL = /^(?:[^.]+|(?:.+\.)?(?:localhost|svc|cluster\.local))$/

/** `host` is a request's, with its port. A client that says none is no browser. */
export function isLocalHost(host: string | undefined): boolean {
  if (host === undefined) return true
  const { bracketed, plain = '' } =
    /^(?:\[(?<bracketed>[^\]]*)\]|(?<plain>[^:@[\]]*))(?::\d*)?$/.exec(host)?.groups ?? {}
  const name = (bracketed ?? plain).toLowerCase().replace(/\.$/, '')
  return isIP(name) !== 0 || (bracketed === undefined && LOCAL.test(name))
}

/** @throws RouterError 403 */
export function refuseForeignHost(host: string | undefined): void {
  if (isLocalHost(host)) return
  throw new RouterError(
    403,
    'This router asks nobody who he is, and so answers to no name of the internet: connect to an address or to localhost, or start it with --authz-mode.',
  )
}
