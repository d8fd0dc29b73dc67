/** One request and its answer, over HTTP/1.1 or HTTP/2: Node's two have all in common that is used of them. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { RawHeaders } from '@caisson/api'

export interface Exchange {
  request: IncomingMessage | Http2ServerRequest
  response: ServerResponse | Http2ServerResponse
  /** Aborted where the client goes before it has the whole answer. */
  gone: AbortSignal
}

export function openExchange(request: Exchange['request'], response: Exchange['response']): Exchange {
  const gone = new AbortController()
  response.on('close', () => {
    if (!response.writableFinished) gone.abort(new Error('the client went away'))
  })
  response.once('finish', () => endSoon(request))
  // That it goes is no news.
  response.on('error', () => {})
  request.on('error', () => {})
  return { request, response, gone: gone.signal }
}

/** So long a client that has its answer may go on sending what nobody wants, ms: one that is cut off at once may not read it. */
const LINGER_MS = 5000

function endSoon(request: Exchange['request']): void {
  if (request.complete || request.destroyed) return
  const end = (): void => {
    if ('stream' in request) request.stream.close()
    else request.destroy()
  }
  const timer = setTimeout(end, LINGER_MS).unref()
  request.once('close', () => clearTimeout(timer)).once('end', () => clearTimeout(timer))
  request.resume()
}

export function sendHead({ response }: Exchange, status: number, headers: RawHeaders): void {
  // Not twice: the sandbox's own is among the headers.
  response.sendDate = !headers.some((name, at) => at % 2 === 0 && name.toLowerCase() === 'date')
  ;(response as ServerResponse).writeHead(status, headers)
}

export function sendJson(exchange: Exchange, status: number, content: unknown): void {
  const body = Buffer.from(JSON.stringify(content))
  sendHead(exchange, status, ['Content-Type', 'application/json', 'Content-Length', String(body.length)])
  endWith(exchange, body)
}

/** Ends the answer; a HEAD has none. */
export function endWith({ request, response }: Exchange, body?: Buffer): void {
  if (body === undefined || request.method === 'HEAD') (response as ServerResponse).end()
  else (response as ServerResponse).end(body)
}

/** Whether the request has a body, be it an empty one. */
export function hasBody(request: Exchange['request']): boolean {
  if ('stream' in request) return !(request.stream as { endAfterHeaders: boolean }).endAfterHeaders
  return request.headers['transfer-encoding'] !== undefined || request.headers['content-length'] !== undefined
}

/** As the client wrote it, whichever HTTP it speaks. */
export function hostOf({ headers }: { headers: IncomingMessage['headers'] }): string | undefined {
  const authority = headers[':authority' as 'host']
  return authority ?? headers.host
}
