/** Carries a gRPC call to a sandbox that speaks HTTP/2 without TLS. */
import {
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import { authorityOf } from '@caisson/api'
import { RouterError } from '../router-error.ts'
import type { Upstream } from './forward.ts'

/** For this hop, or for the router. */
const DROPPED: ReadonlySet<string> = new Set([
  'authorization',
  'host',
  'connection',
  'http2-settings',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
])

/** Resolves when the call is over. Rejects with a RouterError where the sandbox has not begun to answer. */
export async function forwardCall(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  upstream: Upstream,
): Promise<void> {
  const { connection, ip, port, url, timeoutMs, id } = upstream
  const session = connect(`http://${authorityOf(ip, port)}`, {
    createConnection: () => connection,
    settings: { enablePush: false },
  })
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => {})
  const broke = (cause?: unknown): void =>
    failed.reject(new RouterError(502, `The connection to the backend sandbox broke: ${id}`, { cause }))
  session.on('error', broke)
  session.on('close', () => broke())
  try {
    const call = session.request(callHeaders(headers, url, authorityOf(ip, port)))
    call.setTimeout(timeoutMs, () => {
      failed.reject(new RouterError(504, `The backend sandbox did not answer within ${timeoutMs / 1000} s: ${id}`))
    })
    call.on('error', broke)
    stream.on('close', () => call.close())
    stream.pipe(call)
    await Promise.race([passOn(call, stream), failed.promise])
  } finally {
    session.destroy()
  }
}

async function passOn(call: ClientHttp2Stream, stream: ServerHttp2Stream): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  call.on('response', (headers, flags) => {
    // An answer of trailers alone.
    const ended = (flags & END_STREAM) !== 0
    if (stream.destroyed) return resolve()
    try {
      stream.respond(withoutHop(headers), ended ? { endStream: true } : { waitForTrailers: true })
    } catch (cause) {
      return reject(new RouterError(502, 'The backend sandbox answered what is not HTTP/2.', { cause }))
    }
    if (!ended) call.pipe(stream)
  })
  let trailers: OutgoingHttpHeaders = {}
  call.on('trailers', (received) => {
    trailers = withoutHop(received)
  })
  stream.on('wantTrailers', () => {
    try {
      stream.sendTrailers(trailers)
    } catch {
      stream.close()
    }
  })
  stream.on('close', resolve)
  await promise
}

const END_STREAM = 0x1

function callHeaders(headers: IncomingHttpHeaders, url: string, authority: string): OutgoingHttpHeaders {
  const kept = Object.entries(headers).filter(([name]) => !name.startsWith(':') && !DROPPED.has(name))
  return {
    ...Object.fromEntries(kept),
    ':method': headers[':method'] ?? 'POST',
    ':path': url,
    ':scheme': 'http',
    ':authority': authority,
    te: 'trailers',
  }
}

function withoutHop(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name !== 'connection' && name !== 'http2-settings'),
  )
}
