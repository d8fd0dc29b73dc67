import type { IncomingMessage } from 'node:http'
import { type WebSocket, WebSocketServer } from 'ws'
import { listHeader, refuseUpgrade, type UpgradeRequest } from './upgrade.ts'

/**
 * Largest message that is taken. Kubernetes takes 32 MiB; clients that are known send at most 1 MiB at a time, and a
 * message is held as a whole.
 */
const MAX_MESSAGE = 16 * 1024 * 1024

const server = new WebSocketServer({
  noServer: true,
  clientTracking: false,
  perMessageDeflate: false,
  maxPayload: MAX_MESSAGE,
})

// The library refuses names with a slash, which Kubernetes' tunnel has, so negotiation is not left to it.
const negotiated = new WeakMap<IncomingMessage, string>()
server.on('headers', (headers, request) => {
  const protocol = negotiated.get(request)
  if (protocol) headers.push(`Sec-WebSocket-Protocol: ${protocol}`)
})

/**
 * The first protocol in the client's order that is also in `supported`; '' where it asks for none and that is supported.
 * Undefined where nothing fits.
 */
export function negotiateWebSocketProtocol(
  request: IncomingMessage,
  supported: ReadonlySet<string>,
): string | undefined {
  const asked = listHeader(request, 'sec-websocket-protocol')
  return (asked.length === 0 ? [''] : asked).find((protocol) => supported.has(protocol))
}

/**
 * Completes the handshake with `protocol`. Resolves to undefined where the request is no valid one, which was answered then,
 * and where the client has gone.
 */
export async function acceptWebSocket(
  { request, socket, head }: UpgradeRequest,
  protocol: string,
): Promise<WebSocket | undefined> {
  if (request.method !== 'GET') {
    refuseUpgrade(socket, 405, 'a WebSocket is opened with GET', ['Allow: GET'])
    return undefined
  }
  // The library would drop it without a word, and its end was said before anybody listened.
  if (socket.destroyed) return undefined
  negotiated.set(request, protocol)
  delete request.headers['sec-websocket-protocol']
  const { promise, resolve } = Promise.withResolvers<WebSocket | undefined>()
  // A handshake that fails is answered by the library, which closes the socket.
  socket.once('close', () => resolve(undefined))
  server.handleUpgrade(request, socket, head, resolve)
  return await promise
}
