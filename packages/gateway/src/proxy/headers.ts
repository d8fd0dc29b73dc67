/** What of a message's head goes on to the next one, and what is said between two neighbours alone. */
import type { IncomingMessage } from 'node:http'

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

/** A list of names and values in turn, as Node has raw headers. */
export type RawHeaders = string[]

/** Without what was for this hop, and without HTTP/2's own. */
export function endToEnd(raw: readonly string[], connection: string | undefined): RawHeaders {
  const named = new Set((connection ?? '').split(',').map((token) => token.trim().toLowerCase()))
  named.delete(FRAMING)
  const kept: RawHeaders = []
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = (raw[at] ?? '').toLowerCase()
    if (name.startsWith(':') || HOP_BY_HOP.has(name) || named.has(name)) continue
    kept.push(raw[at] ?? '', raw[at + 1] ?? '')
  }
  return kept
}

/** Whose credentials these are is not a sandbox's business, and where its client is only the router knows. */
const REPLACED: ReadonlySet<string> = new Set([
  'host',
  'authorization',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
])

export interface ForwardedRequest {
  rawHeaders: readonly string[]
  headers: IncomingMessage['headers']
  /** As the client wrote it. */
  host: string | undefined
  remoteAddress: string | undefined
}

/** The headers of the request to a sandbox, which listens on `authority`. `upgrade`: they ask for another protocol. */
export function requestHeaders(request: ForwardedRequest, authority: string, upgrade: boolean): RawHeaders {
  const headers: RawHeaders = ['Host', authority]
  const kept = endToEnd(request.rawHeaders, request.headers.connection)
  for (let at = 0; at < kept.length; at += 2) {
    const name = (kept[at] ?? '').toLowerCase()
    if (REPLACED.has(name)) continue
    // Servers compare it with the host, which is not any more what the page knows.
    if (upgrade && name === 'origin') continue
    headers.push(kept[at] ?? '', kept[at + 1] ?? '')
  }
  if (request.remoteAddress) headers.push('X-Forwarded-For', request.remoteAddress)
  if (request.host) headers.push('X-Forwarded-Host', request.host)
  headers.push('X-Forwarded-Proto', 'http')
  if (upgrade) headers.push('Connection', 'Upgrade', 'Upgrade', request.headers.upgrade ?? '')
  else headers.push('Connection', 'close')
  return headers
}

/** `IP:PORT`, with brackets where the address has colons. */
export function authorityOf(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`
}
