/** Carries a request to a sandbox and its answer back, as streams: nothing is held but what is on its way. */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { RouterError } from '../router-error.ts'
import { type Exchange, hasBody, hostOf, sendHead } from './exchange.ts'
import { authorityOf, endToEnd, requestHeaders } from './headers.ts'

export interface Upstream {
  /** Open, and this request's alone. */
  connection: Socket
  ip: string
  port: number
  /** Path and query. */
  url: string
  /** ms of silence on the connection that are borne. */
  timeoutMs: number
  /** For messages. */
  id: string
}

/**
 * Resolves when the client has the whole answer. Rejects with a RouterError where there is none to pass on, and with
 * another error where it broke off in the middle, which the client then sees too.
 */
export async function forward(exchange: Exchange, upstream: Upstream): Promise<void> {
  const { response, gone } = exchange
  const { connection } = upstream
  const abandon = (): void => void connection.destroy()
  gone.addEventListener('abort', abandon, { once: true })
  try {
    const answer = await ask(exchange, upstream)
    sendHead(exchange, answer.statusCode ?? 502, endToEnd(answer.rawHeaders, answer.headers.connection))
    await pipeline(answer, response as NodeJS.WritableStream)
  } finally {
    gone.removeEventListener('abort', abandon)
    connection.destroy()
  }
}

function ask(exchange: Exchange, { connection, ip, port, url, timeoutMs, id }: Upstream): Promise<IncomingMessage> {
  const { request } = exchange
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  connection.setTimeout(timeoutMs, () => {
    const message = `The backend sandbox did not answer within ${timeoutMs / 1000} s: ${id}`
    const error = new RouterError(504, message)
    reject(error)
    connection.destroy(error)
  })
  const headers = requestHeaders(
    {
      rawHeaders: request.rawHeaders,
      headers: request.headers,
      host: hostOf(request),
      remoteAddress: request.socket.remoteAddress,
    },
    authorityOf(ip, port),
    false,
  )
  const body = hasBody(request)
  if (request.headers['content-length'] === undefined) {
    if (body) headers.push('Transfer-Encoding', 'chunked')
    else if (/^(POST|PUT|PATCH)$/.test(request.method ?? '')) headers.push('Content-Length', '0')
  }
  const { request: open } = process.getBuiltinModule('node:http')
  const outgoing = open({
    createConnection: () => connection,
    method: request.method ?? 'GET',
    path: url,
    headers,
    setHost: false,
  })
  outgoing.on('response', resolve)
  outgoing.on('error', (cause) => {
    reject(new RouterError(502, `The connection to the backend sandbox broke: ${id}`, { cause }))
  })
  if (body) {
    // A sandbox may answer before it has read everything, and then close.
    pipeline(request as NodeJS.ReadableStream, outgoing).catch(() => {})
  } else outgoing.end()
  return promise
}
