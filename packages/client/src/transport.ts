/**
 * How requests reach an API server. There are two transports: HTTPS (undici) and a direct call into an API
 * server of the same process. Everything above this line is the same for both.
 */
import type { WatchEvent } from '@caisson/api'
import type { WebSocket } from 'ws'

export type PatchType =
  | 'application/json-patch+json'
  | 'application/merge-patch+json'
  | 'application/strategic-merge-patch+json'
  | 'application/apply-patch+yaml'

export interface ApiRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Below the server's root, each segment already percent-encoded: `/api/v1/namespaces/default/pods`. */
  path: string
  /** Undefined values are left out. */
  query?: Record<string, string | undefined>
  /** A JSON value; the transport encodes it. */
  body?: unknown
  /** Only for PATCH. */
  patchType?: PatchType
  headers?: Record<string, string>
  signal?: AbortSignal
  /**
   * Called when there is a connection and the request is written to it, in the same turn; again where it is sent again.
   * Not of watches, and not by the in-process transport.
   */
  onSent?: (() => void) | undefined
  /** Of watches: called when the server has accepted it, before the first event. Optional for in-process servers. */
  onOpen?: () => void
}

export interface ApiResponse {
  status: number
  /** The decoded JSON value; a string where the answer was not JSON. From the in-process transport it is frozen and shared. */
  body: unknown
  /** Warning headers, decoded. */
  warnings: readonly string[]
  /** Milliseconds, where the answer had a Retry-After header. */
  retryAfter?: number
}

export interface Transport extends AsyncDisposable {
  /**
   * One request, one answer. Resolves for every HTTP status: turning a `Status` into an error is the client's work.
   * Rejects when no answer came (`code` says why), or with the signal's reason.
   */
  request(request: ApiRequest): Promise<ApiResponse>
  /**
   * Opens a watch. The iterable ends when the server ends the stream and throws when the connection breaks or goes silent.
   * An answer other than 200 throws an `ApiError`.
   */
  watch(request: ApiRequest): AsyncIterable<WatchEvent>
  /** A streamed answer as raw bytes (Pod logs). An answer other than 200 throws an `ApiError`. */
  stream(request: ApiRequest): AsyncIterable<Uint8Array>
  /**
   * Opens a WebSocket (exec, attach, port-forward) with the first of `protocols` that the server knows. A refusal rejects
   * with an `ApiError`. Absent where there is no network to open one over.
   */
  openWebSocket?(request: WebSocketRequest): Promise<WebSocketConnection>
  /**
   * Makes a connection now that the next request, watch or WebSocket will use, whose user then need not wait for it.
   * Rejects only where there are no usable credentials. Absent where there is nothing to connect to.
   */
  connectAhead?(options?: ConnectAhead): Promise<void>
}

export interface ConnectAhead {
  /** Loads what WebSockets need, too. */
  webSocket?: boolean
  /** Sends a request that asks for nothing of note, so that the next one need not wait for what only the first one waits for. */
  use?: boolean
}

export interface WebSocketRequest {
  path: string
  /** Names may occur several times: the words of a command do. */
  query: readonly (readonly [name: string, value: string])[]
  protocols: readonly string[]
  signal?: AbortSignal
}

export interface WebSocketConnection {
  /** Paused: whoever takes it adds listeners and then resumes it. */
  socket: WebSocket
  /** The one that the server chose. */
  protocol: string
}

/**
 * What an API server of the same process offers. Its authenticated user is bound in by whoever composes the two, so
 * that authorization, admission, audit and metrics see in-process callers like any other. It copies bodies as they are
 * handed over, to what they would be after JSON.
 */
export interface InProcessServer {
  request(request: ApiRequest): Promise<ApiResponse>
  watch(request: ApiRequest): AsyncIterable<WatchEvent>
  stream(request: ApiRequest): AsyncIterable<Uint8Array>
}
