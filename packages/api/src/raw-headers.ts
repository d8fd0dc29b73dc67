/** What of a message's head goes on to the next one, and what is said between two neighbours alone. */

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  // The server that it was for has answered it.
  'expect',
])

/** Where a message ends: who calls that his neighbour's business would have the rest taken for another message. */
const FRAMING = 'content-length'

/**
 * By these an answer has a browser do something with all that is of its origin: no business of who answers below some of its
 * paths.
 */
export const OF_THE_ORIGIN: readonly string[] = [
  'alt-svc',
  'clear-site-data',
  'nel',
  'report-to',
  'service-worker-allowed',
  'strict-transport-security',
]

/** A list of names and values in turn, as Node has raw headers. */
export type RawHeaders = string[]

/** Without what was for this hop, without HTTP/2's own, and without `dropped`, which are in lower case. */
export function endToEnd(
  raw: readonly string[],
  connection: string | undefined,
  dropped: Pick<ReadonlySet<string>, 'has'> = new Set(),
): RawHeaders {
  const named = new Set((connection ?? '').split(',').map((token) => token.trim().toLowerCase()))
  named.delete(FRAMING)
  const kept: RawHeaders = []
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = (raw[at] ?? '').toLowerCase()
    if (name.startsWith(':') || HOP_BY_HOP.has(name) || named.has(name) || dropped.has(name)) continue
    kept.push(raw[at] ?? '', raw[at + 1] ?? '')
  }
  return kept
}

/** How the body of a request is sent on whose length its client has not said. */
export function framingOf(
  {
    headers,
    method = 'GET',
  }: { headers: Readonly<Record<string, string | string[] | undefined>>; method?: string | undefined },
  hasBody: boolean,
): RawHeaders {
  if (headers[FRAMING] !== undefined) return []
  if (hasBody) return ['Transfer-Encoding', 'chunked']
  return /^(POST|PUT|PATCH)$/.test(method) ? ['Content-Length', '0'] : []
}

/** `IP:PORT`, with brackets where the address has colons. */
export function authorityOf(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`
}
