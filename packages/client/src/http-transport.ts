/** Requests to an API server over HTTPS: HTTP/1.1 on kept connections. */
import type { IncomingHttpHeaders } from 'node:http'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { WatchEvent } from '@caisson/api'
import type { WebSocket } from 'ws'
import { errorFromAnswer } from './api-error.ts'
import type { ClusterConnection, Impersonation } from './cluster-connection.ts'
import { type Credential, createCredentials } from './credentials.ts'
import { abortableDelay } from './delay.ts'
import { type Answer, exchange, openStream, type StreamAnswer } from './http-exchange.ts'
import { createHttpSessions, type HttpSession } from './http-session.ts'
import { linesOf } from './lines.ts'
import type { ApiRequest, ApiResponse, Transport, WebSocketConnection, WebSocketRequest } from './transport.ts'
import { isTransportError, TransportError } from './transport-error.ts'
import { decodeWarnings } from './warnings.ts'
import { loadWebSockets, openWebSocket } from './web-socket.ts'

export interface HttpTransportOptions {
  /** Connections for requests; watches have their own. */
  connections?: number
  /** ms that the server may take for the head of an answer, or be silent within it. kube-apiserver gives up after 60 s. */
  requestTimeout?: number
  /** ms without a byte after which a watch counts as dead. Bookmarks come about once a minute, but are not promised. */
  watchIdleTimeout?: number
  /** Bytes of one answer. A list of 10,000 large Pods has about 100 MB. */
  maxBody?: number
  /** Bytes of one watch event. */
  maxEvent?: number
  userAgent?: string
  /** ms between two looks at certificate files: they are renewed long before they end, and looking costs half a request. */
  certificateCheck?: number
  /** Called with the date of each answer, and when it was asked for; both ms since the epoch. */
  onDate?: (date: number, sentAt: number) => void
}

const DEFAULTS = {
  connections: 32,
  requestTimeout: 70_000,
  watchIdleTimeout: 90_000,
  maxBody: 256 * 1024 * 1024,
  maxEvent: 16 * 1024 * 1024,
  certificateCheck: 30_000,
  userAgent: `caisson/0.1.0 (${process.platform}/${process.arch})`,
  onDate: () => {},
} satisfies Required<HttpTransportOptions>

const STREAM_HEAD_MS = 30_000
/** A server that says Retry-After has not processed the request; it is asked again this often, ... */
const RETRIES = 5
/** ... unless it wants more patience than this, which is its caller's decision. */
const LONGEST_RETRY_AFTER = 30_000
const ERROR_LIMIT = 1024 * 1024

export function createHttpTransport(connection: ClusterConnection, given: HttpTransportOptions = {}): Transport {
  const options = { ...DEFAULTS, ...given }
  const server = new URL(connection.server)
  const root = server.pathname.replace(/\/+$/, '')
  const credentials = createCredentials(connection)
  const sessions = createHttpSessions(connection, { ...options, streamHeadTimeout: STREAM_HEAD_MS })
  const sockets = new Set<WebSocket>()
  const fixedHeaders = { 'user-agent': options.userAgent, ...impersonationHeaders(connection.impersonate) }

  function pathOf(request: ApiRequest): string {
    if (!request.query) return root + request.path
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries(request.query)) if (value !== undefined) query.append(name, value)
    const text = query.toString()
    return text ? `${root}${request.path}?${text}` : root + request.path
  }

  async function openSocket(request: WebSocketRequest): Promise<WebSocketConnection> {
    request.signal?.throwIfAborted()
    const url = new URL(server.origin)
    url.pathname = root + request.path
    url.search = new URLSearchParams(request.query.map(([name, value]) => [name, value])).toString()
    const outcome = await authenticated(
      async (session, credential) => {
        const { protocols, signal } = request
        const headers = authorized({ ...fixedHeaders }, credential)
        const opened = await openWebSocket({ session, url, headers, protocols, signal })
        return 'refusal' in opened ? opened.refusal : { status: 101, opened }
      },
      () => {},
    )
    if ('opened' in outcome) {
      const { socket } = outcome.opened
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      return outcome.opened
    }
    refuseRedirect(outcome.status, outcome.headers)
    const { body, retryAfter } = toResponse(outcome, retryAfterOf(outcome.headers))
    throw errorFromAnswer(outcome.status, body, retryAfter)
  }

  /** One attempt, and a second one with fresh credentials where the server did not know the first ones. */
  async function authenticated<A extends { status: number }>(
    send: (session: HttpSession, credential: Credential) => Promise<A>,
    discard: (answer: A) => void,
  ): Promise<A> {
    const credential = await credentials.current()
    const session = await sessions.current(credential)
    const answer = await trusting(() => send(session, credential))
    if (answer.status !== 401) return answer
    // A certificate runs out on connections that stand, and whoever renews it has perhaps done so just now.
    sessions.recheck()
    const renewed = credentials.renew(credential) ? await credentials.current() : credential
    const renewedSession = await sessions.current(renewed)
    const isSame = renewed.authorization === credential.authorization && renewed.certificate === credential.certificate
    if (isSame && renewedSession === session) return answer
    discard(answer)
    return trusting(() => send(renewedSession, renewed))
  }

  async function trusting<A>(send: () => Promise<A>): Promise<A> {
    try {
      return await send()
    } catch (error) {
      if (isTransportError(error, 'untrusted')) sessions.recheck()
      throw error
    }
  }

  function headersOf(request: ApiRequest, credential: Credential, accept: string) {
    const headers: Record<string, string | string[]> = { accept, ...fixedHeaders, ...request.headers }
    if (request.body !== undefined) headers['content-type'] = request.patchType ?? 'application/json'
    return authorized(headers, credential)
  }

  async function sendOnce(request: ApiRequest, path: string, body: string | undefined): Promise<Answer> {
    const sentAt = Date.now()
    const answer = await authenticated(
      (session, credential) =>
        exchange(session.requests, {
          method: request.method,
          path,
          headers: headersOf(request, credential, 'application/json'),
          body,
          signal: request.signal,
          limit: options.maxBody,
          onSent: request.onSent,
        }),
      () => {},
    )
    tellDate(answer.headers, sentAt)
    return answer
  }

  function tellDate(headers: IncomingHttpHeaders, sentAt: number): void {
    const date = Date.parse(headers.date ?? '')
    if (!Number.isNaN(date)) options.onDate(date, sentAt)
  }

  async function sendReading(request: ApiRequest, path: string, body: string | undefined): Promise<Answer> {
    try {
      return await sendOnce(request, path, body)
    } catch (error) {
      // A kept connection may have been closed by the server at the moment it was used again. Reading twice is harmless.
      if (request.method === 'GET' && isTransportError(error, 'lost')) return sendOnce(request, path, body)
      throw error
    }
  }

  async function openAnswer(
    request: ApiRequest,
    accept: string,
    idleTimeout: number | undefined,
  ): Promise<StreamAnswer> {
    request.signal?.throwIfAborted()
    const sentAt = Date.now()
    const answer = await authenticated(
      (session, credential) =>
        openStream(session.streams, {
          method: request.method,
          path: pathOf(request),
          headers: headersOf(request, credential, accept),
          signal: request.signal,
          limit: 0,
          idleTimeout,
        }),
      (refused) => refused.cancel(),
    )
    tellDate(answer.headers, sentAt)
    if (answer.status === 200) return answer
    if (isRedirect(answer.status)) answer.cancel()
    refuseRedirect(answer.status, answer.headers)
    throw errorFromAnswer(answer.status, await readError(answer), retryAfterOf(answer.headers))
  }

  return {
    async request(request) {
      request.signal?.throwIfAborted()
      const path = pathOf(request)
      const body = request.body === undefined ? undefined : JSON.stringify(request.body)
      for (let attempt = 0; ; attempt++) {
        const answer = await sendReading(request, path, body)
        const retryAfter = retryAfterOf(answer.headers)
        const mayRetry = (answer.status === 429 || answer.status === 503) && retryAfter !== undefined
        if (!mayRetry || attempt === RETRIES || retryAfter > LONGEST_RETRY_AFTER) return toResponse(answer, retryAfter)
        // Half as long again at most: those who were turned away together must not come back together.
        await abortableDelay(retryAfter * (1 + Math.random() / 2), request.signal)
      }
    },

    async *watch(request): AsyncGenerator<WatchEvent> {
      const answer = await openAnswer(request, 'application/json', options.watchIdleTimeout)
      if (!isJson(answer.headers)) {
        answer.cancel()
        throw new TransportError(
          'malformed',
          `a watch was answered with ${answer.headers['content-type'] ?? 'no'} content type`,
        )
      }
      request.onOpen?.()
      for await (const line of linesOf(answer.chunks, options.maxEvent)) if (line) yield parseEvent(line)
    },

    async *stream(request): AsyncGenerator<Uint8Array> {
      // A log may be silent for as long as its container is.
      const answer = await openAnswer(request, '*/*', undefined)
      yield* answer.chunks
    },

    openWebSocket: openSocket,

    async connectAhead({ webSocket = false, use = false } = {}) {
      const { connector } = await sessions.current(await credentials.current())
      await connector.connectAhead()
      // Only now: it takes 10 ms in one piece, in which nothing that was written goes out.
      if (webSocket) await loadWebSockets()
      // The parser of answers is made ready, and the server looks at the certificate.
      if (!use) return
      await sendOnce({ method: 'GET', path: '/version' }, `${root}/version`, undefined)
      // The pool takes a connection for busy until the turn after its answer, and would make another one.
      await nextTurn()
    },

    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.terminate()
      await sessions[Symbol.asyncDispose]()
    },
  }
}

function authorized(headers: Record<string, string | string[]>, credential: Credential) {
  if (credential.authorization) headers['authorization'] = credential.authorization
  return headers
}

function toResponse(answer: Answer, retryAfter: number | undefined): ApiResponse {
  const { status, headers } = answer
  refuseRedirect(status, headers)
  return {
    status,
    body: isJson(headers) ? parseJson(answer.body.toString('utf8')) : answer.body.toString('utf8'),
    warnings: decodeWarnings(headers['warning']),
    ...(retryAfter !== undefined && { retryAfter }),
  }
}

function refuseRedirect(status: number, headers: IncomingHttpHeaders): void {
  if (!isRedirect(status)) return
  throw new TransportError(
    'redirected',
    `the server redirects to ${JSON.stringify(headers.location ?? '')}; an API server does not do that: look at the address in the kubeconfig`,
  )
}

function isRedirect(status: number): boolean {
  return status >= 300 && status <= 399
}

function isJson(headers: IncomingHttpHeaders): boolean {
  return /^application\/(?:[\w.+-]+\+)?json\b/i.test(headers['content-type'] ?? '')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new TransportError('malformed', 'the server announced JSON and sent something else', { cause: error })
  }
}

const EVENT_TYPES = new Set(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR'])

function parseEvent(line: string): WatchEvent {
  const event = parseJson(line) as WatchEvent | null
  const object: unknown = event?.object
  if (!event || !EVENT_TYPES.has(event.type) || typeof object !== 'object' || object === null) {
    throw new TransportError('malformed', 'the server sent a line in a watch that is no event')
  }
  if (event.type !== 'ERROR' && (typeof event.object.metadata !== 'object' || event.object.metadata === null)) {
    throw new TransportError('malformed', 'the server sent an event whose object has no metadata')
  }
  return event
}

async function readError(answer: StreamAnswer): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer.chunks) {
    size += chunk.length
    if (size > ERROR_LIMIT) break
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString('utf8')
  return isJson(answer.headers) && size <= ERROR_LIMIT ? parseJson(text) : text
}

function retryAfterOf(headers: IncomingHttpHeaders): number | undefined {
  const value = headers['retry-after']
  if (!value) return undefined
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now())
}

function impersonationHeaders(impersonation: Impersonation | undefined): Record<string, string | string[]> {
  if (!impersonation) return {}
  const headers: Record<string, string | string[]> = { 'impersonate-user': impersonation.user }
  if (impersonation.uid) headers['impersonate-uid'] = impersonation.uid
  if (impersonation.groups?.length) headers['impersonate-group'] = [...impersonation.groups]
  for (const [name, values] of Object.entries(impersonation.extra ?? {})) {
    headers[`impersonate-extra-${encodeURIComponent(name).toLowerCase()}`] = [...values]
  }
  return headers
}
