/**
 * Requests that the API server carries to a port of a Pod: `pods/NAME/proxy` and `services/NAME/proxy`. The connection
 * goes into the sandbox of that very Pod, found by its UID and by what the runtime itself knows of it: no address that
 * anybody wrote is dialed. What answers is a tenant's, and is shown under the API server's own origin: a browser is told
 * to give its pages none, cookies go neither way, and no header of it speaks for the whole origin.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { connect as connectTls } from 'node:tls'
import {
  endToEnd,
  framingOf,
  OF_THE_ORIGIN,
  type ProxiedPort,
  type RawHeaders,
  type Status,
  WEBSOCKET_BEARER,
} from '@caisson/api'
import { ask, type Question, relayUpgrade } from '@caisson/client'
import type { UpgradeRequest } from './upgrade.ts'

/** Rejects with why nobody can be connected to. */
export type DialPod = (target: ProxiedPort, signal: AbortSignal) => Promise<Duplex>

/** Credentials of the API server, and of other servers on the same host, to which a browser shows them too. */
const NOT_THE_PODS: ReadonlySet<string> = new Set([
  'authorization',
  'cookie',
  // A browser's token is among them.
  'sec-websocket-protocol',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-uri',
])

const NOT_THE_CLIENTS: ReadonlySet<string> = new Set([...OF_THE_ORIGIN, 'set-cookie', 'location'])

const NO_ORIGIN = 'sandbox allow-scripts allow-forms allow-popups allow-downloads'

export async function proxyRequest(
  dial: DialPod,
  target: ProxiedPort,
  { request, response }: { request: IncomingMessage; response: ServerResponse },
): Promise<void> {
  const gone = new AbortController()
  response.on('close', () => {
    if (!response.writableFinished) gone.abort(new Error('the client went away'))
  })
  try {
    const connection = await dialed(dial, target, gone.signal)
    gone.signal.addEventListener('abort', () => connection.destroy(), { once: true })
    try {
      const length = request.headers['content-length']
      const hasBody = length !== undefined || request.headers['transfer-encoding'] !== undefined
      const headers = questionHeaders(request, target)
      headers.push('Connection', 'close', ...framingOf(request, hasBody))
      const answer = await ask({
        ...question(request, target, connection),
        headers,
        body: hasBody ? request : undefined,
      })
      response.sendDate = answer.headers.date === undefined
      response.writeHead(answer.statusCode ?? 502, answerHeaders(answer, target))
      // Each of those that had it before waits for its end, and a pipeline does so more than once.
      response.setMaxListeners(20)
      await pipeline(answer, response)
    } finally {
      connection.destroy()
    }
  } catch (error) {
    if (gone.signal.aborted) return
    if (response.headersSent) return void response.destroy()
    const body = JSON.stringify(unreachable(error))
    response.writeHead(503, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) })
    response.end(body)
  }
}

export async function proxyUpgrade(
  dial: DialPod,
  target: ProxiedPort,
  { request, socket, head }: UpgradeRequest,
): Promise<void> {
  const gone = new AbortController()
  socket.on('error', () => {})
  socket.on('close', () => gone.abort(new Error('the client went away')))
  try {
    const connection = await dialed(dial, target, gone.signal)
    const headers = questionHeaders(request, target)
    headers.push('Connection', 'Upgrade', 'Upgrade', request.headers.upgrade ?? '')
    await relayUpgrade(
      { socket, head },
      { ...question(request, target, connection), headers, answerHeaders: (answer) => answerHeaders(answer, target) },
    )
  } catch (error) {
    if (gone.signal.aborted) return void socket.destroy()
    const body = JSON.stringify(unreachable(error))
    socket.end(
      `HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    )
  }
}

async function dialed(dial: DialPod, target: ProxiedPort, signal: AbortSignal): Promise<Duplex> {
  const connection = await dial(target, signal)
  if (!target.tls) return connection
  const secure = connectTls({ socket: connection, rejectUnauthorized: false })
  secure.on('error', () => connection.destroy())
  secure.on('close', () => connection.destroy())
  return secure
}

function question(
  { method = 'GET' }: IncomingMessage,
  { url }: ProxiedPort,
  connection: Duplex,
): Omit<Question, 'headers'> {
  return { connection, method, url, broke: (cause) => cause as Error }
}

function questionHeaders(request: IncomingMessage, { prefix, url }: ProxiedPort): RawHeaders {
  const headers = endToEnd(request.rawHeaders, request.headers.connection, NOT_THE_PODS)
  const protocols = protocolsOf(request)
  if (protocols !== '') headers.push('Sec-WebSocket-Protocol', protocols)
  const { remoteAddress } = request.socket
  if (remoteAddress) headers.push('X-Forwarded-For', remoteAddress)
  if (request.headers.host) headers.push('X-Forwarded-Host', request.headers.host)
  headers.push('X-Forwarded-Proto', 'https', 'X-Forwarded-Uri', `${prefix}${url.split('?', 1)[0]}`)
  return headers
}

/** Those that a client offers, without the token that a browser hands the API server among them. */
function protocolsOf(request: IncomingMessage): string {
  return (request.headersDistinct['sec-websocket-protocol'] ?? [])
    .flatMap((value) => value.split(','))
    .map((protocol) => protocol.trim())
    .filter((protocol) => protocol !== '' && !protocol.startsWith(WEBSOCKET_BEARER))
    .join(', ')
}

function answerHeaders(answer: IncomingMessage, target: ProxiedPort): RawHeaders {
  const headers = endToEnd(answer.rawHeaders, answer.headers.connection, NOT_THE_CLIENTS)
  headers.push('Content-Security-Policy', NO_ORIGIN)
  const { location } = answer.headers
  if (location !== undefined) headers.push('Location', withinPrefix(location, target))
  return headers
}

/** A path of the Pod's own is one below the prefix for the client. */
function withinPrefix(location: string, { prefix }: ProxiedPort): string {
  const isOwnPath = location.startsWith('/') && !location.startsWith('//') && !location.startsWith('/\\')
  return isOwnPath && !location.startsWith(prefix) ? `${prefix}${location}` : location
}

function unreachable(error: unknown): Status {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: `error trying to reach service: ${(error as Error).message}`,
    reason: 'ServiceUnavailable',
    code: 503,
  }
}
