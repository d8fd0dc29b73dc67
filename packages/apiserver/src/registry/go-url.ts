/** URLs as Go's `net/url` takes them apart, which is laxer than what browsers do, and where it says no, in its words. */
import { goQuote } from './field-error.ts'
import { ipBytes } from './ip-bytes.ts'

export interface GoUrl {
  /** In lower case; empty where there is none. */
  scheme: string
  host: string
  /** Before the `@`. */
  user: string | undefined
  query: string
  fragment: string
}

/** An error is the whole of what Go says. */
export function parseGoUrl(text: string): GoUrl | { error: string } {
  const [whole, fragment] = cut(text, '#')
  const parsed = takeApart(whole)
  const problem = typeof parsed === 'string' ? parsed : undefined
  if (problem !== undefined) return { error: `parse ${goQuote(whole)}: ${problem}` }
  const broken = escapeError(fragment)
  if (broken) return { error: `parse ${goQuote(text)}: ${broken}` }
  return { ...(parsed as Omit<GoUrl, 'fragment'>), fragment }
}

function cut(text: string, separator: string): [before: string, after: string] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

/** A string is what is wrong. */
function takeApart(text: string): Omit<GoUrl, 'fragment'> | string {
  // oxlint-disable-next-line no-control-regex -- these are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(text)) return 'net/url: invalid control character in URL'
  if (text.startsWith(':')) return 'missing protocol scheme'
  const named = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(text)
  const scheme = named?.[1]?.toLowerCase() ?? ''
  const [rest, query] = cut(named ? text.slice(named[0].length) : text, '?')
  const url = { scheme, host: '', user: undefined, query }
  if (text === '*') return url
  if (!rest.startsWith('/')) {
    if (scheme !== '') return url
    if (cut(rest, '/')[0].includes(':')) return 'first path segment in URL cannot contain colon'
  }
  if (!rest.startsWith('//') || (scheme === '' && rest.startsWith('///'))) return escapeError(rest) ?? url
  const end = rest.indexOf('/', 2)
  const authority = end < 0 ? rest.slice(2) : rest.slice(2, end)
  const at = authority.lastIndexOf('@')
  const host = authority.slice(at + 1)
  const user = at < 0 ? undefined : authority.slice(0, at)
  const problem = hostError(host) ?? userError(user) ?? (end < 0 ? undefined : escapeError(rest.slice(end)))
  return problem ?? { ...url, host, user }
}

function hostError(host: string): string | undefined {
  const open = host.lastIndexOf('[')
  if (open > 0) return 'invalid IP-literal'
  if (open < 0) {
    const colon = host.lastIndexOf(':')
    return (colon < 0 ? undefined : portError(host.slice(colon))) ?? hostNameError(host)
  }
  const close = host.lastIndexOf(']')
  if (close < 0) return "missing ']' in host"
  const inside = host.slice(1, close)
  const [address] = cut(inside, '%25')
  const wrong = portError(host.slice(close + 1)) ?? hostNameError(address)
  if (wrong) return wrong
  const bytes = ipBytes(address)
  if (!bytes) return `invalid host: ParseAddr(${goQuote(inside)}): unable to parse IP`
  return bytes.length === 4 ? 'invalid IP-literal' : undefined
}

function portError(port: string): string | undefined {
  return port === '' || /^:\d*$/.test(port) ? undefined : `invalid port ${goQuote(port)} after host`
}

/** Escapes are for what is not ASCII, and for the percent sign. */
function hostNameError(name: string): string | undefined {
  const wrong = /%(?:25|[89a-f][\da-f])|%.{0,2}|[^\w\-.~!$&'()*+,;=:[\]<>"\u0080-\uffff]/giu
  for (const [part] of name.matchAll(wrong)) {
    if (!part.startsWith('%')) return `invalid character ${goQuote(part)} in host name`
    if (!/^%(?:25|[89a-f][\da-f])$/i.test(part)) return `invalid URL escape ${goQuote(part)}`
  }
  return undefined
}

function userError(user: string | undefined): string | undefined {
  if (user === undefined) return undefined
  return /^[\w\-.:~!$&'()*+,;=%@]*$/.test(user) ? escapeError(user) : 'net/url: invalid userinfo'
}

function escapeError(text: string): string | undefined {
  const broken = /%(?![\da-f]{2}).{0,2}/is.exec(text)
  return broken ? `invalid URL escape ${goQuote(broken[0])}` : undefined
}
