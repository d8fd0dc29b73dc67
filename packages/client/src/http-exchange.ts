/**
 * One HTTP exchange over an undici pool, straight on its dispatch interface: no stream objects, which cost more than the
 * whole rest of a small request.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher, Pool } from 'undici'
import { asTransportError } from './connection-error.ts'
import { TransportError } from './transport-error.ts'

export interface ExchangeRequest {
  method: string
  path: string
  headers: Record<string, string | string[]>
  body?: string | undefined
  signal?: AbortSignal | undefined
  /** Bytes of the answer that are accepted. */
  limit: number
  onSent?: (() => void) | undefined
}

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
}

/** Sends a request and collects the whole answer. Rejects with a TransportError or the signal's reason. */
export function exchange(pool: Pool, request: ExchangeRequest): Promise<Answer> {
  const { signal, limit } = request
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined
    let status = 0
    let headers: IncomingHttpHeaders = {}
    let size = 0
    const chunks: Buffer[] = []

    function fail(error: unknown): void {
      signal?.removeEventListener('abort', onAbort)
      // First the answer to our caller: the pool then reports the same end to us once more, which changes nothing.
      reject(error)
      controller?.abort(error instanceof Error ? error : new Error(String(error)))
    }
    function onAbort(): void {
      fail(signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })

    dispatch(pool, request, {
      onRequestStart(started) {
        controller = started
        if (signal?.aborted) started.abort(abortError(signal))
        else request.onSent?.()
      },
      onResponseStart(_, statusCode, received) {
        if (statusCode < 200) return
        status = statusCode
        headers = received
        const announced = Number(received['content-length'])
        if (announced > limit) fail(tooLarge(limit))
      },
      onResponseData(_, chunk) {
        size += chunk.length
        if (size > limit) fail(tooLarge(limit))
        else chunks.push(chunk)
      },
      onResponseEnd() {
        signal?.removeEventListener('abort', onAbort)
        const [first] = chunks
        resolve({ status, headers, body: chunks.length === 1 && first ? first : Buffer.concat(chunks, size) })
      },
      onResponseError(_, error) {
        fail(asTransportError(error, controller !== undefined))
      },
    })
  })
}

export interface StreamRequest extends ExchangeRequest {
  /** Milliseconds without a byte after which the connection counts as dead; undefined: never. */
  idleTimeout?: number | undefined
}

export interface StreamAnswer {
  status: number
  headers: IncomingHttpHeaders
  /** To be read once. Leaving it ends the connection. */
  chunks: AsyncIterable<Buffer>
  /** For who does not read it. */
  cancel(): void
}

/** An answer that is not the stream that was asked for has to come to its end. */
const REFUSAL_IDLE_MS = 10_000
/** Bytes that wait for a slow reader before the connection is no longer read from. */
const HIGH_WATER = 1024 * 1024

/** Sends a request and resolves as soon as the answer begins. `limit` is not looked at. */
export function openStream(pool: Pool, request: StreamRequest): Promise<StreamAnswer> {
  const { signal } = request
  let { idleTimeout } = request
  let controller: Dispatcher.DispatchController | undefined
  let queue: Buffer[] = []
  let queued = 0
  let end: { error?: unknown } | undefined
  let wake: (() => void) | undefined
  let idle: NodeJS.Timeout | undefined

  function finish(error?: { error: unknown }): void {
    if (end) return
    end = error ?? {}
    clearTimeout(idle)
    signal?.removeEventListener('abort', onAbort)
    // What already came is dropped with a broken connection: a reader starts over from what it has taken.
    if (error) queue = []
    wake?.()
  }
  function fail(error: unknown): void {
    finish({ error })
    controller?.abort(error instanceof Error ? error : new Error(String(error)))
  }
  function onAbort(): void {
    fail(signal?.reason)
  }
  function cancel(): void {
    fail(new TransportError('closed', 'the reader of this stream has left'))
  }
  function watchSilence(): void {
    const ms = idleTimeout
    if (ms === undefined) return
    clearTimeout(idle)
    idle = setTimeout(() => {
      fail(new TransportError('silent', `nothing came for ${ms / 1000} s: the connection counts as dead`))
    }, ms)
  }

  async function* chunks(): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        const chunk = queue.shift()
        if (chunk) {
          queued -= chunk.length
          if (queued < HIGH_WATER && controller?.paused && !end) {
            controller.resume()
            watchSilence()
          }
          yield chunk
        } else if (end) {
          if ('error' in end) throw end.error
          return
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
          wake = undefined
        }
      }
    } finally {
      cancel()
    }
  }

  return new Promise((resolve, reject) => {
    wake = () => {
      if (end && 'error' in end) reject(end.error)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    dispatch(pool, request, {
      onRequestStart(started) {
        controller = started
        if (signal?.aborted) started.abort(abortError(signal))
      },
      onResponseStart(_, status, headers) {
        if (status < 200) return
        wake = undefined
        if (status !== 200) idleTimeout = REFUSAL_IDLE_MS
        watchSilence()
        resolve({ status, headers, chunks: chunks(), cancel })
      },
      onResponseData(started, chunk) {
        if (end) return
        queue.push(chunk)
        queued += chunk.length
        if (queued >= HIGH_WATER) {
          started.pause()
          clearTimeout(idle)
        } else if (idle) idle.refresh()
        wake?.()
      },
      onResponseEnd() {
        finish()
      },
      onResponseError(_, error) {
        fail(asTransportError(error, controller !== undefined))
      },
    })
  })
}

function dispatch(pool: Pool, request: StreamRequest, handler: Dispatcher.DispatchHandler): void {
  try {
    pool.dispatch(
      {
        method: request.method as Dispatcher.HttpMethod,
        path: request.path,
        headers: request.headers,
        ...(request.body !== undefined && { body: request.body }),
      },
      handler,
    )
  } catch (error) {
    // An argument that undici does not take: said like any other failure before a connection.
    handler.onResponseError?.(undefined as never, error as Error)
  }
}

function tooLarge(limit: number): TransportError {
  return new TransportError('too-large', `the answer is larger than the ${limit} bytes that are accepted`)
}

function abortError(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason))
}
