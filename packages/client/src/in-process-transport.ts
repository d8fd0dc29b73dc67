import type { Status, WatchEvent } from '@caisson/api'
import { ApiError, errorFromAnswer, isApiError } from './api-error.ts'
import { abortable } from './delay.ts'
import type { ApiRequest, InProcessServer, Transport } from './transport.ts'
import { TransportError } from './transport-error.ts'

/**
 * Requests to an API server of the same process, without encoding. What comes back is frozen and shared with the
 * server's own store. The server copies bodies, and so never holds what its caller may still change.
 */
export function inProcessTransport(server: InProcessServer): Transport {
  const closing = new AbortController()

  function checked(request: ApiRequest): ApiRequest {
    closing.signal.throwIfAborted()
    request.signal?.throwIfAborted()
    return request
  }

  /** Streams have to end with the transport too. */
  function endless(request: ApiRequest): ApiRequest {
    const signal = request.signal ? AbortSignal.any([request.signal, closing.signal]) : closing.signal
    return { ...checked(request), signal }
  }

  return {
    async request(request) {
      const answer = server.request(checked(request))
      return request.signal ? abortable(answer, request.signal) : answer
    },
    async *watch(request): AsyncGenerator<WatchEvent> {
      const { onOpen, ...rest } = endless(request)
      let open = onOpen
      // A server of this process refuses within its first turn; one that has not by then has accepted.
      const accepted = open && setImmediate(() => opened())
      function opened(): void {
        open?.()
        open = undefined
      }
      try {
        for await (const event of server.watch(rest)) {
          opened()
          yield event
        }
      } catch (error) {
        throw asApiError(error)
      } finally {
        clearImmediate(accepted)
      }
    },
    async *stream(request): AsyncGenerator<Uint8Array> {
      try {
        yield* server.stream(endless(request))
      } catch (error) {
        throw asApiError(error)
      }
    },
    async [Symbol.asyncDispose]() {
      closing.abort(new TransportError('closed', 'the transport was closed'))
    },
  }
}

/** The server refuses with an error class of its own, which knows the Status that it would be on the wire. */
function asApiError(error: unknown): unknown {
  if (!(error instanceof Error) || isApiError(error)) return error
  if (!('toStatus' in error) || typeof error.toStatus !== 'function') return error
  const status = error.toStatus() as Status
  const answered = errorFromAnswer(status.code ?? 500, status)
  return new ApiError(answered.status, { cause: error })
}
