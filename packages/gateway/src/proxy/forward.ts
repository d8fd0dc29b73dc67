/** Carries a request to a sandbox and its answer back, as streams: nothing is held but what is on its way. */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { authorityOf, framingOf } from '@caisson/api'
import { ask, passedOn } from '@caisson/client'
import { brokenConnection, RouterError } from '../router-error.ts'
import { belowPath } from './below-path.ts'
import { type Exchange, hasBody, hostOf, sendHead } from './exchange.ts'
import { requestHeaders } from './headers.ts'

export interface Upstream {
  /** Open, and this request's alone. */
  connection: Socket
  ip: string
  port: number
  /** Path and query. */
  url: string
  /** What the client has in front of the path, where it was routed by that. */
  base?: string | undefined
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
    const answer = await askSandbox(exchange, upstream)
    passHead(exchange, answer, upstream)
    await pipeline(answer, response as NodeJS.WritableStream)
  } finally {
    gone.removeEventListener('abort', abandon)
    connection.destroy()
  }
}

/** What a sandbox may send and no server may say is the sandbox's mistake. */
function passHead(exchange: Exchange, answer: IncomingMessage, { id, base }: Upstream): void {
  const headers = passedOn(answer)
  try {
    sendHead(exchange, answer.statusCode ?? 502, base === undefined ? headers : belowPath(headers, base))
  } catch (cause) {
    throw new RouterError(502, `The backend sandbox answered what is not HTTP: ${id}`, { cause })
  }
}

function askSandbox(exchange: Exchange, upstream: Upstream): Promise<IncomingMessage> {
  const { connection, ip, port, url, timeoutMs, id } = upstream
  const { request } = exchange
  connection.setTimeout(timeoutMs, () => {
    connection.destroy(new RouterError(504, `The backend sandbox did not answer within ${timeoutMs / 1000} s: ${id}`))
  })
  const headers = requestHeaders(
    {
      rawHeaders: request.rawHeaders,
      headers: request.headers,
      host: hostOf(request),
      remoteAddress: request.socket.remoteAddress,
      encrypted: 'encrypted' in request.socket,
    },
    authorityOf(ip, port),
    false,
  )
  const body = hasBody(request)
  headers.push(...framingOf(request, body))
  return ask({
    connection,
    method: request.method ?? 'GET',
    url,
    headers,
    body: body ? (request as NodeJS.ReadableStream) : undefined,
    broke: (cause) => brokenConnection(id, cause),
  })
}
