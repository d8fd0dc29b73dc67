/** What is one for every request, of whatever kind and at whatever door: it takes a seat, is counted, and is refused in one way. */
import type { IncomingMessage } from 'node:http'
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { RouterMetrics } from '../metrics.ts'
import { RouterError } from '../router-error.ts'
import type { Route } from '../routing/route.ts'
import { type Exchange, sendJson } from './exchange.ts'
import { grpcCodeOf, refuseCall } from './grpc-status.ts'
import type { Seat } from './seats.ts'
import { refuseUpgrade } from './upgrade.ts'

export interface AttendOptions {
  /** For each request, of whatever listener. */
  takeSeat(): Seat
  metrics: RouterMetrics
  onError(error: unknown, where: string): void
}

export interface Asked {
  method: string
  url: string
  headers: IncomingHttpHeaders
  /** Aborted where the client goes. */
  gone: AbortSignal
  /** HTTP's, as it is counted. */
  readonly code: number
  /** Ends it for a refusal, which is said where nothing was answered yet; for none where the client is gone. */
  end(refusal: RouterError | undefined): void
}

/** Never rejects: what `serve` throws is the refusal, or a failure of ours, which is told to `onError`. */
export type Attend = (asked: Asked, serve: (route: Route, seat: Seat) => Promise<void>) => Promise<void>

/** As nginx counts who did not wait. */
const CLIENT_GONE = 499

export function createAttend(
  { takeSeat, metrics, onError }: AttendOptions,
  routeOf: (url: string, headers: IncomingHttpHeaders) => Route,
): Attend {
  function refusalOf(error: unknown, route: Route | undefined): RouterError {
    if (error instanceof RouterError) {
      if (route && error.status === 504) metrics.failed(route.namespace, 'timeout')
      else if (route && error.status === 502 && error.cause) metrics.failed(route.namespace, 'eof')
      return error
    }
    onError(error, route ? `sandbox ${route.namespace}/${route.id}` : 'a request')
    return new RouterError(500, 'The router could not serve this request.', { cause: error })
  }

  return async (asked, serve) => {
    const done = metrics.begin()
    let route: Route | undefined
    try {
      using seat = takeSeat()
      route = routeOf(asked.url, asked.headers)
      await serve(route, seat)
    } catch (error) {
      asked.end(asked.gone.aborted ? undefined : refusalOf(error, route))
    } finally {
      done({ method: asked.method, code: asked.code, namespace: route?.namespace })
    }
  }
}

export function askedByExchange(exchange: Exchange): Asked {
  const { request, response, gone } = exchange
  const { method = 'GET', url = '', headers } = request
  return {
    method,
    url,
    headers,
    gone,
    get code() {
      return gone.aborted ? CLIENT_GONE : response.statusCode
    },
    end(refusal) {
      if (!refusal || response.headersSent) response.destroy()
      else sendJson(exchange, refusal.status, { detail: refusal.message })
    },
  }
}

export function askedByUpgrade(request: IncomingMessage, socket: Duplex): Asked & { code: number } {
  const { method = 'GET', url = '', headers } = request
  const asked = {
    method,
    url,
    headers,
    gone: goneWith(socket),
    code: 101,
    end(refusal: RouterError | undefined) {
      asked.code = refusal?.status ?? CLIENT_GONE
      if (refusal) refuseUpgrade(socket, refusal)
      else socket.destroy()
    },
  }
  return asked
}

export function askedByCall(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Asked {
  const asked = {
    method: headers[':method'] ?? 'POST',
    url: headers[':path'] ?? '',
    headers,
    gone: goneWith(stream),
    code: 200,
    end(refusal: RouterError | undefined) {
      asked.code = refusal?.status ?? CLIENT_GONE
      if (!refusal || stream.headersSent) stream.close()
      else refuseCall(stream, grpcCodeOf(refusal.status), refusal.message)
    },
  }
  return asked
}

function goneWith(stream: Duplex): AbortSignal {
  const gone = new AbortController()
  stream.once('close', () => gone.abort(new Error('the client went away')))
  return gone.signal
}
