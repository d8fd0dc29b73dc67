/** Answers of sandboxes that a browser reaches below a path of the router: what they say of their own paths is brought there. */
import { OF_THE_ORIGIN, type RawHeaders } from '@caisson/api'

const DROPPED: ReadonlySet<string> = new Set(OF_THE_ORIGIN)

/**
 * Redirects to the sandbox's own paths, and cookies for them, so that no sandbox sets one for another; nothing that speaks
 * for more than these paths.
 *
 * @param base of the sandbox, such as `/router/team/box/80`
 */
export function belowPath(headers: RawHeaders, base: string): RawHeaders {
  const moved: RawHeaders = []
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const [name = '', value = ''] = headers.slice(at, at + 2)
    const lower = name.toLowerCase()
    if (DROPPED.has(lower)) continue
    moved.push(
      name,
      lower === 'location' ? locationBelow(value, base) : lower === 'set-cookie' ? cookieBelow(value, base) : value,
    )
  }
  return moved
}

/** Elsewhere is elsewhere, and what is relative stays where it is. */
function locationBelow(location: string, base: string): string {
  return /^\/(?![/\\])/.test(location) ? `${base}${location}` : location
}

/** For the sandbox's part of the router and for no other host. One without a path is for where it was set. */
function cookieBelow(cookie: string, base: string): string {
  const [pair = '', ...attributes] = cookie.split(';')
  const kept = attributes.filter((attribute) => !/^\s*(?:path|domain)\s*(?:=|$)/i.test(attribute))
  const path = attributes
    .findLast((attribute) => /^\s*path\s*=/i.test(attribute))
    ?.replace(/^[^=]*=\s*/, '')
    .trim()
  return [pair, ...kept, ` Path=${base}${path?.startsWith('/') ? path : '/'}`].join(';')
}
