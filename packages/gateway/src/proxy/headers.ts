/** The head of the request to a sandbox. */
import type { IncomingMessage } from 'node:http'
import { endToEnd, type RawHeaders } from '@caisson/api'

/** Whose credentials these are is not a sandbox's business, and where its client is only the router knows. */
const REPLACED: ReadonlySet<string> = new Set([
  'host',
  'authorization',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
])
/** Servers compare the origin with the host, which is not any more what the page knows. */
const REPLACED_OF_UPGRADE: ReadonlySet<string> = new Set([...REPLACED, 'origin'])

export interface ForwardedRequest {
  rawHeaders: readonly string[]
  headers: IncomingMessage['headers']
  /** As the client wrote it. */
  host: string | undefined
  remoteAddress: string | undefined
  /** Came within TLS. */
  encrypted: boolean
}

/** The headers of the request to a sandbox, which listens on `authority`. `upgrade`: they ask for another protocol. */
export function requestHeaders(request: ForwardedRequest, authority: string, upgrade: boolean): RawHeaders {
  const headers: RawHeaders = ['Host', authority]
  headers.push(...endToEnd(request.rawHeaders, request.headers.connection, upgrade ? REPLACED_OF_UPGRADE : REPLACED))
  if (request.remoteAddress) headers.push('X-Forwarded-For', request.remoteAddress)
  if (request.host) headers.push('X-Forwarded-Host', request.host)
  headers.push('X-Forwarded-Proto', request.encrypted ? 'https' : 'http')
  if (upgrade) headers.push('Connection', 'Upgrade', 'Upgrade', request.headers.upgrade ?? '')
  else headers.push('Connection', 'close')
  return headers
}
